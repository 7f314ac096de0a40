"""What differs between the wires that calls come in on. One subclass per endpoint; everything else is shared.

Where the client's wire and the upstream's dialect are the same format, payloads pass through byte for byte; else they
are translated (`gateway.translated`), by the wires of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from gateway import body, splice
from gateway.billing import Bill
from gateway.chain import Failure
from gateway.exchange import EVENT_STREAM
from gateway.pricing import Usage
from gateway.translation.delta import Head, Writing
from gateway.upstreams.reading import StreamReader, Whole


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request body asks for, as far as the gateway must know."""

    stream: bool
    limit: int | None  # output tokens of one answer, if the caller set a limit
    answers: int = 1
    target: str | None = None  # the only upstream that can answer
    prior_tokens: int = 0  # of input that the upstream keeps and the body does not hold


class Wire(ABC):
    """One client wire."""

    name: ClassVar[str]  # of the catalogue's endpoints
    endpoint: ClassVar[str]  # the documented path, as the usage log shows it
    dialect: ClassVar[str]  # of the upstreams
    path: ClassVar[str]  # below an upstream's base URL
    limit_class: ClassVar[str] = "chat"
    looks_up: ClassVar[bool] = False  # whether `look_up` and `noted` are to be called
    keepalive: ClassVar[bytes]  # sent while a stream is silent
    terminal: ClassVar[bytes]  # the frame that ends a stream

    stream_type: bytes = EVENT_STREAM  # content type of a stream
    cuts_after_error: ClassVar[bool] = False  # clients of this wire take an error event for a normal end
    translatable: ClassVar[bool] = True  # whether an upstream of another dialect may answer

    def chosen(self, _fields: Mapping[str, Any]) -> Wire:
        """The wire that this body speaks, where an endpoint has several."""
        return self

    def model_of(self, fields: Mapping[str, Any]) -> str:
        """The model asked for. Raises InvalidRequest."""
        return body.model_name(fields)

    @abstractmethod
    def check(self, fields: Mapping[str, Any]) -> Wanted:
        """Validates the body. Raises InvalidRequest."""

    @abstractmethod
    def upstream_headers(self, key: str, caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        """The headers of the request to an upstream."""

    def upstream_body(self, raw: bytes, _fields: Mapping[str, Any], _wanted: Wanted) -> bytes:
        """The body for the upstreams (`model` is set later, for each)."""
        return raw

    def addressed(self, body: bytes, fields: Mapping[str, Any], name: str) -> bytes:
        """The body for an upstream that calls the model `name`."""
        return body if name == fields["model"] else splice.set_member(body, "model", orjson.dumps(name))

    def path_for(self, _name: str) -> str:
        """Where an upstream takes this call, below its base URL."""
        return self.path

    @abstractmethod
    def reader(self, fields: Mapping[str, Any]) -> StreamReader:
        """A new reader of one stream; `fields` is the request, for what the upstream does not count."""

    def writing(self, head: Head) -> Writing:
        """A new writer of one stream of this wire, told by an upstream of another dialect."""
        from gateway.translation.dialects import DIALECTS

        return DIALECTS[self.dialect].writing(head)

    @abstractmethod
    def with_usage(self, body: bytes, usage: Usage) -> bytes:
        """A whole reply with the usage that its upstream did not tell."""

    @abstractmethod
    def read_whole(self, body: bytes) -> Whole | Failure:
        """Reads a reply that is not a stream."""

    @abstractmethod
    def assemble(self, stream: bytes) -> Whole | Failure:
        """The whole reply that a stream amounts to: for an upstream that streams without being asked."""

    @abstractmethod
    def disassemble(self, whole: Whole) -> bytes:
        """A stream, as an upstream would send it, that amounts to a whole reply: for one that did not stream."""

    def usage_frame(self, _reader: StreamReader, _usage: Usage) -> bytes:
        """The usage event that a stream lacks, b"" where it has one (or the wire needs none)."""
        return b""

    def closing(self, reader: StreamReader | None, terminal: bytes, bill: Bill) -> bytes:
        """What ends a stream that succeeded: the usage event that it lacks, and its last event."""
        return (b"" if reader is None else self.usage_frame(reader, bill.usage)) + terminal

    async def look_up(self, _fields: Mapping[str, Any]) -> None:
        """Fetches what `check` may need. Raises GatewayError."""
        return

    async def noted(self) -> None:
        """Returns when what `won` noted may be referred to."""
        return

    def won(self, _upstream: str) -> None:
        """An upstream has given its whole answer."""
        return

    @abstractmethod
    def error_frame(self, message: str) -> bytes:
        """The event that ends a stream in failure."""

    def mended(self, body: bytes, _flaw: str) -> bytes:
        """The body without the flaw that an upstream refused it for; the same body if there is nothing to be done."""
        return body
