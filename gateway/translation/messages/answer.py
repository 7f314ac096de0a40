"""Anthropic Messages: the stream of an answer, read and written. Source: wire reference, 6.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from gateway import counts, sse
from gateway.pricing import Usage
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Reason, Refused, Said, Stopped, Thought
from gateway.upstreams.anthropic_messages import TOOL_ID

Json = dict[str, Any]
READ_REASONS: Final[Mapping[str, Reason]] = {
    "end_turn": "stop",
    "pause_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
WRITTEN_REASONS: Final[Mapping[Reason, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "filtered": "refusal",
}
REFUSED: Final = {"type": "refusal", "category": None, "explanation": None}
EMPTY_BLOCKS: Final[Mapping[str, Json]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class Reading:
    """Reads a stream of message events."""

    def __init__(self) -> None:
        self._call: Any = None  # the index of the call that is open
        self._calling = False
        self._called = False  # a tool was called
        self._input: Json = {}  # of the open call, as its start told it
        self._pieces = False  # of the open call's arguments were told
        self._reason: Reason | None = None
        self._sequence: str | None = None

    def deltas(self, event: Json) -> Iterator[Delta]:
        match event.get("type"):
            case "content_block_start":
                yield from self._started(_object(event, "content_block"), event.get("index"))
            case "content_block_delta":
                yield from self._went_on(_object(event, "delta"), event.get("index"))
            case "content_block_stop" if event.get("index") == self._call:
                yield from self._closed()
            case "message_delta":
                yield from self._stopped(_object(event, "delta"))

    def end(self) -> Iterator[Delta]:
        yield from self._closed()
        reason = self._reason or "stop"
        if reason in ("stop", "tool_calls"):
            reason = "tool_calls" if self._called else "stop"
        yield Stopped(reason, self._sequence if reason == "stop_sequence" else None)

    def _started(self, block: Json, index: Any) -> Iterator[Delta]:
        kind = block.get("type")
        yield from self._closed()
        if kind == "tool_use":
            self._call, self._calling, self._called, self._pieces = index, True, True, False
            self._input = _object(block, "input")
            yield CallOpened(_text(block, "id"), _text(block, "name"))
        elif kind == "text":
            yield from _some(Said, _text(block, "text"))
        elif kind == "thinking":
            yield from _some(Thought, _text(block, "thinking"))

    def _went_on(self, delta: Json, index: Any) -> Iterator[Delta]:
        match delta.get("type"):
            case "text_delta":
                yield from _some(Said, _text(delta, "text"))
            case "thinking_delta":
                yield from _some(Thought, _text(delta, "thinking"))
            case "input_json_delta" if self._calling and index == self._call and _text(delta, "partial_json"):
                self._pieces = True
                yield CallPiece(_text(delta, "partial_json"))

    def _closed(self) -> Iterator[Delta]:
        """The arguments of the open call, if its pieces did not tell them: a call without any has only an empty one."""
        if self._calling and not self._pieces:
            yield CallPiece(_arguments(self._input))
        self._calling = False

    def _stopped(self, delta: Json) -> Iterator[Delta]:
        reason = delta.get("stop_reason")
        if isinstance(reason, str) and reason:
            self._reason = READ_REASONS.get(reason, "stop")
            self._sequence = _text(delta, "stop_sequence") or None
        if reason == "refusal":
            yield from _some(Refused, _text(_object(delta, "stop_details"), "explanation"))


def _object(holder: Json, name: str) -> Json:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _text(holder: Json, name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _arguments(values: Json) -> str:
    """The arguments as JSON; none where they have more levels than can be sent."""
    try:
        return orjson.dumps(values).decode()
    except TypeError:
        return "{}"


def _some(kind: type[Said] | type[Thought] | type[Refused], text: str) -> Iterable[Delta]:
    return [kind(text)] if text else []


class Writing:
    """Writes a stream of message events. A refusal is a text, as the model's own are on this wire."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._begun = False
        self._open = ""  # the type of the block that is open
        self._index = -1
        self._ids: set[str] = set()  # of the calls
        self._stop = Stopped("stop")

    def write(self, delta: Delta) -> bytes:
        match delta:
            case Said("") | Thought("") | Refused("") | CallPiece(""):
                return b""
            case Said(text) | Refused(text):
                return self._block("text") + self._delta(type="text_delta", text=text)
            case Thought(text):
                return self._block("thinking") + self._delta(type="thinking_delta", thinking=text)
            case CallOpened(ident, name):
                return self._tool_use(ident, name)
            case CallPiece(arguments) if self._open == "tool_use":
                return self._delta(type="input_json_delta", partial_json=arguments)
            case CallPiece():
                return b""
            case Stopped():
                self._stop = delta
                return b""

    def close(self, usage: Usage) -> bytes:
        told = event("message_delta", delta=self._ending(), usage=counts.messages(usage))
        return self._begin() + self._close_block() + told + event("message_stop")

    def _begin(self) -> bytes:
        """The start of the message, if it is still due. Its output count is small and not final, as Anthropic's is."""
        if self._begun:
            return b""
        self._begun = True
        message: Json = {
            "model": self._head.model,
            "id": f"msg_{self._head.token}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": counts.messages(Usage(self._head.input_tokens, output_tokens=1)),
        }
        return event("message_start", message=message)

    def _block(self, kind: str) -> bytes:
        """What is due for a block of text or thinking to be open."""
        return b"" if self._open == kind else self._start(EMPTY_BLOCKS[kind])

    def _start(self, block: Json) -> bytes:
        before = self._begin() + self._close_block()
        self._open = block["type"]
        self._index += 1
        return before + event("content_block_start", index=self._index, content_block=block)

    def _tool_use(self, ident: str, name: str) -> bytes:
        """The start of a call, with the empty piece that Anthropic begins its arguments with."""
        if not TOOL_ID.fullmatch(ident) or ident in self._ids:
            ident = f"toolu_{self._head.token}_{len(self._ids)}"
        self._ids.add(ident)
        start = self._start({"type": "tool_use", "id": ident, "name": name, "input": {}})
        return start + self._delta(type="input_json_delta", partial_json="")

    def _delta(self, **members: Any) -> bytes:
        return event("content_block_delta", index=self._index, delta=members)

    def _close_block(self) -> bytes:
        """The end of the block that is open. Thinking has a signature of its own on this wire: an empty one."""
        if not self._open:
            return b""
        signature = self._delta(type="signature_delta", signature="") if self._open == "thinking" else b""
        self._open = ""
        return signature + event("content_block_stop", index=self._index)

    def _ending(self) -> Json:
        reason = self._stop.reason
        if reason in ("stop", "tool_calls"):
            reason = "tool_calls" if self._ids else "stop"
        return {
            "stop_reason": WRITTEN_REASONS[reason],
            "stop_sequence": self._stop.sequence if reason == "stop_sequence" else None,
            "stop_details": REFUSED if WRITTEN_REASONS[reason] == "refusal" else None,
        }


def event(kind: str, **members: Any) -> bytes:
    """One frame."""
    return sse.frame(orjson.dumps({"type": kind, **members}), kind.encode())
