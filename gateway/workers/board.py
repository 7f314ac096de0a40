"""What the workers of one supervisor share in memory: the test clock, and the breakers.

A piece of memory that is made before they are forked. Where a change could be lost each worker has a cell of its own
and what holds is their sum; so there is no lock, and none that a worker could die with. Another worker in the same
place goes on with its cells. Workers on another machine have a board of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap
from typing import Final

from gateway.breaker import WORSE, Breaker, Breakers, State
from gateway.edge import Clock

CELL_BYTES: Final = 8
UNTIL, PROBING, BASE, FAILURES = range(4)  # the cells of a target; the last has one for each worker
US: Final = 1_000_000

Target = tuple[str, str]  # (upstream, model)


class Board:
    """The memory: first the clock's cells, then those of each target."""

    def __init__(self, workers: int, targets: Sequence[Target]) -> None:
        self.workers = workers
        self.wide = FAILURES + workers
        self.targets = {target: workers + at * self.wide for at, target in enumerate(dict.fromkeys(targets))}
        self.cells = memoryview(mmap(-1, CELL_BYTES * (workers + self.wide * len(self.targets)))).cast("q")

    def take(self, place: int) -> None:
        """Another worker begins in this place: a trial that the one before had under way has no end."""
        for at in self.targets.values():
            if self.cells[at + PROBING] == place + 1:
                self.cells[at + PROBING] = 0


class BoardClock(Clock):
    """A clock that whoever of the workers moves moves for all."""

    __slots__ = ("_board", "_place")

    def __init__(self, board: Board, place: int) -> None:
        self._board = board
        self._place = place

    @property
    def offset_ms(self) -> int:  # type: ignore[override]
        """The whole offset."""
        return sum(self._board.cells[: self._board.workers])

    def advance(self, ms: int) -> int:
        """As there."""
        if ms < 0:
            raise ValueError(f"the clock only moves forward: advance_ms must be >= 0, got {ms}")
        self._board.cells[self._place] += ms
        return self.offset_ms


class BoardBreaker(Breaker):
    """One target's health, as all workers found it."""

    __slots__ = ("_at", "_board", "_place")

    def __init__(self, board: Board, place: int, at: int, failures_to_open: int, cooldown_s: float) -> None:
        self._board, self._place, self._at = board, place, at
        self.failures_to_open, self.cooldown_s = failures_to_open, cooldown_s

    @property
    def failures(self) -> int:
        """In a row: all that were counted since the last success."""
        first = self._at + FAILURES
        return sum(self._board.cells[first : first + self._board.workers]) - self._board.cells[self._at + BASE]

    @failures.setter
    def failures(self, count: int) -> None:
        if count:
            self._board.cells[self._at + FAILURES + self._place] += count - self.failures
        else:
            self._board.cells[self._at + BASE] += self.failures

    @property
    def open_until(self) -> float | None:
        """Seconds; None: closed."""
        return self._board.cells[self._at + UNTIL] / US or None

    @open_until.setter
    def open_until(self, until: float | None) -> None:
        self._board.cells[self._at + UNTIL] = round((until or 0.0) * US)

    @property
    def probing(self) -> bool:
        """Half open: some worker's one trial is on its way."""
        return self._board.cells[self._at + PROBING] != 0

    @probing.setter
    def probing(self, is_probing: bool) -> None:
        self._board.cells[self._at + PROBING] = self._place + 1 if is_probing else 0


class BoardBreakers(Breakers):
    """All of them; a target that the board does not have is this process's own."""

    __slots__ = ("_board", "_place")

    def __init__(self, board: Board, place: int, failures_to_open: int, cooldown_s: float) -> None:
        super().__init__(failures_to_open, cooldown_s)
        self._board, self._place = board, place

    def of(self, upstream: str, model: str) -> Breaker:
        """The breaker of this target."""
        found = self.by_target.get((upstream, model))
        at = self._board.targets.get((upstream, model))
        if found is None and at is not None:
            found = BoardBreaker(self._board, self._place, at, self.failures_to_open, self.cooldown_s)
            self.by_target[upstream, model] = found
        return found or super().of(upstream, model)

    def state(self, upstream: str, now: float) -> State:
        """The worst state among the upstream's models, whichever worker met it."""
        names = [target for target in (*self._board.targets, *self.by_target) if target[0] == upstream]
        return max((self.of(*name).state(now) for name in names), key=WORSE.__getitem__, default="closed")
