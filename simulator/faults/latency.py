"""Delays: before the first byte, between the tokens, and in all; or those of a common model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.pacing import profiles as latency_profiles
from simulator.pacing import silences
from simulator.pacing.latency import Distribution
from simulator.pacing.timing import Timing, paced
from simulator.quotas.load import AT_ONCE
from simulator.script import Script

_TIMING = tuple(field.name for field in fields(Timing))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Fault):
    """Answer as slowly as a real model: time to the first token, prefill, thinking, gaps between tokens, or a total.

    A JSON reply leaves when the last frame of the stream would have. Delays are drawn by the request's own key. What a
    profile says concerns answers of models; refusals and lists are not slowed by it.
    """

    kind: ClassVar[str] = "latency"
    profile: str | None = options.one_of(
        None, latency_profiles.names(), about="a common model's speed; other options take the place of its own"
    )
    ttft_ms: Distribution | None = options.delay(about="from the request to the first byte")  # noqa: RUF009
    prefill_ms_per_1k: float | None = options.number(None, about="more, for 1000 input tokens that no cache held")
    thinking_ms: Distribution | None = options.delay(about="more, before the first content")  # noqa: RUF009
    tokens_per_s: float | None = options.number(
        None, low=0.001, about="output tokens a second; hidden reasoning delays the first content"
    )
    jitter: float | None = options.number(None, high=1, about="share by which a token may take longer or shorter")
    gap_ms: Distribution | None = options.delay(about="between content frames; for JSON, between tokens")  # noqa: RUF009
    total_ms: Distribution | None = options.delay(about="from the request to the last byte; content is spread evenly")  # noqa: RUF009

    def __post_init__(self) -> None:
        if self.jitter and self.tokens_per_s is None and self.profile is None:
            raise ValueError("jitter only with tokens_per_s or a profile")
        self._own()

    def _own(self) -> Timing:
        """What the options say. Raises ValueError."""
        return Timing(**{name: getattr(self, name) for name in _TIMING})

    def script(self, script: Script, scene: Scene) -> Script:
        if scene.pace is AT_ONCE:
            return script
        timing = self._own()
        if self.profile is not None and scene.usage is not None and scene.ask is not None:
            timing = timing.over(latency_profiles.timing(self.profile, scene.ask.model))
        elif self.profile is not None and timing == Timing():
            return script
        slow = paced(script, timing, scene.dice("latency"), scene.usage, scene.pace)
        return silences.filled(slow, scene.serving.facts.get("ping_ms"))
