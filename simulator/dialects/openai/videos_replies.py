"""Objects of the Videos wire. Every key is always there, null where there is nothing to tell.

Source: the public specification (2.3.0). A video that the safety system held back is a failed one: there is no
success without a video on this wire. Codes of errors are facts of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator.dialects import inspection
from simulator.dialects.base import Kept, Serving
from simulator.dialects.openai import videos_work as work
from simulator.dialects.openai.ids import hexes
from simulator.draws import digest
from simulator.jobs.job import State, View, end_ms

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.TIMED_OUT: "failed",
    State.CANCELLED: "failed",
}
TIMED_OUT: Final = "The video generation timed out."


def dumps(body: Any) -> bytes:
    """As OpenAI writes JSON."""
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def named(prefix: str, serving: Serving) -> str:
    """An id: 48 hexadecimal digits, the last 22 of them the nonce."""
    return f"{prefix}_{hexes(serving.seed, 10)}{digest('video', serving.seed).hex()[:16]}{serving.nonce}"


def video(kept: Kept, view: View | None) -> Json:
    """A video as it stands; one that nobody finds yet is told as queued (its submission is the only one to ask)."""
    job, made = kept.serving.job, work.of(kept.ask, kept.profile, kept.serving)
    source = kept.ask.body["source"]
    state = State.QUEUED if view is None else view.state
    error = None if job is None else problem(kept, state)
    is_done = state is State.SUCCEEDED and error is None
    ended_s = end_ms(job) // 1000 if job is not None and is_done else None
    return {
        "id": named("video", kept.serving),
        "object": "video",
        "model": kept.ask.model,
        "status": WORDS[State.FAILED if error else state],
        "progress": 0 if view is None else int(100 * view.progress),
        "created_at": kept.serving.now_s if job is None else job.submitted_ms // 1000,
        "completed_at": ended_s,
        "expires_at": None if ended_s is None else ended_s + ttl_s(kept),
        "prompt": kept.ask.body["prompt"],
        "size": f"{made.width}x{made.height}",
        "seconds": f"{made.seconds:g}",
        "remixed_from_video_id": (source.id or None) if source and kept.ask.operation == "remix_video" else None,
        "error": error,
    }


def problem(kept: Kept, state: State) -> Json | None:
    """Why a video failed; None where it did not."""
    job, codes = kept.serving.job, kept.profile.facts["codes"]
    if job is None:
        return None
    if state is State.TIMED_OUT:
        return {"code": codes["timed_out"], "message": TIMED_OUT}
    if state is State.FAILED and not inspection.is_moderation(job.plan.error):
        return {"code": codes["failed"], "message": job.plan.error}
    if state is State.FAILED or (state is State.SUCCEEDED and job.plan.is_empty):
        return {"code": codes["refused"], "message": work.BLOCKED}
    return None


def ttl_s(kept: Kept) -> int:
    """How long what was made can be downloaded, from its end."""
    job = kept.serving.job
    if job is None or job.plan.link_ttl_ms is None:
        return int(kept.profile.facts["assets_ttl_s"])
    return job.plan.link_ttl_ms // 1000


def page(rows: list[Json], order: str, after: str, limit: int) -> Json:
    """A page of videos, the newest first unless asked otherwise."""
    listed = sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=order == "desc")
    names = [row["id"] for row in listed]
    start = names.index(after) + 1 if after in names else 0
    shown = listed[start : start + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + limit < len(listed),
    }


def character(kept: Kept) -> Json:
    """A character."""
    told = kept.serving
    return {"id": named("char", told), "created_at": told.now_s, "name": kept.ask.body["name"]}
