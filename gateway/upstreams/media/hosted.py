"""Clips of models that fal and Replicate host: what an input is called differs from model to model, and is data.

fal: a queue, whose requests are `COMPLETED` also when they failed; the result is a question of its own. Replicate:
predictions, whose files are gone after an hour. Source: their documentation (queue API; HTTP API, predictions).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from gateway.config import Upstream
from gateway.media.order import Item, Order
from gateway.media.steps import Got, Send, bearer, get, post
from gateway.upstreams import problems
from gateway.upstreams.media import refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, decoded, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

FAL_WORDS: Final = Words(waits=("IN_QUEUE", "IN_PROGRESS"), made=("COMPLETED",), failed=())
FAL_CODES: Final[Codes] = {
    "content_policy_violation": Class.MODERATED,
    "no_media_generated": Class.CENSORED,
    **dict.fromkeys(("missing", "value_error", "type_error", "file_download_error", "image_load_error"), Class.INVALID),
}
REPLICATE_WORDS: Final = Words(
    waits=("starting", "processing"), made=("succeeded",), failed=("failed", "canceled", "aborted")
)
CENSORED_WORDS: Final = ("nsfw", "sensitive", "flagged", "content policy", "safety")
FAL_LINKS: Final = ("status_url", "response_url", "cancel_url")


class Fal(ClipJobs):
    """fal's queue."""

    dialect: ClassVar[str] = "fal"
    cancels: ClassVar[bool] = True
    codes: ClassVar[Codes] = FAL_CODES

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """The input, at the model's own path."""
        return post(upstream, f"/{clip.model(order)}", inputs(order, clip), fal_key(upstream))

    def job(self, told: Json, request: Request) -> Job | None:
        """`request_id` and links, which lead nowhere but to where the order was placed."""
        ident, given = text(told, "request_id"), {name: text(told, name) for name in FAL_LINKS}
        if not ident or not all(is_same(url, request.url) for url in given.values()):
            return None
        return Job(ident, links=given)

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """At its link."""
        return linked(job.links["status_url"], fal_key(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`status`; that one failed, the result tells."""
        return Look(FAL_WORDS.standing(member(told, "status")), message=text(told, "error"))

    def refusal(self, told: Json) -> tuple[str, str]:
        """`detail`, a text or a list; a request in the queue has a `status`."""
        if "status" in told or "detail" not in told:
            return "", ""
        return text(told, "detail", 0, "type") or "error", problems.find(told).message

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """The result, or why there is none."""
        is_sound = not look.message  # else the error is the result, whatever its status
        got = yield Send(linked(job.links["response_url"], fal_key(upstream)), again=is_sound)
        told = decoded(got) or {}
        if got.status < 300:
            video = member(told, "video") or member(told, "videos", 0)
            return Look(Standing.MADE, links(member(video, "url")), member(video, "duration"), Class.CENSORED)
        code = text(told, "detail", 0, "type") or text(told, "error_type")
        sort = refusals.class_of(got.status, code.partition(".")[0], FAL_CODES)
        return Look(Standing.FAILED, sort=sort, message=problems.find(told).message or look.message)

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """At its link."""
        return linked(job.links["cancel_url"], fal_key(upstream), "PUT")


class Replicate(ClipJobs):
    """Replicate's predictions."""

    dialect: ClassVar[str] = "replicate"
    cancels: ClassVar[bool] = True

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """A prediction of an official model."""
        return post(
            upstream, f"/v1/models/{clip.model(order)}/predictions", {"input": inputs(order, clip)}, bearer(upstream)
        )

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`id`."""
        ident = text(told, "id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"/v1/predictions/{job.id}", bearer(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`status`, with the `output` (a link, or a list of them) or an `error`."""
        items, error = clips_of(member(told, "output")), text(told, "error")
        standing = REPLICATE_WORDS.standing(member(told, "status"), has_result=bool(items))
        is_censored = any(word in error.casefold() for word in CENSORED_WORDS)
        return Look(standing, items, None, Class.CENSORED if is_censored else Class.FAULT, error)

    def refusal(self, told: Json) -> tuple[str, str]:
        """Problem details; a prediction has an `id`."""
        if "id" in told or "detail" not in told:
            return "", ""
        return text(told, "title") or "error", text(told, "detail")

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:
        """By the id."""
        return get(upstream, f"/v1/predictions/{job.id}/cancel", bearer(upstream), "POST")


def inputs(order: Order, clip: Clip) -> dict[str, Any]:
    """The input of a model, its parts called as the model calls them."""
    seconds = clip.seconds(order)
    wanted: Mapping[str, Any] = {
        "seconds": str(seconds) if seconds is not None and clip.length_as == "text" else seconds,
        "image": order.images[0] if order.images else None,
        "last_image": order.last_image,
        "aspect_ratio": None if order.images else order.aspect_ratio,
        "resolution": clip.tier(order),
    }
    named = {clip.fields[name]: value for name, value in wanted.items() if value is not None and name in clip.fields}
    return {"prompt": order.prompt, **named, **clip.extras(order)}


def clips_of(output: Any) -> list[Item]:
    """The clips of a prediction."""
    return links(*(output if isinstance(output, list) else [output]), short_lived=True)


def linked(url: str, headers: Sequence[tuple[str, str]], method: str = "GET") -> Request:
    """A request at a link that the vendor told."""
    return Request(url, [("accept", "application/json"), *headers], b"", method, once=True)


def is_same(url: str, other: str) -> bool:
    """Whether two URLs lead to the same host: the key goes to no other."""
    return urlsplit(url)[:2] == urlsplit(other)[:2]


def fal_key(upstream: Upstream) -> tuple[tuple[str, str], ...]:
    """The key."""
    return (("authorization", f"Key {upstream.key}"),)
