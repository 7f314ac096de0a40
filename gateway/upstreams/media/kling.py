"""Kling: the model in the body, one path for each kind of order, `succeed` for success, money told as 429.

The key is a raw one, or a pair ACCESS|SECRET that signs tokens (JWT, HS256). Source: wire reference, chapter 1.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final

import orjson

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import get, post
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, member, text
from gateway.upstreams.media.words import Words
from gateway.upstreams.transport import Request

TOKEN_LIFE_S: Final = 1800
TOKEN_EARLY_S: Final = 5
VIDEOS: Final = "/v1/videos/"
TEXT, IMAGE, OMNI = "text2video", "image2video", "omni-video"
WORDS: Final = Words(waits=("submitted", "processing"), made=("succeed", "succeeded"), failed=("failed",))
CODES: Final[Codes] = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004", "1103", "1304"), Class.AUTH),
    **dict.fromkeys(("1100", "1101", "1102"), Class.FUNDS),
    **dict.fromkeys(("1200", "1201"), Class.INVALID),
    **dict.fromkeys(("1202", "1203"), Class.FAULT),
    **dict.fromkeys(("1300", "1301"), Class.MODERATED),
    **dict.fromkeys(("1302", "1303"), Class.RATE),
    **dict.fromkeys(("5000", "5001", "5002"), Class.FAULT),
}


class Kling(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "kling"
    codes: ClassVar[Codes] = CODES
    absent: ClassVar[frozenset[str]] = frozenset({"1203"})

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """An order of a kind that has a path of its own."""
        body: dict[str, Any] = {"model_name": clip.model(order), "prompt": order.prompt}
        if (seconds := clip.seconds(order)) is not None:
            body["duration"] = str(seconds)
        if (mode := clip.tier(order)) is not None:
            body["mode"] = mode
        if order.aspect_ratio is not None and (not order.images or clip.path == OMNI):
            body["aspect_ratio"] = order.aspect_ratio  # else it is that of the first frame
        path = clip.path or (IMAGE if order.images else TEXT)
        body |= frames_in_list(order) if path == OMNI else frames(order)
        return post(upstream, VIDEOS + path, body | clip.extras(order), credential(upstream, order.at_s))

    def job(self, told: Json, request: Request) -> Job | None:
        """`data.task_id`; it is asked about on the path that it was ordered on."""
        ident = text(told, "data", "task_id")
        return Job(ident, VIDEOS + request.url.rpartition(VIDEOS)[2]) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:
        """By the id."""
        return get(upstream, f"{job.path}/{job.id}", credential(upstream, order.at_s))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`data.task_status`, with the clip in `task_result`."""
        data = member(told, "data")
        clip = member(data, "task_result", "videos", 0)
        items = links(member(clip, "url"))
        standing = WORDS.standing(member(data, "task_status"), has_result=bool(items))
        return Look(standing, items, member(clip, "duration"), message=text(data, "task_status_msg"))

    def refusal(self, told: Json) -> tuple[str, str]:
        """`code` is 0 where all is well."""
        code = text(told, "code")
        return ("", "") if code in ("", "0") else (code, text(told, "message"))


def frames(order: Order) -> dict[str, Any]:
    """First and last frame."""
    told = {"image": bare(order.images[0])} if order.images else {}
    return told if order.last_image is None else {**told, "image_tail": bare(order.last_image)}


def frames_in_list(order: Order) -> dict[str, Any]:
    """The same as the omni models want it."""
    told = [{"image_url": bare(image), "type": "first_frame"} for image in order.images]
    if order.last_image is not None:
        told.append({"image_url": bare(order.last_image), "type": "end_frame"})
    return {"image_list": told} if told else {}


def bare(image: str) -> str:
    """A picture as this vendor takes it: an address, or base64 without what makes it a data URL."""
    return image.partition(";base64,")[2] if image.startswith("data:") else image


def credential(upstream: Upstream, at_s: float) -> Sequence[tuple[str, str]]:
    """The key, or a token signed with it."""
    access, pair, secret = upstream.key.partition("|")
    return (("authorization", f"Bearer {token(access, secret, int(at_s)) if pair else access}"),)


def token(access: str, secret: str, at_s: int) -> str:
    """A token that is good for half an hour."""
    claims = {"iss": access, "exp": at_s + TOKEN_LIFE_S, "nbf": at_s - TOKEN_EARLY_S}
    signed = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims)}"
    return f"{signed}.{unpadded(hmac.digest(secret.encode(), signed.encode(), sha256))}"


def encoded(value: Mapping[str, Any]) -> str:
    """A part of a token."""
    return unpadded(orjson.dumps(value))


def unpadded(data: bytes) -> str:
    """Base64 for URLs without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
