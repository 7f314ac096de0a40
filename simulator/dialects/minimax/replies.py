"""Replies on MiniMax's first wire: how a task stands, where its file is, and pictures.

An id of a task and that of its file differ; the latter is a text in the task and a number in the file's own object.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import refuses_output
from simulator.dialects.minimax import clips, problems
from simulator.dialects.minimax.body import FOLDER
from simulator.dialects.minimax.request import FILE, STYLE, TASK
from simulator.jobs.job import OPEN, State, View, end_ms, look
from simulator.media import results
from simulator.media.results import Still
from simulator.script import Frame, Script

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]

FILE_S: Final = 3_600  # that the link to a clip is good for
PICTURE_S: Final = 86_400
OK: Final[Json] = {"status_code": 0, "status_msg": "success"}
CALLED: Final[Mapping[State, str]] = {  # the words of callbacks, which are not those of the query
    State.QUEUED: "processing",
    State.RUNNING: "processing",
    State.SUCCEEDED: "success",
}


def trace(serving: Serving) -> str:
    """The id of an exchange: 32 hexadecimal digits."""
    return draws.digest("trace", serving.seed).hex()[:19] + serving.nonce


def json(told: Json, serving: Serving, status: int = 200, more: Headers = (), billed: Any = ()) -> Script:
    """A reply."""
    headers = (("content-type", "application/json; charset=utf-8"), ("trace-id", trace(serving)), *more)
    return Script(status, headers, (Frame(orjson.dumps(told), "body"),), billed=billed)


def task_id(kept: Kept) -> str:
    """The id of a task."""
    return TASK + kept.serving.nonce


def file_id(kept: Kept) -> str:
    """The id of its file."""
    return FILE + kept.serving.nonce


def word(kept: Kept, view: View) -> str:
    """The state in the query's word."""
    facts = kept.profile.facts
    if view.state is State.QUEUED:
        return "Preparing" if view.queued_ms < facts["preparing_ms"] else "Queueing"
    if view.state is State.RUNNING:
        return "Processing"
    return "Success" if clips.succeeded(kept, view) else str(facts["failed_word"])


def task(kept: Kept, view: View) -> Json:
    """How a task stands."""
    told: Json = {"task_id": task_id(kept), "status": word(kept, view), "file_id": ""}
    width = height = 0
    if clips.succeeded(kept, view):
        told["file_id"] = file_id(kept)
        width, height = clips.film(kept)[2:4]
    return told | {"video_width": width, "video_height": height, "base_resp": _base(kept, view)}


def _base(kept: Kept, view: View) -> Json:
    if view.state in OPEN or clips.succeeded(kept, view):
        return OK
    code, message = clips.failure(kept, view)
    return {"status_code": code, "status_msg": message}


def called(kept: Kept, now_ms: int) -> Json:
    """What a callback tells."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    if view is None:
        return {"task_id": task_id(kept), "status": "processing", "file_id": "", "base_resp": OK}
    done = clips.succeeded(kept, view)
    status = CALLED.get(view.state, "failed") if done or view.state in OPEN else "failed"
    return {
        "task_id": task_id(kept),
        "status": status,
        "file_id": file_id(kept) if done else "",
        "base_resp": _base(kept, view),
    }


def file(kept: Kept, serving: Serving) -> Json:
    """The file of a task, with links that are good from now on."""
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job has files")
    told = {
        "file_id": int(file_id(kept)),
        "bytes": len(clips.data(kept, STYLE)),
        "created_at": end_ms(job) // 1000,
        "filename": "output.mp4",
        "purpose": "video_generation",
    }
    life_s = FILE_S if job.plan.link_ttl_ms is None else job.plan.link_ttl_ms // 1000
    secret, made = kept.profile.facts["signature_secret"], clips.film(kept)
    for name, folder in (("download_url", "video"), ("backup_download_url", "backup")):
        path = f"{FOLDER}/{kept.serving.nonce}/{folder}/output.mp4"
        link = (STYLE, kept.ask.site, path, made, secret, serving.now_s, life_s, job.plan.link_status)
        told[name] = results.linked(*link)
    return {"file": told, "base_resp": OK}


def content(kept: Kept) -> Script:
    """The file itself."""
    headers = (("content-type", "video/mp4"), ("content-disposition", 'attachment; filename="output.mp4"'))
    return Script(200, headers, (Frame(clips.data(kept, STYLE), "body"),))


# --- pictures ---------------------------------------------------------------------------------------------------------


def pictures(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """Pictures at once. One that is found sensitive is left out, and counted as failed."""
    lost = 1 if refuses_output(ask.body["text"]) else 0
    made = [_still(ask, profile, serving, index) for index in range(ask.choices - lost)]
    if not made:
        base = {"status_code": problems.OUTPUT_SENSITIVE, "status_msg": problems.SENSITIVE}
        return json({"id": trace(serving), "data": None, "metadata": _metadata(0, lost), "base_resp": base}, serving)
    if ask.body.get("response_format") == "base64":
        data = {"image_base64": [b64encode(results.drawn(each, None)).decode() for each in made]}
    else:
        secret = profile.facts["signature_secret"]
        folder = draws.digest("pictures", serving.seed).hex()  # a link's signature may not hold the nonce
        paths = [f"{FOLDER}/{folder}/image_{index}.jpeg" for index in range(len(made))]
        told = zip(paths, made, strict=True)
        link = [results.linked(STYLE, ask.site, path, each, secret, serving.now_s, PICTURE_S) for path, each in told]
        data = {"image_urls": link}
    body = {"id": trace(serving), "data": data, "metadata": _metadata(len(made), lost), "base_resp": OK}
    usd = round(float(profile.facts["usd"]) * len(made), 6)
    return json(body, serving, billed=(("images", len(made)), ("usd", usd)))


def _metadata(made: int, lost: int) -> Json:
    return {"failed_count": str(lost), "success_count": str(made)}


def _still(ask: Ask, profile: Profile, serving: Serving, index: int) -> Still:
    width, height = profile.facts["sizes"][ask.body.get("aspect_ratio") or "1:1"]
    if "width" in ask.body and "aspect_ratio" not in ask.body:
        width, height = ask.body["width"], ask.body["height"]
    seed = draws.integer("image", ask.body.get("seed", serving.seed), index) >> 96
    return Still(results.shown(ask.body["text"]), width, height, "jpeg", seed)
