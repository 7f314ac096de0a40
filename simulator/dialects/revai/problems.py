"""Refusals in Rev AI's words: problem details (`application/problem+json`), as its OpenAPI file has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

HEADERS: Final = (("content-type", "application/problem+json"),)
STATE: Final = "invalid_state"
_TYPES: Final = "https://www.rev.ai/api/v1/errors/"
PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {  # status, last word of the type, title
    "authentication": (401, "", "Authorization has been denied for this request"),
    "billing": (402, "out-of-credit", "You do not have enough credits"),
    "permission": (403, "forbidden", "You are not permitted to do this"),
    "not_kept": (404, "job-not-found", "could not find job"),
    "not_found": (404, "not-found", "Not found"),
    "method_not_allowed": (405, "method-not-allowed", "Method not allowed"),
    "not_acceptable": (406, "invalid-output-format", "The output format is not known"),
    STATE: (409, "invalid-job-state", "Job is in invalid state"),
    "conflict": (409, "invalid-job-state", "Job is in invalid state"),
    "too_large": (413, "payload-too-large", "Payload too large"),
    "unknown_model": (400, "invalid-parameters", "Your request parameters didn't validate"),
    "invalid_request": (400, "invalid-parameters", "Your request parameters didn't validate"),
    "rate_limit": (429, "too-many-requests", "Too many requests"),
    "unavailable": (503, "service-unavailable", "Service unavailable"),
    "overloaded": (503, "service-unavailable", "Service unavailable"),
    "bad_gateway": (502, "bad-gateway", "Bad gateway"),
    "gateway_timeout": (504, "gateway-timeout", "Gateway timeout"),
    "server_error": (500, "internal-server-error", "Internal server error"),
}


def invalid(field: str, why: str) -> Refused:
    """A field that does not validate."""
    return Refused(Problem("invalid_request", details=(("parameter", {field: [why]}),)))


def wrong_state(current: str, allowed: tuple[str, ...], detail: str) -> Problem:
    """A job is not in a state in which this can be asked."""
    return Problem(STATE, detail, details=(("allowed_values", list(allowed)), ("current_value", current)))


def told(problem: Problem) -> Script:
    """A refusal as an HTTP reply."""
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 500, "server_error")
    status, word, title = PROBLEMS.get(kind, PROBLEMS["server_error"])
    status = problem.status or status
    body: dict[str, Any] = dict(problem.details)
    if word:
        body["type"] = f"{_TYPES}{word}"
    body["title"] = title
    if problem.message is not None:
        body["detail"] = problem.message
    return Script(status, (*HEADERS, *problem.headers), (Frame(orjson.dumps(body | {"status": status}), "body"),))
