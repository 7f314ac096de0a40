"""Azure Videos dialect: jobs of the first Sora, below /openai/v1/video/generations.

A job is submitted (201), polled, listed and deleted; its generations are told once it succeeded, and their bytes are at
`/{generation}/content/video`. The later Sora is on OpenAI's own wire, at Azure as well (`openai_videos`). Keys, headers
and refusals are Azure's. Source: Azure's public quickstart; the words of `failure_reason` are facts of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import orjson

from simulator.answers.answer import Usage
from simulator.ask import Ask, Request
from simulator.dialects.azure_videos import replies
from simulator.dialects.azure_videos import request as azure_request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.job import Plan, State, end_ms, look
from simulator.media import frames
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

_OPENAI: Final = OpenAIChat()
_MEDIA: Final = {"download_clip": "video/mp4", "download_thumbnail": "image/jpeg"}
_OF_GENERATION: Final = frozenset({"get_generation", *_MEDIA})


class AzureVideos(Performing):
    """The wire of the first Sora."""

    name: ClassVar[str] = "azure_videos"
    root: ClassVar[str] = "/openai/v1/video/generations"
    nonces: ClassVar[str] = "crockford"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/jobs"): azure_request.CREATE,
        ("GET", "/jobs"): "list_video_jobs",
        ("GET", "/jobs/{id}"): "get_video_job",
        ("DELETE", "/jobs/{id}"): "delete",
        ("GET", "/{id}"): "get_generation",
        ("GET", "/{id}/content/video"): "download_clip",
        ("GET", "/{id}/content/thumbnail"): "download_thumbnail",
    }
    jobs: ClassVar[Mapping[str, str]] = {azure_request.CREATE: desk.BEGIN, "list_video_jobs": desk.SURVEY}

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless `api-key` or the Bearer token is a key."""
        _OPENAI.authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == azure_request.CREATE:
            return azure_request.submission(request)
        if operation == "list_video_jobs":
            return azure_request.listing(request)
        return azure_request.about(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if ask.operation == azure_request.CREATE:
            azure_request.check(ask, profile)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is truly that of a job or of one of its generations."""
        if kept.serving.job is None or kept.ask.operation != azure_request.CREATE:
            raise Refused(Problem("not_kept"))
        known = ask.operation in _OF_GENERATION or replies.job_id(kept) == ask.body["id"]
        if not known:
            raise Refused(Problem("not_kept"))
        return ask

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "list_video_jobs":
            return _json(_listed(serving), Profile("", "", "", serving.facts), serving)
        if profile is not None:
            return _json(replies.job(Kept(ask, None, profile, serving), None), profile, serving, 201)
        job = None if kept is None else kept.serving.job
        view = None if job is None else look(job, serving.now_ms)
        if kept is None or job is None or view is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "get_video_job":
            return _json(replies.job(kept, view), kept.profile, serving)
        if ask.operation == "delete":
            return Script(204, (), ())
        at = replies.variant(kept, ask.body["id"]) if view.state is State.SUCCEEDED else None
        if at is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "get_generation":
            return _json(replies.generation(kept, at), kept.profile, serving)
        if serving.now_ms - end_ms(job) >= 1000 * replies.ttl_s(kept):
            status = 404 if job.plan.link_ttl_ms is None else job.plan.link_status
            return self.error(Problem("status", "The generation has expired.", status=status), serving)
        return _media(ask.operation, replies.clip(kept, at), kept, serving)

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return replies.plan(ask, profile, serving)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """By the second of each clip that was delivered."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        if view is None or view.state is not State.SUCCEEDED or not replies.count_of(kept):
            return {}
        return replies.charge(kept)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Azure's form."""
        if problem.kind == "not_kept":
            problem = replace(problem, kind="status", status=404, message="Resource not found")
        elif problem.kind == "moderation":
            problem = replace(problem, kind="content_filter")
        return _OPENAI.error(problem, serving)


def _listed(serving: Serving) -> dict[str, Any]:
    """All jobs that can be found, the newest first."""
    rows = []
    for kept in serving.jobs:
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is not None and kept.ask.operation == azure_request.CREATE:
            rows.append(replies.job(kept, view))
    rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
    ends = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"object": "list", "data": rows, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


def _media(operation: str, clip: bytes, kept: Kept, serving: Serving) -> Script:
    data = clip if operation == "download_clip" else frames.thumbnail(clip, "jpeg")
    headers = openai_headers.answer(Usage(0, 0), kept.profile, serving, stream=False)
    own = (("content-type", _MEDIA[operation]), *(pair for pair in headers if pair[0] != "content-type"))
    return Script(200, own, (Frame(data, "body"),))


def _json(body: Any, profile: Profile, serving: Serving, status: int = 200) -> Script:
    headers = openai_headers.answer(Usage(0, 0), profile, serving, stream=False)
    return Script(status, headers, (Frame(orjson.dumps(body), "body"),))
