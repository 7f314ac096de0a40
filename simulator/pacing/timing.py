"""How long a model takes: when each frame of its reply is due, as a function of what it read, thought and wrote.

    first byte    ttft + prefill of the input that no cache held
    first token   thinking, and hidden reasoning at the model's speed
    each frame    its tokens at the model's speed with jitter, or a gap; or the content spread evenly over a total

Every moment counts from the arrival of the request, so nothing adds up that is not meant to. The body of a JSON reply
leaves when the last frame of the stream would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from simulator.answers.answer import Usage
from simulator.pacing.latency import Distribution
from simulator.quotas.load import Pace
from simulator.script import Frame, Script

if TYPE_CHECKING:
    from random import Random


CONTENT = "delta"  # the kind of frame that is paced


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How fast a model is. What is None adds nothing."""

    ttft_ms: Distribution | None = None
    prefill_ms_per_1k: float | None = None  # input tokens that no cache held
    thinking_ms: Distribution | None = None
    tokens_per_s: float | None = None
    jitter: float | None = None  # share by which each token may take longer or shorter
    gap_ms: Distribution | None = None
    total_ms: Distribution | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.tokens_per_s, self.gap_ms, self.total_ms)) > 1:
            raise ValueError("one of gap_ms, tokens_per_s and total_ms")

    def over(self, other: Timing) -> Timing:
        """This timing where it says something, else the other; a speed of one kind takes the place of any other."""
        mine = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}
        if {"tokens_per_s", "gap_ms", "total_ms"} & set(mine):
            other = replace(other, tokens_per_s=None, gap_ms=None, total_ms=None)
        return replace(other, **mine)


def paced(script: Script, timing: Timing, dice: Random, usage: Usage | None, pace: Pace) -> Script:
    """The reply as a model of this speed gives it, later by what it is later already."""
    first_ms = (_drawn(timing.ttft_ms, dice) + _prefill_ms(timing, usage)) * pace.ttft
    thinking_ms = (_drawn(timing.thinking_ms, dice) + _hidden_ms(timing, usage, script)) * pace.gap
    contents = _contents(script)
    gaps = _gaps(timing, dice, contents, first_ms + thinking_ms, pace)
    head_ms = None if script.head_due_ms is None else script.head_due_ms + first_ms
    frames = tuple(_spaced(script, iter(gaps), first_ms, thinking_ms, sum(gaps)))
    return replace(script, head_due_ms=head_ms, frames=frames)


def _drawn(delay: Distribution | None, dice: Random) -> float:
    return 0.0 if delay is None else delay.draw(dice)


def _prefill_ms(timing: Timing, usage: Usage | None) -> float:
    if timing.prefill_ms_per_1k is None or usage is None:
        return 0.0
    return timing.prefill_ms_per_1k * max(0, usage.input_tokens - usage.cached_tokens) / 1000


def _hidden_ms(timing: Timing, usage: Usage | None, script: Script) -> float:
    """How long reasoning takes that no frame shows."""
    if timing.tokens_per_s is None or usage is None:
        return 0.0
    shown = sum([frame.tokens for frame in script.frames])
    return max(0, min(usage.reasoning_tokens, usage.output_tokens - shown)) * 1000 / timing.tokens_per_s


def _contents(script: Script) -> list[int]:
    """The tokens of each content frame; of a JSON reply, one each for its tokens."""
    found = [frame.tokens for frame in script.frames if frame.kind == CONTENT]
    return found or [1] * max((frame.tokens for frame in script.frames), default=0)


def _gaps(timing: Timing, dice: Random, contents: list[int], begun_ms: float, pace: Pace) -> list[float]:
    """The gap before each content frame but the first."""
    later = contents[1:]
    if timing.total_ms is not None:
        left_ms = max(0.0, timing.total_ms.draw(dice) * pace.gap - begun_ms)
        return [left_ms / len(later)] * len(later) if later else [left_ms]
    if timing.tokens_per_s is not None:
        token_ms, jitter = pace.gap * 1000 / timing.tokens_per_s, timing.jitter or 0.0
        if not jitter:
            return [tokens * token_ms for tokens in later]
        return [tokens * token_ms * (1 + jitter * (2 * dice.random() - 1)) for tokens in later]
    if timing.gap_ms is None:
        return [0.0] * len(later)
    gap = timing.gap_ms
    return [gap.draw(dice) * pace.gap for _ in later]


def _spaced(
    script: Script, gaps: Iterator[float], first_ms: float, thinking_ms: float, all_ms: float
) -> Iterator[Frame]:
    """The frames, each later by what comes before it."""
    later_ms, first = first_ms, True
    for frame in script.frames:
        if frame.kind == "body":
            yield frame.later(first_ms + thinking_ms + all_ms)
            continue
        if frame.kind == CONTENT:
            later_ms += thinking_ms if first else next(gaps, 0.0)
            first = False
        elif frame.kind in ("stop", "usage", "end"):
            later_ms += sum(gaps) + (thinking_ms if first else 0.0)  # if nothing was streamed, it is due all the same
            first = False
        yield frame.later(later_ms)
