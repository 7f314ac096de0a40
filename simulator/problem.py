"""What a provider refuses, in our words. Each dialect says it in its own (`Dialect.error`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KINDS_BY_STATUS: Final[Mapping[int, str]] = {  # the kind that a bare status stands for; a dialect may know more
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    500: "server_error",
    502: "bad_gateway",
    503: "unavailable",
    504: "gateway_timeout",
}


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The quota that refused a request, with true values. A dialect may tell any of them in its own form."""

    of: str  # "requests", "input_tokens", "output_tokens", "tokens", "concurrency" or "jobs"
    limit: int
    used: int
    requested: int
    per_ms: int | None  # of the quota's window; None: concurrency, jobs
    wait_ms: int | None  # whoever comes again after exactly so long is admitted; None: nobody knows, or never
    fits: bool  # False: the request is larger than the whole quota
    model: str
    org: str
    by: tuple[str, ...] = ()  # what the quota is counted by: "key", "org", "model"


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal. `kind` picks the native status, type and sentence; the rest fills the blanks."""

    kind: str  # a key of the dialect's PROBLEMS table, or "status" for any other code
    message: str | None = None  # replaces the native sentence
    param: str | None = None
    code: str | None = None
    status: int | None = None  # replaces the native status
    headers: tuple[tuple[str, str], ...] = ()  # added to the native ones
    type: str | None = None  # replaces the native type, where the wire has one
    exceeded: Exceeded | None = None  # of a "rate_limit" that a quota of the fleet refused
    details: tuple[tuple[str, object], ...] = ()  # what else it tells, where the wire has a place for it

    @property
    def retry_after_ms(self) -> int | None:
        """How long to wait, where the wire tells it in the body (Gemini's `retryDelay`); None: nothing is told."""
        return None if self.exceeded is None else self.exceeded.wait_ms


class Refused(Exception):
    """A dialect or the fleet refuses a request with `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message or problem.kind)
        self.problem = problem
