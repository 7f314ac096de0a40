"""Long jobs that go wrong. A fault of the request that submits a job (or retries it) decides what becomes of the job.

What every poll, stream, cancellation and webhook tells later follows from that plan. Names and evidence: the failure
modes of long jobs that users of such providers have reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.jobs.desk import BEGIN, effect
from simulator.jobs.job import NEVER, Plan, State
from simulator.problem import Problem
from simulator.script import Script

SECOND_MS: Final = 1000
PERCENT: Final = "of the run"


def _ms(seconds: float) -> int:
    return round(seconds * SECOND_MS)


def _until(plan: Plan, percent: float) -> int:
    """How long the job has run when so much of it is done."""
    return round(plan.run_ms * percent / 100)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimes(Fault):
    """Let the job wait, start and run for so long, instead of what was drawn."""

    kind: ClassVar[str] = "job_times"
    seen_at: ClassVar[str] = "synthetic"
    queue_s: float | None = options.number(None, about="until a worker is free")
    cold_s: float | None = options.number(None, about="that the worker needs to start")
    run_s: float | None = options.number(None, about="of the work itself")
    unit_s: float | None = options.number(
        None, about="added to `run_s` (0 if that is not given) for each unit of the work: a second, a step of a sampler"
    )
    jitter: float = options.number(0.0, high=100, about="percent by which each may be shorter or longer, drawn")

    def job(self, plan: Plan, scene: Scene) -> Plan:
        run_s = self.run_s
        if self.unit_s is not None:
            run_s = (self.run_s or 0.0) + self.unit_s * plan.units
        given = {"queue_ms": self.queue_s, "cold_ms": self.cold_s, "run_ms": run_s}
        dice = scene.dice("job_times")
        shares = {name: 1 + self.jitter / 100 * (2 * dice.random() - 1) for name in given}
        told = {name: _ms(value * shares[name]) for name, value in given.items() if value is not None}
        return replace(plan, **told) if told else plan  # type: ignore[arg-type]


@FAULTS.register
@dataclass(frozen=True, slots=True)
class JobStuckInQueue(Fault):
    """Leave the job in the queue for ever: no worker takes it. It goes when its TTL is over, or somebody cancels."""

    kind: ClassVar[str] = "job_stuck_in_queue"
    seen_at: ClassVar[str] = (
        "RunPod; https://github.com/ashleykleynhans/runpod-worker-real-esrgan/issues/1, "
        "https://github.com/runpod/runpod-mcp/issues/62"
    )

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, queue_ms=NEVER, cold_ms=0)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeverFinishes(Fault):
    """Let the job run for ever; no limit of running time ends it. It goes when its TTL is over, or somebody cancels."""

    kind: ClassVar[str] = "job_never_finishes"
    quirk: ClassVar[str] = "pending-forever-but-charged"
    seen_at: ClassVar[str] = (
        "BFL; https://github.com/ShmuelRonen/ComfyUI_Flux_1.1_RAW_API/issues/11, "
        "https://github.com/Comfy-Org/ComfyUI/issues/9918"
    )

    def job(self, plan: Plan, _: Scene) -> Plan:
        full_ms = plan.run_ms if plan.full_ms is None else plan.full_ms
        full_ms = round(full_ms / 0.99)
        return replace(plan, run_ms=NEVER, full_ms=full_ms, limit_ms=NEVER, deadline_ms=NEVER, steps=0)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobFails(Fault):
    """Let the job fail when so much of it is done."""

    kind: ClassVar[str] = "job_fails"
    seen_at: ClassVar[str] = "every provider with jobs"
    percent: float = options.number(50.0, high=100, about=PERCENT)
    message: str = options.text("CUDA out of memory", about="what the worker says")

    def job(self, plan: Plan, _: Scene) -> Plan:
        full_ms = plan.run_ms if plan.full_ms is None else plan.full_ms
        run_ms = _until(plan, self.percent)
        return replace(plan, run_ms=run_ms, full_ms=full_ms, ends=State.FAILED, error=self.message)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimesOut(Fault):
    """Let the job time out when so much of it is done, as if its worker had fallen silent."""

    kind: ClassVar[str] = "job_times_out"
    seen_at: ClassVar[str] = "RunPod (TIMED_OUT), Ark, MiniMax and xAI (expired)"
    percent: float = options.number(50.0, high=100, about=PERCENT)

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, limit_ms=min(plan.limit_ms, max(0, _until(plan, self.percent) - 1)))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled(Fault):
    """Let the provider cancel the job when so much of it is done, though nobody asked for that."""

    kind: ClassVar[str] = "job_cancelled"
    seen_at: ClassVar[str] = "RunPod (CANCELLED, which its SDK polls on), Vidu (off-peak jobs not run in time)"
    percent: float = options.number(50.0, high=100, about=PERCENT)

    def job(self, plan: Plan, _: Scene) -> Plan:
        full_ms = plan.run_ms if plan.full_ms is None else plan.full_ms
        return replace(plan, run_ms=_until(plan, self.percent), full_ms=full_ms, ends=State.CANCELLED)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobVanishes(Fault):
    """Forget the job after so long, whatever its state: whoever asks is told that there is none."""

    kind: ClassVar[str] = "job_vanishes"
    quirk: ClassVar[str] = "job-lost"
    seen_at: ClassVar[str] = "RunPod (404), DashScope (UNKNOWN), BFL (Task not found), Kling (empty data)"
    after_s: float = options.number(5.0, about="from the submission")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, vanishes_ms=_ms(self.after_s))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Transient404AfterSubmit(Fault):
    """Let nobody find the job at first; it is there all the same."""

    kind: ClassVar[str] = "transient_404_after_submit"
    seen_at: ClassVar[str] = "https://github.com/ddcat-ai/open-ai-canvas/issues/492"
    for_s: float = options.number(3.0, about="from the submission")
    polls: int = options.whole(0, about="of each kind that do not find it either, however late")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hidden_ms=_ms(self.for_s), hidden_polls=self.polls)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRegressAfterCompletion(Fault):
    """Tell the ended job as running again for a while: a late progress update came over its end."""

    kind: ClassVar[str] = "status_regress_after_completion"
    seen_at: ClassVar[str] = "RunPod; https://github.com/runpod/runpod-python/issues/250"
    after_s: float = options.number(2.0, about="from its end")
    for_s: float = options.number(10.0, about="that it lasts")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, reopens_ms=_ms(self.after_s), reopened_ms=_ms(self.for_s))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class LateSuccess(Fault):
    """Let the job succeed only long after its caller gave up. No limit of running time ends it."""

    kind: ClassVar[str] = "late_success"
    quirk: ClassVar[str] = "timeout-refund-then-late-success"
    seen_at: ClassVar[str] = (
        "https://github.com/elizaOS/eliza/issues/11920, https://github.com/Comfy-Org/ComfyUI/pull/8860, "
        "https://github.com/moeru-ai/airi/issues/2084"
    )
    after_s: float = options.number(900.0, about="from the submission to its success")
    told: str = options.one_of(
        "running", ("running", "timed_out"), about="what is said of it once its limit of running time is over"
    )

    def job(self, plan: Plan, _: Scene) -> Plan:
        waits = plan.queue_ms + plan.cold_ms
        late_ms = max(1, _ms(self.after_s) - waits)
        lost_ms = min(waits + plan.limit_ms, plan.deadline_ms) if self.told == "timed_out" else NEVER
        late = replace(plan, run_ms=late_ms, full_ms=None, runs=1, limit_ms=NEVER, deadline_ms=NEVER)
        return replace(late, lost_ms=lost_ms)


@FAULTS.register
@dataclass(frozen=True, slots=True)
class CancelIgnored(Fault):
    """Say yes to a cancellation, and go on: the job runs to its end, and is charged."""

    kind: ClassVar[str] = "cancel_ignored"
    seen_at: ClassVar[str] = "synthetic"

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, is_deaf=True)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ResultUrlExpired(Fault):
    """Let the links in the result expire early, or be refused from the start. A result without links stays as it is."""

    kind: ClassVar[str] = "result_url_expired"
    seen_at: ClassVar[str] = "BFL (10 min), MiniMax (1 h), Ark, DashScope, Vidu and Seedream (24 h)"
    after_s: float = options.number(0.0, about="from the end of the job; 0: dead from the start")
    status: int = options.whole(403, low=403, high=404, about="403 or 404")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, link_ttl_ms=_ms(self.after_s), link_status=self.status)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WrongExecutionTime(Fault):
    """Tell a wrong execution time: what is billed by the second is billed wrong."""

    kind: ClassVar[str] = "wrong_execution_time"
    quirk: ClassVar[str] = "zero-second-billing"
    seen_at: ClassVar[str] = "https://github.com/BerriAI/litellm/pull/39326"
    factor: float = options.number(0.0, about="of the true time; 0: none at all")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, told_factor=self.factor)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationAfterRender(Fault):
    """Refuse the result once it is rendered and paid for: the job fails, or succeeds with nothing in it."""

    kind: ClassVar[str] = "moderation_after_render"
    quirk: ClassVar[str] = "moderation-as-success"
    seen_at: ClassVar[str] = "xAI, Veo (success without a result), BFL, MiniMax, Ark (a failure)"
    form: str = options.one_of("empty", ("empty", "failed"), about="a success without a result, or a failure")
    message: str = options.text("Content moderated: the output was blocked", about="of a failure")

    def job(self, plan: Plan, _: Scene) -> Plan:
        if self.form == "empty":
            return replace(plan, is_empty=True)
        return replace(plan, ends=State.FAILED, error=self.message)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class PartialResults(Fault):
    """Let the job succeed with fewer results than were asked for. A result of one item stays as it is."""

    kind: ClassVar[str] = "partial_results"
    seen_at: ClassVar[str] = "Seedream (groups of pictures), MiniMax (failed_count beside success_count)"
    lost: int = options.whole(1, low=1, about="how many are missing; one at least is left")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, lost_items=self.lost)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JobExecutedTwice(Fault):
    """Hand the job to another worker when the first is nearly done: its progress begins anew, both runs are told."""

    kind: ClassVar[str] = "job_executed_twice"
    seen_at: ClassVar[str] = (
        "RunPod; https://github.com/runpod/runpod-python/issues/402, "
        "https://github.com/runpod/serverless-workers/issues/9"
    )
    runs: int = options.whole(2, low=2, high=10, about="how often it is run in all")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, runs=self.runs)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Submit5xxAfterAccept(Fault):
    """Take the job in, and answer its submission with an error: whoever submits again pays twice."""

    kind: ClassVar[str] = "submit_5xx_after_accept"
    quirk: ClassVar[str] = "duplicate-submit-on-retry"
    seen_at: ClassVar[str] = (
        "https://github.com/ArcReel/ArcReel/issues/793, https://github.com/runpod/runpod-python/pull/515"
    )
    status: int = options.whole(502, low=500, high=599, about="of the reply")

    def script(self, script: Script, scene: Scene) -> Script:
        operation = scene.ask.operation if scene.ask else None
        if script.status >= 300 or effect(scene.dialect, operation) != BEGIN:
            return script
        refusal = scene.refusal(Problem("server_error", status=self.status))
        return refusal.later(script.head_due_ms or 0.0)
