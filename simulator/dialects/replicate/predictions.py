"""The prediction object (a training's is one as well), held replies, and the stream of an output.

A reply to `Prefer: wait` tells a prediction that is done as "processing", with its output and nothing of its times; one
that is not done in time as "starting", under 202. The official client counts on it (`run.py`). Input, output and logs
are gone an hour after the end (`data_removed`). `canceled` and `aborted` also stand for a deadline (`Cancel-After`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Serving
from simulator.dialects.replicate import catalog, outputs
from simulator.jobs.job import OPEN, State, View, end_ms, look, start_ms, told_run_ms
from simulator.script import Frame, Script

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "starting",
    State.RUNNING: "processing",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.TIMED_OUT: "failed",
    State.CANCELLED: "canceled",
}
TIMED_OUT: Final = "Prediction timed out"
STREAM_MS: Final = 1_800_000  # a stream is no longer open than a prediction may run
PLAIN: Final = (("content-type", "application/json"),)
MADE: Final = (("content-type", "application/json; charset=UTF-8"),)
EDGE: Final = (("replicate-edge-cluster", "services-aws-us-west-2"), ("replicate-target-cluster", "coreweave-us"))
EVENTS: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


def prediction_id(serving: Serving) -> str:
    """The id of a prediction: 26 characters."""
    return draws.word(4, "prediction", serving.seed).lower().translate(_CROCKFORD) + serving.nonce


def stream_id(serving: Serving) -> str:
    """What its stream is called."""
    return draws.word(30, "stream", serving.seed).lower() + serving.nonce


_CROCKFORD: Final = str.maketrans("ilou", "0189")


def iso(ms: float) -> str:
    """A moment as the wire tells it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the object -------------------------------------------------------------------------------------------------------


def submitted(kept: Kept) -> Script:
    """The reply to a submission: at once, or held until the prediction is done or the wait is over."""
    job, wait_ms = kept.serving.job, kept.ask.body["wait_ms"]
    headers = (*MADE, *kept.ask.body["applied"], *EDGE)
    if job is None:
        raise TypeError("a submission begins a job")
    if wait_ms is None:
        return script(201, _head(kept, WORDS[State.QUEUED], "", None, None), headers)
    held_ms = max(0, min(wait_ms, end_ms(job) - job.submitted_ms))
    now_ms = job.submitted_ms + held_ms
    view = look(replace(job, plan=replace(job.plan, hidden_ms=0)), now_ms)
    late_ms = max(0.0, now_ms - kept.serving.now_ms)
    if view is None or view.state in OPEN:
        return script(202, _head(kept, WORDS[State.QUEUED], "", None, None), headers).later(late_ms)
    output, error = None, _error(kept, view)
    if view.state is State.SUCCEEDED:
        output = outputs.whole(kept, is_inlined=kept.profile.has("waited_inline"))
    word = WORDS[State.RUNNING] if view.state is State.SUCCEEDED else _word(kept, view)
    return script(201, _head(kept, word, "", output, error), headers).later(late_ms)


def told(kept: Kept, view: View, now_ms: float) -> Json:
    """The prediction as it stands."""
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job is told")
    ended = view.ended_ms
    is_removed = ended is not None and now_ms - ended >= outputs.LIFE_MS
    output = None if is_removed else _output(kept, view)
    logs = "" if is_removed else outputs.logs(kept, view)
    found = _head(kept, _word(kept, view), logs, output, _error(kept, view), is_removed=is_removed)
    begun = job.submitted_ms + view.queued_ms
    if view.state is State.RUNNING or view.run_ms:
        found["started_at"] = iso(begun)
    if ended is not None:
        found["completed_at"] = iso(ended)
        run_ms = told_run_ms(job, view)
        metrics: Json = {"predict_time": run_ms / 1000} if view.run_ms else {}
        metrics["total_time"] = (ended - job.submitted_ms) / 1000
        if view.state is State.SUCCEEDED:
            metrics |= outputs.counts(kept, run_ms)
        found["metrics"] = metrics
    return found


def _head(kept: Kept, word: str, logs: str, output: Any, error: str | None, *, is_removed: bool = False) -> Json:
    """What every form of the object has."""
    ask, job = kept.ask, kept.serving.job
    given = ask.body["input"]
    found: Json = {
        "id": prediction_id(kept.serving),
        "model": ask.model,
        "version": ask.body["version"] or catalog.deployed(kept.profile),
        "input": {} if is_removed else {name: given[name] for name in sorted(given)},
        "logs": logs,
        "output": output,
        "data_removed": is_removed,
        "error": error,
        "source": "api",
        "status": word,
        "created_at": iso(0 if job is None else job.submitted_ms),
        "urls": _urls(kept),
    }
    if ask.body["deployment"]:
        found["deployment"] = ask.body["deployment"]
    if ask.body["stream"]:
        found["stream"] = True
    return found


