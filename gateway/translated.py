"""A call as it is put to upstreams of a dialect that is not the caller's, and their answers in the caller's own.

An answer is translated as a stream, event by event; one that comes whole is taken apart and put together again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from gateway import edge, estimate
from gateway.billing import Bill
from gateway.chain import Failure
from gateway.edge import Clock
from gateway.kept_responses import KeptResponses
from gateway.pricing import Usage
from gateway.speech import Speech
from gateway.sse import Event, Parser
from gateway.translation.delta import Head, Reading, Writing
from gateway.translation.dialects import DIALECTS
from gateway.translation.prompt import Untranslatable
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import Part, StreamReader, Told, Whole, decode
from gateway.wires import chat, messages
from gateway.wires.gemini import GenerateWire
from gateway.wires.responses import ResponsesWire
from gateway.wires.wire import Wanted, Wire
from schemas.catalogue import Model

TOKEN_BYTES = 12  # of the ids in a translated answer


class Translated(Speech):
    """In another dialect."""

    __slots__ = ("head", "mine")

    def __init__(self, mine: Wire, theirs: Wire, fields: Mapping[str, Any], body: bytes, head: Head) -> None:
        super().__init__(theirs, fields, body)
        self.mine = mine  # the caller's wire
        self.head = head
        self.terminal = b""

    def reader(self) -> TranslatedReader:
        theirs = super().reader()
        return TranslatedReader(theirs, DIALECTS[self.wire.dialect].reading(), self.mine.writing(self.head))

    def whole(self, body: bytes) -> Whole | Failure:
        whole = super().whole(body)
        if isinstance(whole, Failure):
            return whole
        reader = self.reader()
        frames = []
        for event in Parser().feed(self.wire.disassemble(whole)):
            reader.read(event)
            frames.append(reader.frame)
        frames.append(reader.close(usage_of(whole.told)))
        made = self.mine.assemble(b"".join(frames))
        if isinstance(made, Failure):
            return broken(f"the upstream's reply cannot be translated: {made.message}")
        return Whole(made.body, whole.told, whole.text_bytes)

    def closing(self, reader: StreamReader | None, terminal: bytes, bill: Bill) -> bytes:
        assert isinstance(reader, TranslatedReader)
        return terminal + reader.close(bill.usage)

    def won(self, _upstream: str) -> None:
        """Nothing is kept of it: the upstream could not go on from it."""


class TranslatedReader:
    """Follows a stream of an upstream's dialect, and tells it in the caller's."""

    __slots__ = ("_reading", "_theirs", "_writing", "frame")

    def __init__(self, theirs: StreamReader, reading: Reading, writing: Writing) -> None:
        self._theirs = theirs
        self._reading = reading
        self._writing = writing
        self.frame = b""

    @property
    def told(self) -> Told:
        return self._theirs.told

    @property
    def failure(self) -> Failure | None:
        return self._theirs.failure

    @property
    def text_bytes(self) -> int:
        return self._theirs.text_bytes

    @property
    def complete(self) -> bool:
        return self._theirs.complete

    def read(self, event: Event) -> Part:
        part = self._theirs.read(event)
        self.frame = b""
        if part in (Part.NOTHING, Part.PING, Part.ERROR, Part.BROKEN):
            return Part.NOTHING if part is Part.PING else part
        told, _ = decode(event.data)
        if told is not None:
            self.frame = b"".join(map(self._writing.write, self._reading.deltas(told)))
        return part

    def close(self, usage: Usage) -> bytes:
        """The frames that end the caller's stream."""
        return b"".join(map(self._writing.write, self._reading.end())) + self._writing.close(usage)


def translate(
    mine: Wire, dialect: str, model: Model, fields: Mapping[str, Any], wanted: Wanted, clock: Clock
) -> Speech:
    """The call in another dialect. Raises Untranslatable."""
    prompt = replace(DIALECTS[mine.dialect].read(fields), stream=wanted.stream, limit=wanted.limit)
    written = DIALECTS[dialect].write(prompt, model)
    theirs = wire_of(dialect, model, wanted.stream, clock)
    try:
        raw = orjson.dumps(written)
    except orjson.JSONEncodeError:
        raise Untranslatable("the request is nested too deep") from None
    body = theirs.upstream_body(raw, written, theirs.check(written))
    tokens = estimate.input_tokens(fields)
    head = Head(edge.token(TOKEN_BYTES), clock.now_s(), model.id, tokens, prompt.custom_tools())
    return Translated(mine, theirs, written, body, head)


def wire_of(dialect: str, model: Model, stream: bool, clock: Clock) -> Wire:
    """The wire whose upstreams speak a dialect."""
    match dialect:
        case "openai_chat":
            return chat.WIRE
        case "anthropic_messages":
            return messages.WIRE
        case "gemini_generate":
            return GenerateWire(model.id, stream)
        case _:
            return ResponsesWire(KeptResponses(), "", clock)


def usage_of(told: Told) -> Usage:
    """What an upstream told, zero where it told nothing: the bill sets that right."""
    counts = (told.cached_tokens, told.cache_write_tokens, told.reasoning_tokens)
    return Usage(told.input_tokens or 0, told.output_tokens or 0, *counts)
