"""What can go wrong, split by who is to blame, and the one table of wire errors.

    GatewayError
    ├── ClientError      the caller can mend it: InvalidRequest, UnknownModel, Unauthenticated, NoCredit, NoAccess,
    │                    NotFound, WrongMethod, Conflict, BodyTooLarge, TooManyRequests, SpendingLimit
    ├── UpstreamError    every target of the chain failed: AllUpstreamsFailed
    ├── Unavailable      a part of the gateway is out of order
    └── GatewayBug       ours

Wire form, everywhere: `{"error": {"type", "message"}}`; an unknown model adds `available_models` beside `error`.
Source: api-reference#errors-rate-limits; the rows it does not name: docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import orjson

STATUS: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_credits": 402,
    "access_denied": 403,
    "not_found_error": 404,
    "method_not_allowed": 405,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "spending_limit_error": 429,
    "internal_error": 500,
    "api_error": 502,
    "service_unavailable": 503,
}

Header = tuple[bytes, bytes]


class GatewayError(Exception):
    """An error with a row in the table; `headers` go out with it."""

    type: ClassVar[str] = "internal_error"

    def __init__(self, message: str, headers: Sequence[Header] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.headers = tuple(headers)

    @property
    def status(self) -> int:
        return status_of(self)

    def extra(self) -> dict[str, Any]:
        """Members of the body beside `error`."""
        return {}


class ClientError(GatewayError):
    """The caller's fault."""


class InvalidRequest(ClientError):
    """Body, parameter or endpoint are wrong."""

    type = "invalid_request_error"


class UnknownModel(InvalidRequest):
    """No model has this id; the body lists those that exist."""

    def __init__(self, message: str, available: Iterable[str]) -> None:
        super().__init__(message)
        self.available = list(available)

    def extra(self) -> dict[str, Any]:
        return {"available_models": self.available}


class Unauthenticated(ClientError):
    """No key, a malformed, unknown, expired or disabled one."""

    type = "authentication_error"


class NoCredit(ClientError):
    """The balance is under the minimum or does not cover the estimate."""

    type = "insufficient_credits"


class NoAccess(ClientError):
    """The cumulative top-up does not unlock the model."""

    type = "access_denied"


class NotFound(ClientError):
    """No such path, or no such thing behind it."""

    type = "not_found_error"


class WrongMethod(ClientError):
    """The path exists, with other methods."""

    type = "method_not_allowed"


class Conflict(ClientError):
    """An idempotency key was used for something else."""

    type = "conflict_error"


class BodyTooLarge(ClientError):
    """The request body is over the limit."""

    type = "request_too_large"


class TooManyRequests(ClientError):
    """The user's hourly limit of this class is spent."""

    type = "rate_limit_error"


class SpendingLimit(ClientError):
    """What the key or its organisation may spend this month does not cover the request."""

    type = "spending_limit_error"


class UpstreamError(GatewayError):
    """The upstreams' fault."""

    type = "api_error"


class AllUpstreamsFailed(UpstreamError):
    """Every target of the chain failed before any content."""


class Unavailable(GatewayError):
    """A part of the gateway that this request needs is out of order for the moment."""

    type = "service_unavailable"


class GatewayBug(GatewayError):
    """Ours."""


def status_of(error: GatewayError) -> int:
    """The HTTP status of the error's row."""
    return STATUS[error.type]


def body(type_: str, message: str) -> dict[str, Any]:
    """The error object every endpoint answers with."""
    return {"error": {"type": type_, "message": message}}


def render(error: GatewayError) -> bytes:
    """The JSON body of an error response."""
    return orjson.dumps({**body(error.type, error.message), **error.extra()})


def shown(value: object, limit: int = 100) -> str:
    """A value of the caller's for use in a message: printable, one line, at most `limit` characters."""
    text = value if isinstance(value, str) else type(value).__name__
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "…"
