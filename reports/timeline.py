"""A transcript laid out on one time axis: where each moment sits, and what the axis says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.model import Moment

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
PAUSE_SHARE = 0.2  # a silence of this share of the whole is worth naming
INLINE_CHARS = 90  # a detail up to this long, on one line, needs no unfolding


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of the axis."""

    percent: float
    label: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A moment, its place on the axis, and the silence before it where that is long (else empty)."""

    moment: Moment
    percent: float
    label: str
    pause: str
    detail: str  # cut to what a page should carry
    cut_chars: int  # how much of the detail was left out

    @property
    def is_short(self) -> bool:
        return len(self.detail) <= INLINE_CHARS and "\n" not in self.detail


@dataclass(frozen=True, slots=True)
class Timeline:
    """All moments of a check, in order, with the axis they share."""

    moments: tuple[Placed, ...]
    ticks: tuple[Tick, ...]
    span_ms: float


def lay_out(moments: Sequence[Moment], detail_chars: int = 4000) -> Timeline:
    """Place `moments` (in order of time) on an axis from the first to the last one; times count from the first."""
    first_ms = min((moment.at_ms for moment in moments), default=0.0)
    span_ms = max((moment.at_ms for moment in moments), default=0.0) - first_ms
    placed = []
    before_ms = 0.0
    for moment in moments:
        at_ms = moment.at_ms - first_ms
        silence_ms = at_ms - before_ms
        pause = duration(silence_ms) if span_ms > 0 and silence_ms >= PAUSE_SHARE * span_ms else ""
        shown = moment.detail[:detail_chars]
        place = round(100 * at_ms / span_ms, 2) if span_ms > 0 else 0.0
        placed.append(Placed(moment, place, duration(at_ms), pause, shown, len(moment.detail) - len(shown)))
        before_ms = at_ms
    return Timeline(tuple(placed), ticks(span_ms), span_ms)


def ticks(span_ms: float, wanted: int = 5) -> tuple[Tick, ...]:
    """At most `wanted` + 1 round marks from 0 to `span_ms`."""
    if span_ms <= 0:
        return (Tick(0.0, "0 ms"),)
    size = 1e-3
    while size * STEPS[-1] * wanted < span_ms:
        size *= 10
    step = next(size * factor for factor in STEPS if size * factor * wanted >= span_ms)
    count = int(span_ms / step + 1e-9)
    return tuple(Tick(round(index * step * 100 / span_ms, 2), duration(index * step)) for index in range(count + 1))


def duration(value_ms: float) -> str:
    """A length of time for people: `4.6 ms`, `262 ms`, `1.75 s`, `2 min 05 s`."""
    if value_ms < 0:
        return "−" + duration(-value_ms)
    if value_ms < 10:
        return f"{value_ms:.1f}".removesuffix(".0") + " ms"
    if value_ms < 999.5:
        return f"{value_ms:.0f} ms"
    if value_ms < 59_950:
        return f"{value_ms / 1000:.{2 if value_ms < 9_995 else 1}f} s"
    minutes, seconds = divmod(round(value_ms / 1000), 60)
    return f"{minutes} min {seconds:02d} s"
