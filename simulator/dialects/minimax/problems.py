"""How MiniMax refuses: a code of its own in every sentence or body, and on the first wire HTTP 200 whatever happened.

Source: MiniMax's documentation, error codes and the responses of the second wire. That a missing and a wrong key are
both 1004 with status 200 was measured. Statuses above 500 are those of what stands before the service, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from simulator.problem import KINDS_BY_STATUS, Problem, Refused

LOGIN: Final = "login fail: Please carry the API secret key in the 'Authorization' field of the request header"
SENSITIVE: Final = "output new_sensitive"
INVALID: Final = 2013
TIMEOUT: Final = 1001
UNKNOWN: Final = 1000
OUTPUT_SENSITIVE: Final = 1027


class Native(NamedTuple):
    """One kind of problem: the status on the second wire, MiniMax's code, and its sentence on either wire."""

    status: int
    code: int
    first: str
    second: str = ""  # "": the same


PROBLEMS: Final[Mapping[str, Native]] = {
    "authentication": Native(401, 1004, LOGIN),
    "permission": Native(403, 2061, "your current plan does not support this model"),
    "billing": Native(402, 1008, "insufficient balance"),
    "rate_limit": Native(429, 1002, "rate limit exceeded(RPM)", "rate limit, please retry later"),
    "concurrency": Native(429, 1041, "conn limit exceeded", "rate limit, too many tasks in flight"),
    "tokens": Native(429, 1039, "token limit exceeded"),
    "moderation": Native(422, 1026, "input new_sensitive", "video description contains sensitive content"),
    "unknown_model": Native(400, INVALID, "invalid params, model is not supported"),
    "not_kept": Native(400, INVALID, "invalid params, invalid task_id"),
    "invalid_request": Native(400, INVALID, "invalid params"),
    "too_large": Native(400, INVALID, "invalid params, request body is too large"),
    "not_found": Native(404, INVALID, "invalid params, no such path"),
    "method_not_allowed": Native(405, INVALID, "invalid params, method not allowed"),
    "timeout": Native(408, TIMEOUT, "request timeout"),
    "conflict": Native(409, INVALID, "invalid params"),
    "server_error": Native(500, UNKNOWN, "unknown error", "internal error"),
    "bad_gateway": Native(502, 1033, "downstream service error"),
    "unavailable": Native(503, 1033, "downstream service error"),
    "gateway_timeout": Native(504, TIMEOUT, "request timeout"),
    "overloaded": Native(529, 1013, "internal error", "the server is overloaded, please retry later"),
}
LIKE: Final[Mapping[str, str]] = {  # kinds of other wires' making
    "insufficient_quota": "billing",
    "content_filter": "moderation",
    "missing_key": "authentication",
    "bad_json": "invalid_request",
}
BY_STATUS: Final[Mapping[int, str]] = {**KINDS_BY_STATUS, 422: "moderation", 529: "overloaded"}
TYPES: Final[Mapping[int, str]] = {  # of the second wire, by status
    400: "bad_request_error",
    401: "authorized_error",
    402: "insufficient_balance_error",
    403: "authorized_error",
    422: "unprocessable_entity_error",
    429: "rate_limit_error",
    500: "server_error",
    529: "overloaded_error",
}
PATHS: Final = frozenset({404, 405})  # statuses of paths, which are not the service's


def native(problem: Problem) -> Native:
    """The row of a problem."""
    kind = BY_STATUS.get(problem.status or 0, "") if problem.kind == "status" else problem.kind
    kind = LIKE.get(kind, kind)
    of = problem.exceeded.of if problem.exceeded else ""
    if kind == "rate_limit" and of != "requests":
        kind = "concurrency" if of in ("concurrency", "jobs") else "tokens" if "tokens" in of else kind
    usual = "server_error" if (problem.status or 500) >= 500 else "invalid_request"
    return PROBLEMS.get(kind) or PROBLEMS[usual]


def sentence(problem: Problem, row: Native, *, second: bool = False) -> str:
    """What is said: the problem's own words, after `invalid params` where the service says so of them."""
    usual = row.second or row.first if second else row.first
    if problem.message is None:
        return usual
    return f"invalid params, {problem.message}" if problem.kind == "invalid_request" else problem.message


def invalid(message: str, param: str | None = None) -> Refused:
    """What is refused for its parameters."""
    return Refused(Problem("invalid_request", message, param=param))
