"""Vidu dialect: clips and pictures as tasks below /ent/v2.

The id is `task_id` in the reply to a submission and `id` everywhere else. A task that waits can be cancelled; any other
is refused with 400. Whether that holds for all tasks or off-peak ones alone is not documented: the fact
`cancels: off_peak` picks the latter. `progress` is told unless the fact `tells_progress` is false. Source: Vidu's
documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import refuses_input
from simulator.dialects.performing import Performing
from simulator.dialects.vidu import problems, replies, work
from simulator.dialects.vidu import request as vidu_request
from simulator.dialects.vidu.request import FOLDER, KINDS, STYLE
from simulator.dialects.vidu.signing import signed
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan, State, View, look
from simulator.media import results
from simulator.problem import Problem, Refused
from simulator.script import Script


class Vidu(Performing):
    """The wire of Vidu's tasks."""

    name: ClassVar[str] = "vidu"
    root: ClassVar[str] = "/ent/v2"
    nonces: ClassVar[str] = "digits18"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        **{("POST", kind.path): operation for operation, kind in KINDS.items()},
        ("GET", "/tasks/{id}/creations"): "get_task",
        ("POST", "/tasks/{id}/cancel"): "cancel_task",
        ("GET", "/tasks"): "list_tasks",
        ("GET", "/credits"): "get_credits",
        ("GET", f"{FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(KINDS, desk.BEGIN),
        "cancel_task": desk.CANCEL,
        "list_tasks": desk.SURVEY,
        "get_credits": desk.SURVEY,
        "fetch_file": desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key after `Token`; a link bears its own signature."""
        if "rest" in request.params:
            return
        scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "token" or key.strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "fetch_file":
            return Ask(operation, "", fresh=True, about=(results.nonce_of(request.path, FOLDER),))
        return vidu_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if ask.operation in KINDS:
            work.check(ask, profile)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is a task."""
        return super().resume(ask, kept)._replace(model=kept.ask.model)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, STYLE, FOLDER, work.first_frame)
        if ask.operation == "list_tasks":
            return replies.listed(ask, serving)
        if ask.operation == "get_credits":
            return replies.account(ask, serving)
        if ask.operation in KINDS and profile is not None:
            if refuses_input(work.of(ask).prompt):
                return self.error(Problem("moderation"), serving)
            return replies.submitted(Kept(ask, None, profile, serving))
        job = None if kept is None else kept.serving.job
        view = None if job is None else look(job, serving.now_ms)
        if kept is None or view is None:
            return self.error(Problem("not_kept"), serving)
        return self._cancelled(kept, view, serving) if ask.operation == "cancel_task" else _polled(kept, view)

    def _cancelled(self, kept: Kept, view: View, serving: Serving) -> Script:
        may = kept.profile.facts.get("cancels") != "off_peak" or work.of(kept.ask).off_peak
        if view.state is State.QUEUED and may:
            return problems.said({})
        told = f"task state is {replies.word(view)}, can not cancel"
        return self.error(Problem("invalid_request", told), serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a task when nothing goes wrong."""
        return work.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where changes of a task are to be told."""
        return work.of(ask).callback

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The task as a poll at that moment would have it, signed with the key that submitted it."""
        view = None if kept.serving.job is None else look(kept.serving.job, now_ms)
        if view is None:
            raise LookupError(f"nobody finds task {kept.serving.nonce}")
        headers = signed(call.key(str(kept.ask.body["key"]).encode()), call.url, call.id, call.sent_s)
        return (problems.JSON, *headers), orjson.dumps(replies.task(kept, view))

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is charged for a task."""
        return work.charge(kept, now_ms)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Vidu's own form."""
        return problems.error(problem, serving)


def _polled(kept: Kept, view: View) -> Script:
    return problems.said(replies.task(kept, view))
