"""How late the fleet's own frames were: planned against actual, for every frame that had a delay.

A late fleet measures itself, not the gateway: whoever reads percentiles elsewhere reads these first.
"""

from __future__ import annotations

from collections.abc import Mapping

FINE_MS, FINE_STEP_MS = 100.0, 0.05  # up to 100 ms in steps of 50 µs
COARSE_MS, COARSE_STEP_MS = 10_000.0, 5.0  # then up to 10 s in steps of 5 ms; later counts as the last
_FINE = int(FINE_MS / FINE_STEP_MS)
_COARSE = int(COARSE_MS / COARSE_STEP_MS)


class Lateness:
    """A histogram of lateness in real milliseconds."""

    __slots__ = ("_counts", "frames", "max_ms")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * (_FINE + _COARSE + 1)
        self.frames = 0
        self.max_ms = 0.0

    def record(self, late_ms: float) -> None:
        """One delayed frame; what left early counts as in time."""
        self.frames += 1
        if late_ms <= 0:
            self._counts[0] += 1
            return
        if late_ms > self.max_ms:
            self.max_ms = late_ms
        if late_ms < FINE_MS:
            self._counts[int(late_ms / FINE_STEP_MS)] += 1
        else:
            self._counts[_FINE + min(_COARSE, int(late_ms / COARSE_STEP_MS))] += 1

    def percentile_ms(self, percent: float) -> float:
        """The upper edge of the step that holds the percentile; 0 when nothing was recorded."""
        due, seen = self.frames * percent / 100, 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= due:
                if index < _FINE:
                    return min((index + 1) * FINE_STEP_MS, self.max_ms)
                return min((index - _FINE + 1) * COARSE_STEP_MS, self.max_ms)
        return 0.0

    def counts(self) -> dict[str, int]:
        """The steps that hold any frame, by number: what `add` takes."""
        return {str(index): count for index, count in enumerate(self._counts) if count}

    def add(self, counts: Mapping[str, int], max_ms: float) -> None:
        """Take in what another process counted."""
        for index, count in counts.items():
            self._counts[int(index)] += count
            self.frames += count
        self.max_ms = max(self.max_ms, max_ms)

    def summary(self) -> dict[str, float | int]:
        """As the control API tells it."""
        return {
            "frames": self.frames,
            "p50_ms": round(self.percentile_ms(50), 3),
            "p99_ms": round(self.percentile_ms(99), 3),
            "max_ms": round(self.max_ms, 3),
        }
