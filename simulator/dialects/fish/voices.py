"""Voices of one's own: made of sounds, told, listed, renamed, deleted.

A voice is a job of the fleet: `created`, `training`, `trained` or `failed` by its clock. As `train_mode: fast` has it,
it is trained at once, unless the model has a `pace` or a fault says else. A change (PATCH) is kept as what was asked
and laid over the voice whenever it is told. Sources: Fish Audio's OpenAPI file; which of a model's keys are told when
they hold nothing is taken from its defaults. The cover is told by a path that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Serving
from simulator.dialects.fish import request as requests
from simulator.dialects.openai.audio_request import said
from simulator.jobs.job import State, View, end_ms, look
from simulator.media import links
from simulator.media.recoded import recoded
from simulator.media.speech import heard, speech
from simulator.media.transcripts import ENGLISH, spoken
from simulator.script import Script

STATES: Final[Mapping[State, str]] = {
    State.QUEUED: "created",
    State.RUNNING: "training",
    State.SUCCEEDED: "trained",
    State.FAILED: "failed",
    State.TIMED_OUT: "failed",
    State.CANCELLED: "failed",
}
SAMPLE: Final = "Hello, this is a sample of my voice."
FOLDER, STYLE, SAMPLE_LIFE_S = "/task", "cdn", 7 * 86_400
_FILE: Final = Path(__file__).parent / "library.yaml"


@cache
def library() -> Mapping[str, Any]:
    """The public voices."""
    found: Mapping[str, Any] = yaml.safe_load(_FILE.read_bytes())
    return found


# --- what there is ----------------------------------------------------------------------------------------------------


def voice_id(serving: Serving) -> str:
    """The id of a voice: 32 hex digits."""
    return draws.digest("fish voice", serving.seed).hex()[: requests.ID_LENGTH - requests.NONCE_LENGTH] + serving.nonce


def view(kept: Kept, now_ms: float) -> View | None:
    """How a voice stands; None: nobody finds it."""
    job = kept.serving.job
    return None if job is None or kept.ask.operation != requests.CREATE else look(job, now_ms)


def find(own: str, serving: Serving) -> Kept | None:
    """A voice of one's own by its id, as a request at this attempt may see it."""
    for kept in serving.jobs:
        job = kept.serving.job
        if kept.ask.operation == requests.CREATE and voice_id(kept.serving) == own:
            hidden = job is None or serving.attempt <= job.plan.hidden_polls
            return None if hidden or view(kept, serving.now_ms) is None else kept
    return None


def timbre(own: str, known: Iterable[Kept], serving: Serving) -> str | None:
    """In what voice is spoken by an id; None: there is no such voice, or it is not trained."""
    if any(row["id"] == own for row in library()["voices"]):
        return own
    for kept in known:
        found = view(kept, serving.now_ms)
        if found is not None and found.state is State.SUCCEEDED and voice_id(kept.serving) == own:
            return requests.cloned(kept.ask.body["sounds"])
    return None


# --- replies ----------------------------------------------------------------------------------------------------------


