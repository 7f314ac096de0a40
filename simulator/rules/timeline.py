"""When a rule is in force, as a function of the fleet's time since the rule was set: windows that come back, flapping,
and edges that rise and fall. No state, no clock: the same moment has the same answer in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from simulator import draws

UNITS_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
TIME_DUE = 'seconds, or a text such as "250ms", "10s", "2m" or "1h"'

Span = tuple[float, float]  # begin and end in milliseconds; the end may be infinite


def read_time_ms(value: object) -> float:
    """Milliseconds of a number of seconds or a text with a unit. Raises ValueError with what was due."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value * 1000.0
    if isinstance(value, str):
        number = value.strip().rstrip("mshMSH ")
        unit = value.strip()[len(number) :].strip()
        try:
            ms = float(number) * UNITS_MS[unit]
        except (ValueError, KeyError):
            raise ValueError(TIME_DUE) from None
        if 0 <= ms < 1e12:
            return ms
    raise ValueError(TIME_DUE)


def time_text(ms: float) -> str:
    """A time as files write it: "250ms", "10s", "2m", "1.5s"."""
    for unit in ("h", "m", "s"):
        if ms and ms % UNITS_MS[unit] == 0:
            return f"{ms / UNITS_MS[unit]:g}{unit}"
    return f"{ms / 1000:.6g}s" if ms >= 1000 else f"{ms:.6g}ms"


@dataclass(frozen=True, slots=True)
class Ramp:
    """Edges of a window that are not sudden: the level rises from 0 to 1, and falls back, along straight lines."""

    up_ms: float = 0.0
    down_ms: float = 0.0

    def level(self, inside_ms: float, for_ms: float | None) -> float:
        """How much of the rule is there, from 0 to 1, so long after its window opened."""
        up = inside_ms / self.up_ms if inside_ms < self.up_ms else 1.0
        left_ms = inf if for_ms is None else for_ms - inside_ms
        down = left_ms / self.down_ms if left_ms < self.down_ms else 1.0
        return max(0.0, min(up, down))


@dataclass(frozen=True, slots=True)
class Flap:
    """On and off, again and again, inside a window. With jitter each edge comes up to so much later, drawn by the rule
    and the number of the cycle: for every request alike.
    """

    on_ms: float
    off_ms: float
    jitter_ms: float = 0.0  # at most `on_ms` and `off_ms`: edges keep their order

    def cycle(self, inside_ms: float) -> int:
        """The number of the cycle, from 0, so long after the window opened."""
        return int(inside_ms // (self.on_ms + self.off_ms))

    def span(self, cycle: int, key: tuple[object, ...]) -> Span:
        """When a cycle is on, counted from the opening of the window."""
        begin_ms = cycle * (self.on_ms + self.off_ms)
        if not self.jitter_ms:
            return begin_ms, begin_ms + self.on_ms
        late_ms = [draws.fraction(*key, "flap", cycle, edge) * self.jitter_ms for edge in ("on", "off")]
        return begin_ms + late_ms[0], begin_ms + self.on_ms + late_ms[1]


@dataclass(frozen=True, slots=True)
class Window:
    """`at`, `for`, `every`, and what happens inside. Times count from when the rule was set."""

    at_ms: float = 0.0
    for_ms: float | None = None  # None: from `at` on
    every_ms: float | None = None  # the window comes back
    ramp: Ramp | None = None
    flap: Flap | None = None
    ends_ms: float | None = None  # after this nothing comes back

    def opening(self, since_ms: float) -> tuple[int, float] | None:
        """(number of the window, time since it opened); None between windows."""
        inside_ms = since_ms - self.at_ms
        if inside_ms < 0 or (self.ends_ms is not None and since_ms >= self.ends_ms):
            return None
        number = 0
        if self.every_ms is not None:
            number = int(inside_ms // self.every_ms)
            inside_ms -= number * self.every_ms
        return (number, inside_ms) if self.for_ms is None or inside_ms < self.for_ms else None

    def is_on(self, since_ms: float, key: tuple[object, ...] = ()) -> bool:
        """Whether the rule is in force; `key` (seed and rule) is what jitter is drawn by."""
        found = self.opening(since_ms)
        if found is None or self.flap is None:
            return found is not None
        number, inside_ms = found
        begin_ms, end_ms = self.flap.span(self.flap.cycle(inside_ms), (*key, number))
        return begin_ms <= inside_ms < end_ms

    def level(self, since_ms: float) -> float:
        """How much of the rule is there, from 0 to 1: less than 1 only on a ramp."""
        found = self.opening(since_ms)
        if found is None:
            return 0.0
        return 1.0 if self.ramp is None else self.ramp.level(found[1], self.for_ms)

    def spans(self, from_ms: float = 0.0, key: tuple[object, ...] = ()) -> Iterator[Span]:
        """When the rule is in force, in order: the spans that end after `from_ms`. They may never cease."""
        limit_ms = inf if self.ends_ms is None else self.ends_ms
        number = max(0, int((from_ms - self.at_ms) // self.every_ms)) if self.every_ms else 0
        while True:
            begin_ms = self.at_ms + number * (self.every_ms or 0.0)
            end_ms = min(limit_ms, inf if self.for_ms is None else begin_ms + self.for_ms)
            if begin_ms >= limit_ms:
                return
            for span in self._inside(begin_ms, end_ms, from_ms, (*key, number)):
                if span[1] > from_ms:
                    yield span
            if self.every_ms is None:
                return
            number += 1

    def _inside(self, begin_ms: float, end_ms: float, from_ms: float, key: tuple[object, ...]) -> Iterator[Span]:
        """The spans of one window."""
        if self.flap is None:
            yield begin_ms, end_ms
            return
        cycle = max(0, self.flap.cycle(max(0.0, from_ms - begin_ms)))
        while True:
            on_ms, off_ms = self.flap.span(cycle, key)
            if begin_ms + on_ms >= end_ms:
                return
            yield begin_ms + on_ms, min(end_ms, begin_ms + off_ms)
            cycle += 1

    def end_ms(self) -> float | None:
        """When it is over for good; None: never."""
        if self.for_ms is None or self.every_ms is not None:
            return self.ends_ms
        end_ms = self.at_ms + self.for_ms
        return end_ms if self.ends_ms is None else min(end_ms, self.ends_ms)

    def moved(self, at_ms: float, ends_ms: float | None = None) -> Window:
        """The same window begun `at_ms` later, and over by `ends_ms` of its own time."""
        ends = [end for end in (self.ends_ms, ends_ms) if end is not None]
        end_ms = at_ms + min(ends) if ends else None
        return Window(self.at_ms + at_ms, self.for_ms, self.every_ms, self.ramp, self.flap, end_ms)
