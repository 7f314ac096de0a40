"""Pictures of models that fal hosts: its queue, whose result is a question of its own.

A picture that the content checker blackened is none. Links last a week. Source: fal's documentation (queue API, model
endpoints, errors).
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any, ClassVar, Final

from gateway.chain import Failure
from gateway.config import Upstream
from gateway.media.order import Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, post
from gateway.upstreams import problems
from gateway.upstreams.media import pictures, refusals
from gateway.upstreams.media.hosted import FAL_CODES, FAL_LINKS, FAL_WORDS, fal_key, is_same, linked
from gateway.upstreams.media.refusals import Class, Codes, decoded, failure, member, text
from gateway.upstreams.media.words import Standing
from gateway.upstreams.transport import Request

POLL_S: Final = 1.0
POLL_FIRST_BYTE_S: Final = 20.0
ABSENCES_MAX: Final = 5  # in a row: a new request may not be found at first
STRANGE_MAX: Final = 60  # polls that tell nothing
CODES: Final[Codes] = {
    **FAL_CODES,
    "downstream_service_error": Class.FAULT,
    "downstream_service_unavailable": Class.FAULT,
    "generation_timeout": Class.FAULT,
    "internal_server_error": Class.FAULT,
}


class FalImages:
    """This wire."""

    dialect: ClassVar[str] = "fal"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 1

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Places a request in the queue, watches it and asks for its result."""
        picture = pictures.of(self.dialect, order.model)
        body = {"prompt": order.prompt} | picture.shape(order) | picture.references_of(order) | picture.extras(order)
        request = post(upstream, f"/{picture.model(order)}", body, fal_key(upstream))
        got = yield Send(request, undo=partial(undone, request, upstream))
        links = begun(got, request)
        yield from watched(links, upstream)
        got = yield Send(linked(links["response_url"], fal_key(upstream)), again=True)
        return read(got)


def links_of(got: Got, request: Request) -> dict[str, str] | None:
    """Where a request that was placed is asked about; None where that is not told, or would lead to another host."""
    told = decoded(got)
    links = {name: text(told, name) for name in FAL_LINKS}
    known = got.status < 300 and all(is_same(url, request.url) for url in links.values())
    return links if known else None


def undone(request: Request, upstream: Upstream, got: Got) -> Request | None:
    """How to call off what was placed, if anything was."""
    links = links_of(got, request)
    return None if links is None else linked(links["cancel_url"], fal_key(upstream), "PUT")


def begun(got: Got, request: Request) -> dict[str, str]:
    """The links of a request that was placed. Raises Failed."""
    if got.status >= 300:
        raise Failed(refused(got))
    links = links_of(got, request)
    if links is None:
        raise Failed(
            failure(Class.FAULT, "the upstream took the order without telling where to ask for it", got.status)
        )
    return links


def watched(links: dict[str, str], upstream: Upstream) -> Generator[Send, Got, None]:
    """Polls until the request has left the queue and run. Raises Failed."""
    poll = linked(links["status_url"], fal_key(upstream))
    cancel = linked(links["cancel_url"], fal_key(upstream), "PUT")
    absences = strange = 0
    while True:
        got = yield Send(poll, POLL_S, again=True, cancel=cancel, first_byte_s=POLL_FIRST_BYTE_S)
        absences = absences + 1 if got.status == 404 else 0
        if got.status >= 400 and not 0 < absences <= ABSENCES_MAX:
            raise Failed(failure(Class.LOST, refused(got).message, got.status), leaves_job=True)
        standing = FAL_WORDS.standing(text(decoded(got), "status"))
        strange += standing is Standing.STRANGE
        if standing in (Standing.MADE, Standing.FAILED):
            return  # the result tells which
        if strange > STRANGE_MAX:
            raise Failed(failure(Class.LOST, "the upstream does not tell how the request stands"), leaves_job=True)


def read(got: Got) -> Made:
    """The pictures of a result. Raises Failed."""
    if got.status >= 300:
        raise Failed(refused(got, accepted=True))
    told = got.json()
    images = told.get("images")
    entries = images if isinstance(images, list) else [told.get("image")]
    flags = told.get("has_nsfw_concepts")
    black = flags if isinstance(flags, list) else []
    found = [
        pictures.link(member(entry, "url"), text(entry, "content_type"))
        for number, entry in enumerate(entries)
        if not (number < len(black) and black[number] is True)
    ]
    items = [item for item in found if item is not None]
    if not items:
        raise pictures.nothing()
    return Made(items)


def refused(got: Got, *, accepted: bool = False) -> Failure:
    """The failure that an error is: a list of a model's complaints, the platform's own object, or a text."""
    told: Any = decoded(got)
    code = text(told, "detail", 0, "type") or text(told, "error_type")
    message = problems.find(told).message if told is not None else ""
    if not accepted:
        return refusals.of_reply(got, code, message, CODES)
    sort = refusals.class_of(got.status, code, CODES)
    return failure(sort, message or "the upstream could not make the picture", got.status, accepted=True)
