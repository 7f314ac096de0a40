"""What a caller sees of one answer, on either wire: content, usage, the terminator, an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from loadtests.sse import Event, Reader

DONE = b"[DONE]"


@dataclass(slots=True)
class Seen:
    """One call as its caller saw it."""

    status: int = 0  # 0: no head came
    request_id: str = ""
    content_events: int = 0
    text_bytes: int = 0  # UTF-8 bytes of text, thinking and tool arguments
    usage: bool = False
    terminal: bool = False  # [DONE], message_stop, or a whole JSON answer
    error: str = ""  # type of an error body or error event
    left: bool = False  # we hung up, as planned
    broken: str = ""  # the connection failed, or the body is not what its wire says


class Watch:
    """Reads the body of one streamed answer into a `Seen`."""

    __slots__ = ("_of_event", "_reader", "seen")

    def __init__(self, wire: str, seen: Seen) -> None:
        self.seen = seen
        self._reader = Reader()
        self._of_event = {"chat": _chat, "messages": _messages}[wire]

    def feed(self, data: bytes) -> bool:
        """Take in bytes of the body; whether they completed a content event."""
        before = self.seen.content_events
        for event in self._reader.feed(data):
            if event.data == DONE:
                self.seen.terminal = True
                continue
            try:
                self._of_event(event, orjson.loads(event.data), self.seen)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError):
                self.seen.broken = f"event {event.data[:60]!r} is not of this wire"
        return self.seen.content_events > before


def _content(seen: Seen, *pieces: Any) -> None:
    texts = [piece for piece in pieces if isinstance(piece, str) and piece]
    if texts:
        seen.content_events += 1
        seen.text_bytes += sum(len(text.encode()) for text in texts)


def _chat(event: Event, chunk: Any, seen: Seen) -> None:  # noqa: ARG001 - both wires take the same
    if "error" in chunk:
        seen.error = str(chunk["error"]["type"])
        return
    seen.usage = seen.usage or bool(chunk.get("usage"))
    for choice in chunk["choices"]:
        delta = choice["delta"]
        calls = [call["function"].get("arguments") for call in delta.get("tool_calls") or ()]
        _content(seen, delta.get("content"), delta.get("reasoning_content"), delta.get("refusal"), *calls)


def _messages(event: Event, message: Any, seen: Seen) -> None:
    match event.name:
        case b"content_block_delta":
            delta = message["delta"]
            _content(seen, delta.get("text"), delta.get("thinking"), delta.get("partial_json"))
        case b"message_delta":
            seen.usage = seen.usage or "output_tokens" in (message.get("usage") or {})
        case b"message_stop":
            seen.terminal = True
        case b"error":
            seen.error = str(message["error"]["type"])


def read_json(wire: str, body: bytes, seen: Seen) -> None:
    """Take in the whole body of an answer that is not streamed, or of an error."""
    try:
        answer = orjson.loads(body)
        if "error" in answer:
            seen.error = str(answer["error"]["type"])
            return
        if wire == "chat":
            _content(seen, *[choice["message"]["content"] for choice in answer["choices"]])
        else:
            _content(seen, *[block.get("text") for block in answer["content"]])
        seen.usage = bool(answer.get("usage"))
        seen.terminal = True
    except (ValueError, TypeError, KeyError, AttributeError):
        seen.broken = f"body {body[:60]!r} is not of this wire"
