"""Webhooks of jobs: called by the fleet's clock when a job ends, again as the provider does, and all of it on record.

The facts of a model say how often (`webhook: {tries, gap_ms, timeout_ms, taken}`). Waiting is by the fleet's clock; how
long an answer may take is real time. Bounded: so many calls wait or are under way, so many are remembered; what does
not fit is not called, and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from simulator import edge
from simulator.jobs.courier import Courier, HttpCourier, Undelivered
from simulator.jobs.desk import Call, JobDialect
from simulator.jobs.job import NEVER, Job, Plan, end_ms, look

if TYPE_CHECKING:
    from simulator.clock import Waiting
    from simulator.dialects.base import Kept
    from simulator.fleet import Fleet

WAITING_MAX: Final = 20_000
UNDER_WAY_MAX: Final = 64
BYTES_MAX: Final = 64 << 20  # of bodies that wait
REMEMBERED: Final = 10_000
TIMEOUT_MS_MAX: Final = 60_000
USUAL: Final[Mapping[str, Any]] = {"tries": 1, "gap_ms": 10_000, "timeout_ms": 10_000, "taken": [200]}


@dataclass(slots=True)
class Delivery:
    """One call, made or tried."""

    provider: str
    job: str  # its nonce, which its id holds
    case: str | None
    url: str
    attempt: int  # from 1: more of them follow a refusal
    body_bytes: int
    body_sha256: str
    due_ms: float
    sent_ms: float
    ended_ms: float | None = None
    status: int | None = None  # of the answer; None: none came
    error: str | None = None

    def as_json(self, n: int) -> dict[str, Any]:
        """The call as the control API tells it."""
        return {
            "n": n,
            "provider": self.provider,
            "job": self.job,
            "case": self.case,
            "url": self.url,
            "attempt": self.attempt,
            "due_ms": round(self.due_ms, 3),
            "sent_ms": round(self.sent_ms, 3),
            "ended_ms": None if self.ended_ms is None else round(self.ended_ms, 3),
            "status": self.status,
            "error": self.error,
            "body_bytes": self.body_bytes,
            "body_sha256": self.body_sha256,
        }


@dataclass(frozen=True, slots=True)
class Errand:
    """A call to be made: of which job, to whom, what it says."""

    provider: str
    nonce: str
    job: Job
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    rules: Mapping[str, Any]
    attempt: int = 1

    def begun(self, due_ms: float, now_ms: float) -> Delivery:
        """The record of this call."""
        told = sha256(self.body).hexdigest()
        job, body_bytes = self.job, len(self.body)
        return Delivery(self.provider, self.nonce, job.case, self.url, self.attempt, body_bytes, told, due_ms, now_ms)


class Webhooks:
    """The webhooks of one fleet."""

    def __init__(self, fleet: Fleet, courier: Courier | None = None) -> None:
        self._fleet = fleet
        self._clock = fleet.clock
        self._courier = HttpCourier() if courier is None else courier
        self._ends: dict[tuple[str, str], Waiting] = {}
        self._later = 0  # calls after the first of a job that wait
        self._later_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._turns = asyncio.Semaphore(UNDER_WAY_MAX)
        self._made: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._epoch = 0
        self.dropped = 0  # for want of room
        fleet.desk.changed = self.changed

    # --- when ---------------------------------------------------------------------------------------------------------

    def changed(self, provider: str, nonce: str) -> None:
        """A job was begun, changed or forgotten: its end is told when it comes, as it now comes."""
        waiting = self._ends.pop((provider, nonce), None)
        if waiting is not None:
            waiting.cancel()
        kept = self._fleet.desk.kept(provider, nonce)
        job = None if kept is None else kept.serving.job
        if kept is None or job is None or job.plan.hook.is_lost or not self._dialect(provider, kept).hook_url(kept.ask):
            return
        due_ms = end_ms(job)
        if due_ms >= NEVER or look(_found(job), due_ms) is None:
            return  # it never ends, or is forgotten before
        if self._is_full():
            return
        end = partial(self._ended, provider, nonce, job)
        self._ends[(provider, nonce)] = self._clock.call_at(due_ms, end)

    def _is_full(self) -> bool:
        full = len(self._ends) + len(self._tasks) + self._later >= WAITING_MAX or self._later_bytes > BYTES_MAX
        self.dropped += full
        return full

    def _ended(self, provider: str, nonce: str, job: Job) -> None:
        """A job has come to its end."""
        self._ends.pop((provider, nonce), None)
        kept = self._fleet.desk.kept(provider, nonce)
        if kept is None or kept.serving.job is not job:
            return
        end = end_ms(job)
        self._call(self._errand(provider, kept, job, end))
        if job.plan.hook.is_followed:
            running = _running(job, end)
            stale = self._errand(provider, replace(kept, serving=replace(kept.serving, job=running)), job, end)
            self._wait(job.plan.hook.gap_ms, stale)

    def _wait(self, ms: float, errand: Errand) -> None:
        """Make a call later, if there is room for it until then."""
        if self._is_full():
            return
        self._later += 1
        self._later_bytes += len(errand.body)
        epoch = self._epoch

        def due() -> None:
            if epoch == self._epoch:
                self._later -= 1
                self._later_bytes -= len(errand.body)
                self._call(errand)

        self._clock.call_at(self._clock.now_ms() + ms, due)

    # --- what ---------------------------------------------------------------------------------------------------------

    def _dialect(self, provider: str, kept: Kept) -> JobDialect:
        held = self._fleet.shelf.get(provider, kept.serving.nonce)
        if held is None:
            raise LookupError(kept.serving.nonce)
        return cast(JobDialect, held.known.mount.dialect)

    def _errand(self, provider: str, kept: Kept, job: Job, at_ms: int) -> Errand:
        dialect = self._dialect(provider, kept)
        told = replace(kept, serving=replace(kept.serving, job=_found(kept.serving.job or job)))
        nonce, url = kept.serving.nonce, dialect.hook_url(kept.ask)
        call = Call(f"{nonce}-{at_ms}", url, at_ms // 1000)
        headers, body = dialect.hook_call(told, at_ms, call)
        if job.plan.hook.other_id:
            body = body.replace(nonce.encode(), f"{nonce[:-6]}000000".encode())
        rules = {**USUAL, **kept.profile.facts.get("webhook", {})}
        return Errand(provider, nonce, job, url, headers, body, rules)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _call(self, errand: Errand) -> None:
        """Begin a call; nobody waits for it."""
        self._idle.clear()
        task = asyncio.get_running_loop().create_task(self._deliver(errand, self._clock.now_ms()))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()

    async def _deliver(self, errand: Errand, due_ms: float) -> None:
        epoch = self._epoch
        async with self._turns:
            if epoch != self._epoch:
                return
            made = errand.begun(due_ms, self._clock.now_ms())
            self._made.append(made)
            self._count += 1
            if not is_web(errand.url):
                made.error = "not an http or https URL"
                return
            timeout_ms = min(float(errand.rules["timeout_ms"]), TIMEOUT_MS_MAX)
            try:
                made.status = await self._courier.post(errand.url, errand.headers, errand.body, timeout_ms)
            except Undelivered as error:
                made.error = str(error)
            made.ended_ms = self._clock.now_ms()
        gap_ms = self._again_ms(errand, made)
        if gap_ms is not None and epoch == self._epoch:
            self._wait(gap_ms, replace(errand, attempt=errand.attempt + 1))

    def _again_ms(self, errand: Errand, made: Delivery) -> float | None:
        """After how long a call is made once more; None: it is not."""
        rules, hook = errand.rules, errand.job.plan.hook
        if made.status in rules["taken"]:
            return hook.gap_ms if errand.attempt <= hook.copies else None
        return float(rules["gap_ms"]) if errand.attempt < rules["tries"] else None

    # --- on record ----------------------------------------------------------------------------------------------------

    async def settled(self, wait_ms: float) -> None:
        """Return once no call is under way, or the wait is over. What waits for the clock is not under way."""
        await edge.within(self._idle.wait(), wait_ms)

    def as_json(self, case: str | None = None) -> dict[str, Any]:
        """What was called, the oldest first, numbered from 1."""
        first = self._count - len(self._made) + 1
        calls = [made.as_json(first + at) for at, made in enumerate(self._made) if case in (None, made.case)]
        return {
            "webhooks": calls,
            "waiting": len(self._ends) + self._later,
            "under_way": len(self._tasks),
            "dropped": self.dropped,
        }

    def clear(self) -> None:
        """Forget all calls, and make none of those that wait."""
        self._epoch += 1
        for waiting in self._ends.values():
            waiting.cancel()
        self._ends.clear()
        self._made.clear()
        self._later = self._later_bytes = self._count = self.dropped = 0

    async def close(self) -> None:
        """End what is under way."""
        self.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._courier.close()


def is_web(url: str) -> bool:
    """Whether a URL is one of http or https."""
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _found(job: Job) -> Job:
    """The job as its provider knows it, whatever a poll is told."""
    plan = job.plan
    return replace(job, plan=replace(plan, hidden_ms=0, reopens_ms=NEVER, keep_ms=NEVER))


def _running(job: Job, end: int) -> Job:
    """The job as it was just before its end: what a call that comes too late tells."""
    started = Plan(queue_ms=0, run_ms=max(2, 2 * (end - job.submitted_ms)), full_ms=None)
    return replace(job, plan=replace(started, hook=job.plan.hook), cancelled_ms=None)
