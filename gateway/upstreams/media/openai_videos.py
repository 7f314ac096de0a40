"""OpenAI's videos (Sora): seconds are a text, a video has no link: its bytes are fetched with the key.

Source: wire reference, chapter 9.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import Got, Send, bearer, get, post
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Words
from gateway.upstreams.transport import Request

VIDEOS: Final = "/v1/videos"
WORDS: Final = Words(waits=("queued", "in_progress"), made=("completed",), failed=("failed",))
CODES: Final[Codes] = {
    **dict.fromkeys(("invalid_api_key", "account_deactivated"), Class.AUTH),
    **dict.fromkeys(("insufficient_quota", "billing_hard_limit_reached"), Class.FUNDS),
    **dict.fromkeys(("moderation_blocked", "content_policy_violation"), Class.MODERATED),
    "rate_limit_exceeded": Class.RATE,
}


class OpenAIVideos(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "openai_videos"
    cancels: ClassVar[bool] = True
    codes: ClassVar[Codes] = CODES

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """A prompt, perhaps a picture of just the size that is asked for."""
        body: dict[str, Any] = {"model": clip.model(order), "prompt": order.prompt}
        if (seconds := clip.seconds(order)) is not None:
            body["seconds"] = str(seconds)
        if order.size is not None:
            body["size"] = f"{order.size[0]}x{order.size[1]}"
        elif clip.sizes:
            body["size"] = clip.size(order)
        if order.images:
            body["input_reference"] = {"image_url": order.images[0]}
        return post(upstream, VIDEOS, body | clip.extras(order), bearer(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`id`."""
        ident = text(told, "id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"{VIDEOS}/{job.id}", bearer(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`status`."""
        code = text(told, "error", "code")
        sort = refusals.class_of(500, code, CODES)
        sort = Class.CENSORED if sort is Class.MODERATED else sort
        return Look(
            WORDS.standing(member(told, "status")), (), member(told, "seconds"), sort, text(told, "error", "message")
        )

    def refusal(self, told: Json) -> tuple[str, str]:
        """An `error` outside of a video, which has a `status`."""
        if "status" in told:
            return "", ""
        return text(told, "error", "code") or text(told, "error", "type"), text(told, "error", "message")

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """The bytes are behind the job's own address."""
        yield from ()
        content = f"{upstream.base_url}{VIDEOS}/{job.id}/content"
        return replace(look, items=links(content, short_lived=True, headers=bearer(upstream)))

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """Deleting ends it."""
        return get(upstream, f"{VIDEOS}/{job.id}", bearer(upstream), "DELETE")
