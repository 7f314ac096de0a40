"""Jobs and generations as Azure's wire for the first Sora tells them. Source: Azure's public quickstart and clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, View, end_ms
from simulator.media import clips
from simulator.media.captions import caption

Json = dict[str, Any]

FPS: Final = 24
CHECK_MS: Final = 3_000
BLOCKED: Final = "The prompt was blocked by moderation."
STAGES: Final = ((0.1, "preprocessing"), (0.9, "running"), (1.1, "processing"))  # of the work that is done
_PLACES: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # of generations; Crockford's alphabet


def job_id(kept: Kept) -> str:
    """A ULID in lower case behind `task_`."""
    return f"task_01j{_PLACES[draws.integer('azure', kept.serving.seed) % len(_PLACES)]}{kept.serving.nonce}"


def generation_id(kept: Kept, variant: int) -> str:
    """The same for one of the clips."""
    return f"gen_01j{_PLACES[variant]}{kept.serving.nonce}"


def variant(kept: Kept, name: str) -> int | None:
    """Which clip of a job an id names; None for none."""
    count = count_of(kept)
    return next((at for at in range(count) if generation_id(kept, at) == name), None)


def count_of(kept: Kept) -> int:
    """How many clips there are of those asked for."""
    plan = None if kept.serving.job is None else kept.serving.job.plan
    lost = 0 if plan is None else plan.lost_items
    return 0 if plan is None or plan.is_empty else max(1, int(kept.ask.body["n_variants"]) - lost)


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a job: its prompt may be refused soon, or its clips once rendered."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    drawn = plans.drawn(profile.facts["pace"], ask.body["n_seconds"] * ask.body["n_variants"], *key)
    drawn = replace(drawn, steps=0)
    if inspection.refuses_input(ask.body["prompt"]):
        return replace(drawn, run_ms=CHECK_MS, ends=State.FAILED, error=BLOCKED)
    return replace(drawn, is_empty=inspection.refuses_output(ask.body["prompt"]))


def clip(kept: Kept, at: int) -> bytes:
    """One of the clips."""
    body = kept.ask.body
    seed = (draws.integer("azure", kept.serving.seed) >> 96) + at
    size = body["width"], body["height"]
    return clips.clip(caption(body["prompt"]), float(body["n_seconds"]), *size, FPS, seed, body["image"])


def failure(kept: Kept, state: State) -> str | None:
    """The `failure_reason`; None where nothing failed."""
    job, reasons = kept.serving.job, kept.profile.facts["reasons"]
    if job is None or state in (State.QUEUED, State.RUNNING):
        return None
    if state is State.TIMED_OUT:
        return str(reasons["timed_out"])
    if state is State.SUCCEEDED:
        return None if count_of(kept) else str(reasons["refused"])
    return str(reasons["refused" if inspection.is_moderation(job.plan.error) else "failed"])


def job(kept: Kept, view: View | None) -> Json:
    """A job as it stands."""
    body, held = kept.ask.body, kept.serving.job
    state = State.QUEUED if view is None else view.state
    reason = failure(kept, state)
    ended_s = view.ended_ms // 1000 if view is not None and view.ended_ms is not None else None
    done = state is State.SUCCEEDED and reason is None
    return {
        "object": "video.generation.job",
        "id": job_id(kept),
        "status": "failed" if reason else _word(state, view),
        "created_at": 0 if held is None else held.submitted_ms // 1000,
        "finished_at": ended_s,
        "expires_at": None if ended_s is None else ended_s + ttl_s(kept),
        "generations": [generation(kept, at) for at in range(count_of(kept))] if done else [],
        "prompt": body["prompt"],
        "model": kept.ask.model,
        "n_variants": body["n_variants"],
        "n_seconds": body["n_seconds"],
        "height": body["height"],
        "width": body["width"],
        "failure_reason": reason,
    }


def generation(kept: Kept, at: int) -> Json:
    """One of the clips of a job that succeeded."""
    body, held = kept.ask.body, kept.serving.job
    told = {name: body[name] for name in ("width", "height", "n_seconds", "prompt")}
    made_s = 0 if held is None else end_ms(held) // 1000
    head = {"object": "video.generation", "id": generation_id(kept, at), "job_id": job_id(kept)}
    return {**head, "created_at": made_s, **told}


def ttl_s(kept: Kept) -> int:
    """How long a job and its clips are there, from its end."""
    held = kept.serving.job
    if held is None or held.plan.link_ttl_ms is None:
        return int(kept.profile.facts["assets_ttl_s"])
    return held.plan.link_ttl_ms // 1000


def charge(kept: Kept) -> Mapping[str, float]:
    """By the second of each clip."""
    seconds = float(kept.ask.body["n_seconds"] * count_of(kept))
    return {"output_seconds": seconds, "usd": round(seconds * kept.profile.facts["usd_per_second"], 6)}


def _word(state: State, view: View | None) -> str:
    if state is State.RUNNING and view is not None:
        return next(word for share, word in STAGES if view.progress < share)
    return {State.QUEUED: "queued", State.SUCCEEDED: "succeeded"}.get(state, "failed")
