"""Videos: a job that is polled, 202 until it ended and 200 then, and the clip that it made.

Source: a recorded run, in which the progress stood at 1 for most of the time (`Plan.curve` is "late"); clients' schemas
for the other ends. Switched by facts, as they have been seen or are accepted by clients: `pending_body` ("full", "id",
"empty") and `tells_status` (older replies left `status` out once there was a video).
"""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import Any, Final

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.xai import base, images, rules
from simulator.dialects.xai.request import VIDEOS, inlined
from simulator.jobs import plans
from simulator.jobs.job import OPEN, Plan, State, View, look
from simulator.media.clips import clip
from simulator.script import Frame, Script

FPS: Final = 24
INTERNAL: Final = "internal_error"


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a job when nothing goes wrong; a prompt that is not let through is found out at its end."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    drawn = plans.drawn(profile.facts["pace"], round(rules.made_seconds(ask, profile)), *key)
    deadline_ms = 1000 * profile.facts["expires_s"]
    return replace(drawn, steps=0, curve="late", deadline_ms=deadline_ms, is_empty=images.is_blocked(ask))


def ticks(kept: Kept) -> int:
    """What the clip costs, moderated or not."""
    each: int = kept.profile.facts["ticks"][rules.resolution(kept.ask, kept.profile)]
    return round(each * rules.made_seconds(kept.ask, kept.profile))


def submitted(serving: Serving, profile: Profile) -> Script:
    """The id to poll."""
    headers = base.headers(serving, rate=profile.facts.get("rate_requests"))
    return Script(200, headers, (Frame(orjson.dumps({"request_id": base.uuid(serving)}), "body"),))


def polled(kept: Kept, view: View, serving: Serving) -> Script:
    """How the job stands."""
    status = 202 if view.state in OPEN else 200
    body = _pending(kept, view) if view.state in OPEN else _ended(kept, view)
    frames = () if body is None else (Frame(orjson.dumps(body), "body"),)
    return Script(status, base.headers(serving), frames)


def _pending(kept: Kept, view: View) -> dict[str, Any] | None:
    form = kept.profile.facts.get("pending_body", "full")
    if form == "empty":
        return None
    if form == "id":
        return {"request_id": base.uuid(kept.serving)}
    return {"status": "pending", "progress": min(99, max(1, floor(100 * view.progress)))}


def _ended(kept: Kept, view: View) -> dict[str, Any]:
    job = kept.serving.job
    if view.state is State.TIMED_OUT:
        return {"status": "expired"}
    if job is None or view.state is not State.SUCCEEDED:
        said = "" if job is None else job.plan.error
        return {"status": "failed", "progress": 0, "error": {"code": INTERNAL, "message": said}}
    url = "" if job.plan.is_empty else f"{kept.ask.site}{VIDEOS}/{name(kept.serving)}"
    seconds = rules.whole_seconds(kept.ask, kept.profile)
    told = round(seconds) if seconds == round(seconds) else round(seconds, 2)
    body = {
        "status": "done",
        "video": {"url": url, "duration": told, "respect_moderation": not job.plan.is_empty},
        "model": kept.ask.model,
        "usage": {"cost_in_usd_ticks": ticks(kept)},
        "progress": 100,
    }
    if not kept.profile.facts.get("tells_status", True):
        del body["status"]
    return body


def name(serving: Serving) -> str:
    """The file of a job."""
    return f"xai-video-{base.uuid(serving)}.mp4"


def file(kept: Kept, now_ms: float) -> bytes | None:
    """The clip, if it is there at that moment."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    if job is None or view is None or view.state is not State.SUCCEEDED or job.plan.is_empty:
        return None
    ask, profile = kept.ask, kept.profile
    first = ask.body["pictures"][0][0] if ask.body.get("image") else ""
    audio = ask.body.get("generate_audio", profile.facts.get("audio", False))
    return clip(
        ask.body["caption"],
        rules.whole_seconds(ask, profile),
        *rules.clip_size(ask, profile),
        FPS,
        kept.serving.seed,
        inlined(first),
        bool(audio),
    )


def source(kept: Kept) -> dict[str, Any]:
    """What an edit or extension of the clip knows of it."""
    return {
        "seconds": rules.whole_seconds(kept.ask, kept.profile),
        "size": rules.clip_size(kept.ask, kept.profile),
    }
