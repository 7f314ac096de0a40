"""MiniMax's second wire: clips as tasks (H3), below /v2. The link to the clip stands in the task itself.

Submit, query, list, and DELETE, which cancels what waits and forgets what ended. Refusals have true HTTP statuses, with
MiniMax's code at the end of the sentence. Source: MiniMax's documentation of the second version.

Where its pages differ it is a fact of the model: `error: null` in tasks that did not fail (`null_error`), the code of a
failure as a number (`error_code_int`). A list is told with the newest first, which is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.minimax import clips, problems, replies, request_v2
from simulator.dialects.minimax.body import FOLDER
from simulator.dialects.minimax.request_v2 import STYLE, TASK
from simulator.dialects.minimax.video import bears_key
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan, State, View, look, start_ms
from simulator.media import results
from simulator.problem import Problem, Refused
from simulator.script import Script

Json = dict[str, Any]

DAYS_MS: Final = 7 * 86_400_000  # that a task can be asked for
LINK_S: Final = 3_600  # assumed: its life is told nowhere
WORDS: Final[Mapping[State, str]] = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.TIMED_OUT: "expired",
    State.CANCELLED: "cancelled",
}


class MiniMaxTasks(Performing):
    """The second wire."""

    name: ClassVar[str] = "minimax_tasks"
    root: ClassVar[str] = "/v2"
    nonces: ClassVar[str] = "digits13"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/video_generation"): "create_task",
        ("GET", "/query/video_generation/{id}"): "query_task",
        ("GET", "/query/video_generation"): "list_tasks",
        ("DELETE", "/video_generation/{id}"): "cancel",
        ("GET", f"{FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "create_task": desk.BEGIN,
        "list_tasks": desk.SURVEY,
        "cancel": desk.WITHDRAW,
        "fetch_file": desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key."""
        if not bears_key(request, keys):
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return request_v2.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is that of a task of this wire."""
        if kept.ask.operation != "create_task" or kept.serving.job is None:
            raise Refused(Problem("not_kept"))
        return ask._replace(model=kept.ask.model)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if not ask.needs:
            request_v2.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, STYLE, FOLDER, clips.source)
        if ask.operation == "list_tasks":
            return replies.json(_listed(ask, serving), serving)
        if ask.operation == "create_task":
            return replies.json({"task_id": TASK + serving.nonce}, serving)
        job = kept.serving.job if kept else None
        view = look(job, serving.now_ms) if job else None
        if kept is None or view is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "query_task":
            return replies.json({"task": told(kept, view, serving.now_s)}, serving)
        return self._withdrawn(kept, view, serving)

    def _withdrawn(self, kept: Kept, view: View, serving: Serving) -> Script:
        if view.state in (State.RUNNING, State.CANCELLED):
            said = f"a task that is {WORDS[view.state]} cannot be cancelled or deleted"
            return self.error(Problem("invalid_request", said), serving)
        done = "cancelled" if view.state is State.QUEUED else "deleted"
        return replies.json({"task_id": TASK + kept.serving.nonce, "action": done, "status": done}, serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return replace(clips.plan(ask, profile, serving), ttl_ms=DAYS_MS)

    def hook_url(self, ask: Ask) -> str:
        """Where its changes are to be told."""
        return str(ask.body.get("callback_url") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """The task as a query would have it; nothing is signed."""
        view = look(kept.serving.job, now_ms) if kept.serving.job else None
        body = {} if view is None else {"task": told(kept, view, now_ms // 1000)}
        return (("content-type", "application/json"),), orjson.dumps(body)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is charged for a task."""
        return clips.charge(kept, look(kept.serving.job, now_ms) if kept.serving.job else None)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal with its true status."""
        row = problems.native(problem)
        status = problem.status or row.status
        usual = problems.TYPES[500] if status >= 500 else problems.TYPES[400]
        said = {
            "type": problem.type or problems.TYPES.get(status, usual),
            "message": f"{problems.sentence(problem, row, second=True)} ({row.code})",
            "http_code": str(status),
        }
        body = {"type": "error", "error": said, "request_id": replies.trace(serving)}
        return replies.json(body, serving, status, problem.headers)


def told(kept: Kept, view: View, now_s: int) -> Json:
    """The object of a task. Its link is signed anew each time it is told."""
    job, ask, facts = kept.serving.job, kept.ask, kept.profile.facts
    done = clips.succeeded(kept, view)
    failed = view.state in (State.FAILED, State.TIMED_OUT) or (view.state is State.SUCCEEDED and not done)
    status = "failed" if view.state is State.SUCCEEDED and not done else WORDS[view.state]
    task: Json = {"id": TASK + kept.serving.nonce, "model": ask.model, "status": status}
    if failed:
        code, message = clips.failure(kept, view)
        task["error"] = {"code": code if facts.get("error_code_int") else str(code), "message": message}
    elif facts.get("null_error"):
        task["error"] = None
    created_ms = 0 if job is None else job.submitted_ms
    changed_ms = created_ms if job is None or view.state is State.QUEUED else view.ended_ms or start_ms(job)
    task |= {"created_at": created_ms // 1000, "updated_at": changed_ms // 1000}
    if done:
        task["content"] = {"url": _link(kept, now_s)}
    task |= {"resolution": ask.body["resolution"], "duration": ask.body["duration"]}
    task["usage"] = _usage(ask) if done else {}
    return task | {"ratio": ask.body["ratio"], "task_type": "generation", "modality": "video"}


def _link(kept: Kept, now_s: int) -> str:
    job, secret = kept.serving.job, kept.profile.facts["signature_secret"]
    if job is None:
        raise TypeError("only a job has files")
    life_s = LINK_S if job.plan.link_ttl_ms is None else job.plan.link_ttl_ms // 1000
    path = f"{FOLDER}/{kept.serving.nonce}/output.mp4"
    return results.linked(STYLE, kept.ask.site, path, clips.film(kept), secret, now_s, life_s, job.plan.link_status)


def _usage(ask: Ask) -> Json:
    output, given = ask.body["duration"], ask.body["input_seconds"]
    usage = {"total_seconds": output + given, "input_seconds": given, "output_seconds": output}
    return usage | ({"input_image_count": ask.body["images"]} if ask.body["images"] else {})


def _listed(ask: Ask, serving: Serving) -> Json:
    """One page of the tasks that pass the filters."""
    found: list[tuple[int, Json]] = []
    for kept in serving.jobs:
        job = kept.serving.job
        view = look(job, serving.now_ms) if job and kept.ask.operation == "create_task" else None
        if job is not None and view is not None:
            found.append((job.submitted_ms, told(kept, view, serving.now_s)))
    found.sort(key=lambda row: row[0], reverse=True)
    passed = [task for _, task in found if _passes(task, ask.body)]
    begin = (ask.body["page_num"] - 1) * ask.body["page_size"]
    return {"items": passed[begin : begin + ask.body["page_size"]], "total": len(passed)}


def _passes(task: Json, filters: Mapping[str, Any]) -> bool:
    same = all(filters[name] in ("", task[name]) for name in ("status", "model", "task_type"))
    return same and (not filters["task_ids"] or task["id"] in filters["task_ids"])
