"""A Seedance task: how it stands, what becomes of it, what it costs, and the files that it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects import inspection
from simulator.dialects.ark import fields, film
from simulator.dialects.ark.content import Given
from simulator.dialects.ark.problems import found_in_result
from simulator.dialects.ark.task_request import FOLDER
from simulator.dialects.base import Kept, Profile, Serving
from simulator.jobs import plans
from simulator.jobs.job import Job, Plan, State, View, look, start_ms, truth
from simulator.media import results
from simulator.script import Script

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.TIMED_OUT: "expired",
    State.CANCELLED: "cancelled",
}
DAY_MS: Final = 86_400_000
RECORD_MS: Final = 7 * DAY_MS  # from its creation
CANCELLED_MS: Final = DAY_MS  # from its cancellation
LINK_TTL_MS: Final = DAY_MS
BEIJING: Final = timedelta(hours=8)  # the time in an id
SEARCHES_MAX: Final = 3


def task_id(kept: Kept) -> str:
    """The id of a task: its time and some letters and digits (real ids have 5 of them, too few to be unique)."""
    created = datetime.fromtimestamp(_job(kept).submitted_ms // 1000, UTC) + BEIJING
    return f"cgt-{created:%Y%m%d%H%M%S}-{kept.serving.nonce}"


def _job(kept: Kept) -> Job:
    if kept.serving.job is None:
        raise TypeError("a task is a job")
    return kept.serving.job


def standing(kept: Kept, now_ms: float) -> View | None:
    """How a task stands; None once its record is gone."""
    view = look(_job(kept), now_ms)
    if view is not None and view.state is State.CANCELLED and now_ms - (view.ended_ms or 0) >= CANCELLED_MS:
        return None
    return view


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a task when nothing goes wrong."""
    made = film.film(ask, profile, serving.seed)
    pace = {**profile.facts["pace"], "unit_ms": profile.facts["second_ms"][made.resolution]}
    drawn = plans.drawn(pace, round(made.frames / film.FPS), profile.provider, ask.model, serving.seed, serving.attempt)
    deadline_ms, refused = ask.body["execution_expires_after"] * 1000, inspection.refuses_output(ask.turns[0].text)
    return replace(drawn, steps=0, deadline_ms=deadline_ms, ttl_ms=RECORD_MS, is_empty=refused)


def told(kept: Kept, now_ms: float) -> dict[str, Any]:
    """The task object. One that nobody finds is told as queued: only its callbacks ask for it."""
    job, body = _job(kept), kept.ask.body
    view = standing(kept, now_ms)
    state = State.QUEUED if view is None else view.state
    if state is State.SUCCEEDED and job.plan.is_empty:
        state = State.FAILED  # what was made and refused is a failure here
    task: dict[str, Any] = {"id": task_id(kept), "model": _model(kept.profile), "status": WORDS[state]}
    error = _error(kept) if state is State.FAILED else None
    if error is not None or kept.profile.has("null_error"):
        task["error"] = error
    if state is State.SUCCEEDED:
        task |= {"content": _content(kept), "usage": _usage(kept)}
    task |= {"created_at": job.submitted_ms // 1000, "updated_at": _updated_ms(job, view) // 1000}
    if state is State.SUCCEEDED:
        task |= _made(kept)
    task["service_tier"] = body.get("service_tier", "default")
    task["execution_expires_after"] = body["execution_expires_after"]
    if kept.profile.has("audio"):
        task |= {"generate_audio": bool(body.get("generate_audio", True)), "draft": bool(body.get("draft"))}
    echoed = ("tools", "priority", "safety_identifier", "draft_task_id")
    return task | {name: body[name] for name in echoed if name in body}


def _model(profile: Profile) -> str:
    """The model that an endpoint stands for."""
    return str(profile.facts.get("model", profile.snapshot))


def _updated_ms(job: Job, view: View | None) -> int:
    if view is None or view.state is State.QUEUED:
        return job.submitted_ms
    return start_ms(job) if view.ended_ms is None else view.ended_ms


def _error(kept: Kept) -> dict[str, str] | None:
    """Why it failed; of a job that fails without a word there is no error."""
    plan = _job(kept).plan
    if plan.ends is State.FAILED and not plan.error:
        return None
    return found_in_result("Video", plan.error, kept.serving)


def _film(kept: Kept) -> film.Film:
    return film.film(kept.ask, kept.profile, kept.serving.seed)


def _made(kept: Kept) -> dict[str, Any]:
    """What the clip is like."""
    made = _film(kept)
    length = {"frames": made.frames} if made.duration is None else {"duration": made.duration}
    about = {"seed": made.seed, "resolution": made.resolution, "ratio": made.ratio}
    return about | length | {"framespersecond": film.FPS}


def _usage(kept: Kept) -> dict[str, Any]:
    tokens = _film(kept).tokens
    usage: dict[str, Any] = {"completion_tokens": tokens, "total_tokens": tokens}
    if kept.ask.body.get("tools"):
        usage["tool_usage"] = {"web_search": kept.serving.seed % (SEARCHES_MAX + 1)}
    return usage


def charge(kept: Kept, now_ms: float) -> dict[str, float]:
    """Output tokens and their price, of a clip that was made and not refused."""
    job, facts = _job(kept), kept.profile.facts
    view = look(truth(job), now_ms)
    if view is None or view.state is not State.SUCCEEDED or job.plan.is_empty:
        return {}
    tokens = _film(kept).tokens
    prices = facts.get("price", {})
    which = "from_video" if _given(kept).videos else "sound" if _film(kept).sound else "silent"
    price = prices.get(which, prices.get("token_million"))
    if price is None:
        return {"output_tokens": tokens}
    share = 0.5 if kept.ask.body.get("service_tier") == "flex" else 1.0
    return {"output_tokens": tokens, prices["currency"]: round(tokens * price * share / 1_000_000, 6)}


# --- files ------------------------------------------------------------------------------------------------------------


def _content(kept: Kept) -> dict[str, str]:
    """The links. A clip begins with the first frame that was given; its last frame bears no watermark."""
    made, given = _film(kept), _given(kept)
    seconds = made.frames / film.FPS
    shown = (made.caption, seconds, made.width, made.height, film.FPS, made.seed, made.sound, bool(_first_frame(kept)))
    content = {"video_url": _offered(kept, "video.mp4", results.Film(*shown))}
    if kept.ask.body.get("return_last_frame"):
        last = results.Still(results.shown(given.text), made.width, made.height, "png", made.seed)
        content["last_frame_url"] = _offered(kept, "last_frame.png", last)
    return content


def _offered(kept: Kept, name: str, made: results.Film | results.Still) -> str:
    return results.offered(kept, fields.STYLE, FOLDER, f"{_model(kept.profile)}-{name}", made, LINK_TTL_MS)


def _given(kept: Kept) -> Given:
    given: Given = kept.ask.body["given"]
    return given


def _first_frame(kept: Kept) -> str:
    given = _given(kept)
    return given.first.source if given.first is not None and given.mode in ("i2v", "flf2v") else ""


def fetched(serving: Serving) -> Script:
    """The file of a link, or why it is not given."""
    return results.fetched(serving, fields.STYLE, FOLDER, _first_frame)
