"""Replies of Gemini's wire for scripted upstreams, and where calls on it go."""

from __future__ import annotations

import json
from typing import Any

from tests.gateway.lab import Answer, Lab

MODEL = "gemini-2.5-flash-official"
DOCUMENTED = "/api/v1/gemini"
BASE = f"/api/v1/gemini/v1beta/models/{MODEL}"
GENERATE, STREAM, COUNT = f"{BASE}:generateContent", f"{BASE}:streamGenerateContent", f"{BASE}:countTokens"
HELLO: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Say hi."}]}]
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 30, "totalTokenCount": 45}
INPUT_UC, OUTPUT_UC = 28, 230
GEMINI_UC = 10 * INPUT_UC + 35 * OUTPUT_UC  # the usage above at MODEL's rates


def reply(text: str = "Hi there", usage: Any = USAGE, **candidate: Any) -> dict[str, Any]:
    """A whole answer, or a chunk of one."""
    one = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0} | candidate
    told = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [one]} | told | {"modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def chunk(text: str, candidates: int | None = None) -> dict[str, Any]:
    """A chunk before the last one, with usage as far as it has grown."""
    counts = {} if candidates is None else {"candidatesTokenCount": candidates}
    made = reply(text, {"promptTokenCount": 10, **counts, "totalTokenCount": 10})
    del made["candidates"][0]["finishReason"]
    return made


def raw(value: Any) -> bytes:
    """JSON as an upstream writes it: indented."""
    return json.dumps(value, indent=2).encode() + b"\n"


def events(*chunks: Any) -> bytes:
    """Chunks as Google frames them."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)


def google(code: int, status: str, message: str, *details: Any) -> bytes:
    """An error of Google's."""
    return raw({"error": {"code": code, "message": message, "status": status, "details": list(details)}})


async def ask(lab: Lab, path: str = GENERATE, *, alt: str = "sse", **fields: Any) -> Answer:
    """One call on the wire."""
    query = f"alt={alt}" if "stream" in path and alt else ""
    hang_up = fields.pop("hang_up", None)
    return await lab.ask(path, {"contents": HELLO, **fields}, query=query, hang_up=hang_up)


def said(answer: Answer) -> str:
    """The text of a stream of events or of an array."""
    chunks = answer.data if answer.body.startswith(b"data:") else answer.json
    parts = [part for one in chunks for each in one.get("candidates", ()) for part in each["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)
