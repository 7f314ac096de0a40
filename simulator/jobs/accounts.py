"""What a job means to the account that it runs on: how long it takes a place, and what its provider charges for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from simulator.jobs.job import NEVER, Job, end_ms, free_ms, truth

if TYPE_CHECKING:
    from simulator.dialects.base import Dialect, Kept
    from simulator.jobs.desk import JobDialect


class Bill(NamedTuple):
    """Until when a job counts, in Unix milliseconds, and what it will have cost by then, by unit."""

    until_ms: int
    costs: Mapping[str, float]


def charged(dialect: Dialect, kept: Kept, now_ms: float) -> dict[str, float]:
    """What the provider charges for a job as it truly stands at a moment, whatever a poll is told."""
    job = kept.serving.job
    charge = getattr(dialect, "charge", None)
    if job is None or charge is None:
        return {}
    gone_ms = job.submitted_ms + job.plan.ttl_ms - 1  # the last moment at which it is there
    true = replace(kept, serving=replace(kept.serving, job=truth(job)))
    costs = cast("JobDialect", dialect).charge(true, min(now_ms, gone_ms))
    return {unit: amount for unit, amount in costs.items() if amount}


def bill(dialect: Dialect, kept: Kept, job: Job) -> Bill:
    """Of a job from its submission to its end; one that never ends costs what it costs when it comes."""
    ends_ms = end_ms(job)
    at_ms = job.submitted_ms if ends_ms >= NEVER else ends_ms
    of_job = replace(kept, serving=replace(kept.serving, job=job))
    return Bill(free_ms(job), charged(dialect, of_job, at_ms))
