"""Ark's tasks dialect: clips by Seedance, below /contents/generations/tasks.

Create (the reply is an id alone), get, list, delete, callbacks at every state, links of its storage (TOS). Source:
Ark's documentation of these operations and of their errors; recorded replies for the order of keys.

A DELETE cancels a task that waits, removes the record of one that ended, and is refused for one that runs or was
cancelled. Callbacks bear no signature: none is documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects import inspection
from simulator.dialects.ark import film, problems, task, task_request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan, State
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

JSON: Final = ("content-type", "application/json")


class ArkTasks(Performing):
    """The wire of content generation tasks."""

    name: ClassVar[str] = "ark_tasks"
    root: ClassVar[str] = "/api/v3"
    nonces: ClassVar[str] = "base36"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", task_request.PATH): "create_task",
        ("GET", task_request.PATH): "list_tasks",
        ("GET", f"{task_request.PATH}/{{id}}"): "get_task",
        ("DELETE", f"{task_request.PATH}/{{id}}"): "delete_task",
        ("GET", f"{task_request.FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "create_task": desk.BEGIN,
        "delete_task": desk.WITHDRAW,
        "list_tasks": desk.SURVEY,
        "fetch_file": desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; a link bears its own signature."""
        if "rest" not in request.params:
            problems.authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return task_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take, and for prompts that the safety system stops."""
        film.check(ask, profile)
        if inspection.refuses_input(ask.turns[0].text):
            raise Refused(Problem("moderation"))

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is truly that of a task."""
        asked = ask.body["id"] if "id" in ask.body else ask.body["given"].draft
        is_task = kept.serving.job is not None and kept.ask.operation == "create_task"
        if not is_task or task.task_id(kept) != asked:
            raise Refused(Problem("not_kept"))
        return task_request.of_draft(ask, kept) if ask.operation == "create_task" else ask

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return task.fetched(serving)
        if ask.operation == "list_tasks":
            return _json(_listed(ask, serving), serving)
        if ask.operation == "create_task" and profile is not None and serving.job is not None:
            return _json({"id": task.task_id(Kept(ask, None, profile, serving))}, serving)
        if kept is None or task.standing(kept, serving.now_ms) is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "delete_task":
            return self._deleted(serving, kept)
        return _json(task.told(kept, serving.now_ms), serving)

    def _deleted(self, serving: Serving, kept: Kept) -> Script:
        """What a DELETE answers; what it does is the desk's affair (`WITHDRAW`)."""
        view = task.standing(kept, serving.now_ms)
        refused = {State.RUNNING: "running_deleted", State.CANCELLED: "cancelled_deleted"}
        if view is not None and view.state in refused:
            return self.error(Problem(refused[view.state]), serving)
        return _json({}, serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a task when nothing goes wrong."""
        return task.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where its states are to be told."""
        return str(ask.body.get("callback_url") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """The task, as a poll at that moment would have it."""
        return (JSON,), orjson.dumps(task.told(kept, now_ms))

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """Output tokens and their price."""
        return task.charge(kept, now_ms)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Ark's form."""
        return problems.error(problem, serving)


def _listed(ask: Ask, serving: Serving) -> dict[str, object]:
    """A page of the tasks that can be found, the newest first."""
    wanted = ask.body
    found = []
    for kept in serving.jobs:
        if kept.ask.operation != "create_task" or task.standing(kept, serving.now_ms) is None:
            continue
        told = task.told(kept, serving.now_ms)
        same = all(wanted[name] in ("", told[name]) for name in ("model", "service_tier", "status"))
        if same and (not wanted["task_ids"] or told["id"] in wanted["task_ids"]):
            found.append(told)
    found.sort(key=lambda told: (told["created_at"], told["id"]), reverse=True)
    first = (wanted["page_num"] - 1) * wanted["page_size"]
    return {"total": len(found), "items": found[first : first + wanted["page_size"]]}


def _json(value: object, serving: Serving) -> Script:
    head = (JSON, ("x-request-id", problems.request_id(serving)))
    return Script(200, head, (Frame(orjson.dumps(value), "body"),))
