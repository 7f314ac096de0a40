"""The wires that are measured, as data: how each is asked, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadtests.bench.client import MARK
from loadtests.calls import ANTHROPIC_VERSION

Body = dict[str, Any]
ANSWER_TOKENS: Final = 80


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire. Paths are those of the real provider, below its base URL."""

    name: str
    provider: str  # the fleet's row
    model: str
    path: str
    path_sse: str
    key_header: str
    key_prefix: str
    ask: Callable[[str, str, int], Body]  # (model, text, most tokens)
    streams_by_flag: bool = True  # `"stream": true` in the body; else the path says it
    gateway: str = ""  # the target file's base URL of this wire and the path below it; "" where it is not served
    more_headers: Mapping[str, str] | None = None
    answer_tokens: int = ANSWER_TOKENS

    def text(self, marked: bool = False) -> str:
        """What is asked; `marked` makes every request another."""
        asked = f"[[answer: tokens={self.answer_tokens}]] Describe a teapot above the fog, plainly and at some length."
        return f"{asked} {MARK.decode()}" if marked else asked

    def body(self, mode: str, text: str, max_tokens: int = 4000) -> bytes:
        """A request's JSON; `mode` is "json" or "sse"."""
        asked = self.ask(self.model, text, max_tokens)
        if mode == "sse" and self.streams_by_flag:
            asked["stream"] = True
        return json.dumps(asked).encode()

    def url_path(self, mode: str) -> str:
        """Where to."""
        return self.path_sse if mode == "sse" else self.path

    def headers(self, key: str) -> dict[str, str]:
        """Headers as the wire's own SDK sends them."""
        own = {self.key_header: self.key_prefix + key, "Content-Type": "application/json"}
        return own | dict(self.more_headers or {})


def _chat(model: str, text: str, most: int) -> Body:
    return {"model": model, "max_completion_tokens": most, "messages": [{"role": "user", "content": text}]}


def _messages(model: str, text: str, most: int) -> Body:
    return {"model": model, "max_tokens": most, "messages": [{"role": "user", "content": text}]}


def _responses(model: str, text: str, most: int) -> Body:
    return {"model": model, "max_output_tokens": most, "input": text, "store": False}


def _gemini(_: str, text: str, most: int) -> Body:
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": most}}


_GEMINI: Final = "/v1beta/models/gemini-2.5-flash"
WIRES: Final[Mapping[str, Wire]] = {
    wire.name: wire
    for wire in (
        Wire(
            "chat",
            "openai",
            "gpt-5.5",
            "/v1/chat/completions",
            "/v1/chat/completions",
            "Authorization",
            "Bearer ",
            _chat,
            gateway="openai /chat/completions",
        ),
        Wire(
            "messages",
            "anthropic",
            "claude-sonnet-4-6",
            "/v1/messages",
            "/v1/messages",
            "x-api-key",
            "",
            _messages,
            gateway="anthropic /v1/messages",
            more_headers={"anthropic-version": ANTHROPIC_VERSION},
        ),
        Wire(
            "responses",
            "openai",
            "gpt-5.5",
            "/v1/responses",
            "/v1/responses",
            "Authorization",
            "Bearer ",
            _responses,
            gateway="openai /responses",
        ),
        Wire(
            "gemini",
            "gemini",
            "gemini-2.5-flash",
            f"{_GEMINI}:generateContent",
            f"{_GEMINI}:streamGenerateContent?alt=sse",
            "x-goog-api-key",
            "",
            _gemini,
            streams_by_flag=False,
            answer_tokens=6
            * ANSWER_TOKENS,  # its events are large: a stream has as many as elsewhere only if it is long
        ),
    )
}
