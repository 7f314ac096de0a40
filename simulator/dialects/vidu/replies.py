"""Replies on Vidu's wire: a task when it is taken in, as a poll tells it, in a list; and the account's credits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Serving
from simulator.dialects.vidu import work
from simulator.dialects.vidu.problems import said
from simulator.dialects.vidu.request import DAYS_MS, KINDS
from simulator.jobs.job import State, View, look
from simulator.script import Script

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "queueing",
    State.RUNNING: "processing",
    State.SUCCEEDED: "success",
    State.FAILED: "failed",
    State.TIMED_OUT: "failed",
    State.CANCELLED: "failed",
}
CREATED: Final = "created"
CREATED_MS: Final = 1_000  # for so long a task that waits is told as created
HELD: Final = (State.FAILED, State.TIMED_OUT, State.CANCELLED)  # what is not charged for
PACKAGE: Final = "metered"


def word(view: View) -> str:
    """The state of a task."""
    is_new = view.state is State.QUEUED and view.queued_ms < CREATED_MS
    return CREATED if is_new else WORDS[view.state]


def submitted(kept: Kept) -> Script:
    """The reply to a submission."""
    ask, order = kept.ask, work.of(kept.ask)
    told: Json = {"task_id": kept.serving.nonce, "state": CREATED}
    if order.template:
        told["template"] = order.template
    else:
        told["model"] = ask.model
    if KINDS[ask.operation].ratio:
        told["style"] = order.style
    told |= {"prompt": order.prompt, "images": [each.source for each in order.pictures]}
    if ask.operation != work.IMAGE:
        told["duration"] = work.seconds(ask, kept.profile)
    told["seed"] = work.seed(ask, kept.serving)
    if KINDS[ask.operation].ratio:
        told["aspect_ratio"] = order.ratio
    told |= {
        "resolution": work.resolution(ask, kept.profile),
        "bgm": order.bgm,
        "movement_amplitude": order.move,
        "payload": order.payload,
        "off_peak": order.off_peak,
        "watermark": order.watermark,
        "credits": work.credits(kept),
        "created_at": _iso(_submitted_ms(kept)),
    }
    return said(told)


def task(kept: Kept, view: View) -> Json:
    """A task as a poll and a callback tell it."""
    order = work.of(kept.ask)
    told: Json = {
        "id": kept.serving.nonce,
        "state": word(view),
        "err_code": work.err_code(kept, view),
        "credits": 0 if view.state in HELD else work.credits(kept),
        "payload": order.payload,
        "bgm": order.bgm,
        "off_peak": order.off_peak,
    }
    if kept.profile.has("tells_progress"):
        told["progress"] = round(100 * view.progress)
    return told | {"creations": work.creations(kept) if view.state is State.SUCCEEDED else []}


def listed(ask: Ask, serving: Serving) -> Script:
    """Tasks of the last seven days, or of the time asked for, the newest first."""
    body, wanted = ask.body, ask.body["wanted"]
    rows: list[tuple[int, str, Json]] = []
    for kept, view in found(serving):
        created = _submitted_ms(kept)
        low = serving.now_ms - DAYS_MS if body["from_ms"] is None else body["from_ms"]
        high = serving.now_ms if body["to_ms"] is None else body["to_ms"]
        told = {
            "task_ids": kept.serving.nonce,
            "states": word(view),
            "resolutions": work.resolution(kept.ask, kept.profile),
            "models": kept.ask.model,
        }
        if low <= created <= high and all(told[name] in wanted[name] for name in wanted):
            rows.append((created, kept.serving.nonce, _row(kept, view)))
    rows.sort(key=lambda row: row[:2], reverse=True)
    end = body["skip"] + body["size"]
    token = str(end) if end < len(rows) else ""
    return said({"next_page_token": token, "tasks": [row for _, _, row in rows[body["skip"] : end]]})


def _row(kept: Kept, view: View) -> Json:
    ask, order = kept.ask, work.of(kept.ask)
    told: Json = {"id": kept.serving.nonce, "key_id": draws.word(16, "vidu-key", ask.body["key"])}
    if order.template:
        told["template"] = order.template
    width, height = work.size(ask, kept.profile)
    is_clip = ask.operation != work.IMAGE
    length = work.seconds(ask, kept.profile) if is_clip else 0
    shape = {"width": width, "height": height}
    told_s = length * (kept.serving.job.plan.told_factor if kept.serving.job else 1)
    video = {"video": {"duration": told_s, "fps": kept.profile.facts["fps"], "resolution": shape}} if is_clip else {}
    made = work.creations(kept) if view.state is State.SUCCEEDED else []
    return told | {
        "model": ask.model,
        "prompt": order.prompt,
        "images": [each.source for each in order.pictures],
        "duration": length,
        "resolution": work.resolution(ask, kept.profile),
        "aspect_ratio": order.ratio,
        "state": word(view),
        "err_code": work.err_code(kept, view),
        "credits": 0 if view.state in HELD else work.credits(kept),
        "created_at": _iso(_submitted_ms(kept)),
        "creations": [each | video for each in made],
    }


def account(ask: Ask, serving: Serving) -> Script:
    """What is left of the account's credits, and how many tasks run and wait."""
    views = found(serving)
    spent = sum(work.credits(kept) for kept, view in views if view.state not in HELD)
    total, limit = int(serving.facts.get("credits", 1_000_000)), int(serving.facts.get("concurrency", 5))
    running = sum(1 for _, view in views if view.state is State.RUNNING)
    queued = sum(1 for _, view in views if view.state is State.QUEUED)
    remains = {
        "type": PACKAGE,
        "credit_remain": max(0, total - spent),
        "concurrency_limit": limit,
        "current_concurrency": running,
        "queue_count": queued,
    }
    told: Json = {"remains": [remains], "packages": []}
    if ask.body["detail"]:
        bought = _iso(serving.now_ms // DAYS_MS * DAYS_MS - 4 * DAYS_MS)
        told["packages"] = [
            {
                "id": draws.word(16, "vidu-package", total),
                "name": "fleet",
                "type": PACKAGE,
                "concurrency": limit,
                "credit_amount": total,
                "credit_remain": remains["credit_remain"],
                "created_at": bought,
                "purchase_at": bought,
                "valid_from": bought,
                "valid_to": _iso(serving.now_ms // DAYS_MS * DAYS_MS + 48 * DAYS_MS),
            }
        ]
    return said(told)


def found(serving: Serving) -> list[tuple[Kept, View]]:
    """The tasks that can be found, with how they stand."""
    views: list[tuple[Kept, View]] = []
    for kept in serving.jobs:
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is not None:
            views.append((kept, view))
    return views


def _submitted_ms(kept: Kept) -> int:
    return kept.serving.job.submitted_ms if kept.serving.job else 0


def _iso(at_ms: float) -> str:
    """A moment with nine digits of a second."""
    at = datetime.fromtimestamp(int(at_ms) // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{int(at_ms) % 1000:03}000000Z"
