"""Google's Veo: operations that are nothing but their name while they run, in both of Google's shapes.

The Gemini API (`veo`) tells a link that needs the key; Vertex AI (`vertex_veo`) is asked by POST and sends the bytes.
What was held back for safety is no error: `done`, without a sample.
Pictures are taken as base64 only. Source: wire reference, chapter 6.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from gateway.config import Upstream
from gateway.media.order import Item, Order
from gateway.media.steps import Got, Send, bearer, get, post
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Standing
from gateway.upstreams.transport import Request

KEY: Final = "x-goog-api-key"
CODES: Final[Codes] = {
    **dict.fromkeys(("UNAUTHENTICATED", "PERMISSION_DENIED"), Class.AUTH),
    **dict.fromkeys(("INVALID_ARGUMENT", "OUT_OF_RANGE"), Class.INVALID),
    # billing and models are ours to mend
    **dict.fromkeys(("FAILED_PRECONDITION", "NOT_FOUND", "UNIMPLEMENTED"), Class.FAULT),
    "RESOURCE_EXHAUSTED": Class.RATE,
    **dict.fromkeys(("INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "ABORTED", "CANCELLED"), Class.FAULT),
}
INVALID_ARGUMENT: Final = ("3", "400")  # of an operation's error: a google.rpc number; some were seen to be HTTP's
SAMPLES: Final = (
    ("generateVideoResponse", "generatedSamples"),
    ("generatedSamples",),
    ("videos",),
    ("generatedVideos",),
)


class Veo(ClipJobs):
    """The Gemini API."""

    dialect: ClassVar[str] = "veo"
    inlines: ClassVar[bool] = True
    codes: ClassVar[Codes] = CODES

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """One instance, one sample."""
        path = f"/v1beta/models/{clip.model(order)}:predictLongRunning"
        return post(upstream, path, ordered(order, clip), credential(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`name`."""
        ident = text(told, "name")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the name, which is a path."""
        return get(upstream, f"/v1beta/{job.id}", credential(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`done`, with a `response` or an `error`."""
        error = member(told, "error")
        if error:
            sort = Class.INVALID if text(error, "code") in INVALID_ARGUMENT else Class.FAULT
            return Look(Standing.FAILED, sort=sort, message=text(error, "message"))
        if member(told, "done") is not True:
            return Look(Standing.WAITS)
        return Look(Standing.MADE, sample(told), sort=Class.CENSORED, message=reasons(told))

    def refusal(self, told: Json) -> tuple[str, str]:
        """An `error` that is not an operation's."""
        if "name" in told:
            return "", ""
        error = member(told, "error")
        return text(error, "status") or text(error, "code"), text(error, "message")

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """The link wants the key, if it is the upstream's own."""
        yield from ()
        return replace(look, items=[keyed(item, upstream) for item in look.items])


class VertexVeo(Veo):
    """Vertex AI. A model is an id, or a resource's whole name: projects/P/locations/L/publishers/google/models/M."""

    dialect: ClassVar[str] = "vertex_veo"

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """The same body."""
        path = f"/v1/{resource(clip.model(order))}:predictLongRunning"
        return post(upstream, path, ordered(order, clip), bearer(upstream))

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:
        """A question that is posted, and may be repeated."""
        path = f"/v1/{resource(order.model)}:fetchPredictOperation"
        return post(upstream, path, {"operationName": job.id}, bearer(upstream))

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """As it is."""
        yield from ()
        return look


def ordered(order: Order, clip: Clip) -> dict[str, Any]:
    """The body of an order."""
    instance: dict[str, Any] = {"prompt": order.prompt}
    if order.images:
        instance["image"] = picture(order.images[0])
    if order.last_image is not None:
        instance["lastFrame"] = picture(order.last_image)
    fields = {
        "durationSeconds": clip.seconds(order),
        "aspectRatio": order.aspect_ratio,
        "resolution": clip.tier(order),
        "negativePrompt": order.extras.get("negative_prompt"),
    }
    parameters = {name: value for name, value in fields.items() if value is not None}
    return {"instances": [instance], "parameters": parameters | clip.extras(order)}


def picture(image: str) -> dict[str, str]:
    """A data URL as Google has it."""
    head, _, data = image.partition(";base64,")
    return {"bytesBase64Encoded": data, "mimeType": head.removeprefix("data:").partition(";")[0]}


def sample(told: Json) -> Sequence[Item]:
    """The first clip of a response, in any of the shapes that were seen."""
    response = member(told, "response")
    for names in SAMPLES:
        found = member(response, *names, 0)
        if found is not None:
            video = member(found, "video") or found
            return links(member(video, "uri")) or held(video)
    return ()


def held(video: Any) -> Sequence[Item]:
    """A clip that came as bytes."""
    data = text(video, "bytesBase64Encoded") or text(video, "encodedVideo")
    try:
        clip = b64decode(data, validate=True)
    except NoBase64:
        return ()
    return [Item(data=clip, mime=text(video, "mimeType") or "video/mp4")] if clip else ()


def reasons(told: Json) -> str:
    """Why clips were held back."""
    response = member(told, "response")
    inner = member(response, "generateVideoResponse") or response
    return text(inner, "raiMediaFilteredReasons", 0)


def keyed(item: Item, upstream: Upstream) -> Item:
    """An item behind the key. The key goes to no other host than the upstream's."""
    if item.url is None:
        return item
    same = urlsplit(item.url)[:2] == urlsplit(upstream.base_url)[:2]
    return replace(item, short_lived=True, headers=credential(upstream) if same else ())


def credential(upstream: Upstream) -> Sequence[tuple[str, str]]:
    """The key."""
    return ((KEY, upstream.key),)


def resource(model: str) -> str:
    """A model's name as Vertex has it."""
    return model if "/" in model else f"publishers/google/models/{model}"
