"""How far a run is: one line on stderr that rewrites itself on a terminal, failures as they come."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TextIO

from suites.conductor import Finished
from suites.evidence import mask
from suites.outcomes import Outcome
from suites.verdict import Result

COLOURS = {Outcome.FAIL: "31", Outcome.UNTESTABLE: "33", Outcome.HARNESS_ERROR: "35"}


class Progress:
    """Writes to stderr; nothing at all when quiet, no line that moves when stderr is no terminal."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._moves = not quiet and self._stream.isatty()
        self._counts: Counter[Outcome] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def step(self, done: Finished, planned: int) -> None:
        """One more check has finished."""
        self._counts[done.outcome] += 1
        if self._quiet:
            return
        if done.outcome in COLOURS:
            self._clear()
            first = mask(done.message).splitlines()[0] if done.message else ""
            self._stream.write(f"{self._paint(done.outcome)} {done.check.id}: {first[:300]}\n")
        if self._moves:
            self._stream.write(f"\r\x1b[K{self._counts.total()}/{planned} checks, {self._counts[Outcome.FAIL]} failed")
        self._stream.flush()

    def end(self, results: Iterable[Result], duration_s: float) -> None:
        """The last line."""
        if self._quiet:
            return
        self._clear()
        counts = Counter(result.outcome for result in results)
        words = ", ".join(f"{counts[outcome]} {outcome.replace('_', ' ')}" for outcome in Outcome if counts[outcome])
        self._stream.write(f"{words or 'no check'} in {duration_s:.1f} s\n")
        self._stream.flush()

    def _paint(self, outcome: Outcome) -> str:
        word = outcome.replace("_", " ").upper()
        return f"\x1b[{COLOURS[outcome]}m{word}\x1b[0m" if self._moves else word

    def _clear(self) -> None:
        if self._moves:
            self._stream.write("\r\x1b[K")
