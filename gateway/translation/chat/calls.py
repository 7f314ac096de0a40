"""Tool calls of a Chat stream, put in order: one after another, whatever the upstream's order.

Source: wire reference 9.5 (indexes that are missing, the same or with gaps; ids in every piece or in none; names that
come late; arguments that are told again).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from gateway.translation.delta import CallOpened, CallPiece

NOTHING_YET: Final = "{}"  # some upstreams open a call with it and then tell the arguments


class Call:
    """One call, as far as it came."""

    __slots__ = ("_scan", "arguments", "id", "index", "name", "told")

    def __init__(self, index: int | None, ident: str) -> None:
        self.index = index
        self.id = ident
        self.name = ""
        self.arguments = ""
        self.told = 0  # characters of the arguments
        self._scan = Scan()

    @property
    def complete(self) -> bool:
        """Whether the arguments are those of a whole call, as far as can be seen."""
        return self._scan.closed

    def add(self, piece: str) -> None:
        """Takes a piece of the arguments in; what comes after their end is told again and not wanted."""
        if self.complete:
            if self.told or self.arguments.strip() != NOTHING_YET or not piece.lstrip().startswith("{"):
                return
            self.arguments, self._scan = "", Scan()
        self.arguments += piece
        self._scan.read(piece)

    def pieces(self, whole: bool) -> Iterator[CallPiece]:
        """What was not told yet. `whole`: nothing more will come."""
        if whole and not self.arguments.strip():
            self.arguments, self.told = NOTHING_YET, 0
        if not whole and self.arguments.strip() in ("", NOTHING_YET):
            return
        if piece := self.arguments[self.told :]:
            self.told = len(self.arguments)
            yield CallPiece(piece)


class Scan:
    """Finds the end of a JSON object in a text that comes in pieces, looking at each character once."""

    __slots__ = ("_depth", "_escaped", "_quoted", "closed")

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = self._escaped = False
        self.closed = False

    def read(self, piece: str) -> None:
        for character in piece:
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._quoted = character != '"'
                self._escaped = character == "\\"
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                self.closed = self.closed or self._depth == 0


class Calls:
    """The calls of one answer. One at a time is told as it comes; those that came while it was open wait."""

    __slots__ = ("_current", "_known", "_next")

    def __init__(self) -> None:
        self._known: list[Call] = []
        self._current: Call | None = None
        self._next = 0  # of the known, the first that was not opened

    def __bool__(self) -> bool:
        return self._next > 0

    @property
    def whole(self) -> bool:
        """Whether the arguments of the last call are whole."""
        return self._current is None or self._current.complete

    def take(self, entry: dict[str, Any]) -> Iterator[CallOpened | CallPiece]:
        """Takes an entry of `tool_calls` in, and tells what it may."""
        function = entry.get("function")
        members = function if isinstance(function, dict) else {}
        name = text_of(members.get("name"))
        arguments = members.get("arguments")
        piece = orjson.dumps(arguments).decode() if isinstance(arguments, dict) else text_of(arguments)
        call = self._call_of(entry.get("index"), text_of(entry.get("id")), name, piece)
        call.name = call.name or name
        call.add(piece)
        yield from self._tell()

    def end(self) -> Iterator[CallOpened | CallPiece]:
        """What waited. Calls that never got a name are left out."""
        if self._current is not None:
            yield from self._current.pieces(whole=True)
        for call in self._known[self._next :]:
            if call.name:
                self._current = call
                self._next += 1
                yield CallOpened(call.id, call.name)
                yield from call.pieces(whole=True)

    def _call_of(self, place: Any, ident: str, name: str, piece: str) -> Call:
        """The call that an entry belongs to; a new one where it belongs to none."""
        index = place if isinstance(place, int) and not isinstance(place, bool) else None
        for call in reversed(self._known):
            if ident and call.id == ident and (index is None or call.index in (None, index)):
                return call
        for call in reversed(self._known):
            if call.index == index if index is not None else not ident:
                if begins_another(call, ident, name, piece, counted=index is not None):
                    break
                call.id = call.id or ident
                return call
        self._known.append(Call(index, ident))
        return self._known[-1]

    def _tell(self) -> Iterator[CallOpened | CallPiece]:
        """The pieces of the open call; when it is complete and another has come, that one is opened."""
        while True:
            if self._current is not None:
                waiting = self._next < len(self._known) and bool(self._known[self._next].name)
                done = waiting and self._current.complete
                yield from self._current.pieces(whole=done)
                if not done:
                    return
            if self._next >= len(self._known) or not self._known[self._next].name:
                return
            self._current = self._known[self._next]
            self._next += 1
            yield CallOpened(self._current.id, self._current.name)


def begins_another(call: Call, ident: str, name: str, piece: str, counted: bool) -> bool:
    """Whether an entry in the place of a call is the next one, from an upstream that does not count them well."""
    if not name or not call.name:
        return False
    if ident and call.id:
        return True  # the id is another one
    if not counted and name != call.name:
        return True
    return call.complete and bool(piece) and (name, piece) != (call.name, call.arguments)


def text_of(value: Any) -> str:
    """A text; "" for anything else."""
    return value if isinstance(value, str) else ""
