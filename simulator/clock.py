"""The fleet's one clock: it moves delays, timelines and expiries alike.

It runs with the machine (`real`), faster or slower (`scaled`), or only when told to (`manual`). Whatever waits, waits
here, in one queue; a manual advance stops at every due moment on its way, so that what was planned for different
moments happens in order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from simulator import edge

MANUAL_START_MS = 1_767_225_600_000.0  # 2026-01-01T00:00:00Z: a manual clock starts at the same moment in every run
LAST_MS = 32_503_680_000_000.0  # 3000-01-01T00:00:00Z: later moments have no date in headers
MODES = ("real", "scaled", "manual")

Action = Callable[[], None]
Alarm = Callable[[float, Action], Action]

log = logging.getLogger(__name__)


class ClockError(ValueError):
    """A clock was asked for what its mode does not do."""


class Waiting:
    """One action in the queue."""

    __slots__ = ("_clock", "action", "due_ms")

    def __init__(self, clock: Clock, due_ms: float, action: Action) -> None:
        self._clock = clock
        self.due_ms = due_ms
        self.action: Action | None = action

    def cancel(self) -> None:
        """Forget it. Twice, or once it ran, is no error."""
        if self.action is not None:
            self.action = None
            self._clock.forget_one()


class Clock:
    """Now, and the queue of what is due later. Times are Unix milliseconds by this clock."""

    __slots__ = (
        "_alarm",
        "_cancelled",
        "_disarm",
        "_order",
        "_queue",
        "_rate",
        "_read",
        "_ringing",
        "_start_ms",
        "_zero_s",
        "mode",
        "scale",
    )

    def __init__(
        self,
        mode: str = "real",
        scale: float = 1.0,
        *,
        start_ms: float | None = None,
        zero_s: float | None = None,
        read: Callable[[], float] = edge.monotonic_s,
        alarm: Alarm = edge.alarm,
    ) -> None:
        """`scale`: fleet seconds per real second. `read` gives real seconds, `alarm` wakes after some.

        It was `start_ms` when `read` gave `zero_s`; now, by default.
        """
        if mode not in ("real", "manual"):
            raise ClockError(f"clock mode {mode!r}: due real or manual")
        if not 0 < scale < 1e6:
            raise ClockError(f"time scale {scale}: due more than 0 and less than a million")
        if mode == "manual" and scale != 1:
            raise ClockError(f"time scale {scale}: due none, for a manual clock moves only when it is told to")
        self.mode = "scaled" if mode == "real" and scale != 1 else mode
        self.scale = float(scale)
        self._read = read
        self._alarm = alarm
        self._zero_s = read() if zero_s is None else zero_s
        self._rate = self.scale * 1000.0
        self._start_ms = start_ms if start_ms is not None else MANUAL_START_MS if mode == "manual" else edge.wall_ms()
        self._queue: list[tuple[float, int, Waiting]] = []
        self._order = count()
        self._disarm: Action | None = None
        self._ringing = False
        self._cancelled = 0

    def now_ms(self) -> float:
        """The fleet's time."""
        if self.mode == "manual":
            return self._start_ms
        return self._start_ms + (self._read() - self._zero_s) * self._rate

    def real_ms(self, fleet_ms: float) -> float:
        """How long a stretch of fleet time is for an outsider."""
        return fleet_ms / self.scale

    def call_at(self, due_ms: float, action: Action) -> Waiting:
        """Run `action` once the clock is at `due_ms`; at once, but not before returning, when it already is."""
        waiting = Waiting(self, due_ms, action)
        heappush(self._queue, (due_ms, next(self._order), waiting))
        if not self._ringing and self._queue[0][2] is waiting:
            self._arm()
        return waiting

    def advance(self, ms: float) -> None:
        """Move a manual clock, running all that falls due on the way. Raises ClockError for any other clock."""
        if self.mode != "manual":
            raise ClockError(f"the clock is {self.mode}; only a manual clock is advanced (start with --clock manual)")
        target_ms = self._start_ms + ms
        if not (ms >= 0 and target_ms <= LAST_MS):
            raise ClockError(f"advance_ms {ms}: due a number >= 0 that leads no further than the year 3000")
        while self._queue and self._queue[0][0] <= target_ms:
            due_ms = self._queue[0][0]
            self._start_ms = max(self._start_ms, due_ms)
            self._run_due()
        self._start_ms = target_ms

    def waiting(self) -> int:
        """How many actions are queued."""
        return len(self._queue) - self._cancelled

    def forget_one(self) -> None:
        """A queued action was cancelled: drop the dead ones once they are the most."""
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._queue):
            self._queue = [row for row in self._queue if row[2].action is not None]
            heapify(self._queue)
            self._cancelled = 0

    def _arm(self) -> None:
        """Wake for the earliest action; a manual clock needs waking only for what is due already."""
        if self._disarm is not None:
            self._disarm()
            self._disarm = None
        if self._queue:
            delay_ms = self.real_ms(self._queue[0][0] - self.now_ms())
            if self.mode != "manual" or delay_ms <= 0:
                self._disarm = self._alarm(max(0.0, delay_ms), self._ring)

    def _ring(self) -> None:
        self._disarm = None
        try:
            self._run_due()
        finally:
            self._arm()

    def _run_due(self) -> None:
        self._ringing = True
        try:
            now_ms = self.now_ms()
            while self._queue and self._queue[0][0] <= now_ms:
                waiting = heappop(self._queue)[2]
                action, waiting.action = waiting.action, None
                if action is None:
                    self._cancelled -= 1
                    continue
                try:
                    action()
                except Exception:
                    log.exception("an action due at %s failed", waiting.due_ms)
                now_ms = self.now_ms()
        finally:
            self._ringing = False
