"""Ark (Seedance), Volcengine's and BytePlus's: the reply to an order is its id alone; a failed task is told with 200.

Source: wire reference, chapter 3.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import bearer, get, post
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, believed, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Words
from gateway.upstreams.transport import Request

TASKS: Final = "/api/v3/contents/generations/tasks"
WORDS: Final = Words(
    waits=("queued", "running", "pending", "processing"), made=("succeeded",), failed=("failed", "cancelled", "expired")
)
MEDIA: Final = ("Text", "Image", "Video", "Audio")
CODES: Final[Codes] = {
    "AuthenticationError": Class.AUTH,
    "AccessDenied": Class.AUTH,
    "AccountOverdueError": Class.FUNDS,
    "SetLimitExceeded": Class.FUNDS,
    **dict.fromkeys(("MissingParameter", "InvalidParameter"), Class.INVALID),
    **dict.fromkeys((f"Input{medium}SensitiveContentDetected" for medium in MEDIA), Class.MODERATED),
    **dict.fromkeys((f"Output{medium}SensitiveContentDetected" for medium in MEDIA), Class.CENSORED),
    **dict.fromkeys(("InvalidEndpoint", "InvalidEndpointOrModel", "ModelNotOpen", "UnsupportedModel"), Class.FAULT),
    **dict.fromkeys(("RateLimitExceeded", "AccountRateLimitExceeded", "RequestBurstTooFast"), Class.RATE),
    **dict.fromkeys(("ModelAccountRpmRateLimitExceeded", "ModelAccountTpmRateLimitExceeded"), Class.RATE),
    **dict.fromkeys(("QuotaExceeded", "ServerOverloaded", "ModelLoadingError"), Class.RATE),
    "InternalServiceError": Class.FAULT,
}


class ArkClips(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "ark"
    cancels: ClassVar[bool] = True  # while the task waits
    codes: ClassVar[Codes] = CODES

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """Prompt and pictures as a list of content."""
        content: list[dict[str, Any]] = [{"type": "text", "text": order.prompt}]
        content += [picture(image, "first_frame") for image in order.images]
        if order.last_image is not None:
            content.append(picture(order.last_image, "last_frame"))
        body: dict[str, Any] = {"model": clip.model(order), "content": content}
        fields = {"duration": clip.seconds(order), "ratio": order.aspect_ratio, "resolution": clip.tier(order)}
        body |= {name: value for name, value in fields.items() if value is not None}
        return post(upstream, TASKS, body | clip.extras(order), bearer(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`id`."""
        ident = text(told, "id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"{TASKS}/{job.id}", bearer(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`status`, with the clip in `content` and what went wrong in `error`, which may be missing."""
        items = links(member(told, "content", "video_url"))
        standing = WORDS.standing(member(told, "status"), has_result=bool(items))
        sort = refusals.class_of(500, text(told, "error", "code"), CODES)
        return Look(standing, items, length(told), sort, text(told, "error", "message"))

    def refusal(self, told: Json) -> tuple[str, str]:
        """An `error` outside of a task, which has a `status`."""
        if "status" in told:
            return "", ""
        return text(told, "error", "code"), text(told, "error", "message")

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """A task that runs already is not to be stopped; asking does no harm."""
        return get(upstream, f"{TASKS}/{job.id}", bearer(upstream), "DELETE")


def picture(url: str, role: str) -> dict[str, Any]:
    """A picture as content."""
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def length(told: Json) -> Any:
    """Seconds of a clip, which may be told as frames."""
    frames, rate = believed(member(told, "frames")), believed(member(told, "framespersecond"))
    return frames / rate if frames and rate else member(told, "duration")
