"""Replies on RunPod's wire: how a job stands, and how an endpoint does. All are HTTP 200; the state is in the body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Serving
from simulator.dialects.runpod import work
from simulator.jobs.job import OPEN, State, View, end_ms, look, told_run_ms
from simulator.script import Frame, Script

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "IN_QUEUE",
    State.RUNNING: "IN_PROGRESS",
    State.SUCCEEDED: "COMPLETED",
    State.FAILED: "FAILED",
    State.TIMED_OUT: "TIMED_OUT",
    State.CANCELLED: "CANCELLED",
}
REGION: Final = "u1"
IDLE_MS: Final = 5_000  # a worker without work stays so long
HEADERS: Final = (("content-type", "application/json"),)


def job_id(ask: Ask, serving: Serving) -> str:
    """The id of a job: a UUID, with the region behind it."""
    head = draws.digest("runpod", serving.seed).hex()
    prefix = "sync-" if ask.operation == "runsync" else ""
    return f"{prefix}{head[:8]}-{head[8:12]}-{serving.nonce}-{REGION}"


def submitted(kept: Kept) -> Script:
    """The reply to a submission: at once, or held until the job ended or the wait is over."""
    job, wait_ms = kept.serving.job, kept.ask.body["wait_ms"]
    if job is None or wait_ms is None:
        return _json({"id": job_id(kept.ask, kept.serving), "status": WORDS[State.QUEUED]})
    held_ms = max(0, min(wait_ms, end_ms(job) - job.submitted_ms))
    told = status(kept, job.submitted_ms + held_ms)
    exact_ms = job.submitted_ms + held_ms - kept.serving.now_ms
    return _json(told).later(max(0.0, exact_ms))


def status(kept: Kept, now_ms: float) -> Json:
    """The status object of a job; one that nobody finds is told as queued (its submission is the only one to ask)."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    told: Json = {"id": job_id(kept.ask, kept.serving)}
    if job is None or view is None or view.state is State.QUEUED:
        return told | {"status": WORDS[State.QUEUED]}
    told["status"] = WORDS[view.state]
    told["delayTime"] = view.queued_ms
    if view.state not in OPEN and (view.run_ms or view.state is State.SUCCEEDED):
        told["executionTime"] = told_run_ms(job, view)
    if view.run_ms or view.state is State.RUNNING:
        told["workerId"] = work.worker_id(kept)
    return told | _result(kept, view)


def _result(kept: Kept, view: View) -> Json:
    found: Any = None
    if view.state is State.RUNNING:
        found = work.progress(kept, view.progress)
    elif view.state is State.SUCCEEDED:
        found = work.output(kept)
    elif view.state is State.FAILED:
        return {"error": work.error(kept)}
    return {} if found is None else {"output": found}


def streamed(kept: Kept, now_ms: float) -> Script:
    """What a job has yielded since it was last asked, in the form that the SDK reads."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    taken = 0 if job is None else job.taken
    words = work.items(kept.ask.body["input"])[taken : work.produced(kept, now_ms)]
    state = State.QUEUED if view is None else view.state
    return _json({"status": WORDS[state], "stream": [{"output": word} for word in words]})


def cancelled(kept: Kept, now_ms: float) -> Script:
    """A job that is over stays as it is; any other is cancelled, as far as is told."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    state = State.CANCELLED if view is None or view.state in OPEN else view.state
    return _json({"id": job_id(kept.ask, kept.serving), "status": WORDS[state]})


def retried(kept: Kept, now_ms: float) -> Script:  # noqa: ARG001
    """The same job, in the queue again."""
    return _json({"id": job_id(kept.ask, kept.serving), "status": WORDS[State.QUEUED]})


PERFORMED: Final[Mapping[str, Callable[[Kept, float], Script]]] = {
    "status": lambda kept, now_ms: _json(status(kept, now_ms)),
    "stream": streamed,
    "cancel": cancelled,
    "retry": retried,
}


def _views(serving: Serving) -> list[tuple[Kept, View]]:
    """The jobs of the endpoint that can be found."""
    found: list[tuple[Kept, View]] = []
    for kept in serving.jobs:
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is not None:
            found.append((kept, view))
    return found


def health(serving: Serving) -> Script:
    """How many jobs stand how, and what the workers do."""
    views = _views(serving)
    states = Counter(view.state for _, view in views)
    jobs = [kept.serving.job for kept, _ in views if kept.serving.job is not None]
    ended = sum(1 for _, view in views if view.run_ms and serving.now_ms - (view.ended_ms or 0) < IDLE_MS)
    cold = sum(1 for _, view in views if view.is_cold)
    told = {
        "completed": states[State.SUCCEEDED],
        "failed": states[State.FAILED] + states[State.TIMED_OUT],
        "inProgress": states[State.RUNNING],
        "inQueue": states[State.QUEUED],
        "retried": sum(1 for job in jobs if job.tries > 1 or job.plan.runs > 1),
    }
    running = states[State.RUNNING]
    workers = {"idle": ended, "initializing": cold, "ready": ended, "running": running, "throttled": 0, "unhealthy": 0}
    return _json({"jobs": told, "workers": workers})


def requests(serving: Serving) -> Script:
    """The jobs of the endpoint."""
    rows = [{"id": job_id(kept.ask, kept.serving), "status": WORDS[view.state]} for kept, view in _views(serving)]
    return _json({"requests": rows})


def purged(serving: Serving) -> Script:
    """How many jobs were taken out of the queue."""
    queued = sum(1 for _, view in _views(serving) if view.state is State.QUEUED)
    return _json({"removed": queued, "status": "completed"})


SURVEYS: Final[Mapping[str, Callable[[Serving], Script]]] = {
    "health": health,
    "requests": requests,
    "purge_queue": purged,
}


def _json(content: Json) -> Script:
    return Script(200, HEADERS, (Frame(orjson.dumps(content), "body"),))
