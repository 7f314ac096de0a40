"""Errors on Replicate's wire: problem details (RFC 7807), and what is wrong with an input in the words of its checker.

Sources: recorded refusals (422); its documentation (429); errors that users have reported (401, 402, an unknown
version). The rest is in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator.dialects.predictions.inputs import Flaw
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

MISSING: Final = "The requested resource could not be found."
PROBLEMS: Final[Mapping[str, tuple[int, str | None, str]]] = {  # kind -> status, title and detail
    "authentication": (401, "Unauthenticated", "You did not pass a valid authentication token"),
    "permission": (403, "Forbidden", "You do not have permission to perform this action."),
    "billing": (
        402,
        "Insufficient credit",
        "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to "
        "purchase credit. Once you purchase credit, please wait a few minutes before trying again.",
    ),
    "invalid_request": (422, "Input validation failed", "The input is not valid."),
    "moderation": (
        422,
        "Input validation failed",
        "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
    ),
    "unknown_model": (404, None, MISSING),
    "not_kept": (404, None, MISSING),
    "not_found": (404, None, MISSING),
    "method_not_allowed": (405, None, 'Method "{param}" not allowed.'),
    "unknown_version": (
        422,
        "Invalid version or not permitted",
        "The specified version does not exist (or perhaps you don't have permission to use it?)",
    ),
    "too_large": (413, "Request too large", "The request body is too large."),
    "rate_limit": (429, None, "Request was throttled. Your rate limit resets in ~{wait}s."),
    "server_error": (500, "Internal server error", "An internal error occurred."),
    "overloaded": (503, "Service unavailable", "The service is temporarily unavailable. Please try again later."),
    "unavailable": (503, "Service unavailable", "The service is temporarily unavailable. Please try again later."),
    "gateway_timeout": (504, "Gateway timeout", "The request timed out."),
}
WAIT_S: Final = 30  # that is told where no quota says another
HEADERS: Final = (("content-type", "application/problem+json"),)
_TYPES: Final = {"uri": "string", "size": "string"}
_KINDS: Final = {"least": "number_gte", "most": "number_lte", "missing": "required", "null": "invalid_type"}


def told(problem: Problem) -> Script:
    """A refusal."""
    by_kind = {kind: status for status, kind in KINDS_BY_STATUS.items()}
    kind = KINDS_BY_STATUS.get(problem.status or 0, "error") if problem.kind == "status" else problem.kind
    status, title, detail = PROBLEMS.get(kind, (by_kind.get(kind, 400), kind.replace("_", " "), kind.replace("_", " ")))
    status = problem.status or status
    wait_ms = problem.retry_after_ms
    wait = WAIT_S if wait_ms is None else -(-wait_ms // 1000)
    detail = problem.message or detail.format(param=problem.param, wait=wait)
    body: dict[str, Any] = {"detail": detail, "status": status}
    if problem.type or title:
        body["title"] = problem.type or title
    return Script(status, (*HEADERS, *problem.headers), (Frame(orjson.dumps(body | dict(problem.details)), "body"),))


def refused(fields: Sequence[tuple[str, str, str]], headers: tuple[tuple[str, str], ...] = ()) -> Refused:
    """The refusal of a request by its fields: (type, field, description) of each."""
    lines = [f"- {f'{field}: ' if field else ''}{said}\n" for _, field, said in fields]
    rows = [{"type": kind, "field": field, "description": said} for kind, field, said in fields]
    details = (("invalid_fields", rows),)
    return Refused(Problem("invalid_request", "".join(lines), headers=headers, details=details))


def flawed(flaws: Sequence[Flaw], headers: tuple[tuple[str, str], ...]) -> Refused:
    """The refusal of an input."""
    return refused([_field(flaw) for flaw in flaws], headers)


def _field(flaw: Flaw) -> tuple[str, str, str]:
    path = ".".join(("input", *map(str, flaw.path)))
    if flaw.kind == "missing":
        return "required", path.rpartition(".")[0], f"{flaw.due} is required"
    if flaw.kind in ("enum", "loads"):
        words = ", ".join(orjson.dumps(word).decode() for word in flaw.due)
        return "enum", path, f"{path} must be one of the following: {words}"
    if flaw.kind == "least":
        return _KINDS["least"], path, f"Must be greater than or equal to {flaw.due}"
    if flaw.kind == "most":
        return _KINDS["most"], path, f"Must be less than or equal to {flaw.due}"
    return "invalid_type", path, f"Invalid type. Expected: {_TYPES.get(flaw.due, flaw.due)}, given: {_named(flaw.came)}"


def _named(value: object) -> str:
    """The type of a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    names = {type(None): "null", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "object")
