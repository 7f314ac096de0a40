"""How a run stands and what comes of it: the queue's status, its logs, the result, the webhook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from simulator import draws
from simulator.dialects.base import Kept, Serving
from simulator.dialects.fal import problems, results
from simulator.dialects.predictions import prices
from simulator.jobs.job import OPEN, Job, State, View, end_ms, look, start_ms, told_run_ms
from simulator.script import Frame, Script

Json = dict[str, Any]

WORDS: Final = {State.QUEUED: "IN_QUEUE", State.RUNNING: "IN_PROGRESS"}
COMPLETED: Final = "COMPLETED"
HOLD_MS: Final = 3_600_000  # a run is not held longer
JSON: Final = ("content-type", "application/json")
EVENTS: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-store"))
UNDONE: Final = "Request is still in progress"
LOG_LINES: Final = 10


def request_id(serving: Serving) -> str:
    """The id of a request: a UUID."""
    head = draws.digest("fal", serving.seed).hex()
    return f"{head[:8]}-{head[8:12]}-{serving.nonce}"


def _job(kept: Kept) -> Job:
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job runs")
    return job


def seen(kept: Kept, now_ms: float) -> View | None:
    """How a run stands. One that has not begun when it was to (`X-Fal-Request-Timeout`) has timed out."""
    job = _job(kept)
    found, at = look(job, now_ms), _late_ms(kept)
    if found is None or at is None or now_ms < at:
        return found
    return View(State.TIMED_OUT, 0, 0.0, at - job.submitted_ms, 0, at)


def _late_ms(kept: Kept) -> int | None:
    """When a run times out because it has not begun, in Unix milliseconds; None: it begins in time."""
    job, start = _job(kept), kept.ask.body["start_ms"]
    if start is None or min(start_ms(job), end_ms(job)) <= job.submitted_ms + start:
        return None
    return int(job.submitted_ms + start)


def held(kept: Kept) -> Script:
    """The reply to a run, when it is over."""
    job, late = _job(kept), _late_ms(kept)
    found = replace(kept, serving=replace(kept.serving, job=replace(job, plan=replace(job.plan, hidden_ms=0))))
    at = min(end_ms(job) if late is None else late, job.submitted_ms + HOLD_MS)
    view = seen(found, at)
    script = problems.request_error("request_timeout") if view is None or view.state in OPEN else outcome(found, view)
    known = ("x-fal-request-id", request_id(kept.serving))
    told = replace(script, headers=(*script.headers, known))
    return told.later(max(0.0, at - kept.serving.now_ms))


def outcome(kept: Kept, view: View) -> Script:
    """What a run that is over came to."""
    job, flaws = _job(kept), results.read(kept).flaws
    if view.state is State.CANCELLED:
        return problems.request_error("client_cancelled")
    if view.state is State.TIMED_OUT:
        own = (("x-fal-request-timeout-type", "user"),) if view.ended_ms == _late_ms(kept) else ()
        return problems.request_error("request_timeout", headers=own)
    if flaws:
        return problems.flawed(flaws)
    if view.state is State.FAILED:
        return problems.failed(job.plan.error)
    if job.plan.is_empty and "has_nsfw_concepts" not in kept.profile.facts["result"]:
        return problems.model_error("no_media_generated")
    price = kept.profile.facts.get("price")
    units = () if price is None else (("x-fal-billable-units", f"{billable(kept, view):g}"),)
    return Script(200, (JSON, *units), (Frame(orjson.dumps(results.whole(kept, view)), "body"),))


def billable(kept: Kept, view: View) -> float:
    """Units of the model's price."""
    run_s = told_run_ms(_job(kept), view) / 1000
    return prices.units(results.work(kept), kept.profile.facts["price"]["per"], run_s, len(results.pieces(kept)))


# --- the queue --------------------------------------------------------------------------------------------------------


def submitted(kept: Kept) -> Json:
    """The reply to a submission."""
    told = {"status": WORDS[State.QUEUED], **_about(kept), "logs": None, "metrics": {}}
    return told | {"queue_position": _job(kept).plan.ahead}


def _about(kept: Kept) -> Json:
    """Id and addresses of a request: those of the app, whatever path of it is run."""
    own = request_id(kept.serving)
    url = f"{kept.ask.site}/{kept.ask.body['app']}/requests/{own}"
    urls = {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}
    return {"request_id": own, **urls}


def status(kept: Kept, view: View, *, with_logs: bool) -> Json:
    """The status object."""
    found: Json = {"status": WORDS.get(view.state, COMPLETED)}
    if view.state is State.QUEUED:
        found["queue_position"] = view.ahead
    found |= _about(kept)
    found["logs"] = logs(kept, view) if with_logs and view.state is not State.QUEUED else None
    if view.state in OPEN:
        return found
    found["metrics"] = {"inference_time": told_run_ms(_job(kept), view) / 1000}
    if view.state is not State.SUCCEEDED:
        script = outcome(kept, view)
        body = orjson.loads(script.frames[0].data)
        kind = body.get("error_type")
        found["error"] = body["detail"] if isinstance(body["detail"], str) else body["detail"][0]["msg"]
        found |= {"error_type": kind} if kind else {}
    return found


def logs(kept: Kept, view: View) -> list[Json]:
    """What the runner wrote so far: a line for each part of the work."""
    job, made = _job(kept), results.work(kept)
    total = made.steps or LOG_LINES
    done = round(view.progress * total)
    stride = -(-total // LOG_LINES)
    begun = job.submitted_ms + view.queued_ms
    return [
        {
            "message": f"{100 * step // total:3}%|{'█' * (10 * step // total):10}| {step}/{total}",
            "level": "INFO",
            "source": "USER",
            "timestamp": _iso(begun + view.run_ms * step / max(1, done)),
        }
        for step in sorted({*range(0, done + 1, stride), done})
    ]


def _iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def streamed(kept: Kept, now_ms: float, *, with_logs: bool) -> Script:
    """The status as events: now, and at each change until the run is over."""
    return Script(200, EVENTS, tuple(_events(kept, now_ms, with_logs)), stream=True)


def _events(kept: Kept, now_ms: float, with_logs: bool) -> Iterator[Frame]:
    job, late = _job(kept), _late_ms(kept)
    last = min(end_ms(job) if late is None else late, int(now_ms) + HOLD_MS)
    for at_ms in sorted({now_ms, *(float(at) for at in (start_ms(job), last) if now_ms < at <= last)}):
        view = seen(kept, at_ms)
        if view is None:
            return
        data = orjson.dumps(status(kept, view, with_logs=with_logs))
        kind = "delta" if view.state in OPEN else "end"
        yield Frame(b"data: %b\n\n" % data, kind, due_ms=max(0.0, at_ms - now_ms))


def hook(kept: Kept, view: View) -> Json:
    """The body of a webhook."""
    own = request_id(kept.serving)
    script = outcome(kept, view) if view.state not in OPEN else None
    if script is None:
        return {"request_id": own, "gateway_request_id": own, "status": WORDS[view.state], "payload": None}
    payload = orjson.loads(script.frames[0].data)
    about: Json = {"request_id": own, "gateway_request_id": own}
    if script.status == 200:
        return about | {"status": "OK", "error": None, "payload": payload}
    return about | {"status": "ERROR", "error": f"Invalid status code: {script.status}", "payload": payload}
