"""OpenAI Videos dialect: videos that are created, remixed, edited or extended, polled, listed, downloaded and deleted.

Keys, refusals and headers are those of the chat wire; what a model takes, costs and how long its videos can be
downloaded are facts of its row (`models/openai_videos.yaml`). There is no link: the bytes come from `/content`, with
the key. No webhook tells of videos. A video may be deleted in any state. Source: the public specification (2.3.0),
the official client and public issues (the picture that does not fit, the video that is not ready).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from simulator.answers.answer import Usage
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai import videos_replies as replies
from simulator.dialects.openai import videos_request, videos_work
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.videos_request import BEGINNINGS, CHARACTER, CREATE, EDIT, EXTEND, REMIX, Source
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import OPEN, Plan, State, end_ms, look
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

NOT_READY: Final = "Video is not ready yet, use GET /v1/videos/{video_id} to check status."
NOT_COMPLETED: Final = "The source video must be completed."
EXPIRED: Final = "The assets of this video have expired."
_NAMED: Final = re.compile(r"/(?:videos|characters)/((?:video|char)_[^/]*)")
_NOTHING: Final = Usage(0, 0)


class OpenAIVideos(OpenAIChat):
    """The Videos wire."""

    name: ClassVar[str] = "openai_videos"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/videos"): CREATE,
        ("GET", "/videos"): "list_videos",
        ("POST", "/videos/edits"): EDIT,
        ("POST", "/videos/extensions"): EXTEND,
        ("POST", "/videos/characters"): CHARACTER,
        ("GET", "/videos/characters/{id}"): "get_character",
        ("GET", "/videos/{id}"): "get_video",
        ("DELETE", "/videos/{id}"): "delete",
        ("GET", "/videos/{id}/content"): "download_video",
        ("POST", "/videos/{id}/remix"): REMIX,
    }
    jobs: ClassVar[Mapping[str, str]] = {**dict.fromkeys(BEGINNINGS, desk.BEGIN), "list_videos": desk.SURVEY}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation in BEGINNINGS:
            return videos_request.beginning(request, operation)
        if operation == CHARACTER:
            return videos_request.character(request)
        if operation == "list_videos":
            return videos_request.listing(request)
        return videos_request.about(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if ask.operation in BEGINNINGS:
            videos_work.check(ask, profile)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is of the right kind; a beginning learns its source and model."""
        of_character = ask.operation == "get_character"
        known = (CHARACTER,) if of_character else BEGINNINGS
        if kept.ask.operation not in known or (kept.serving.job is None) is not of_character:
            raise Refused(Problem("not_kept"))
        prefix = "char" if of_character else "video"
        own = replies.named(prefix, kept.serving)
        if ask.operation not in BEGINNINGS:
            if own != ask.body["id"]:
                raise Refused(Problem("not_kept"))
            return ask
        made = videos_work.of(kept.ask, kept.profile, kept.serving)
        source = Source(own, made.seconds, made.width, made.height, made.image)
        return ask._replace(model=kept.ask.model, body={**ask.body, "source": source})

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "list_videos":
            return self._list(ask, serving)
        if profile is not None:
            return self._begun(Kept(ask, None, profile, serving), kept)
        if kept is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "get_character":
            return _json(replies.character(kept), kept.profile, serving)
        if kept.serving.job is None or look(kept.serving.job, serving.now_ms) is None:
            return self.error(Problem("not_kept"), serving)
        performed: Mapping[str, Callable[[Ask, Kept, Serving], Script]] = {
            "get_video": self._told,
            "delete": self._deleted,
            "download_video": self._content,
        }
        return performed[ask.operation](ask, kept, serving)

    def _begun(self, begun: Kept, source: Kept | None) -> Script:
        """A video that begins, unless what it is made of is not there yet; or a character."""
        serving = begun.serving
        if begun.ask.operation == CHARACTER:
            return _json(replies.character(begun), begun.profile, serving)
        if source is not None and not _is_completed(source, serving.now_ms):
            return self.error(Problem("invalid_request", NOT_COMPLETED), serving)
        return _json(replies.video(begun, None), begun.profile, serving)

    def _told(self, ask: Ask, kept: Kept, serving: Serving) -> Script:  # noqa: ARG002
        """How a video stands."""
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        wait_ms = kept.profile.facts.get("poll_after_ms")
        waits = wait_ms and view is not None and view.state in OPEN
        more = (("openai-poll-after-ms", str(wait_ms)),) if waits else ()
        return _json(replies.video(kept, view), kept.profile, serving, *more)

    def _deleted(self, ask: Ask, kept: Kept, serving: Serving) -> Script:
        told = {"id": ask.body["id"], "object": "video.deleted", "deleted": True}
        return _json(told, kept.profile, serving)

    def _content(self, ask: Ask, kept: Kept, serving: Serving) -> Script:
        """The bytes of a variant, while they are there."""
        job = kept.serving.job
        if job is None or not _is_completed(kept, serving.now_ms):
            return self.error(Problem("status", NOT_READY, status=404), serving)
        if serving.now_ms - end_ms(job) >= 1000 * replies.ttl_s(kept):
            status = 404 if job.plan.link_ttl_ms is None else job.plan.link_status
            return self.error(Problem("status", EXPIRED, status=status), serving)
        kind, make = videos_work.VARIANTS[ask.body["variant"]]
        headers = openai_headers.answer(_NOTHING, kept.profile, serving, stream=False)
        own = (("content-type", kind), *(pair for pair in headers if pair[0] != "content-type"))
        return Script(200, own, (Frame(make(kept), "body"),))

    def _list(self, ask: Ask, serving: Serving) -> Script:
        """A page of the videos that can be found."""
        rows = []
        for kept in serving.jobs:
            view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
            if view is not None and kept.ask.operation in BEGINNINGS:
                rows.append(replies.video(kept, view))
        body = replies.page(rows, ask.body["order"], ask.body["after"], ask.body["limit"])
        return _json(body, Profile("", "", "", serving.facts), serving)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a video when nothing goes wrong."""
        return videos_work.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:  # noqa: ARG002
        """No webhook tells of videos."""
        return ""

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """No webhook tells of videos."""
        raise TypeError(f"{self.name} calls no webhooks")

    def produced(self, kept: Kept, now_ms: float) -> int:  # noqa: ARG002
        """Nothing is streamed."""
        return 0

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """By the second of what was made; what failed or was held back costs nothing."""
        if not _is_completed(kept, now_ms):
            return {}
        return videos_work.price(videos_work.of(kept.ask, kept.profile, kept.serving), kept.profile.facts)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal of the chat wire's form."""
        if problem.kind == "not_kept":
            found = _NAMED.search(serving.path)
            said = f"Video with id '{found[1]}' not found." if found else "Video not found."
            problem = replace(problem, kind="status", status=404, message=said)
        elif problem.kind in ("moderation", "content_filter"):
            message = problem.message or videos_work.BLOCKED
            kind = "video_generation_user_error"
            problem = replace(problem, kind="moderation_blocked", message=message, type=problem.type or kind)
        return super().error(problem, serving)


def _is_completed(kept: Kept, now_ms: float) -> bool:
    """Whether there is a video to be had."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    return job is not None and view is not None and view.state is State.SUCCEEDED and not job.plan.is_empty


def _json(body: Any, profile: Profile, serving: Serving, *more: tuple[str, str]) -> Script:
    headers = (*openai_headers.answer(_NOTHING, profile, serving, stream=False), *more)
    return Script(200, headers, (Frame(replies.dumps(body), "body"),))
