"""Server-sent events as they arrive: raw bytes, parsed events and the time of each.

Source: WHATWG HTML, "Server-sent events": lines end in CRLF, LF or CR; a blank line ends an event; one space after the
colon is dropped; `data` lines join with LF; lines that begin with a colon are comments.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson


@dataclass(frozen=True)
class Event:
    """One block between blank lines."""

    raw: bytes  # with the blank line that ends it
    at_ms: float  # when its last byte arrived
    name: str = ""  # of the `event` line
    data: str | None = None  # None: no `data` line at all
    comments: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()  # lines of no known field

    @property
    def is_comment(self) -> bool:
        """Nothing but comments: a keepalive."""
        return self.data is None and not self.name and bool(self.comments)

    @cached_property
    def json(self) -> Any:
        """The parsed data; None where it is no JSON."""
        try:
            return orjson.loads(self.data) if self.data is not None else None
        except orjson.JSONDecodeError:
            return None


@dataclass(slots=True)
class EventReader:
    """Bytes in, events out; what is not yet complete waits in `tail`."""

    events: list[Event] = field(default_factory=list)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)

    @property
    def raw(self) -> bytes:
        """Everything that arrived."""
        return b"".join(piece for _, piece in self.pieces)

    @property
    def tail(self) -> bytes:
        """Bytes after the last complete event."""
        return bytes(self._buffer)

    def feed(self, piece: bytes, at_ms: float) -> list[Event]:
        """The events that `piece` completes."""
        self.pieces.append((at_ms, piece))
        self._buffer += piece
        fresh: list[Event] = []
        while (end := _end_of_block(self._buffer)) is not None:
            block = bytes(self._buffer[:end])
            del self._buffer[:end]
            if event := parse_block(block, at_ms):
                fresh.append(event)
        self.events += fresh
        return fresh


def _end_of_block(buffer: bytes | bytearray) -> int | None:
    """Where the first block ends, its blank line included; None when it is not complete."""
    ends = []
    for blank in (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"):
        at = buffer.find(blank)
        if at >= 0:
            ends.append(at + len(blank))
    return min(ends, default=None)


def parse_block(block: bytes, at_ms: float) -> Event | None:
    """The event of a block; None for one without any line."""
    lines = [
        line for line in block.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n") if line
    ]
    if not lines:
        return None
    name, data, comments, strange = "", [], [], []
    for line in lines:
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match key:
            case "":
                comments.append(value)
            case "event":
                name = value
            case "data":
                data.append(value)
            case "id" | "retry":
                pass
            case _:
                strange.append(line)
    return Event(block, at_ms, name, "\n".join(data) if data else None, tuple(comments), tuple(strange))


def parse(raw: bytes) -> list[Event]:
    """All complete events of a finished stream."""
    return EventReader().feed(raw, 0.0)


def gaps_ms(events: Iterable[Event]) -> list[float]:
    """The silences between events."""
    times = [event.at_ms for event in events]
    return [later - earlier for earlier, later in itertools.pairwise(times)]
