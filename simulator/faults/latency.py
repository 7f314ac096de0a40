"""Delays: before the first byte, between the tokens, and in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import is_content
from simulator.latency import Distribution
from simulator.script import Frame, Script

if TYPE_CHECKING:
    from random import Random


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Fault):
    """Answer as slowly as a real model: time to the first token, gaps between tokens, or a total.

    A JSON reply leaves when the last frame of the stream would have. Delays are drawn by the request's own key.
    """

    kind: ClassVar[str] = "latency"
    ttft_ms: Distribution | None = options.delay(about="from the request to the first byte")  # noqa: RUF009
    gap_ms: Distribution | None = options.delay(about="between content frames; for JSON, between tokens")  # noqa: RUF009
    total_ms: Distribution | None = options.delay(about="from the request to the last byte; content is spread evenly")  # noqa: RUF009

    def __post_init__(self) -> None:
        if self.gap_ms is not None and self.total_ms is not None:
            raise ValueError("gap_ms or total_ms, not both")

    def script(self, script: Script, scene: Scene) -> Script:
        dice = scene.dice("latency")
        first_ms = self.ttft_ms.draw(dice) if self.ttft_ms else 0.0
        contents = sum(map(is_content, script.frames)) or max((frame.tokens for frame in script.frames), default=0)
        gaps = self._gaps(dice, max(0, contents - 1), first_ms)
        head_ms = None if script.head_due_ms is None else script.head_due_ms + first_ms
        return replace(script, head_due_ms=head_ms, frames=tuple(_spaced(script, gaps, first_ms)))

    def _gaps(self, dice: Random, count: int, first_ms: float) -> list[float]:
        """The gap before each content frame but the first."""
        if self.total_ms is not None:
            left_ms = max(0.0, self.total_ms.draw(dice) - first_ms)
            return [left_ms / count] * count if count else [left_ms]
        if self.gap_ms is None:
            return [0.0] * count
        gap = self.gap_ms
        return [gap.draw(dice) for _ in range(count)]


def _spaced(script: Script, gaps: list[float], first_ms: float) -> Iterator[Frame]:
    """The frames, each later by the sum of the gaps before it."""
    later_ms, left = first_ms, iter(gaps)
    first = True
    for frame in script.frames:
        if frame.kind == "body":
            yield frame.later(first_ms + sum(gaps))
            continue
        if is_content(frame):
            later_ms += 0.0 if first else next(left, 0.0)
            first = False
        elif frame.kind in ("stop", "usage", "end"):
            later_ms += sum(left)  # nothing was streamed, but a total is due all the same
        yield frame.later(later_ms)
