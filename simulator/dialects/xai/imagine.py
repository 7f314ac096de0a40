"""xAI Imagine dialect: pictures at once, videos as jobs, and the hosts that both are fetched from.

POST /v1/images/generations and /edits; POST /v1/videos/generations, /edits and /extensions; GET /v1/videos/{id}. All is
JSON. A job is neither cancelled nor told of by a webhook. What a model takes are facts of its row
(`simulator/models/xai_media.yaml`). Sources: recorded replies, xAI's documentation and clients' schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.xai import base, files, images, rules, videos
from simulator.dialects.xai import request as xai_request
from simulator.jobs import desk
from simulator.jobs.job import Plan, State, look
from simulator.problem import Problem, Refused
from simulator.script import Script


class XAIImagine(base.XAIWire):
    """The wire of pictures and videos."""

    name: ClassVar[str] = "xai_imagine"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        **{("POST", path): operation for operation, path in xai_request.OPERATIONS.items()},
        ("GET", "/videos/{id}"): "poll_video",
        ("GET", f"{xai_request.VIDEOS}/{{name}}"): "fetch_file",
        ("GET", f"{xai_request.IMAGES}/{{name}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "create_video": desk.BEGIN,
        "edit_video": desk.BEGIN,
        "extend_video": desk.BEGIN,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As on the chat wire; files are public."""
        if not files.is_file(request.path):
            super().authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return xai_request.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is truly that of a job or its file; an edit then knows its input."""
        if ask.operation == "fetch_file":
            return ask
        if kept.serving.job is None:
            raise Refused(Problem("not_kept"))
        if ask.operation == "poll_video":
            if ask.body["name"] != base.uuid(kept.serving):
                raise Refused(Problem("not_kept"))
            return ask
        if ask.body["source"]["name"] != videos.name(kept.serving):
            raise Refused(Problem("not_kept"))
        return ask._replace(body={**ask.body, "source": ask.body["source"] | videos.source(kept)})

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        rules.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if serving.job is not None and profile is not None:
            return videos.submitted(serving, profile)
        if profile is not None:
            return images.reply(ask, profile, serving)
        if kept is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "fetch_file":
            return files.fetched(kept, ask.body["name"], serving)
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        return self.error(Problem("not_kept"), serving) if view is None else videos.polled(kept, view, serving)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in the style of the mount; a file host has its own."""
        if files.is_file(serving.path):
            status = 404 if problem.kind == "not_kept" else problem.status or 500
            return replace(files.refused(status), headers=(*files.refused(status).headers, *problem.headers))
        return super().error(problem, serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return videos.plan(ask, profile, serving)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What a job costs once it is done, whether or not its clip passed moderation."""
        view = None if kept.serving.job is None else look(kept.serving.job, now_ms)
        if view is None or view.state is not State.SUCCEEDED:
            return {}
        seconds = rules.made_seconds(kept.ask, kept.profile)
        return {"output_seconds": seconds, "usd": videos.ticks(kept) / images.TICKS_PER_USD}
