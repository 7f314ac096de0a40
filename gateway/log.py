"""Structured logs: one JSON object a line on stderr, with the request's id and never with a secret."""

from __future__ import annotations

import sys
from typing import Any, Final, TextIO

import orjson

from gateway import edge

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Writes what is at or above its level."""

    __slots__ = ("_clock", "_least", "_out")

    def __init__(self, level: str, clock: edge.Clock, out: TextIO | None = None) -> None:
        self._least = LEVELS[level]
        self._clock = clock
        self._out = out

    def wants(self, level: str) -> bool:
        """Whether such an entry would be written: ask before gathering costly members."""
        return LEVELS[level] >= self._least

    def write(self, level: str, event: str, **members: Any) -> None:
        """Writes one entry."""
        if LEVELS[level] >= self._least:
            entry = {"at_ms": self._clock.now_ms(), "level": level, "event": event, **members}
            out = self._out if self._out is not None else sys.stderr
            out.write(orjson.dumps(entry, default=str).decode() + "\n")
            out.flush()
