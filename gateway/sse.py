"""Server-sent events, parsed as they arrive: bytes in, events out.

Takes every framing that upstreams were seen to use: LF, CRLF and CR line ends (also split between two reads), several
`data:` lines, no blank after the colon, comments, `id:`/`retry:` fields, a byte order mark, a last event without its
blank line. Text is never decoded here, so a character cut in two by the network is whole again.
Source: WHATWG HTML, section 9.2.6; for servers that end an event with one line end instead of two, see `split_joined`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

BOM: Final = b"\xef\xbb\xbf"
EVENT_BYTES_MAX: Final = 96 * 1024 * 1024


class Event(NamedTuple):
    """One event: the `event:` field (None where it has none) and its data."""

    name: bytes | None
    data: bytes


class EventTooLarge(ValueError):
    """One event is over the limit; the stream cannot be followed."""


class Parser:
    """State between two reads."""

    __slots__ = ("_after_cr", "_begun", "_data", "_held", "_held_bytes", "_limit", "_name", "_stem")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._limit = event_bytes_max
        self._begun = False
        self._stem = b""  # the first bytes, while they may be a part of a byte order mark
        self._after_cr = False
        self._held: list[bytes] = []  # pieces of a line that has no end yet
        self._held_bytes = 0
        self._name: bytes | None = None
        self._data: list[bytes] = []

    @property
    def between_events(self) -> bool:
        """Whether nothing of an event has been read that was not given out."""
        return not (self._held or self._data or self._stem or self._name)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises EventTooLarge."""
        if not self._begun:
            chunk = self._strip_bom(chunk)
        if self._after_cr or b"\r" in chunk:
            chunk = self._unify_line_ends(chunk)
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            if chunk:
                self._hold(chunk)
            return []
        lines = chunk[:cut]
        if self._held:
            lines = b"".join(self._held) + lines
            self._held.clear()
            self._held_bytes = 0
        if cut < len(chunk):
            self._hold(chunk[cut:])
        return self._read_lines(lines)

    def end(self) -> list[Event]:
        """The last event when the stream ended without its blank line; it may be cut short."""
        return self.feed(b"\n\n") if self._held or self._stem else self._dispatch()

    def _strip_bom(self, chunk: bytes) -> bytes:
        chunk = self._stem + chunk
        if len(chunk) < len(BOM) and BOM.startswith(chunk):
            self._stem = chunk
            return b""
        self._begun = True
        self._stem = b""
        return chunk.removeprefix(BOM)

    def _unify_line_ends(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if chunk[-1:] == b"\r":
            self._after_cr = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > self._limit:
            raise EventTooLarge(f"one event is over {self._limit} bytes")

    def _read_lines(self, lines: bytes) -> list[Event]:
        events: list[Event] = []
        data = self._data
        for line in lines.split(b"\n")[:-1]:
            if line[:5] == b"data:":
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if data or self._name:
                    events += self._dispatch()
            elif line[:6] == b"event:":
                self._name = line[6:].strip()
            elif line == b"data":
                data.append(b"")
            # everything else is a comment, `id:`, `retry:` or a field nobody knows
        if len(data) > 1 and sum(map(len, data)) > self._limit:
            raise EventTooLarge(f"one event is over {self._limit} bytes")
        return events

    def _dispatch(self) -> list[Event]:
        data, name = self._data, self._name
        self._name = None
        if not data:
            return []
        events = [Event(name, data[0])] if len(data) == 1 else split_joined(name, data)
        data.clear()
        return events


def split_joined(name: bytes | None, data: list[bytes]) -> list[Event]:
    """One event of several data lines; or several, when each line is whole JSON (or `[DONE]`) by itself."""
    if all(is_whole(line) for line in data):
        return [Event(name, line) for line in data]
    return [Event(name, b"\n".join(data))]


def is_whole(line: bytes) -> bool:
    """Whether the line is a JSON object, or the end mark of a chat stream."""
    if line == b"[DONE]":
        return True
    if not (line.startswith(b"{") and line.rstrip().endswith(b"}")):
        return False
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def frame(data: bytes, name: bytes | None = None) -> bytes:
    """An event in normal framing: one `data:` line (line ends in JSON are only blanks), a blank line."""
    if b"\n" in data:
        data = data.replace(b"\n", b" ")
    if name is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (name, data)
