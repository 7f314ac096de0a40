"""A Chat Completions answer as a stream, read and written.

Source: wire reference 1.3, chapters 8 and 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway import counts, sse
from gateway.pricing import Usage
from gateway.translation.chat.calls import Calls
from gateway.translation.chat.thoughts import TaggedText, contents, thoughts
from gateway.translation.delta import (
    CallOpened,
    CallPiece,
    Delta,
    Head,
    Reason,
    Refused,
    Said,
    Stopped,
    Thought,
)
from gateway.translation.free_text import unwrapped
from gateway.upstreams.openai_chat import DONE_FRAME

Json = dict[str, Any]

REASONS: Final[Mapping[str, Reason]] = {
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "insufficient_system_resource": "length",  # DeepSeek: the answer is cut short
    "network_error": "length",  # GLM, likewise
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
    "sensitive": "filtered",  # GLM
}  # every other word: stop
FINISHES: Final[Mapping[Reason, str]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",  # "stop" where the refusal was told in words
    "filtered": "content_filter",
}


class Reading:
    """Reads chat.completion.chunk events. Of several answers, the first is told."""

    def __init__(self) -> None:
        self._calls = Calls()
        self._text = TaggedText()
        self._refused = False
        self._reason: Reason | None = None

    def deltas(self, event: dict[str, Any]) -> Iterator[Delta]:
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            message = choice.get("delta") or choice.get("message")
            if isinstance(message, dict):
                yield from self._message(message)
            finish = choice.get("finish_reason")
            if isinstance(finish, str) and finish:
                self._reason = REASONS.get(finish, "stop")

    def end(self) -> Iterator[Delta]:
        yield from self._text.end()
        yield from self._calls.end()
        yield Stopped(self._stopped_for())

    def _stopped_for(self) -> Reason:
        """The reason, mended: upstreams tell "stop" after calls, or nothing at all. Calls cut short stay so."""
        told = None if self._reason in ("stop", "tool_calls") else self._reason
        if self._calls and (told is None or self._calls.whole):
            return "tool_calls"
        return told or ("refusal" if self._refused else "stop")

    def _message(self, message: Json) -> Iterator[Delta]:
        yield from thoughts(message)
        for piece in contents(message.get("content")):
            if isinstance(piece, Said):
                yield from self._text.take(piece.text)
            else:
                yield piece
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            yield Refused(refusal)
        calls = message.get("tool_calls")
        entries = calls if isinstance(calls, list) else []
        if isinstance(message.get("function_call"), dict):
            entries = [*entries, {"index": -1, "function": message["function_call"]}]
        for entry in entries:
            if isinstance(entry, dict):
                yield from self._text.end()
                yield from self._calls.take(entry)


class Writing:
    """Writes chat.completion.chunk events: role, pieces, finish, usage, the end mark."""

    def __init__(self, head: Head) -> None:
        self._identity: Json = {
            "id": f"chatcmpl-{head.token}",
            "object": "chat.completion.chunk",
            "created": head.created_s,
            "model": head.model,
        }
        self._token = head.token
        self._custom_tools = head.custom_tools
        self._begun = False
        self._calls = 0
        self._custom: list[str] | None = None  # arguments of the open call, if its tool takes free text
        self._refused = False
        self._reason: Reason | None = None

    def write(self, delta: Delta) -> bytes:
        match delta:
            case Said(text):
                return self._piece({"content": text})
            case Thought(text):
                return self._piece({"reasoning_content": text})
            case Refused(text):
                self._refused = True
                return self._piece({"refusal": text})
            case CallOpened(ident, name):
                return self._opened(ident, name)
            case CallPiece(arguments):
                return self._arguments(arguments)
            case Stopped(reason):
                self._reason = reason
                return b""

    def close(self, usage: Usage) -> bytes:
        ending = self._due() + self._chunk({}, self._finish())
        told = sse.frame(orjson.dumps({**self._identity, "choices": [], "usage": counts.chat(usage)}))
        return ending + told + DONE_FRAME

    def _finish(self) -> str:
        if self._calls and self._reason in (None, "stop"):
            return "tool_calls"
        if self._reason == "refusal" and self._refused:
            return "stop"
        return FINISHES[self._reason or "stop"]

    def _opened(self, ident: str, name: str) -> bytes:
        before = self._due()
        custom = name in self._custom_tools
        inner = {"custom": {"name": name, "input": ""}} if custom else {"function": {"name": name, "arguments": ""}}
        call = {"id": ident or f"call_{self._token}_{self._calls}", "type": next(iter(inner)), **inner}
        self._calls += 1
        self._custom = [] if custom else None
        return before + self._call(call)

    def _arguments(self, arguments: str) -> bytes:
        if self._custom is None:
            return self._call({"function": {"arguments": arguments}})
        self._custom.append(arguments)
        return b""

    def _call(self, call: Json) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls - 1, **call}]})

    def _piece(self, delta: Json) -> bytes:
        return self._due() + self._chunk(delta)

    def _due(self) -> bytes:
        """What must come before the next piece: the role, the text of a custom tool."""
        frames = b""
        if not self._begun:
            self._begun = True
            frames = self._chunk({"role": "assistant", "content": ""})
        if self._custom is not None:
            text = unwrapped("".join(self._custom))
            self._custom = None
            frames += self._call({"custom": {"input": text}}) if text else b""
        return frames

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse.frame(orjson.dumps({**self._identity, "choices": [choice]}))
