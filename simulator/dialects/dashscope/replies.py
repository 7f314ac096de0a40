"""Replies on DashScope's wire: tasks with local times, pictures as choices, and lists.

A task of several pictures succeeds when one of them does; the others are told as elements with code and message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.dashscope import problems, work
from simulator.dialects.dashscope.request import DAY_MS, FOLDER, STYLE
from simulator.dialects.inspection import refuses_output
from simulator.jobs.job import OPEN, Job, State, View, look, start_ms
from simulator.media import results
from simulator.problem import Problem
from simulator.script import Frame, Script

Json = dict[str, Any]

LINK_MS: Final = DAY_MS
WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "PENDING",
    State.RUNNING: "RUNNING",
    State.SUCCEEDED: "SUCCEEDED",
    State.FAILED: "FAILED",
    State.TIMED_OUT: "FAILED",
    State.CANCELLED: "CANCELED",
}
ELEMENT: Final[Json] = {"code": "DataInspectionFailed", "message": problems.OUTPUT}


def uid(kind: str, serving: Serving) -> str:
    """A UUID of that kind that holds the nonce."""
    head = draws.digest("dashscope", kind, serving.seed).hex()
    return f"{head[:8]}-{head[8:12]}-{serving.nonce}"


def task_id(kept: Kept) -> str:
    """The id of a task."""
    return uid("task", kept.serving)


def json(told: Json, serving: Serving, status: int = 200, more: Any = (), billed: Any = ()) -> Script:
    """A reply."""
    headers = (("content-type", "application/json"), ("x-request-id", uid("request", serving)), *more)
    return Script(status, headers, (Frame(orjson.dumps(told), "body"),), billed=billed)


def unknown(task: str, serving: Serving) -> Script:
    """A task that there is not, or no more: no error here."""
    output = {"task_id": task, "task_status": "UNKNOWN"}
    return json({"request_id": uid("request", serving), "output": output}, serving)


def submitted(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The reply to a submission."""
    own = Kept(ask, None, profile, serving)
    output = {"task_status": WORDS[State.QUEUED], "task_id": task_id(own)}
    return json({"output": output, "request_id": uid("request", serving)}, serving)


def told(kept: Kept, view: View, serving: Serving) -> Script:
    """How a task stands."""
    output = {"task_id": task_id(kept), "task_status": word(kept, view), **_times(kept, view)}
    body: Json = {"request_id": uid("request", serving), "output": output}
    if work.succeeded(kept, view):
        output |= _result(kept)
        body["usage"] = _usage(kept)
    elif view.state not in OPEN and view.state is not State.CANCELLED:
        output["code"], output["message"] = work.failure(kept, view)
    if not work.is_clip(kept.profile.facts) and not kept.profile.has("choices"):
        output["task_metrics"] = _metrics(kept, view)
    return json(body, serving)


def word(kept: Kept, view: View) -> str:
    """The state in the wire's word."""
    empty = view.state is State.SUCCEEDED and not work.succeeded(kept, view)
    return WORDS[State.FAILED] if empty else WORDS[view.state]


def _times(kept: Kept, view: View) -> Json:
    """When it was submitted, began to run, and ended, as far as it has."""
    job, facts = kept.serving.job, kept.profile.facts
    if job is None:
        return {}
    offset_h = int(facts.get("utc_offset_h", 0))
    times: Json = {"submit_time": _local(job.submitted_ms, offset_h)}
    if view.state is not State.QUEUED and _began(job, view):
        times["scheduled_time"] = _local(start_ms(job), offset_h)
    if view.ended_ms is not None:
        times["end_time"] = _local(view.ended_ms, offset_h)
    return times


def _began(job: Job, view: View) -> bool:
    return view.ended_ms is None or start_ms(job) <= view.ended_ms


