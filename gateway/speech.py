"""A call as it is put to upstreams of one dialect, and how their answers are put to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.billing import Bill
from gateway.chain import Failure
from gateway.config import Upstream
from gateway.upstreams.reading import StreamReader, Whole
from gateway.upstreams.transport import Request
from gateway.wires.wire import Wire


class Speech:
    """In the dialect of the caller's own wire: nothing is translated."""

    __slots__ = ("_mended", "body", "fields", "terminal", "wire")

    def __init__(self, wire: Wire, fields: Mapping[str, Any], body: bytes) -> None:
        self.wire = wire  # of the upstream's dialect
        self.fields = fields
        self.body = body
        self.terminal = wire.terminal  # of a stream whose upstream sends no last event
        self._mended: set[str] = set()

    def request(self, upstream: Upstream, model_id: str, caller: Mapping[bytes, bytes]) -> Request:
        """The request for one upstream. `caller` has the headers of the caller."""
        wire, name = self.wire, upstream.model(model_id)
        headers = wire.upstream_headers(upstream.key, caller)
        return Request(
            upstream.root(wire.dialect) + wire.path_for(name), headers, wire.addressed(self.body, self.fields, name)
        )

    def mend(self, flaw: str) -> bool:
        """Takes a flaw out of the body that an upstream refused it for; whether that changed anything. Once each."""
        if flaw in self._mended:
            return False
        self._mended.add(flaw)
        before, self.body = self.body, self.wire.mended(self.body, flaw)
        return self.body != before

    def reader(self) -> StreamReader:
        """A new reader of one stream of an upstream."""
        return self.wire.reader(self.fields)

    def whole(self, body: bytes) -> Whole | Failure:
        """The answer that a whole reply amounts to, be it an object or a stream."""
        return self.wire.assemble(body) if is_stream(body) else self.wire.read_whole(body)

    def as_stream(self, body: bytes) -> bytes | Failure:
        """The stream, in the upstream's dialect, that a whole reply amounts to: of an upstream that did not stream."""
        whole = self.wire.read_whole(body)
        return whole if isinstance(whole, Failure) else self.wire.disassemble(whole)

    def closing(self, reader: StreamReader | None, terminal: bytes, bill: Bill) -> bytes:
        """What ends the caller's stream. `terminal` is the last event as `reader` passed it on."""
        return self.wire.closing(reader, terminal, bill)

    def won(self, upstream: str) -> None:
        """An upstream has given its whole answer."""
        self.wire.won(upstream)


def is_stream(body: bytes) -> bool:
    """Whether a body is server-sent events, whatever its content type says."""
    head = body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