def _urls(kept: Kept) -> dict[str, str]:
    name = "trainings" if kept.ask.operation == "train" else "predictions"
    own = prediction_id(kept.serving)
    url = f"{kept.ask.site}/{name}/{own}"
    found = {"cancel": f"{url}/cancel", "get": url}
    if kept.ask.operation != "train":
        found["stream"] = f"{kept.ask.site}/streams/{stream_id(kept.serving)}"
    return found | {"web": f"https://replicate.com/p/{own}"}


def _word(kept: Kept, view: View) -> str:
    job = kept.serving.job
    if view.state is State.TIMED_OUT and job is not None and _is_overdue(kept, view):
        return "canceled" if start_ms(job) < (view.ended_ms or 0) else "aborted"
    return WORDS[view.state]


def _is_overdue(kept: Kept, view: View) -> bool:
    """Whether it ended because its caller had set it a deadline."""
    job, deadline_ms = kept.serving.job, kept.ask.body["deadline_ms"]
    return job is not None and deadline_ms is not None and view.ended_ms == job.submitted_ms + deadline_ms


def _output(kept: Kept, view: View) -> Any:
    if view.state is State.SUCCEEDED:
        return outputs.whole(kept)
    said = outputs.pieces(kept)
    return list(said[: round(view.progress * len(said))]) or None if view.state is State.RUNNING else None


def _error(kept: Kept, view: View) -> str | None:
    job = kept.serving.job
    if view.state is State.FAILED and job is not None:
        return job.plan.error
    return TIMED_OUT if view.state is State.TIMED_OUT and not _is_overdue(kept, view) else None


def cancelled(kept: Kept, view: View, now_ms: float) -> Json:
    """The reply to a cancellation: cancelled as far as is told; what is over stays as it is."""
    job = kept.serving.job
    if job is None or view.state not in OPEN:
        return told(kept, view, now_ms)
    ended = replace(job, cancelled_ms=int(now_ms), plan=replace(job.plan, is_deaf=False))
    kept = replace(kept, serving=replace(kept.serving, job=ended))
    found = told(kept, look(ended, now_ms) or view, now_ms)
    return found | {"logs": None, "started_at": found.get("started_at"), "webhook_completed": None}


def script(status: int, content: Any, headers: tuple[tuple[str, str], ...] = PLAIN) -> Script:
    """A reply in JSON."""
    return Script(status, headers, (Frame(orjson.dumps(content), "body"),))


# --- stream -----------------------------------------------------------------------------------------------------------


def streamed(kept: Kept, now_ms: float) -> Script:
    """The output as events, each when it comes: pieces of text, or the addresses of files at the end."""
    return Script(200, EVENTS, tuple(_frames(kept, now_ms)), stream=True)


def _frames(kept: Kept, now_ms: float) -> Iterator[Frame]:
    yield Frame(b": hi\n\n", "start")
    second, number = 0, 0
    for at_ms, name, data, kind in _events(kept, now_ms):
        number = number + 1 if int(at_ms // 1000) == second else 0
        second = int(at_ms // 1000)
        lines = "".join(f"data: {line}\n" for line in data.split("\n"))
        written = f"event: {name}\nid: {second}:{number}\n{lines}\n".encode()
        tokens = 1 if name == "output" else 0
        yield Frame(written, kind, tokens, len(data.encode()) if tokens else 0, max(0.0, at_ms - now_ms))


def _events(kept: Kept, now_ms: float) -> Iterator[tuple[float, str, str, str]]:
    """(moment, event, data, kind of frame)."""
    job = kept.serving.job
    if job is None:
        return
    end = min(end_ms(job), int(now_ms) + STREAM_MS)
    view = look(replace(job, plan=replace(job.plan, hidden_ms=0)), end)
    state = State.TIMED_OUT if view is None or view.state in OPEN else view.state
    said = outputs.pieces(kept)
    if said:
        start = min(start_ms(job), end)
        share = 1.0 if state is State.SUCCEEDED or view is None else view.progress
        count = 0 if job.plan.is_empty else round(share * len(said))
        for index, piece in enumerate(said[:count]):
            yield start + (end - start) * (index + 1) / max(1, count), "output", piece, "delta"
    elif state is State.SUCCEEDED:
        whole = outputs.whole(kept)
        for one in whole if isinstance(whole, list) else [whole]:
            yield end, "output", one if isinstance(one, str) else orjson.dumps(one).decode(), "delta"
    if state in (State.FAILED, State.TIMED_OUT):
        error = (_error(kept, view) if view else None) or TIMED_OUT
        yield end, "error", orjson.dumps({"detail": error}).decode(), "error"
    reasons = {State.CANCELLED: "canceled", State.FAILED: "error", State.TIMED_OUT: "error"}
    reason = {"reason": reasons[state]} if state in reasons else {}
    yield end, "done", orjson.dumps(reason).decode(), "end"


def of(ask: Ask) -> str:
    """What a submission began: "prediction", "training" or "file"."""
    return {"train": "training", "create_file": "file"}.get(ask.operation, "prediction")
