"""Server-sent events, read from bytes as they come in.

Split invariance: however the bytes are cut, the same events come out, each as soon as its last byte is in.
Source: WHATWG HTML, "Server-sent events", interpretation of an event stream.
"""

from __future__ import annotations

from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event. `name` is empty where the stream gives none."""

    name: bytes
    data: bytes


class Reader:
    """Bytes in, events out. Comments are counted, an event that the end of the stream cuts off is dropped."""

    __slots__ = ("_after_cr", "_buffer", "_started", "comments")

    def __init__(self) -> None:
        self._buffer = b""
        self._after_cr = False
        self._started = False
        self.comments = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._after_cr and data:
            data = data[1:] if data[:1] == b"\n" else data  # the second half of a CR LF
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        buffer = self._buffer + data
        if not self._started:
            if len(buffer) < len(BOM) and BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(BOM)
            self._started = True
        *blocks, self._buffer = buffer.split(b"\n\n")
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes) -> Event | None:
        name, data = b"", []
        for line in block.split(b"\n"):
            field, colon, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            elif colon and not field:
                self.comments += 1
        return Event(name, b"\n".join(data)) if data else None
