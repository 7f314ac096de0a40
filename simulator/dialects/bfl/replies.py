"""Replies on BFL's wire: a submission, and how a task stands. A poll is always HTTP 200; the state is in its body.

Source: BFL's documentation (get result, integration guidelines). Not confirmed, and switched by facts: the reply to a
submission with a webhook (`webhook_reply`), other words for states (`states`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from simulator import draws
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Serving
from simulator.dialects.bfl import work
from simulator.jobs.job import OPEN, Job, State, View, end_ms, look, start_ms, told_run_ms, truth
from simulator.media import results

PENDING, READY, ERROR, NOT_FOUND = "Pending", "Ready", "Error", "Task not found"
ENDS: Final = (work.REQUEST_MODERATED, work.CONTENT_MODERATED)
REASONS: Final = {work.REQUEST_MODERATED: "Safety Filter", work.CONTENT_MODERATED: "Content Filter"}
EMPTY: Final = {"progress": None, "details": None, "preview": None}


def task_id(serving: Serving) -> str:
    """The id of a task: a UUID."""
    head = draws.digest("bfl", serving.seed).hex()
    return f"{head[:8]}-{head[8:12]}-{serving.nonce}"


def cluster(serving: Serving, clusters: dict[str, str]) -> str:
    """The name of the cluster that a task runs on, of those that its provider has."""
    names = sorted(clusters)
    return names[serving.seed % len(names)] if names else ""


def submitted(kept: Kept, site: str) -> dict[str, Any]:
    """The reply to a submission. `site` is where its cluster is, at the root of the dialect."""
    ask, serving = kept.ask, kept.serving
    told: dict[str, Any] = {"id": task_id(serving)}
    if ask.body.get("webhook_url") and kept.profile.has("webhook_reply"):
        return told | {"status": PENDING, "webhook_url": ask.body["webhook_url"]}
    came, out = work.megapixels(ask, kept.profile)
    polling = f"{site}/get_result?id={told['id']}"
    return told | {
        "polling_url": polling,
        "cost": work.cost(ask, kept.profile, serving),
        "input_mp": came,
        "output_mp": out,
    }


def not_found(task: str) -> dict[str, Any]:
    """What is told of a task that there is not, or not here, or no more."""
    return {"id": task, "status": NOT_FOUND, **EMPTY, "result": None}


def _job(kept: Kept) -> Job:
    if kept.serving.job is None:
        raise TypeError("a task is a job")
    return kept.serving.job


def status(kept: Kept, view: View) -> str:
    """The word for how a task stands."""
    words = kept.profile.facts.get("states", {})
    plan = _job(kept).plan
    if view.state in OPEN:
        return str(words.get(view.state.value, PENDING))
    if view.state is State.SUCCEEDED:
        return work.CONTENT_MODERATED if plan.is_empty else READY
    if view.state is State.FAILED and plan.error in (*ENDS, NOT_FOUND):
        return plan.error
    if view.state is State.FAILED and inspection.is_moderation(plan.error):
        return work.CONTENT_MODERATED
    return str(words.get(view.state.value, ERROR))


def result(kept: Kept, now_ms: float) -> dict[str, Any]:
    """How a task stands; one that nobody finds is told as not found."""
    job, task = _job(kept), task_id(kept.serving)
    view = look(job, now_ms)
    if view is None:
        return not_found(task)
    word = status(kept, view)
    told: dict[str, Any] = {"id": task, "status": word, **EMPTY}
    if view.state is State.RUNNING and kept.profile.has("tells_progress"):
        told["progress"] = round(view.progress, 2)
    if word in REASONS:
        told["details"] = {"Moderation Reasons": [REASONS[word]]}
    elif view.state in (State.FAILED, State.TIMED_OUT):
        told["details"] = {"error": job.plan.error or "The task timed out"}
    told["cost"] = work.cost(kept.ask, kept.profile, kept.serving)
    return told | {"result": _sample(kept, view) if word == READY else None}


def _sample(kept: Kept, view: View) -> dict[str, Any]:
    """The result of a task that succeeded."""
    job, made = _job(kept), work.made(kept)
    name = "sample.mp4" if isinstance(made, results.Film) else f"sample.{made.form}"
    ttl_ms = int(kept.profile.facts["link_ttl_s"]) * 1000
    start = min(start_ms(job), end_ms(job))
    return {
        "sample": results.offered(kept, work.STYLE, work.FOLDER, name, made, ttl_ms),
        "prompt": kept.ask.body.get("prompt") or "",
        "seed": work.seed(kept.ask, kept.serving),
        "start_time": start / 1000,
        "end_time": end_ms(job) / 1000,
        "duration": told_run_ms(job, view) / 1000,
    }


def called(kept: Kept, now_ms: int) -> dict[str, Any]:
    """The body of a webhook."""
    job = truth(_job(kept))
    view = look(job, now_ms)
    word = PENDING if view is None else status(kept, view)
    told: dict[str, Any] = {"id": task_id(kept.serving), "status": word}
    stamp = {"timestamp": f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"}
    if view is None or word in (PENDING, READY):
        return told | {"result": _sample(kept, view) if view is not None and word == READY else None} | stamp
    if word in REASONS:
        return told | {"status": ERROR, "error": "content_policy_violation", "message": word} | stamp
    return told | {"error": "generation_failed", "message": job.plan.error or "The task timed out"} | stamp


def charge(kept: Kept, now_ms: float) -> dict[str, float]:
    """Credits, of what was made and not refused."""
    job = _job(kept)
    view = look(truth(job), now_ms)
    credit = work.cost(kept.ask, kept.profile, kept.serving)
    if view is None or view.state is not State.SUCCEEDED or job.plan.is_empty or credit is None:
        return {}
    return {"credits": credit, "usd": round(credit / 100, 6)}
