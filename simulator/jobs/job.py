"""A job and its state, as a pure function of (job, now): nothing runs while a job runs.

A `Plan` says all that will become of a job; `look` says how it stands at a moment. Times in a plan are milliseconds
from the submission unless their comment says else. The states are ours; each dialect has its own words for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Hook:
    """What goes wrong with the webhook of a job."""

    is_lost: bool = False
    copies: int = 0  # sent again although it was taken
    gap_ms: int = 12_000  # between those, or to the one that comes too late
    is_followed: bool = False  # after the last word, one comes that tells of the job still running
    other_id: bool = False  # it names an id that nobody was given


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that will become of one job, unless somebody cancels it."""

    queue_ms: int  # until a worker is free
    cold_ms: int = 0  # that this worker needs to start: the job still counts as queued
    run_ms: int  # of one run
    runs: int = 1  # how often it is run before anything is told; more than 1: another worker took it over
    full_ms: int | None = None  # what the progress is measured against; None: `run_ms`
    steps: int = 0  # in which progress is made; 0: evenly
    curve: str = "linear"  # "linear", "late" (almost nothing until 85 % of the time) or "frozen"
    ahead: int = 0  # jobs before it in the queue when it came
    ends: State = State.SUCCEEDED
    error: str = ""  # of a job that fails, in the worker's words
    is_empty: bool = False  # it succeeds, and there is nothing in its result
    limit_ms: int = NEVER  # of running: it times out
    ttl_ms: int = NEVER  # then it is gone, whatever its state
    keep_ms: int = NEVER  # from its end: then it is gone
    hidden_ms: int = 0  # until then nobody finds it
    vanishes_ms: int = NEVER  # then it is gone
    lost_ms: int = NEVER  # from then on it is told as timed out while it goes on
    reopens_ms: int = NEVER  # from its end: then it is told as running again
    reopened_ms: int = 0  # for so long
    is_deaf: bool = False  # to be cancelled
    told_factor: float = 1.0  # of the time it ran, what is told
    link_ttl_ms: int | None = None  # of links in its result, from its end; None: as the worker has it
    link_status: int = 403  # what an expired link answers
    reply_ms: int = 0  # by which the reply to the submission is late
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


def start_ms(job: Job) -> int:
    """When it begins to run, unless it is cancelled before, in Unix milliseconds."""
    return job.submitted_ms + job.plan.queue_ms + job.plan.cold_ms


def end_ms(job: Job) -> int:
    """When it ends, in Unix milliseconds; NEVER and later: never."""
    cancelled = _cancelled_ms(job)
    return _own_end_ms(job) if cancelled is None else cancelled


def _own_end_ms(job: Job) -> int:
    """When it ends if nobody cancels it."""
    return start_ms(job) + min(job.plan.run_ms * job.plan.runs, job.plan.limit_ms)


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
        return View(State.TIMED_OUT, 0, 0.0, plan.queue_ms + plan.cold_ms, max(0, lost - start), lost)
    if now < start:
        waited = now - job.submitted_ms
        left = max(0, plan.queue_ms - waited)
        ahead = -(-plan.ahead * left // plan.queue_ms) if plan.queue_ms else 0
        return View(State.QUEUED, ahead, 0.0, waited, 0, None, is_cold=left == 0)
    return View(State.RUNNING, 0, _progress(plan, now - start), start - job.submitted_ms, now - start, None)


def _ended(job: Job, end: int) -> View:
    plan, start = job.plan, min(start_ms(job), end)
    state, run = plan.ends, end - start
    if _cancelled_ms(job) is not None:
        state = State.CANCELLED
    elif plan.run_ms * plan.runs > plan.limit_ms:
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
    return floor(share * plan.steps) / plan.steps if plan.steps else share


def told_run_ms(job: Job, view: View) -> int:
    """How long it ran, as it is told."""
    return round(view.run_ms * job.plan.told_factor)
