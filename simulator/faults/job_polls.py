"""What polls of a job tell wrong: its progress, and the words of its states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.jobs.job import CURVES, Plan


@FAULTS.register
@dataclass(frozen=True, slots=True)
class ProgressNeverAdvances(Fault):
    """Tell no progress at all while the job runs."""

    kind: ClassVar[str] = "progress_never_advances"
    seen_at: ClassVar[str] = "https://github.com/QuantumNous/new-api/pull/1244"

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, curve="frozen")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCurve(Fault):
    """Tell the progress of the job along another curve."""

    kind: ClassVar[str] = "progress_curve"
    seen_at: ClassVar[str] = "xAI (late); synthetic"
    curve: str = options.one_of(
        "regress",
        CURVES,
        about="linear; late: 1 % until 85 % of the time are over; frozen: none at all; regress: it falls back half way",
    )

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, curve=self.curve)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class StatusWordsDrift(Fault):
    """Spell a word of the replies about the job another way. Webhooks keep the wire's own words.

    Without `word`, the words of its states get the other case: `Success` becomes `success`, `COMPLETED` `completed`,
    `done` `DONE`.
    """

    kind: ClassVar[str] = "status_words_drift"
    quirk: ClassVar[str] = "success-word-not-recognised"
    seen_at: ClassVar[str] = (
        "MiniMax (Fail and Failed, Success and success), Kling (succeed and succeeded), Ark (cancelled and canceled); "
        "https://github.com/ArcReel/ArcReel/issues/1889, https://github.com/huggingface/huggingface_hub/issues/4164"
    )
    word: str = options.text("", about="a text in the JSON, whole and exactly so; none: the words of states")
    becomes: str = options.text("", about="what stands there instead")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, words=(self.word, self.becomes))
