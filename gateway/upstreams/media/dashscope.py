"""DashScope (Wan): asynchronous if a header says so, an empty account is 400, an unknown task has status 200.

Source: wire reference, chapter 5.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import bearer, get, post
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

SERVICES: Final = "/api/v1/services/aigc/"
TASKS: Final = "/api/v1/tasks/"
ASYNC: Final = ("x-dashscope-async", "enable")
UNKNOWN: Final = "UNKNOWN"
WORDS: Final = Words(waits=("PENDING", "RUNNING"), made=("SUCCEEDED",), failed=("FAILED", "CANCELED"))
CODES: Final[Codes] = {
    **dict.fromkeys(("InvalidApiKey", "AccessDenied", "Model.AccessDenied"), Class.AUTH),
    **dict.fromkeys(("Arrearage", "AllocationQuota", "insufficient_quota"), Class.FUNDS),
    **dict.fromkeys(("InvalidParameter", "InvalidURL"), Class.INVALID),
    "DataInspectionFailed": Class.MODERATED,
    "ModelNotFound": Class.FAULT,
    "Throttling": Class.RATE,
    **dict.fromkeys(("InternalError", "RequestTimeOut", "ModelUnavailable"), Class.FAULT),
}


class DashScopeClips(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "dashscope"
    cancels: ClassVar[bool] = True  # while the task waits
    codes: ClassVar[Codes] = CODES

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """A prompt, perhaps a picture; without one the size is asked for, with one the resolution."""
        given: dict[str, Any] = {"prompt": order.prompt}
        if isinstance(order.extras.get("negative_prompt"), str):
            given["negative_prompt"] = order.extras["negative_prompt"]
        parameters: dict[str, Any] = {} if (seconds := clip.seconds(order)) is None else {"duration": seconds}
        if order.images:
            given["img_url"] = order.images[0]
            parameters |= {} if (tier := clip.tier(order)) is None else {"resolution": tier}
        elif clip.sizes:
            parameters["size"] = clip.size(order)
        parameters |= clip.extras(order)
        body = {"model": clip.model(order), "input": given, "parameters": parameters}
        return post(upstream, SERVICES + clip.path, body, (*bearer(upstream), ASYNC))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`output.task_id`."""
        ident = text(told, "output", "task_id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, TASKS + job.id, bearer(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`output.task_status`, with the clip or what went wrong beside it."""
        output, usage = member(told, "output"), member(told, "usage")
        if member(output, "task_status") == UNKNOWN:
            return Look(Standing.ABSENT)
        items = links(member(output, "video_url"))
        standing = WORDS.standing(member(output, "task_status"), has_result=bool(items))
        seconds = member(usage, "output_video_duration") or member(usage, "duration") or member(usage, "video_duration")
        return Look(standing, items, seconds, sort_of(output), text(output, "message"))

    def refusal(self, told: Json) -> tuple[str, str]:
        """Texts at the top; those of a failed task stand in `output`."""
        return text(told, "code"), text(told, "message")

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """A task that runs already is not to be stopped."""
        return get(upstream, f"{TASKS}{job.id}/cancel", bearer(upstream), "POST")


def sort_of(output: Any) -> Class:
    """Why a task failed: the same code is told of what came in and of what came out."""
    sort = refusals.class_of(500, text(output, "code"), CODES)
    is_input = text(output, "message").casefold().startswith("input")
    return Class.CENSORED if sort is Class.MODERATED and not is_input else sort
