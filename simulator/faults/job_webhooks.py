"""Webhooks of jobs that go wrong. As with every fault of a job, the request that submits it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.jobs.job import Plan


@FAULTS.register
@dataclass(frozen=True, slots=True)
class WebhookNeverFires(Fault):
    """Never call: only a poll tells how the job ended."""

    kind: ClassVar[str] = "webhook_never_fires"
    seen_at: ClassVar[str] = "Gemini; https://github.com/google-gemini/cookbook/issues/1297"

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, is_lost=True))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRedeliveredOnSlowAck(Fault):
    """Call again though the call was taken, as if the answer had come too late."""

    kind: ClassVar[str] = "webhook_redelivered_on_slow_ack"
    seen_at: ClassVar[str] = "RunPod; https://github.com/ashleykleynhans/runpod-worker-a1111/issues/4"
    times: int = options.whole(1, low=1, high=20, about="how often more")
    gap_s: float = options.number(12.0, about="between two calls")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, copies=self.times, gap_ms=round(self.gap_s * 1000)))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookBeforeSubmitResponse(Fault):
    """Let the job end at once, and call before the reply to its submission leaves."""

    kind: ClassVar[str] = "webhook_before_submit_response"
    seen_at: ClassVar[str] = (
        "job systems; https://github.com/hardbyte/awa/pull/17, https://github.com/INGInious/INGInious/pull/583"
    )
    ahead_ms: int = options.whole(500, low=2, about="by which the call comes first")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, queue_ms=0, cold_ms=0, run_ms=1, runs=1, reply_ms=1 + self.ahead_ms)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfOrderCallbacks(Fault):
    """Let a call that tells of the job still running come after the last one."""

    kind: ClassVar[str] = "out_of_order_callbacks"
    seen_at: ClassVar[str] = "Kling, Ark and MiniMax call once for every state (inferred)"
    gap_s: float = options.number(1.0, about="between the two calls")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, is_followed=True, gap_ms=round(self.gap_s * 1000)))


@FAULTS.register
@dataclass(frozen=True, slots=True)
class WebhookIdMismatch(Fault):
    """Name another id in the call than the reply to the submission did."""

    kind: ClassVar[str] = "webhook_id_mismatch"
    seen_at: ClassVar[str] = "https://github.com/stephengpope/no-code-architects-toolkit/issues/215"

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, other_id=True))


@FAULTS.register
@dataclass(frozen=True, slots=True)
class WebhookBadlySigned(Fault):
    """Sign the calls with a wrong key. A provider that signs nothing calls as ever."""

    kind: ClassVar[str] = "webhook_badly_signed"
    seen_at: ClassVar[str] = "synthetic"

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, is_forged=True))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStaleTimestamp(Fault):
    """Sign the calls as if they had been sent long ago: a message that was caught and is played again."""

    kind: ClassVar[str] = "webhook_stale_timestamp"
    seen_at: ClassVar[str] = "synthetic (Kling's receivers allow 5 minutes)"
    after_s: float = options.number(600.0, about="by which the time told is in the past")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, stale_s=round(self.after_s)))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSlowRetry(Fault):
    """Let each further try of a call that was not taken come late."""

    kind: ClassVar[str] = "webhook_slow_retry"
    seen_at: ClassVar[str] = "synthetic"
    after_s: float = options.number(300.0, about="from one try to the next")

    def job(self, plan: Plan, _: Scene) -> Plan:
        return replace(plan, hook=replace(plan.hook, retry_ms=round(self.after_s * 1000)))
