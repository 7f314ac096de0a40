"""Vidu: the word before the key is Token, every path has its kind of order, an empty account is 400.

Source: wire reference, chapter 7.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import get, post
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Words
from gateway.upstreams.transport import Request

ROOT: Final = "/ent/v2/"
WORDS: Final = Words(waits=("created", "queueing", "processing"), made=("success",), failed=("failed",))
PICTURE_WORDS: Final = ("DownloadFailure", "FormatInvalid", "CheckBodyJointsFailed", "CheckFaceFailed")
CODES: Final[Codes] = {
    **dict.fromkeys(("Unauthorized", "Forbidden"), Class.AUTH),
    "CreditInsufficient": Class.FUNDS,
    **dict.fromkeys(("BadRequest", "FieldLacking", "FieldUnwanted", "FieldInvalid"), Class.INVALID),
    **dict.fromkeys(("FieldItemCountOutOfRange", "ImageCheckObjectsUndetected"), Class.INVALID),
    **dict.fromkeys((f"Image{word}" for word in PICTURE_WORDS), Class.INVALID),
    **dict.fromkeys(("TaskPromptPolicyViolation", "AuditSubmitIllegal"), Class.MODERATED),
    "CreationPolicyViolation": Class.CENSORED,
    **dict.fromkeys(("ModelUnavailable", "OperationInProcess", "UserCancelled", "Canceled", "Conflict"), Class.FAULT),
    **dict.fromkeys(("QuotaExceeded", "TooManyRequests", "SystemThrottling"), Class.RATE),
    "InternalServiceFailure": Class.FAULT,
}


class Vidu(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "vidu"
    cancels: ClassVar[bool] = True  # while the task waits
    codes: ClassVar[Codes] = CODES
    absent: ClassVar[frozenset[str]] = frozenset({"TaskNotFound", "CreationNotFound", "NotFound"})

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """By text, by a first frame, or by first and last."""
        body: dict[str, Any] = {"model": clip.model(order), "prompt": order.prompt}
        images = [*order.images, *([order.last_image] if order.last_image is not None else [])]
        fields = {
            "images": images or None,
            "duration": clip.seconds(order),
            "resolution": clip.tier(order),
            "aspect_ratio": None if images else order.aspect_ratio,
        }
        body |= {name: value for name, value in fields.items() if value is not None}
        kind = ("text2video", "img2video", "start-end2video")[len(images)]
        return post(upstream, ROOT + kind, body | clip.extras(order), credential(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`task_id`, which is `id` later on."""
        ident = text(told, "task_id") or text(told, "id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"{ROOT}tasks/{job.id}/creations", credential(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`state`, with the clip in `creations` or a word in `err_code`."""
        items = links(member(told, "creations", 0, "url"))
        code = text(told, "err_code")
        standing = WORDS.standing(member(told, "state"), has_result=bool(items))
        return Look(standing, items, None, refusals.class_of(500, code, CODES), code)

    def refusal(self, told: Json) -> tuple[str, str]:
        """The word of an error stands in `reason`, in `code` or in both."""
        reason, code = text(told, "reason"), text(told, "code")
        word = reason or code
        return (word, text(told, "message") or word) if word and "state" not in told else ("", "")

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """A task that runs already is not to be stopped."""
        return post(upstream, f"{ROOT}tasks/{job.id}/cancel", {"id": job.id}, credential(upstream))


def credential(upstream: Upstream) -> tuple[tuple[str, str], ...]:
    """The key."""
    return (("authorization", f"Token {upstream.key}"),)
