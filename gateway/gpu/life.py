"""What becomes of a job after what was seen of it upstream, and what it is charged. Pure: the time is passed in.

`judge` is asked after every look, whoever looked: the caller's poll, the background poller, a call of the provider. It
says what to note, or how the job ends. Source: docs/decisions.md#gpu-jobs.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gateway.gpu.job import EndState, Job, price_uc
from gateway.upstreams.runpod import Told

SLACK_MS: Final = 1_000  # by which a told time may be longer than what we measured around it
LOST_MS: Final = 30_000  # that a job may be nowhere to be found, before it is given up
GRACE_MS: Final = 600_000  # after the deadline, for the provider to obey a cancellation


class Missing(NamedTuple):
    """The upstream knows no such job."""


class Trouble(NamedTuple):
    """The upstream could not be asked, or its answer says nothing of the job."""

    message: str = ""


Seen = Told | Missing | Trouble


class Problem(NamedTuple):
    """Why a job did not succeed, as its caller is told."""

    type: str
    message: str


class Bill(NamedTuple):
    """What a job is charged."""

    ms: int | None = None  # that it ran; None: it did not, as far as anybody knows
    charge_uc: int = 0  # before the hold caps it
    estimated: bool = False


class Note(NamedTuple):
    """The job goes on."""

    state: str
    waiting_seen_ms: int | None
    running_seen_ms: int | None
    missing_since_ms: int | None


class End(NamedTuple):
    """The job is over."""

    state: EndState
    bill: Bill = Bill()
    problem: Problem | None = None
    output: Any = None


TIMED_OUT: Final = Problem("job_timed_out", "The job did not end in time.")
LOST: Final = Problem("job_lost", "The provider lost the job.")
CANCELLED: Final = Problem("job_cancelled", "The job was cancelled.")
CALLED_OFF: Final = Problem("job_failed", "The provider cancelled the job.")
INTERRUPTED: Final = Problem("submission_failed", "The submission was interrupted.")


def judge(job: Job, seen: Seen, now_ms: int, factor: float) -> Note | End:
    """What follows from a look. `factor`: how much time passes here for each second upstream."""
    if isinstance(seen, Told):
        ended = ending(job, seen, now_ms, factor)
        if ended is not None:
            return ended
    noted = note(job, seen, now_ms)
    if isinstance(seen, Missing) and now_ms - (noted.missing_since_ms or now_ms) >= LOST_MS * factor:
        return End("cancelled", problem=CANCELLED) if job.cancel_at_ms is not None else End("failed", problem=LOST)
    if now_ms >= job.deadline_ms + GRACE_MS:
        return End("failed", problem=TIMED_OUT)
    return noted


def ending(job: Job, told: Told, now_ms: int, factor: float) -> End | None:
    """How the job ended, if it did."""
    match told.state:
        case "succeeded":
            return End("succeeded", bill(job, told, now_ms, factor), output=told.output)
        case "failed":
            message = told.error or "The provider did not say why."
            return End("failed", Bill(told.execution_ms or None), Problem("job_failed", message))
        case "timed_out":
            return End("failed", Bill(told.execution_ms or None), TIMED_OUT)
        case "cancelled":
            if job.cancel_at_ms is not None:
                return End("cancelled", bill_of_cancelled(job, told, now_ms, factor), CANCELLED)
            return End("failed", problem=TIMED_OUT if now_ms >= job.deadline_ms else CALLED_OFF)
        case _:
            return None


def note(job: Job, seen: Seen, now_ms: int) -> Note:
    """What to remember of a job that goes on. A state never goes back; a look that failed says nothing."""
    state, waiting_ms, running_ms, missing_ms = "queued", job.waiting_seen_ms, job.running_seen_ms, job.missing_since_ms
    if isinstance(seen, Told):
        missing_ms = None
        if seen.state == "running":
            running_ms = now_ms if running_ms is None else running_ms
        elif running_ms is None and seen.state == "queued":
            waiting_ms = now_ms
    elif isinstance(seen, Missing) and missing_ms is None:
        missing_ms = now_ms
    if running_ms is not None:
        state = "running"
    return Note(state, waiting_ms, running_ms, missing_ms)


def is_unwanted(job: Job, now_ms: int) -> bool:
    """Whether the provider is to be told to end it."""
    return job.cancel_at_ms is not None or now_ms >= job.deadline_ms


# --- money ------------------------------------------------------------------------------------------------------------


def bill(job: Job, told: Told, now_ms: int, factor: float) -> Bill:
    """The time that the provider tells, if it can be true; else what we saw ourselves.

    A job cannot have run for longer than since its submission left. Where the time told is missing, zero or beyond
    that, the job is charged from the last moment at which it was known to wait until its end was seen: `estimated`.
    What ran after its caller had cancelled it is not charged.
    """
    started_ms = max(job.sent_at_ms, job.waiting_seen_ms or 0)
    if told.delay_ms and job.sent_at_ms + told.delay_ms * factor <= now_ms:
        started_ms = max(started_ms, round(job.sent_at_ms + told.delay_ms * factor))
    ms, estimated = told.execution_ms or 0, False
    believed = factor <= 0 or ms <= passed_ms(job.sent_at_ms, now_ms, factor) + SLACK_MS
    if not ms or not believed:
        ms, estimated = max(1, round(passed_ms(started_ms, now_ms, factor))), True
    if job.cancel_at_ms is not None:
        ms = min(ms, max(1, round(passed_ms(started_ms, max(started_ms, job.cancel_at_ms), factor))))
    return Bill(ms, price_uc(job.unit, job.rate_uc, ms), estimated)


def bill_of_cancelled(job: Job, told: Told, now_ms: int, factor: float) -> Bill:
    """What ran until the cancellation, where seconds are charged; nothing of a job that never began."""
    began = job.running_seen_ms is not None or bool(told.execution_ms)
    if not began:
        return Bill()
    billed = bill(job, told, now_ms, factor)
    return billed if job.unit == "second" else billed._replace(charge_uc=0)


def passed_ms(since_ms: int, now_ms: int, factor: float) -> float:
    """How much of the upstream's time passed between two moments here; where nobody can tell, as much as here."""
    return max(0, now_ms - since_ms) / (factor if factor > 0 else 1)
