"""Black Forest Labs' wire: a task is submitted, then polled at the URL that its submission told, which is always a 200.

Links live for ten minutes. Nothing cancels a task. Source: wire reference, chapter 12.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from gateway.chain import Failure
from gateway.config import Upstream
from gateway.media.order import Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, post
from gateway.upstreams.media import pictures, refusals
from gateway.upstreams.media.pictures import Picture
from gateway.upstreams.media.refusals import Class, decoded, failure, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

POLL_S: Final = 1.0
POLL_FIRST_BYTE_S: Final = 20.0
ABSENCES_MAX: Final = 3  # in a row: another node of the cluster may not know a new task yet
STRANGE_MAX: Final = 60  # polls that tell nothing
ABSENT: Final = "Task not found"
WORDS: Final = Words(
    waits=("Pending", "Queued", "Processing", "Reviewing", "Generating"),
    made=("Ready",),
    failed=("Error", "Failed", "Request Moderated", "Content Moderated"),
)
CODES: Final[Mapping[str, Class]] = {
    "insufficient_credits": Class.FUNDS,
    "invalid_api_key": Class.AUTH,
    "rate_limit_exceeded": Class.RATE,
    "content_policy_violation": Class.MODERATED,
}
ENDS: Final[Mapping[str, Class]] = {"Request Moderated": Class.MODERATED, "Content Moderated": Class.CENSORED}


class BFL:
    """This wire."""

    dialect: ClassVar[str] = "bfl"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})
    most_at_once: ClassVar[int] = 1

    def fits(self, order: Order, model: str) -> bool:
        """Whether the model makes it."""
        return pictures.of(self.dialect, model).fits(order)

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Submits a task and polls it."""
        picture = pictures.of(self.dialect, order.model)
        got = yield Send(post(upstream, f"/v1/{order.model}", request(order, picture), key(upstream)))
        url = polled_at(got)
        told = yield from watched(Request(url, poll_headers(url, upstream), b"", "GET", once=True))
        item = pictures.link(member(told, "result", "sample"), picture.mime_of(order), short_lived=True)
        if item is None:
            raise pictures.nothing()
        return Made([item])


def key(upstream: Upstream) -> Sequence[tuple[str, str]]:
    """The vendor's own header."""
    return (("x-key", upstream.key),)


def request(order: Order, picture: Picture) -> dict[str, Any]:
    """The body; pictures come along as addresses or as bare base64."""
    references = picture.told([pictures.bare(image) for image in order.images])
    return {"prompt": order.prompt} | picture.shape(order) | references | picture.extras(order)


def polled_at(got: Got) -> str:
    """Where the task of a submission is polled. Raises Failed."""
    told = decoded(got) or {}
    if got.status >= 300:
        raise Failed(refusals.of_reply(got, text(told, "error"), text(told, "message"), CODES))
    url = text(told, "polling_url")
    if not url.startswith(("https://", "http://")):
        raise Failed(
            failure(Class.FAULT, "the upstream took the order without telling where to ask for it", got.status)
        )
    return url


def poll_headers(url: str, upstream: Upstream) -> list[tuple[str, str]]:
    """The headers of a poll: the key goes to the vendor's own hosts alone, which share the end of their names."""
    ours = household(upstream.base_url) == household(url)
    return [("accept", "application/json"), *(key(upstream) if ours else ())]


def household(url: str) -> str:
    """The scheme and the last two names of a URL's host; all of an address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://" + (host if host.replace(".", "").isdigit() else ".".join(host.split(".")[-2:]))


def watched(poll: Request) -> Generator[Send, Got, dict[str, Any]]:
    """Polls until the task is ready: what the last poll told. Raises Failed."""
    absences = strange = 0
    while True:
        got = yield Send(poll, POLL_S, again=True, first_byte_s=POLL_FIRST_BYTE_S)
        told = decoded(got) or {}
        status = text(told, "status")
        absent = got.status == 404 or status == ABSENT
        if got.status >= 400 and not absent:
            raise Failed(failure(Class.LOST, refusals.of_reply(got, "", "", CODES).message, got.status))
        absences = absences + 1 if absent else 0
        standing = Standing.ABSENT if absent else WORDS.standing(status, has_result=has_sample(told))
        strange += standing is Standing.STRANGE
        if standing is Standing.MADE:
            return told
        if standing is Standing.FAILED:
            raise Failed(ended(status, told))
        if absences > ABSENCES_MAX or strange > STRANGE_MAX:
            raise Failed(failure(Class.LOST, "the upstream has lost the task"))


def has_sample(told: Mapping[str, Any]) -> bool:
    """Whether there is a result."""
    return bool(member(told, "result", "sample"))


def ended(status: str, told: Mapping[str, Any]) -> Failure:
    """The failure of a task that ended badly."""
    reasons = member(told, "details", "Moderation Reasons")
    why = ", ".join(map(str, reasons)) if isinstance(reasons, list) else text(told, "details", "error")
    return failure(ENDS.get(status, Class.FAULT), f"{status}: {why}" if why else status, 200, accepted=True)
