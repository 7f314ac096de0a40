"""Replies on Kling's first wire: `task_status`, `succeed`, results in `task_result`, what was charged as a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.base import Kept, Serving
from simulator.dialects.kling import order
from simulator.dialects.kling.problems import envelope
from simulator.jobs.job import OPEN, State, View, look
from simulator.script import Script

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "submitted",
    State.RUNNING: "processing",
    State.SUCCEEDED: "succeed",
    State.FAILED: "failed",
    State.TIMED_OUT: "failed",
    State.CANCELLED: "failed",
}


def submitted(kept: Kept) -> Script:
    """The reply to a submission."""
    at_ms = kept.serving.job.submitted_ms if kept.serving.job else 0
    told = {
        "task_id": kept.serving.nonce,
        "task_info": {"external_task_id": order.of(kept.ask).external or None},
        "task_status": WORDS[State.QUEUED],
        "created_at": at_ms,
        "updated_at": at_ms,
    }
    return envelope(told, kept.serving)


def task(kept: Kept, view: View) -> Json:
    """A task as a query tells it."""
    told: Json = {
        "task_id": kept.serving.nonce,
        "task_status": WORDS[view.state],
        "task_status_msg": order.message(kept, view),
        "task_info": _info(kept),
        "watermark_info": {"enabled": order.of(kept.ask).watermark},
    }
    if view.state not in OPEN:
        told["final_unit_deduction"] = _units(kept, view)
    told |= _times(kept, view)
    return told | {"task_result": _result(kept, view)}


def called(kept: Kept, view: View) -> Json:
    """A task as a callback tells it."""
    usd = f"{order.charge(kept, order.updated_ms(kept, view)).get('usd', 0):g}"
    return {
        "task_id": kept.serving.nonce,
        "task_status": WORDS[view.state],
        "task_status_msg": order.message(kept, view),
        **_times(kept, view),
        "final_unit_deduction": _units(kept, view),
        "final_balance_deduction": {"quota": usd, "list_price": usd},
        "task_info": _info(kept),
        "task_result": _result(kept, view),
    }


def page(serving: Serving, kind: str, number: int, size: int) -> Script:
    """One page of the tasks of a kind, the newest first."""
    rows = [task(kept, view) for kept, view in found(serving) if kept.ask.operation == kind]
    rows.sort(key=lambda row: (row["created_at"], row["task_id"]), reverse=True)
    return envelope(rows[(number - 1) * size : number * size], serving)


def found(serving: Serving) -> list[tuple[Kept, View]]:
    """The tasks that can be found, with how they stand."""
    views: list[tuple[Kept, View]] = []
    for kept in serving.jobs:
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is not None:
            views.append((kept, view))
    return views


def _info(kept: Kept) -> Json:
    asked = order.of(kept.ask)
    told: Json = {}
    if asked.source_id and asked.source is not None:
        parent = {"id": asked.source_id, "url": asked.source_url, "duration": f"{asked.source.seconds:g}"}
        told["parent_video"] = parent
    return told | {"external_task_id": asked.external or None}


def _times(kept: Kept, view: View) -> Json:
    at_ms = kept.serving.job.submitted_ms if kept.serving.job else 0
    return {"created_at": at_ms, "updated_at": order.updated_ms(kept, view)}


def _units(kept: Kept, view: View) -> str:
    return f"{order.units(kept):g}" if view.state is State.SUCCEEDED else "0"


def _result(kept: Kept, view: View) -> Json:
    if view.state is not State.SUCCEEDED:
        return {}
    clips, pictures = order.links(kept)
    if not kept.ask.operation.endswith(("image", "try_on")):
        return {"videos": clips}
    marked = order.of(kept.ask).watermark
    rows: list[Json] = [
        {"index": index, "url": each["url"]} | ({"watermark_url": each["watermark_url"]} if marked else {})
        for index, each in enumerate(pictures)
    ]
    if kept.ask.operation != "omni_image":
        return {"images": rows}
    is_series = order.of(kept.ask).series
    told: Json = {"result_type": "series" if is_series else "single", "images": [], "series_images": []}
    return told | {"series_images" if is_series else "images": rows}