def _local(at_ms: int, offset_h: int) -> str:
    """A moment as text, without its zone: `2026-11-22 10:50:12.123`."""
    whole = datetime.fromtimestamp(at_ms // 1000 + offset_h * 3600, UTC)
    return f"{whole:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03}"


# --- results ----------------------------------------------------------------------------------------------------------


def _result(kept: Kept) -> Json:
    ask, facts = kept.ask, kept.profile.facts
    said: Json = {"orig_prompt": ask.body["text"]}
    if work.extends(ask, facts):
        said["actual_prompt"] = work.rewritten(ask, kept.serving)
    if work.is_clip(facts):
        url = results.offered(kept, STYLE, FOLDER, f"{task_id(kept)}.mp4", work.film(kept), LINK_MS)
        return {"video_url": url, **said}
    made = ask.choices - work.lost(kept)
    stills = [work.still(ask, facts, kept.serving, index) for index in range(made)]
    urls = [
        results.offered(kept, STYLE, FOLDER, f"{task_id(kept)}-{index + 1}.png", each, LINK_MS)
        for index, each in enumerate(stills)
    ]
    if kept.profile.has("choices"):
        return _choices(urls, facts)
    return {"results": [{**said, "url": url} for url in urls] + [ELEMENT] * work.lost(kept)}


def _metrics(kept: Kept, view: View) -> Json:
    total = kept.ask.choices
    if work.succeeded(kept, view):
        failed = work.lost(kept)
        return {"TOTAL": total, "SUCCEEDED": total - failed, "FAILED": failed}
    ended = view.state not in OPEN and view.state is not State.CANCELLED
    done = int(view.progress * total) if view.state is State.RUNNING else 0
    return {"TOTAL": total, "SUCCEEDED": done, "FAILED": total if ended else 0}


def _choices(urls: list[str], facts: Mapping[str, Any]) -> Json:
    """Pictures in the form of answers."""
    kind: Json = {"type": "image"} if facts.get("typed") else {}
    choices = [
        {"finish_reason": "stop", "message": {"role": "assistant", "content": [{**kind, "image": url}]}} for url in urls
    ]
    return {"choices": choices} | ({"finished": True} if facts.get("typed") else {})


def pictures(ask: Ask, profile: Profile, serving: Serving) -> Script | Problem:
    """Pictures at once; the problem where none passes the inspection."""
    facts = profile.facts
    made = ask.choices - (1 if refuses_output(ask.body["text"]) else 0)
    if ask.body["missing"]:
        return Problem("invalid_request", problems.DOWNLOAD, code="InvalidParameter.DataInspection")
    if not made:
        return Problem("moderation", problems.OUTPUT)
    stills = [work.still(ask, facts, serving, index) for index in range(made)]
    folder = f"{FOLDER}/{draws.digest('pictures', serving.seed).hex()}"  # a link's signature may not hold the nonce
    link = (facts["signature_secret"], serving.now_s, LINK_MS // 1000)
    urls = [
        results.linked(STYLE, ask.site, f"{folder}/{index + 1}.png", each, *link) for index, each in enumerate(stills)
    ]
    usage = _pictured(stills[0].width, stills[0].height, made, facts)
    body = {"output": _choices(urls, facts), "usage": usage, "request_id": uid("request", serving)}
    usd = round(made * float(facts.get("usd", 0)), 6)
    return json(body, serving, billed=(("images", made), ("usd", usd)) if usd else (("images", made),))


def _pictured(width: int, height: int, made: int, facts: Mapping[str, Any]) -> Json:
    values = {
        "image_count": made,
        "height": height,
        "width": width,
        "size": f"{width}*{height}",
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
    }
    return {name: values[name] for name in facts["usage"]}


USAGE: Final[Mapping[str, Callable[[Kept], Any]]] = {  # of a clip, by the names that a model tells it in
    "duration": lambda kept: work.seconds(kept.ask, kept.profile.facts),
    "video_duration": lambda kept: work.seconds(kept.ask, kept.profile.facts),
    "output_video_duration": lambda kept: work.seconds(kept.ask, kept.profile.facts),
    "input_video_duration": lambda _: 0,
    "SR": lambda kept: work.shape(kept).lines,
    "size": lambda kept: "{0.width}*{0.height}".format(work.shape(kept)),
    "video_count": lambda _: 1,
    "ratio": lambda kept: work.shape(kept).ratio,
    "video_ratio": lambda kept: "{0.width}*{0.height}".format(work.shape(kept)),
}


def _usage(kept: Kept) -> Json:
    facts = kept.profile.facts
    if work.is_clip(facts):
        return {name: USAGE[name](kept) for name in facts["usage"]}
    first = work.still(kept.ask, facts, kept.serving, 0)
    return _pictured(first.width, first.height, kept.ask.choices - work.lost(kept), facts)


# --- lists ------------------------------------------------------------------------------------------------------------


def listed(ask: Ask, serving: Serving) -> Script:
    """One page of the tasks of the account that pass the filters, the newest first."""
    until_ms = serving.now_ms if ask.body["end_time"] is None else ask.body["end_time"]
    since_ms = until_ms - DAY_MS if ask.body["start_time"] is None else ask.body["start_time"]
    found = []
    for kept in serving.jobs:
        job = kept.serving.job
        view = look(job, serving.now_ms) if job and "path" in kept.ask.body else None
        if job is not None and view is not None and since_ms <= job.submitted_ms <= until_ms:
            found.append(_row(kept, job, view, serving))
    same = {name: ask.body[name] for name in ("model_name", "status") if ask.body[name]}
    rows = [row for row in found if all(row[name] == value for name, value in same.items())]
    rows.sort(key=lambda row: int(row["gmt_create"]), reverse=True)
    number, size = ask.body["page_no"], ask.body["page_size"]
    body = {
        "total": len(rows),
        "data": rows[(number - 1) * size : number * size],
        "total_page": -(-len(rows) // size),
        "page_no": number,
        "request_id": uid("request", serving),
        "page_size": size,
    }
    return json(body, serving)


def _row(kept: Kept, job: Job, view: View, serving: Serving) -> Json:
    account = str(draws.integer("account", serving.facts.get("signature_secret")))[:16]
    row: Json = {"api_key_id": account[:6], "caller_parent_id": account, "caller_uid": account}
    if view.ended_ms is not None:
        row["end_time"] = view.ended_ms
    row |= {
        "gmt_create": job.submitted_ms,
        "model_name": kept.ask.model,
        "region": serving.facts.get("region", "cn-beijing"),
        "request_id": uid("request", kept.serving),
    }
    if view.state is not State.QUEUED and _began(job, view):
        row["start_time"] = start_ms(job)
    key = f"apikey:v1:aigc:{kept.ask.body['path'].replace('/', ':')}:{kept.ask.model}"
    return row | {"status": word(kept, view), "task_id": task_id(kept), "user_api_unique_key": key}