def told(kept: Kept, found: View, serving: Serving, changes: Iterable[Kept]) -> dict[str, Any]:
    """A voice of one's own, as it is now called."""
    body, job = dict(kept.ask.body), kept.serving.job
    own, made_ms = voice_id(kept.serving), 0 if job is None else job.submitted_ms
    updated_ms = made_ms if job is None or found.ended_ms is None else end_ms(job)
    for change in sorted(changes, key=_begun):
        if change.ask.operation == requests.UPDATE and change.ask.body["id"] == own:
            body |= {name: value for name, value in change.ask.body.items() if name != "id"}
            updated_ms = max(updated_ms, _begun(change))
    names = {name: said(body[name]) for name in ("title", "description")}
    more = {
        "cover_image": f"coverimage/{own}" if body["has_cover"] else "",
        "state": STATES[found.state],
        "tags": body["tags"],
        "samples": _samples(kept, own, made_ms // 1000) if found.state is State.SUCCEEDED else [],
        "languages": _languages(kept),
        "visibility": body["visibility"],
        "default_text": SAMPLE if body["generate_sample"] else "",
    }
    return _entity(own, serving.facts["author"], made_ms, updated_ms, names | more)


def _begun(kept: Kept) -> int:
    job = kept.serving.job
    return 0 if job is None else job.submitted_ms


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    made_ms = library()["made"] * 1000
    names = {name: row[name] for name in ("title", "description", "tags", "languages")}
    counts = {"like_count": row["likes"], "task_count": row["tasks"]}
    more = {"cover_image": f"coverimage/{row['id']}", "state": "trained", "visibility": "public"}
    return _entity(row["id"], library()["author"], made_ms, made_ms, names | counts | more)


def _entity(
    own: str, author: Mapping[str, str], made_ms: int, updated_ms: int, more: Mapping[str, Any]
) -> dict[str, Any]:
    """A voice in the order of the wire's schema."""
    return {
        "_id": own,
        "type": "tts",
        "title": more["title"],
        "description": more["description"],
        "cover_image": more["cover_image"],
        "train_mode": "fast",
        "state": more["state"],
        "tags": list(more["tags"]),
        "samples": more.get("samples", []),
        "created_at": iso(made_ms),
        "updated_at": iso(updated_ms),
        "languages": more["languages"],
        "visibility": more["visibility"],
        "lock_visibility": False,
        "dmca_taken_down": False,
        "default_text": more.get("default_text", ""),
        "source": None,
        "pvc_release_state": None,
        "pvc_notice_period_months": None,
        "pvc_released_at": None,
        "pvc_retire_requested_at": None,
        "pvc_retire_effective_at": None,
        "quality": None,
        "like_count": more.get("like_count", 0),
        "mark_count": 0,
        "shared_count": 0,
        "task_count": more.get("task_count", 0),
        "unliked": False,
        "liked": False,
        "marked": False,
        "author": dict(author),
    }


def iso(ms: float) -> str:
    """A moment as the wire tells it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _languages(kept: Kept) -> list[str]:
    """What is spoken in its sounds: by the texts that came with them, or as heard."""
    body = kept.ask.body
    texts = body["texts"] or [heard(sound) for sound in body["sounds"] if not body["any_file"]]
    return sorted({spoken(text) for text in texts if text}) or [ENGLISH]


def _samples(kept: Kept, own: str, made_s: int) -> list[dict[str, str]]:
    """The sample, if one was asked for, behind a link."""
    if not kept.ask.body["generate_sample"]:
        return []
    path = f"{FOLDER}/{own}.mp3"
    content = [SAMPLE, requests.cloned(kept.ask.body["sounds"])]
    secret = kept.profile.facts["signature_secret"]
    url = links.signed(STYLE, f"{kept.ask.site}{path}", path, content, secret, made_s, SAMPLE_LIFE_S, 403, "audio/mpeg")
    return [{"title": "Default Sample", "text": SAMPLE, "task_id": own, "audio": url}]


def fetched(serving: Serving) -> Script:
    """The file of a link, or why it is not given."""
    path = serving.path[serving.path.rindex(f"{FOLDER}/") :]
    found = links.opened(STYLE, path, serving.query, serving.facts["signature_secret"], serving.now_s)
    if isinstance(found, Script):
        return found
    text, voice = found.content
    data = recoded(speech(text, voice, "pcm"), "mp3", 44_100, 128_000)
    return links.served(STYLE, data, "audio/mpeg", serving.now_s)


def one(ask: Ask, serving: Serving) -> dict[str, Any] | None:
    """The voice of an id; None: there is none."""
    row = next((row for row in library()["voices"] if row["id"] == ask.body["id"]), None)
    if row is not None:
        return _public(row)
    kept = find(ask.body["id"], serving)
    found = None if kept is None else view(kept, serving.now_ms)
    return None if kept is None or found is None else told(kept, found, serving, serving.jobs)


def page(ask: Ask, serving: Serving) -> dict[str, Any]:
    """A page of the voices that are asked for."""
    body = ask.body
    rows = [
        told(kept, found, serving, serving.jobs)
        for kept in serving.jobs
        if (found := view(kept, serving.now_ms)) is not None
    ]
    if not body["own"]:
        rows = [row for row in rows if row["visibility"] == "public"]
        rows += [_public(row) for row in library()["voices"]]
    rows = [row for row in rows if _fits(row, body)]
    key = "created_at" if body["sort_by"] == "created_at" or body["own"] else "task_count"
    rows.sort(key=lambda row: (row[key], row["_id"]), reverse=True)
    first = (body["number"] - 1) * body["size"]
    return {
        "max_offset": None,
        "accessible_upper_bound": None,
        "window_limited": False,
        "total_is_exact": True,
        "total": len(rows),
        "items": rows[first : first + body["size"]],
        "has_more": first + body["size"] < len(rows),
    }


def _fits(row: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return (
        asked["title"].lower() in row["title"].lower()
        and asked["author"] in ("", row["author"]["_id"])
        and asked["tags"] <= set(row["tags"])
        and (not asked["languages"] or not asked["languages"].isdisjoint(row["languages"]))
    )
