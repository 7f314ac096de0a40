"""What the wires of clips have in common: a job is ordered once, watched until it ends, and its result is fetched.

A subclass says how its vendor is asked and what its replies mean. Whatever happens after a job was, or may have been,
begun sends the order on to another vendor, never to this one again: no failure from then on is worth a retry.
Source: wire reference, sections 0.4, 0.5, 15 and 16.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any, ClassVar, Final

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps
from gateway.upstreams.media import clips, refusals
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.refusals import Class, Codes, decoded, failure
from gateway.upstreams.media.words import Standing
from gateway.upstreams.transport import Request

POLL_FIRST_BYTE_S: Final = 20.0
ABSENCES_MAX: Final = 5  # in a row: vendors do not find a new job at first
STRANGE_S: Final = 120.0  # of waiting at words that say nothing
SECONDS_MAX: Final = 3600.0  # a clip that is told to be longer is not believed
PASSING: Final = frozenset({Class.RATE, Class.FAULT})  # inside a 200, of a poll: it is asked again
VERDICTS_OF_WORK: Final = frozenset({Class.MODERATED, Class.CENSORED})  # of a poll: about the job, not about asking
NOTHING: Final = "the upstream has finished without a clip"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job at a vendor: its id, and where else it is asked about, where that is not known from the id alone."""

    id: str
    path: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """How a job stands, as one reply told."""

    standing: Standing
    items: Sequence[Item] = ()
    seconds: Any = None  # of the clip, as told
    sort: Class = Class.FAULT  # of a failure
    message: str = ""
    told: Json = field(default_factory=dict)


class ClipJobs(ABC):
    """A vendor of clips, asked for one at a time."""

    dialect: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]] = frozenset({"video"})
    most_at_once: ClassVar[int] = 1
    poll_s: ClassVar[float] = 5.0
    cancels: ClassVar[bool] = False
    codes: ClassVar[Codes] = {}  # the vendor's codes of refusals
    absent: ClassVar[frozenset[str]] = frozenset()  # those of them that a poll gets for a job that is not known
    blank: ClassVar[Standing] = Standing.STRANGE  # what a poll's reply without an object means

    @abstractmethod
    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """The request that begins a job. Raises Failed for what this vendor does not make."""

    @abstractmethod
    def job(self, told: Json, request: Request) -> Job | None:
        """The job that the reply to a submission tells of, None if there is none in it."""

    @abstractmethod
    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:
        """The request that asks how a job stands."""

    @abstractmethod
    def look(self, told: Json, status: int) -> Look:
        """How it stands by a reply."""

    @abstractmethod
    def refusal(self, told: Json) -> tuple[str, str]:
        """(code, message) of an error in a reply, whatever its status; ("", "") where there is none."""

    def cancellation(self, job: Job, upstream: Upstream) -> Request | None:  # noqa: ARG002
        """The request that calls a job off."""
        return None

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """What came of a job that succeeded: for most what the last poll told, for some another request."""
        yield from ()
        return look

    def fits(self, order: Order, model: str) -> bool:
        """Whether a model can end a clip on a picture, where that is wanted."""
        return order.last_image is None or clips.of(self.dialect, model).last_frame

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Leads the vendor through an order."""
        clip = clips.of(self.dialect, order.model)
        if not self.fits(order, order.model):
            raise Failed(Failure(Verdict.NEXT, "a last frame is not taken here", 400))
        request = self.submission(order, upstream, clip)
        undo = partial(self._undo, request, upstream) if self.cancels else None
        got = yield Send(request, undo=undo)
        job = self._begun(got, request)
        look = yield from self._watched(job, upstream, order)
        look = yield from self.result(job, look, upstream, order)
        if look.standing is not Standing.MADE or not look.items:
            raise Failed(self._failure(look))
        return Made(look.items[:1], seconds=believed(look.seconds) or clip.seconds(order))

    def _begun(self, got: Got, request: Request) -> Job:
        """The job that a submission began. Raises Failed."""
        told = decoded(got) or {}
        code, message = self.refusal(told)
        if got.status >= 300 or code:
            raise Failed(refusals.of_reply(got, code, message, self.codes))
        job = self.job(told, request)
        if job is None:
            raise Failed(failure(Class.FAULT, "the upstream took the order without telling its id", got.status))
        return job

    def _undo(self, request: Request, upstream: Upstream, got: Got) -> Request | None:
        """How to call off what a submission began, if it began anything."""
        job = self.job(decoded(got) or {}, request) if got.status < 300 else None
        return None if job is None else self.cancellation(job, upstream)

    def _watched(self, job: Job, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:
        """Polls until the job has succeeded. Raises Failed."""
        cancel = self.cancellation(job, upstream)
        absences, strange_s = 0, 0.0
        while True:
            poll = self.poll(job, upstream, order)
            got = yield Send(poll, self.poll_s, again=True, cancel=cancel, first_byte_s=POLL_FIRST_BYTE_S)
            look = self.seen(got)
            absences = absences + 1 if look.standing is Standing.ABSENT else 0
            strange_s += self.poll_s if look.standing is Standing.STRANGE else 0.0
            if look.standing is Standing.MADE:
                return look
            if look.standing is Standing.FAILED:
                raise Failed(self._failure(look))
            if absences > ABSENCES_MAX:
                raise Failed(failure(Class.LOST, "the upstream has lost the job"), leaves_job=True)
            if strange_s > STRANGE_S:
                raise Failed(failure(Class.LOST, "the upstream does not tell how the job stands"), leaves_job=True)

    def seen(self, got: Got) -> Look:
        """How a job stands by the reply to a poll. Raises Failed where asking is of no use."""
        told = decoded(got)
        code, message = self.refusal(told or {})
        if got.status == 404 or code in self.absent:
            return Look(Standing.ABSENT)
        if got.status < 400 and not code:
            return Look(self.blank) if told is None else self.look(told, got.status)
        refused = refusals.of_reply(got, code, message, self.codes)
        sort = refusals.class_of(got.status, code, self.codes)
        if got.status < 400 and sort in PASSING:  # beside the word that the job has failed, or in its place
            look = self.look(told or {}, got.status)
            return look if look.standing is Standing.FAILED else Look(Standing.STRANGE)
        sort = sort if sort in VERDICTS_OF_WORK else Class.LOST
        raise Failed(failure(sort, refused.message, got.status, accepted=True), leaves_job=True)

    def _failure(self, look: Look) -> Failure:
        """The failure that a job's end is."""
        if look.standing is Standing.MADE:
            return failure(Class.CENSORED, look.message or NOTHING, accepted=True)
        return failure(look.sort, look.message or "the upstream could not make the clip", accepted=True)


def believed(seconds: Any) -> float | None:
    """A length as a vendor told it; None unless it is a sane number."""
    try:
        value = float("nan" if isinstance(seconds, bool) else seconds)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if isfinite(value) and 0 < value <= SECONDS_MAX else None


def links(*urls: Any, short_lived: bool = False, headers: Sequence[tuple[str, str]] = ()) -> list[Item]:
    """Items for those of `urls` that are links."""
    found = [url for url in urls if isinstance(url, str) and url.startswith(("http://", "https://"))]
    return [Item(url=url, mime="video/mp4", short_lived=short_lived, headers=headers) for url in found]
