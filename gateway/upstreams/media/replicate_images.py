"""Pictures of models that Replicate hosts: a prediction, waited for as long as a held reply goes, then polled.

Files are deleted an hour after the end. Source: Replicate's HTTP API (predictions), its pages of the models.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from gateway.chain import Failure
from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, bearer, get, post
from gateway.upstreams.media import pictures, refusals
from gateway.upstreams.media.pictures import Picture
from gateway.upstreams.media.refusals import Class, decoded, failure, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

WAIT_S: Final = 60  # the longest that a reply is held for
POLL_S: Final = 1.0
POLL_FIRST_BYTE_S: Final = 20.0
ABSENCES_MAX: Final = 5  # in a row: a new prediction may not be found at first
STRANGE_MAX: Final = 60  # polls that tell nothing
WORDS: Final = Words(
    waits=("starting", "processing", "queued"), made=("succeeded",), failed=("failed", "canceled", "aborted")
)
CENSORED: Final = ("nsfw", "sensitive", "safety", "flagged", "moderat", "content polic", "prohibited")


class ReplicateImages:
    """This wire."""

    dialect: ClassVar[str] = "replicate"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 1

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Begins a prediction and watches it."""
        picture = pictures.of(self.dialect, order.model)
        path = f"/v1/models/{order.model}/predictions"
        headers = (*bearer(upstream), ("prefer", f"wait={WAIT_S}"))
        request = post(upstream, path, {"input": inputs(order, picture)}, headers)
        undo = partial(undone, upstream)
        got = yield Send(request, first_byte_s=WAIT_S + POLL_FIRST_BYTE_S, undo=undo)
        told = begun(got)
        told = yield from watched(told, upstream)
        items = read(told)
        if not items:
            raise pictures.nothing()
        return Made(items)


def inputs(order: Order, picture: Picture) -> dict[str, Any]:
    """The input of the model."""
    return {"prompt": order.prompt} | picture.shape(order) | picture.references_of(order) | picture.extras(order)


def begun(got: Got) -> dict[str, Any]:
    """The prediction that was begun. Raises Failed."""
    told = decoded(got) or {}
    if got.status >= 300:
        raise Failed(refusals.of_reply(got, "", text(told, "detail"), {}))
    if not text(told, "id"):
        raise Failed(failure(Class.FAULT, "the upstream took the order without telling its id", got.status))
    return told


def cancellation(told: Mapping[str, Any], upstream: Upstream) -> Request:
    """The request that calls a prediction off."""
    return get(upstream, f"/v1/predictions/{text(told, 'id')}/cancel", bearer(upstream), "POST")


def undone(upstream: Upstream, got: Got) -> Request | None:
    """How to call off what a submission began, if it began anything."""
    told = decoded(got) or {}
    return cancellation(told, upstream) if got.status < 300 and text(told, "id") else None


def watched(told: dict[str, Any], upstream: Upstream) -> Generator[Send, Got, dict[str, Any]]:
    """Polls until the prediction has succeeded: what was told of it last. Raises Failed."""
    poll = get(upstream, f"/v1/predictions/{text(told, 'id')}", bearer(upstream))
    cancel = cancellation(told, upstream)
    strange = absences = 0
    while True:
        standing = WORDS.standing(text(told, "status"), has_result=bool(read(told)))
        strange += standing is Standing.STRANGE
        if standing is Standing.MADE or (standing is Standing.WAITS and read(told)):
            return told  # a held reply has the output before it says that it is over
        if standing is Standing.FAILED:
            raise Failed(ended(told))
        if strange > STRANGE_MAX:
            raise Failed(failure(Class.LOST, "the upstream does not tell how the prediction stands"), leaves_job=True)
        got = yield Send(poll, POLL_S, again=True, cancel=cancel, first_byte_s=POLL_FIRST_BYTE_S)
        absences = absences + 1 if got.status == 404 else 0
        if got.status >= 400 and not 0 < absences <= ABSENCES_MAX:
            message = refusals.of_reply(got, "", "", {}).message
            raise Failed(failure(Class.LOST, message, got.status), leaves_job=True)
        told = decoded(got) or {}


def read(told: Mapping[str, Any]) -> list[Item]:
    """The pictures of a prediction: one address, or a list of them."""
    output = member(told, "output")
    found = [pictures.link(each, short_lived=True) for each in (output if isinstance(output, list) else [output])]
    return [item for item in found if item is not None]


def ended(told: Mapping[str, Any]) -> Failure:
    """The failure of a prediction that ended badly."""
    message = text(told, "error") or f"the upstream ended the prediction as {text(told, 'status')}"
    sort = Class.CENSORED if any(word in message.lower() for word in CENSORED) else Class.FAULT
    return failure(sort, message, 200, accepted=True)
