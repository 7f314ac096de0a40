"""Anthropic's refusals: one table from our word to status, type and sentence, and the two forms they travel in.

An error is a compact body with the request id, and, in a stream that began with 200, an `event: error` without it.
Source: recorded replies (401, 404) and public issues; the 500, 502, 503 and 504 sentences are not confirmed.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from simulator.problem import KINDS_BY_STATUS, Problem, Refused


class Native(NamedTuple):
    """What the wire says for one kind; `{param}` in the sentence is filled from the problem."""

    status: int
    type: str
    message: str
    code: str | None = None  # the `error_code` of newer errors


OVERLOADED = 529
MAX_BODY_BYTES = 32 << 20

ORGANIZATION = "7d3c1f0a-52b4-4e8e-9a61-0f2b8c5d6e13"
_RATE_LIMIT = (
    f"This request would exceed the rate limit for your organization ({ORGANIZATION}) of 1,000,000 input tokens per "
    "minute. For details, refer to: https://docs.anthropic.com/en/api/rate-limits. You can see the response headers "
    "for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later."
)
_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase "
    "credits."
)

PROBLEMS: dict[str, Native] = {
    "invalid_request": Native(400, "invalid_request_error", "The request is invalid."),
    "bad_json": Native(400, "invalid_request_error", "The request body is not valid JSON."),
    "insufficient_quota": Native(400, "invalid_request_error", _CREDIT),
    "thread_unsupported": Native(
        400,
        "invalid_request_error",
        "`thread` is not supported together with: {param}",
        "thread_unsupported_request",
    ),
    "stale_signature": Native(400, "invalid_request_error", "{param}: Invalid `signature` in `thinking` block"),
    "authentication": Native(401, "authentication_error", "invalid x-api-key"),
    "billing": Native(402, "billing_error", "There is an issue with your billing or payment information."),
    "permission": Native(
        403, "permission_error", "Your API key does not have permission to use the specified resource."
    ),
    "not_found": Native(404, "not_found_error", "Not Found"),
    "unknown_model": Native(404, "not_found_error", "model: {param}"),
    "not_kept": Native(404, "not_found_error", "No thread was found for `previous_message_id`.", "thread_not_found"),
    "method_not_allowed": Native(405, "invalid_request_error", "Method Not Allowed"),
    "timeout": Native(408, "timeout_error", "Request timed out"),
    "conflict": Native(409, "conflict_error", "The request conflicts with the current state of the resource."),
    "too_large": Native(413, "request_too_large", "Request exceeds the maximum size"),
    "rate_limit": Native(429, "rate_limit_error", _RATE_LIMIT),
    "server_error": Native(500, "api_error", "Internal server error"),
    "bad_gateway": Native(502, "api_error", "Bad gateway"),
    "unavailable": Native(503, "api_error", "Service temporarily unavailable"),
    "gateway_timeout": Native(504, "timeout_error", "The request timed out while processing."),
    "overloaded": Native(OVERLOADED, "overloaded_error", "Overloaded"),
}
BY_STATUS: dict[int, str] = {**KINDS_BY_STATUS, OVERLOADED: "overloaded"}
RETRIED = frozenset({408, 409, 429})


def refuse(message: str, param: str | None = None) -> Refused:
    """A 400 with this sentence, to be raised."""
    return Refused(Problem("invalid_request", message, param))


def native(problem: Problem) -> Native:
    """Status, type and sentence of a problem; a status alone picks its row, or an api_error from 500 on."""
    row = PROBLEMS.get(problem.kind)
    status = problem.status or (row.status if row else 500)
    if row is None or row.status != status:
        other = PROBLEMS.get(BY_STATUS.get(status, ""))
        kind = other.type if other else "api_error" if status >= 500 else "invalid_request_error"
        said = row or other
        row = Native(status, kind, said.message if said else "Unexpected error")
    return row._replace(message=problem.message or row.message.format(param=problem.param or "unknown"))


def _error(problem: Problem) -> dict[str, object]:
    row = native(problem)
    return {"type": row.type, "message": row.message}


def _details(problem: Problem) -> dict[str, object] | None:
    """Newer errors name a code of their own in `details`, and what goes with it."""
    row = PROBLEMS.get(problem.kind)
    code = problem.code or (row.code if row else None)
    return {"error_code": code, **dict(problem.details)} if code else None


def body(problem: Problem, request_id: str) -> bytes:
    """The error as a JSON body."""
    details = _details(problem)
    error = _error(problem) | ({"details": details} if details else {})
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def frame(problem: Problem) -> bytes:
    """The error as an event in a stream: `details` leads and is mostly null there, and nothing pads it."""
    error = {"details": _details(problem)} | _error(problem)
    return b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error}) + b"\n\n"


def should_retry(status: int) -> bool:
    """What `x-should-retry` says: false on recorded 401 and 404, true on 529."""
    return status in RETRIED or status >= 500
