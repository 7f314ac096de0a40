"""How a vendor is led through an order: a generator of requests, which is given the replies. It does no I/O itself.

    def make(order: Order, upstream: Upstream) -> Steps:
        got = yield Send(post(upstream, "/v1/videos/text2video", body))
        task = accepted(got)                     # from here on the job exists: nobody orders it again
        while True:
            got = yield Send(get(upstream, f"/v1/videos/text2video/{task}"), wait_s=5, again=True)
            …
            return Made([Item(url)], seconds=5)

A failure is raised (`Failed`). A generator that is left early because the caller went away is closed: in `finally` it
may not yield, so a vendor that can cancel says how by `Send.cancel`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import orjson

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media.order import Kind, Made, Order
from gateway.upstreams import problems
from gateway.upstreams.transport import Request

JSON_HEADERS: Sequence[tuple[str, str]] = (("content-type", "application/json"), ("accept", "application/json"))


@dataclass(frozen=True, slots=True)
class Send:
    """One request, after a while. `again`: it may be repeated when it fails below the vendor's own level (a poll)."""

    request: Request
    wait_s: float = 0.0  # before it
    again: bool = False
    cancel: Request | None = None  # what to send, and not wait for, if the order is given up while this is on its way
    undo: Callable[[Got], Request | None] | None = None  # the same for a job that this begins, once its reply has come
    first_byte_s: float | None = None  # that the vendor may take to answer; None: the configuration's


@dataclass(frozen=True, slots=True)
class Got:
    """One reply. Whether it is an error is the vendor's wire to say; `refuse` reads those that HTTP tells."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    at_s: float = 0.0  # Unix seconds when it came

    def json(self) -> dict[str, Any]:
        """The body's object. Raises Failed for anything else."""
        try:
            told = orjson.loads(self.body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise Failed(Failure(Verdict.RETRY, "the upstream's answer is not a JSON object", self.status))
        return told


class Failed(Exception):
    """The order failed at this vendor. `Failure.verdict` says what that means for the chain:

    RETRY: nothing was accepted and it may pass by itself; NEXT: not here (also whenever a job had been accepted, so
    that it is not made twice by the same vendor); STOP: the request is at fault. `leaves_job`: it may go on there.
    """

    def __init__(self, failure: Failure, *, leaves_job: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.leaves_job = leaves_job


def refuse(got: Got) -> None:
    """Raises Failed for a reply that HTTP calls an error."""
    if got.status >= 400:
        raise Failed(problems.http_failure(got.status, got.headers, got.body, got.at_s))


Steps = Generator[Send, Got, Made]


class Vendor(Protocol):
    """One vendor's wire, on the client's side."""

    dialect: ClassVar[str]  # as upstreams of the configuration name it
    kinds: ClassVar[frozenset[Kind]]
    most_at_once: ClassVar[int]  # pictures that one order of this wire can be for; more are ordered side by side

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """Leads the vendor through an order."""


@runtime_checkable
class Choosy(Protocol):
    """A vendor that does not make everything which a caller may ask for."""

    def fits(self, order: Order, model: str) -> bool:
        """Whether its model of this name makes it. Targets that do not are left out, if any is left then."""


def post(upstream: Upstream, path: str, body: Any, headers: Sequence[tuple[str, str]] = ()) -> Request:
    """A JSON request below an upstream's base URL; `headers` bear the credential."""
    return Request(upstream.base_url + path, [*JSON_HEADERS, *headers], orjson.dumps(body))


def get(upstream: Upstream, path: str, headers: Sequence[tuple[str, str]] = (), method: str = "GET") -> Request:
    """A request without a body, about one thing."""
    return Request(upstream.base_url + path, [("accept", "application/json"), *headers], b"", method, once=True)


def bearer(upstream: Upstream) -> Sequence[tuple[str, str]]:
    """The usual credential."""
    return (("authorization", f"Bearer {upstream.key}"),)
