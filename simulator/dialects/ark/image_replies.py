"""How Seedream's pictures are written: one object once all are made, or an event as each of them is.

A request is a job whose reply is held: its plan says how long it takes, how many of its pictures fail, and what
becomes of it. The head of a stream is held as well, until the first picture is there. Source: Ark's documentation,
streaming response; recorded times. Not confirmed: `image_generation.partial_image`, which is not sent, and that a
picture costs W * H / 256 tokens (as recorded usage has it).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final, cast

import orjson

from simulator import draws
from simulator.answers.answer import Usage
from simulator.dialects.ark.fields import STYLE
from simulator.dialects.ark.image_request import FOLDER, Work, work
from simulator.dialects.ark.problems import error as refusal
from simulator.dialects.ark.problems import found_in_result, request_id, with_id
from simulator.dialects.base import Kept, Serving
from simulator.jobs.job import NEVER, Job, State, end_ms, look, truth, waits_ms
from simulator.media import results
from simulator.media.pictures import Form
from simulator.problem import Problem
from simulator.script import Ending, Frame, Script

LINK_TTL_MS: Final = 86_400_000
PIXELS_A_TOKEN: Final = 256
DONE: Final = b"data: [DONE]\n\n"


def made(kept: Kept) -> Script:
    """The reply, at the time at which it is due."""
    job, serving = _job(kept), kept.serving
    end = end_ms(job)
    if end >= NEVER:
        return Script(200, (), (), head_due_ms=None, ending=Ending.STALL)
    wait_ms = max(0.0, end - serving.now_ms)
    view = look(truth(job), end)
    if view is None or view.state is not State.SUCCEEDED:
        return _failed(job, serving).later(wait_ms)
    lost = _lost(kept)
    if len(lost) == _work(kept).number and not kept.ask.stream:
        return _refused(kept).later(wait_ms)
    head = ("x-request-id", request_id(serving))
    usage = Usage(0, _tokens(kept))
    if kept.ask.stream:
        frames = tuple(_events(kept, lost))
        due_ms = frames[0].due_ms
        return Script(200, (("content-type", "text/event-stream"), head), frames, True, head_due_ms=due_ms, usage=usage)
    frame = Frame(orjson.dumps(_whole(kept, lost)), "body", _tokens(kept))
    return Script(200, (("content-type", "application/json"), head), (frame,), usage=usage).later(wait_ms)


def _job(kept: Kept) -> Job:
    if kept.serving.job is None:
        raise TypeError("a request for pictures is a job")
    return kept.serving.job


def _work(kept: Kept) -> Work:
    return work(kept.ask, kept.profile, kept.serving.seed)


def _lost(kept: Kept) -> frozenset[int]:
    """Which of the pictures fail: all of them where the result is refused, else never all."""
    plan, count = _job(kept).plan, _work(kept).number
    lost = count if plan.is_empty else min(plan.lost_items, count - 1)
    return frozenset(draws.dice("lost", kept.serving.seed).sample(range(count), lost))


def good(kept: Kept) -> int:
    """How many pictures there are."""
    return _work(kept).number - len(_lost(kept))


def _tokens(kept: Kept) -> int:
    done = _work(kept)
    return done.width * done.height // PIXELS_A_TOKEN * good(kept)


def _failed(job: Job, serving: Serving) -> Script:
    """All of it failed."""
    error = found_in_result("Image", job.plan.error or "the request was not finished", serving)
    kind = "server_error" if error["code"] == "InternalServiceError" else "invalid_request"
    message = error["message"].removesuffix(with_id("", serving))
    return refusal(Problem(kind, message, code=error["code"]), serving)


def _refused(kept: Kept) -> Script:
    """The safety system left nothing of it."""
    serving = kept.serving
    error = found_in_result("Image", "", serving)
    return refusal(
        Problem("invalid_request", error["message"].removesuffix(with_id("", serving)), code=error["code"]), serving
    )


# --- pictures ---------------------------------------------------------------------------------------------------------


def _whole(kept: Kept, lost: frozenset[int]) -> dict[str, Any]:
    data = [
        {"error": found_in_result("Image", "", kept.serving)} if at in lost else _picture(kept, at)
        for at in range(_work(kept).number)
    ]
    told = {"model": _model(kept), "created": _made_s(kept, _work(kept).number - 1), "data": data}
    return told | _about(kept)


def _about(kept: Kept) -> dict[str, Any]:
    tokens = _tokens(kept)
    usage: dict[str, Any] = {"generated_images": good(kept), "output_tokens": tokens, "total_tokens": tokens}
    if not kept.ask.body.get("tools"):
        return {"usage": usage}
    usage["tool_usage"] = {"web_search": kept.serving.seed % 2}
    return {"tools": kept.ask.body["tools"], "usage": usage}


def _events(kept: Kept, lost: frozenset[int]) -> Iterator[Frame]:
    done = _work(kept)
    tokens = done.width * done.height // PIXELS_A_TOKEN
    for at in range(done.number):
        about = {"model": _model(kept), "created": _made_s(kept, at), "image_index": at}
        if at in lost:
            error = {"error": found_in_result("Image", "", kept.serving)}
            yield _frame("partial_failed", about | error, _due_ms(kept, at), "stop")
        else:
            yield _frame("partial_succeeded", about | _picture(kept, at), _due_ms(kept, at), "stop", tokens)
    last = done.number - 1
    about = {"model": _model(kept), "created": _made_s(kept, last)}
    yield _frame("completed", about | _about(kept), _due_ms(kept, last), "usage")
    yield Frame(DONE, "end", due_ms=_due_ms(kept, last))


def _frame(name: str, told: dict[str, Any], due_ms: float, kind: str, tokens: int = 0) -> Frame:
    kinds = f"image_generation.{name}"
    data = b"event: %b\ndata: %b\n\n" % (kinds.encode(), orjson.dumps({"type": kinds, **told}))
    return Frame(data, kind, tokens, due_ms=due_ms)


def _due_ms(kept: Kept, at: int) -> float:
    """When a picture is there, from the arrival of the request: they are made one after the other."""
    job = _job(kept)
    waits = waits_ms(job.plan)
    run_ms = end_ms(job) - job.submitted_ms - waits
    due = job.submitted_ms + waits + run_ms * (at + 1) / _work(kept).number
    return max(0.0, due - kept.serving.now_ms)


def _made_s(kept: Kept, at: int) -> int:
    return int((kept.serving.now_ms + _due_ms(kept, at)) // 1000)


def _model(kept: Kept) -> str:
    return str(kept.profile.facts.get("model", kept.profile.snapshot))


def _picture(kept: Kept, at: int) -> dict[str, str]:
    done = _work(kept)
    size = {"size": f"{done.width}x{done.height}"}
    if kept.ask.body.get("response_format") == "b64_json":
        return {"b64_json": b64encode(_drawn(done, at)).decode()} | size
    return {"url": _link(kept, done, at)} | size


def _drawn(done: Work, at: int) -> bytes:
    return results.drawn(_still(done, at), None)


def _still(done: Work, at: int) -> results.Still:
    return results.Still(done.caption, done.width, done.height, cast(Form, done.form), done.seed + at)


def _link(kept: Kept, done: Work, at: int) -> str:
    """The address of a picture in the bucket, signed when it was made."""
    plan, secret = _job(kept).plan, kept.profile.facts["signature_secret"]
    path = f"{FOLDER}/{kept.serving.nonce}/{_model(kept)}_{at}.{done.form}"
    life_ms = LINK_TTL_MS if plan.link_ttl_ms is None else plan.link_ttl_ms
    site, made_s = kept.ask.site, _made_s(kept, at)
    return results.linked(STYLE, site, path, _still(done, at), secret, made_s, life_ms // 1000, plan.link_status)


def fetched(serving: Serving) -> Script:
    """The picture of a link, or why it is not given."""
    return results.fetched(serving, STYLE, FOLDER, lambda _: "")
