"""DashScope's own wire, below /api/v1: clips and pictures of Wan and Qwen as tasks, and pictures at once.

Paths of tasks need the header `X-DashScope-Async: enable`, the path of pictures at once must not have it. A task that
nobody finds is `UNKNOWN` with status 200, and one that failed says why within `output`. Times of tasks are local text
(the fact `utc_offset_h`). Source: Model Studio's documentation (Wan, Qwen-Image, management of asynchronous tasks,
error codes) and the types of its Python SDK.

No webhooks: events of tasks go to a message queue. Neither the uploads of the SDK (`oss://`) nor wan2.2's synchronous
form are here. Not confirmed: the status of a submission without its header (`sync_status`), and what the cancellation
of a task that there is not answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.dashscope import problems, replies, work
from simulator.dialects.dashscope import request as dashscope_request
from simulator.dialects.dashscope.request import FOLDER, SERVICES, STYLE
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.job import Plan, State, look
from simulator.media import results
from simulator.problem import Problem, Refused
from simulator.script import Script

CANCEL = "/cancel"


class DashScope(Performing):
    """The wire of services and tasks."""

    name: ClassVar[str] = "dashscope"
    root: ClassVar[str] = "/api/v1"
    nonces: ClassVar[str] = "uuid"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", f"{SERVICES}video-generation/video-synthesis"): "submit_video",
        ("POST", f"{SERVICES}image2video/video-synthesis"): "submit_video",
        ("POST", f"{SERVICES}text2image/image-synthesis"): "submit_image",
        ("POST", f"{SERVICES}image2image/image-synthesis"): "submit_image",
        ("POST", f"{SERVICES}image-generation/generation"): "submit_image",
        ("POST", f"{SERVICES}multimodal-generation/generation"): "create_image",
        ("GET", "/tasks/{id}"): "fetch_task",
        ("GET", "/tasks/"): "list_tasks",
        ("GET", "/tasks"): "list_tasks",
        ("POST", f"/tasks/{{id}}{CANCEL}"): "cancel",
        ("GET", f"{FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "submit_video": desk.BEGIN,
        "submit_image": desk.BEGIN,
        "list_tasks": desk.SURVEY,
        "cancel": desk.CANCEL,
        "fetch_file": desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; a link bears its own signature."""
        if "rest" in request.params:
            return
        told = request.headers.get("authorization", "")
        if not told:
            raise Refused(Problem("missing_key"))
        if told[:7].lower() != "bearer " or told[7:].strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return dashscope_request.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is truly that of a task of this wire."""
        if kept.serving.job is None or replies.task_id(kept) != ask.body["id"]:
            raise Refused(Problem("not_kept"))
        return ask._replace(model=kept.ask.model)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if not ask.needs:
            dashscope_request.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, STYLE, FOLDER, work.source)
        if ask.operation == "list_tasks":
            return replies.listed(ask, serving)
        if profile is not None and ask.operation == "create_image":
            made = replies.pictures(ask, profile, serving)
            return self.error(made, serving) if isinstance(made, Problem) else made
        if profile is not None and not ask.needs:
            return replies.submitted(ask, profile, serving)
        job = kept.serving.job if kept else None
        view = look(job, serving.now_ms) if job else None
        if kept is None or view is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "fetch_task":
            return replies.told(kept, view, serving)
        if view.state is not State.QUEUED:
            return self.error(Problem("conflict", problems.NOT_PENDING, status=400), serving)
        return replies.json({"request_id": replies.uid("request", serving)}, serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return work.plan(ask, profile, serving)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is charged for a task."""
        return work.charge(kept, look(kept.serving.job, now_ms) if kept.serving.job else None)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal; a task that there is not is none, unless it was to be cancelled."""
        if problem.kind == "not_kept":
            if not serving.path.endswith(CANCEL):
                return replies.unknown(serving.path.rpartition("/")[2], serving)
            problem = Problem("conflict", problems.NOT_PENDING, status=400)
        row = problems.native(problem)
        told = {"code": row.code, "message": row.message, "request_id": replies.uid("request", serving)}
        return replies.json(told, serving, row.status, problem.headers)
