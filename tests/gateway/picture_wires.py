"""Replies of vendors of pictures, for scripts in memory."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import Request


def png(width: int = 8, height: int = 8) -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


PNG = png()
B64 = b64encode(PNG).decode()
SOURCE = f"data:image/png;base64,{B64}"


def told(body: Any, status: int = 200, **headers: str) -> MemoryReply:
    """A reply in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return MemoryReply(status, {"content-type": "application/json", **named}, [json.dumps(body).encode()])


def file(data: bytes = PNG, mime: str = "image/png", status: int = 200) -> MemoryReply:
    """A file behind a link."""
    return MemoryReply(status, {"content-type": mime}, [data])


def openai(count: int = 1) -> MemoryReply:
    return told({"created": 1, "data": [{"b64_json": B64}] * count, "usage": {"output_tokens": 10}})


def gemini(*parts: Any, finish: str = "STOP", **more: Any) -> MemoryReply:
    """A candidate with these parts; a picture where there are none."""
    shown = list(parts) or [{"inlineData": {"mimeType": "image/png", "data": B64}, "thoughtSignature": "x"}]
    return told({"candidates": [{"content": {"parts": shown, "role": "model"}, "finishReason": finish}], **more})


def ark(*urls: str) -> MemoryReply:
    entries = [{"url": url, "size": "2048x2048"} for url in urls or ("https://tos.example/a.jpeg",)]
    return told({"model": "m", "created": 1, "data": entries, "usage": {"generated_images": len(entries)}})


def xai(count: int = 1) -> MemoryReply:
    row = {"url": "https://imgen.x.example/a.jpeg", "mime_type": "image/jpeg"}
    return told({"data": [row] * count, "usage": {"cost_in_usd_ticks": 1}})


def bfl_task(host: str = "https://api.us1.bfl.ai") -> MemoryReply:
    return told({"id": "t-1", "polling_url": f"{host}/v1/get_result?id=t-1", "cost": 4.0})


def bfl_state(status: str, **more: Any) -> MemoryReply:
    result = {"sample": "https://delivery.bfl.example/s.jpeg?sig=1"} if status == "Ready" else None
    return told({"id": "t-1", "status": status, "progress": None, "details": None, "result": result, **more})


def fal_task(base: str) -> MemoryReply:
    urls = {f"{name}_url": f"{base}/requests/r1{path}" for name, path in FAL_PATHS.items()}
    return told({"status": "IN_QUEUE", "request_id": "r1", **urls, "queue_position": 0})


FAL_PATHS: Mapping[str, str] = {"status": "/status", "response": "", "cancel": "/cancel"}


def prediction(status: str, output: Any = None, error: str | None = None, code: int = 200) -> MemoryReply:
    return told({"id": "p1", "status": status, "output": output, "error": error, "urls": {}}, code)


def by_path(replies: Mapping[str, Any]) -> Callable[[Request], MemoryReply]:
    """A script that answers by a part of the URL; a list is used up but for its last."""
    left = {part: list(value) if isinstance(value, list) else [value] for part, value in replies.items()}

    def answer(request: Request) -> MemoryReply:
        for part, rows in left.items():
            if part in request.url:
                row = rows.pop(0) if len(rows) > 1 else rows[0]
                return row if callable(row) is False else row(request)
        raise AssertionError(f"nobody expected {request.method} {request.url}")

    def fresh(request: Request) -> MemoryReply:
        found = answer(request)
        return MemoryReply(found.status, found.headers, found.pieces)

    return fresh
