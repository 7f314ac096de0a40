"""Refusals in ElevenLabs' words: `detail` with type, code, sentence, the older `status`, and the id of the request.

Fields that are missing or of a wrong type are FastAPI's 422, a list under `detail`. Sources: ElevenLabs' documentation,
errors, and its help page on 400 and 401 (codes); which status and type a code comes with is partly assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator import draws
from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

UNPROCESSABLE: Final = "unprocessable"
PROBLEMS: Final[Mapping[str, tuple[int, str, str, str]]] = {  # status, type, code, sentence
    "authentication": (401, "authentication_error", "invalid_api_key", "Invalid API key"),
    "billing": (
        401,
        "payment_required",
        "quota_exceeded",
        "This request exceeds your quota. You have 0 credits remaining.",
    ),
    "permission": (403, "authorization_error", "insufficient_permissions", "Your key is not permitted to do this."),
    "unknown_model": (400, "validation_error", "invalid_parameters", "The model is not known."),
    "not_kept": (404, "not_found", "not_found", "Not found"),
    "not_found": (404, "not_found", "not_found", "Not found"),
    "method_not_allowed": (405, "invalid_request", "method_not_allowed", "Method Not Allowed"),
    "timeout": (408, "internal_error", "request_timeout", "The request timed out."),
    "conflict": (409, "conflict", "conflict", "Conflict"),
    "too_large": (413, "validation_error", "request_too_large", "The request is too large."),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded", "Too many requests. Please slow down."),
    "concurrency": (429, "rate_limit_error", "concurrent_limit_exceeded", "Too many concurrent requests."),
    "moderation": (403, "authorization_error", "content_against_policy", "The text is against our policy."),
    "invalid_request": (400, "validation_error", "invalid_parameters", "Invalid parameters"),
    "server_error": (500, "internal_error", "internal_error", "Internal server error"),
    "bad_gateway": (502, "internal_error", "bad_gateway", "Bad gateway"),
    "overloaded": (503, "service_unavailable", "system_busy", "The system is experiencing heavy traffic."),
    "unavailable": (503, "service_unavailable", "system_busy", "The system is experiencing heavy traffic."),
    "gateway_timeout": (504, "internal_error", "gateway_timeout", "Gateway timeout"),
}


def bad(code: str, message: str, param: str | None = None, status: int = 400) -> Refused:
    """A refusal with a code and a sentence of its own."""
    return Refused(Problem("invalid_request", message, param=param, code=code, status=status))


def unprocessable(flaws: Sequence[Mapping[str, Any]]) -> Refused:
    """Fields that are not as they should be."""
    return Refused(Problem(UNPROCESSABLE, "; ".join(str(flaw["msg"]) for flaw in flaws), details=(("flaws", flaws),)))


def flaw(kind: str, message: str, *loc: str, given: Any = None) -> dict[str, Any]:
    """What is wrong with one field, as FastAPI tells it."""
    return {"type": kind, "loc": list(loc), "msg": message, "input": given}


def request_id(serving: Serving) -> str:
    """The id of the request: 32 hex digits that begin with the nonce."""
    return serving.nonce + draws.digest("elevenlabs", serving.seed).hex()[:10]


def told(problem: Problem, serving: Serving) -> Script:
    """A refusal as an HTTP reply."""
    own = request_id(serving)
    headers = (("content-type", "application/json"), ("request-id", own), *problem.headers)
    if problem.kind == UNPROCESSABLE:
        body: Any = {"detail": dict(problem.details)["flaws"]}
        return Script(422, headers, (Frame(orjson.dumps(body), "body"),))
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 500, "server_error")
    if kind == "rate_limit" and problem.exceeded is not None and problem.exceeded.of == "concurrency":
        kind = "concurrency"
    status, group, code, message = PROBLEMS.get(kind, PROBLEMS["server_error"])
    code = problem.code or code
    detail = {"type": problem.type or group, "code": code, "message": problem.message or message, "status": code}
    detail["request_id"] = own
    if problem.param is not None and problem.kind == "invalid_request":
        detail["param"] = problem.param
    return Script(problem.status or status, headers, (Frame(orjson.dumps({"detail": detail}), "body"),))
