"""Refusals on BFL's wire, in the form of FastAPI: `{"detail": …}`, a sentence or the list of what is wrong.

Source: BFL's documentation, errors. Not confirmed: the sentences of 402, 403 and 429. BFL's published agent skills have
another form, `{"error": code, "message": sentence}`: the fact `error_form: named` of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem
from simulator.script import Frame, Script

DETAIL: Final = "detail"
RETRY_AFTER_S: Final = 5

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {  # kind -> status, code of the named form, sentence
    "authentication": (403, "invalid_api_key", "Not authenticated - Invalid Authentication"),
    "permission": (403, "forbidden", "Not authenticated - Access denied"),
    "billing": (402, "insufficient_credits", "Insufficient credits. Please add credits to your account."),
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit exceeded. Too many active tasks."),
    "invalid_request": (422, "validation_error", "Unprocessable Entity"),
    "too_large": (413, "request_too_large", "Request Entity Too Large"),
    "overloaded": (503, "service_unavailable", "Service Unavailable"),
    "unknown_model": (404, "not_found", "Not Found"),
    "not_kept": (404, "not_found", "Not Found"),
}


def flaw(kind: str, where: tuple[str | int, ...], said: str, came: object, **context: object) -> dict[str, Any]:
    """One entry of a validation error, as Pydantic writes it."""
    entry = {"type": kind, "loc": list(where), "msg": said, "input": came}
    return entry | ({"ctx": context} if context else {})


def invalid(flaws: list[dict[str, Any]]) -> Problem:
    """A request that is not valid."""
    return Problem("invalid_request", details=((DETAIL, flaws),))


def error(problem: Problem, serving: Serving) -> Script:
    """A refusal as an HTTP reply."""
    kind = KINDS_BY_STATUS.get(problem.status or 0, "error") if problem.kind == "status" else problem.kind
    by_kind = {each: status for status, each in KINDS_BY_STATUS.items()}
    status = by_kind.get(kind, 400)
    status, code, sentence = PROBLEMS.get(kind, (status, kind, _phrase(problem.status or status)))
    status = problem.status or status
    flaws = dict(problem.details).get(DETAIL)
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    if serving.facts.get("error_form") == "named" and flaws is None:
        body: dict[str, Any] = {"error": problem.code or code, "message": problem.message or sentence}
        if status == 429:
            wait_ms = problem.retry_after_ms
            body["retry_after"] = RETRY_AFTER_S if wait_ms is None else -(-wait_ms // 1000)
            headers += (("retry-after", str(body["retry_after"])),)
    else:
        body = {DETAIL: problem.message or (flaws if flaws is not None else sentence)}
    return Script(status, (*headers, *problem.headers), (Frame(orjson.dumps(body), "body"),))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
