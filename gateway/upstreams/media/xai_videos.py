"""xAI's videos: polls are 202 until the end, what was moderated is `done` without an address.

Source: wire reference, chapter 8.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import bearer, get, post
from gateway.upstreams import problems
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

ACCEPTED: Final = 202
MODERATED: Final = "the clip did not pass the upstream's moderation"
WORDS: Final = Words(waits=("pending",), made=("done",), failed=("failed", "expired"))
CODES: Final[Codes] = {"invalid_argument": Class.INVALID, "internal_error": Class.FAULT}


class XaiVideos(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "xai"
    codes: ClassVar[Codes] = CODES
    blank: ClassVar[Standing] = Standing.WAITS

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """A prompt, perhaps a picture."""
        body: dict[str, Any] = {"model": clip.model(order), "prompt": order.prompt}
        fields = {
            "duration": clip.seconds(order),
            "aspect_ratio": order.aspect_ratio,
            "resolution": clip.tier(order),
            "image": {"url": order.images[0]} if order.images else None,
        }
        body |= {name: value for name, value in fields.items() if value is not None}
        return post(upstream, "/v1/videos/generations", body | clip.extras(order), bearer(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`request_id`."""
        ident = text(told, "request_id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"/v1/videos/{job.id}", bearer(upstream))

    def look(self, told: Json, status: int) -> Look:
        """`status`, which older replies leave out once there is a video."""
        video = member(told, "video")
        items = links(member(video, "url"), short_lived=True)
        word = member(told, "status")
        if status == ACCEPTED and word is None:
            return Look(Standing.WAITS)
        standing = WORDS.standing(word, has_result=bool(items))
        if member(video, "respect_moderation") is False:
            return Look(standing, (), None, Class.CENSORED, MODERATED)
        sort = refusals.class_of(500, text(told, "error", "code"), CODES)
        return Look(standing, items, member(video, "duration"), sort, text(told, "error", "message"))

    def refusal(self, told: Json) -> tuple[str, str]:
        """One of three envelopes; a job that failed has an `error` as well, and a `status`."""
        if "status" in told or "error" not in told:
            return "", ""
        problem = problems.find(told)
        return text(told, "error", "code") or text(told, "code") or "error", problem.message
