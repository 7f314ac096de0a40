"""MiniMax's first wire: clips as tasks (Hailuo 02, 2.3 and older), their files, and pictures (image-01), below /v1.

A task is submitted, queried until it succeeds, and its file then retrieved: as an object with a link that is good for
an hour, or as bytes. Every refusal is HTTP 200 with `base_resp`. Source: MiniMax's documentation (video generation,
query, file retrieve, image generation, error codes) and the types of its command line tool.

Not confirmed, and facts: whether a failure is told as `Fail` or `Failed` (`failed_word`), and whether a refused
submission bears an empty `task_id` (`empty_task_id`). How long a task waits and runs is assumed. Which code an unknown
task gets is assumed as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.minimax import clips, problems, replies
from simulator.dialects.minimax import request as minimax_request
from simulator.dialects.minimax.body import FOLDER
from simulator.dialects.minimax.request import STYLE
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan, look
from simulator.media import results
from simulator.problem import Problem, Refused
from simulator.script import Script

SUBMISSION = "/video_generation"


def bears_key(request: Request, keys: frozenset[str]) -> bool:
    """Whether a request bears a key; a link bears its own signature."""
    told = request.headers.get("authorization", "")
    return "rest" in request.params or (told[:7].lower() == "bearer " and told[7:].strip() in keys)


class MiniMaxVideo(Performing):
    """The first wire."""

    name: ClassVar[str] = "minimax_video"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "digits13"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", SUBMISSION): "create_video",
        ("GET", "/query/video_generation"): "query_video",
        ("GET", "/files/retrieve"): "retrieve_file",
        ("GET", "/files/retrieve_content"): "retrieve_content",
        ("POST", "/image_generation"): "create_image",
        ("GET", f"{FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {"create_video": desk.BEGIN, "fetch_file": desk.LOOK}

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key."""
        if not bears_key(request, keys):
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return minimax_request.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is that of a task of this wire."""
        if kept.ask.operation != "create_video" or kept.serving.job is None:
            raise Refused(Problem("not_kept"))
        return ask._replace(model=kept.ask.model)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if not ask.needs:
            minimax_request.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, STYLE, FOLDER, clips.source)
        if profile is not None and ask.operation == "create_image":
            return replies.pictures(ask, profile, serving)
        if profile is not None and ask.operation == "create_video":
            own = Kept(ask, None, profile, serving)
            return replies.json({"task_id": replies.task_id(own), "base_resp": replies.OK}, serving)
        job = kept.serving.job if kept else None
        view = look(job, serving.now_ms) if job else None
        if kept is None or view is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "query_video":
            return replies.json(replies.task(kept, view), serving)
        if not clips.succeeded(kept, view):
            return self.error(Problem("not_kept", "invalid params, file not found"), serving)
        if ask.operation == "retrieve_file":
            return replies.json(replies.file(kept, serving), serving)
        return replies.content(kept)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return clips.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where its changes are to be told."""
        return str(ask.body.get("callback_url") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """The task in the words of callbacks; nothing is signed."""
        return (("content-type", "application/json"),), orjson.dumps(replies.called(kept, now_ms))

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is charged for a task."""
        return clips.charge(kept, look(kept.serving.job, now_ms) if kept.serving.job else None)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: HTTP 200, but for paths there are not and for what stands before the service."""
        row = problems.native(problem)
        status = problem.status or row.status
        stays = status in problems.PATHS or (problem.status or 0) > 500
        told: dict[str, Any] = {"base_resp": {"status_code": row.code, "status_msg": problems.sentence(problem, row)}}
        if serving.facts.get("empty_task_id") and serving.path.endswith(SUBMISSION):
            told = {"task_id": "", **told}
        return replies.json(told, serving, status if stays else 200, problem.headers)
