"""A job and its state, as a pure function of (job, now): nothing runs while a job runs.

A `Plan` says all that will become of a job; `look` says how it stands at a moment. Times in a plan are milliseconds
from the submission unless their comment says else. The states are ours; each dialect has its own words for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import floor
from typing import Final, NamedTuple

NEVER: Final = 1 << 52  # milliseconds: longer than any clock runs


class State(StrEnum):
    """Where a job stands: queued, running, then one of the rest for good."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({State.QUEUED, State.RUNNING})
REPEATABLE: Final = frozenset({State.FAILED, State.TIMED_OUT})  # what a retry begins again
CURVES: Final = ("linear", "late", "frozen", "regress")  # late: almost nothing until 85 % of the time
FALL: Final = 0.3  # by which progress falls back half way, where it regresses
MOMENTS: Final = ("queued", "running", "ended")


@dataclass(frozen=True, slots=True)
class Hook:
    """What goes wrong with the webhook of a job."""

    is_lost: bool = False
    copies: int = 0  # sent again although it was taken
    gap_ms: int = 12_000  # between those, or to the one that comes too late
    retry_ms: int | None = None  # from a call that was not taken to the next; None: as the provider does
    is_followed: bool = False  # after the last word, one comes that tells of the job still running
    other_id: bool = False  # it names an id that nobody was given
    is_forged: bool = False  # it is signed with a wrong key
    stale_s: int = 0  # by which the time that it is signed with is in the past


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that will become of one job, unless somebody cancels it."""

    held_ms: int = 0  # that the account's quota of jobs keeps it in the queue, before the rest
    queue_ms: int  # until a worker is free
    cold_ms: int = 0  # that this worker needs to start: the job still counts as queued
    run_ms: int  # of one run
    runs: int = 1  # how often it is run before anything is told; more than 1: another worker took it over
    full_ms: int | None = None  # what the progress is measured against; None: `run_ms`
    units: int = 0  # of the work: seconds of a clip, steps of a sampler
    steps: int = 0  # in which progress is made; 0: evenly
    curve: str = "linear"  # one of CURVES
    ahead: int = 0  # jobs before it in the queue when it came
    ends: State = State.SUCCEEDED
    error: str = ""  # of a job that fails, in the worker's words
    is_empty: bool = False  # it succeeds, and there is nothing in its result
    lost_items: int = 0  # of the items of its result, that are missing
    limit_ms: int = NEVER  # of running: it times out
    deadline_ms: int = NEVER  # of waiting and running: it times out
    ttl_ms: int = NEVER  # then it is gone, whatever its state
    keep_ms: int = NEVER  # from its end: then it is gone
    hidden_ms: int = 0  # until then nobody finds it
    hidden_polls: int = 0  # nor do the first so many polls, however late they come
    vanishes_ms: int = NEVER  # then it is gone
    lost_ms: int = NEVER  # from then on it is told as timed out while it goes on
    reopens_ms: int = NEVER  # from its end: then it is told as running again
    reopened_ms: int = 0  # for so long
    is_deaf: bool = False  # to be cancelled
    told_factor: float = 1.0  # of the time it ran, what is told
    link_ttl_ms: int | None = None  # of links in its result, from its end; None: as the worker has it
    link_status: int = 403  # what an expired link answers
    reply_ms: int = 0  # by which the reply to the submission is late
    words: tuple[str, str] | None = None  # a word of its replies, and what stands there (`words.respell`)
    hook: Hook = field(default_factory=Hook)


@dataclass(frozen=True, slots=True)
class Job:
    """One job: what was planned for it, and what was done to it since."""

    submitted_ms: int
    plan: Plan
    cancelled_ms: int | None = None
    tries: int = 1  # how often it was begun: a retry makes a new plan
    taken: int = 0  # items of its stream that were fetched
    case: str | None = None  # of the request that submitted it


class View(NamedTuple):
    """How a job stands at a moment."""

    state: State
    ahead: int  # jobs before it in the queue
    progress: float  # of 1
    queued_ms: int  # so far, or in all
    run_ms: int  # so far, or in all; what is told of it may be wrong (`Plan.told_factor`)
    ended_ms: int | None  # Unix milliseconds
    is_cold: bool = False  # its worker is starting


class Moment(NamedTuple):
    """When something becomes of a job."""

    name: str  # one of MOMENTS
    at_ms: int  # Unix milliseconds


def waits_ms(plan: Plan) -> int:
    """How long a job waits before it runs."""
    return plan.held_ms + plan.queue_ms + plan.cold_ms


def start_ms(job: Job) -> int:
    """When it begins to run, unless it is cancelled before, in Unix milliseconds."""
    return job.submitted_ms + waits_ms(job.plan)


def moments(job: Job) -> tuple[Moment, ...]:
    """What becomes of it and when; NEVER and later: never. A job that is cancelled in the queue does not run."""
    start, end = start_ms(job), end_ms(job)
    found = (Moment("queued", job.submitted_ms), Moment("running", start), Moment("ended", end))
    return found if start < end else (found[0], found[2])


def free_ms(job: Job) -> int:
    """From when on it counts no more as in flight: it ended, is told so, or is gone."""
    plan = job.plan
    return min(end_ms(job), job.submitted_ms + min(plan.lost_ms, plan.ttl_ms, plan.vanishes_ms))


def renders(job: Job, now_ms: float) -> int:
    """How often it was begun to run so far, in all its tries."""
    start, end, plan = start_ms(job), end_ms(job), job.plan
    ran_ms = floor(min(now_ms, end - 1)) - start
    of_try = 0 if ran_ms < 0 else min(plan.runs, 1 + ran_ms // max(1, plan.run_ms))
    return job.tries - 1 + of_try


def truth(job: Job) -> Job:
    """The job as its provider knows it, whatever a poll is told."""
    plan = replace(job.plan, hidden_ms=0, reopens_ms=NEVER, keep_ms=NEVER, vanishes_ms=NEVER, lost_ms=NEVER)
    return replace(job, plan=plan)


def end_ms(job: Job) -> int:
    """When it ends, in Unix milliseconds; NEVER and later: never."""
    cancelled = _cancelled_ms(job)
    return _own_end_ms(job) if cancelled is None else cancelled


def _own_end_ms(job: Job) -> int:
    """When it ends if nobody cancels it."""
    ran = start_ms(job) + min(job.plan.run_ms * job.plan.runs, job.plan.limit_ms)
    return min(ran, job.submitted_ms + job.plan.deadline_ms)


def _cancelled_ms(job: Job) -> int | None:
    """When it was cancelled, if that had an effect: it has none once a job has ended."""
    at = job.cancelled_ms
    return None if at is None or job.plan.is_deaf or at >= _own_end_ms(job) else at


def look(job: Job, now_ms: float) -> View | None:
    """How a job stands; None when nobody finds it: not yet, or no more."""
    plan, now = job.plan, floor(now_ms)
    age = now - job.submitted_ms
    if age < plan.hidden_ms or age >= min(plan.ttl_ms, plan.vanishes_ms):
        return None
    end = end_ms(job)
    if now < end:
        return _open(job, now)
    if now - end >= plan.keep_ms:
        return None
    if plan.reopens_ms <= now - end < plan.reopens_ms + plan.reopened_ms:
        start = min(start_ms(job), end)
        return View(State.RUNNING, 0, 0.99, start - job.submitted_ms, end - start, None)
    return _ended(job, end)


def _open(job: Job, now: int) -> View:
    plan, start = job.plan, start_ms(job)
    if now - job.submitted_ms >= plan.lost_ms:
        lost = job.submitted_ms + plan.lost_ms
        return View(State.TIMED_OUT, 0, 0.0, waits_ms(plan), max(0, lost - start), lost)
    if now < start:
        waited, queue_ms = now - job.submitted_ms, plan.held_ms + plan.queue_ms
        left = max(0, queue_ms - waited)
        ahead = -(-plan.ahead * left // queue_ms) if queue_ms else 0
        return View(State.QUEUED, ahead, 0.0, waited, 0, None, is_cold=left == 0)
    return View(State.RUNNING, 0, _progress(plan, now - start), start - job.submitted_ms, now - start, None)


def _ended(job: Job, end: int) -> View:
    plan, start = job.plan, min(start_ms(job), end)
    state, run = plan.ends, end - start
    if _cancelled_ms(job) is not None:
        state = State.CANCELLED
    elif start_ms(job) + plan.run_ms * plan.runs > end:
        state = State.TIMED_OUT
    progress = 1.0 if state is State.SUCCEEDED else _progress(plan, run)
    return View(state, 0, progress, start - job.submitted_ms, run, end)


def _progress(plan: Plan, run: int) -> float:
    """The share of the work that is told as done after running so long."""
    full = plan.run_ms if plan.full_ms is None else plan.full_ms
    if plan.curve == "frozen" or full <= 0:
        return 0.0
    of_run = run % plan.run_ms if plan.runs > 1 and plan.run_ms else run  # the next worker begins anew
    share = min(1.0, of_run / full)
    if plan.curve == "late":
        share = min(1.0, max(0.01, (share - 0.85) / 0.15))
    elif plan.curve == "regress" and share > 0.5:
        share -= FALL
    return floor(share * plan.steps) / plan.steps if plan.steps else share


def told_run_ms(job: Job, view: View) -> int:
    """How long it ran, as it is told."""
    return round(view.run_ms * job.plan.told_factor)
