"""Ark's pictures (Seedream): one POST, held until all are done; a 200 may hold pictures and errors side by side.

The wire has no `n`: a sequence has as many pictures as the model finds in the prompt. So several pictures are several
requests, and a sequence is not asked for. Links live for a day. Source: wire reference, chapter 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media.order import Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, bearer, post
from gateway.upstreams.media import pictures, refusals
from gateway.upstreams.media.pictures import FIRST_BYTE_S, Picture
from gateway.upstreams.media.refusals import Class, decoded, member, text

PATH: Final = "/api/v3/images/generations"
CODES: Final[Mapping[str, Class]] = {
    "InputTextSensitiveContentDetected": Class.MODERATED,
    "InputImageSensitiveContentDetected": Class.MODERATED,
    "OutputImageSensitiveContentDetected": Class.CENSORED,
    "AuthenticationError": Class.AUTH,
    "AccessDenied": Class.AUTH,
    "AccountOverdueError": Class.FUNDS,
    "QuotaExceeded": Class.RATE,
    "SetLimitExceeded": Class.FUNDS,
    "InvalidEndpoint": Class.FAULT,
    "InvalidEndpointOrModel": Class.FAULT,
    "ModelNotOpen": Class.FAULT,
    "UnsupportedModel": Class.FAULT,
    "ServerOverloaded": Class.RATE,
    "ModelLoadingError": Class.RATE,
}


class ArkImages:
    """This wire."""

    dialect: ClassVar[str] = "ark"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 1

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Asks once."""
        picture = pictures.of(self.dialect, order.model)
        got = yield Send(post(upstream, PATH, request(order, picture), bearer(upstream)), first_byte_s=FIRST_BYTE_S)
        return read(got, picture.mime_of(order))


def request(order: Order, picture: Picture) -> dict[str, Any]:
    """The body: without a watermark unless the caller wants one."""
    body: dict[str, Any] = {"model": order.model, "prompt": order.prompt, "watermark": False}
    body["response_format"] = "b64_json" if order.as_base64 else "url"
    return body | picture.shape(order) | picture.references_of(order) | picture.extras(order)


def read(got: Got, mime: str) -> Made:
    """The pictures of a reply, without those that failed. Raises Failed where all did."""
    told = decoded(got)
    if got.status >= 300 or told is None:
        raise Failed(refused(got, member(told, "error")))
    data = member(told, "data")
    entries = data if isinstance(data, list) else []
    found = [
        pictures.inline(member(one, "b64_json"), mime) or pictures.link(member(one, "url"), mime) for one in entries
    ]
    items = [item for item in found if item is not None]
    if items:
        return Made(items)
    errors = [member(one, "error") for one in entries if member(one, "error")]
    if errors or member(told, "error"):
        raise Failed(refused(got, (errors or [member(told, "error")])[0]))
    raise pictures.nothing(sort=Class.RATE)


def refused(got: Got, error: Any) -> Failure:
    """The failure that an error of the reply, or of one of its pictures, is. Nothing goes on behind a reply: a fault
    may pass by itself.
    """
    told = refusals.of_reply(got, text(error, "code"), text(error, "message"), CODES)
    return replace(told, verdict=Verdict.RETRY) if got.status >= 500 else told
