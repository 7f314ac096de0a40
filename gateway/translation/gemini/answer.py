"""Gemini's stream of chunks as deltas, and deltas as such a stream.

Source: wire reference, 7.2 to 7.5. A stream has no end mark: the last chunk has the finish reason and the usage.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from gateway import counts
from gateway.pricing import Usage
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Reason, Refused, Said, Stopped, Thought
from gateway.translation.gemini.parts import SKIP_VALIDATION
from gateway.upstreams import gemini_generate

Json = dict[str, Any]

FILTERED: Final = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "ESCALATION"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
READ: Final[Mapping[str, Reason]] = {"MAX_TOKENS": "length", **dict.fromkeys(FILTERED, "filtered")}  # all else: stop
WRITTEN: Final[Mapping[Reason, str]] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "filtered": "SAFETY",
    "refusal": "SAFETY",
}
MALFORMED: Final = "MALFORMED_FUNCTION_CALL"
CALLED: Final = "Model generated function call(s)."
SIGNATURE: Final = base64.b64encode(SKIP_VALIDATION.encode()).decode()  # SDKs decode a signature, so it must be base64


class Reading:
    """Reads the chunks of one stream; of several candidates the first.

    Calls come whole: pieces of arguments (`partialArgs`) are only sent when asked for, and a translated request never
    asks.
    """

    def __init__(self) -> None:
        self._reason: Reason = "stop"
        self._called = False

    def deltas(self, event: Mapping[str, Any]) -> Iterable[Delta]:
        """What a chunk tells."""
        if gemini_generate.is_blocked(event):
            self._reason = "filtered"
        for candidate in gemini_generate.candidates_of(event):
            if candidate.get("index", gemini_generate.FIRST_INDEX) != gemini_generate.FIRST_INDEX:
                continue
            for part in gemini_generate.parts_of(candidate):
                yield from self._part(part)
            told = candidate.get("finishReason")
            if told and isinstance(told, str):
                self._reason = READ.get(told, "stop")

    def end(self) -> Iterable[Delta]:
        """Why the answer ended: later chunks may correct the reason, so it is told last."""
        yield Stopped("tool_calls" if self._called and self._reason == "stop" else self._reason)

    def _part(self, part: Mapping[str, Any]) -> Iterator[Delta]:
        text, call = part.get("text"), part.get("functionCall")
        if isinstance(text, str) and text:
            yield Thought(text) if part.get("thought") is True else Said(text)
        if isinstance(call, dict) and isinstance(call.get("name"), str) and call["name"]:
            ident, args = call.get("id"), arguments_text(call.get("args"))
            if args is not None:
                self._called = True
                yield CallOpened(ident if isinstance(ident, str) else "", call["name"])
                yield CallPiece(args)


class Writing:
    """Writes one stream of chunks. A call goes out when it is whole, as the wire has it."""

    def __init__(self, head: Head, framed: Callable[[bytes], bytes] = gemini_generate.event, end: bytes = b"") -> None:
        """`framed` puts a chunk into the client's framing; `end` comes after the last one."""
        self.begun = False  # something was written
        self._head = head
        self._framed = framed
        self._end = end
        self._stopped: Reason = "stop"
        self._call: CallOpened | None = None  # the one that is open
        self._pieces: list[str] = []  # of its arguments
        self._calls = 0
        self._malformed = ""  # name of a call whose arguments are no object

    def write(self, delta: Delta) -> bytes:
        """The frames for a delta."""
        match delta:
            case CallPiece(arguments):
                self._pieces.append(arguments)
                return b""
            case Stopped(reason):
                self._stopped = reason
                return b""
        done = self._call_done()
        match delta:
            case CallOpened():
                self._call = delta
                return done
            case Said(text) | Refused(text):
                return done + (self._parts({"text": text}) if text else b"")
            case Thought(text):
                return done + (self._parts({"text": text, "thought": True}) if text else b"")

    def close(self, usage: Usage) -> bytes:
        """The last chunk: why the answer ended, and the usage."""
        done = self._call_done()
        reason = MALFORMED if self._malformed else WRITTEN[self._stopped]
        candidate: Json = {"content": content({"text": ""}), "finishReason": reason, "index": 0}
        if self._malformed:
            candidate["finishMessage"] = f"Malformed function call: {self._malformed}"
        elif self._calls:
            candidate["finishMessage"] = CALLED
        return done + self._chunk(candidate, {"usageMetadata": counts.gemini(usage)}) + self._end

    def _call_done(self) -> bytes:
        """The open call, which is whole now."""
        call, self._call = self._call, None
        told, self._pieces = "".join(self._pieces), []
        if call is None:
            return b""
        args = arguments(told)
        if args is None:
            self._malformed = call.name
            return b""
        ident = call.id or f"call_{self._head.token}_{self._calls}"
        signature = {} if self._calls else {"thoughtSignature": SIGNATURE}
        self._calls += 1
        return self._parts({"functionCall": {"id": ident, "name": call.name, "args": args}} | signature)

    def _parts(self, part: Json) -> bytes:
        return self._chunk({"content": content(part), "index": 0}, {})

    def _chunk(self, candidate: Json, more: Json) -> bytes:
        self.begun = True
        told = {"candidates": [candidate]} | more
        return self._framed(orjson.dumps(told | {"modelVersion": self._head.model, "responseId": self._head.token}))


def content(part: Json) -> Json:
    """What the model says in one chunk."""
    return {"parts": [part], "role": "model"}


def arguments(told: str) -> Json | None:
    """The arguments of a call; None if they are no JSON object."""
    try:
        args = orjson.loads(told or "{}")
        orjson.dumps(args)  # refuses what is nested too deep
    except (ValueError, TypeError):
        return None
    return args if isinstance(args, dict) else None


def arguments_text(args: Any) -> str | None:
    """The arguments as JSON, of an object; None if they are nested too deep to be written."""
    try:
        return orjson.dumps(args if isinstance(args, dict) else {}).decode()
    except orjson.JSONEncodeError:
        return None
