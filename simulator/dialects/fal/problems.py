"""Errors on fal's wire: `detail` as a list of entries where an input or a model is at fault, as a text elsewhere.

Sources: recorded refusals of inputs (422); fal's documentation, model errors and request errors; sentences that users
have reported (401, 403, a request still in progress). The kinds of an input's flaws are those of pydantic 1.
Not confirmed: the sentences of 404 and 429, and the status of a cancelled request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator import draws
from simulator.dialects.fal.request import detail
from simulator.dialects.predictions.inputs import Flaw
from simulator.problem import KINDS_BY_STATUS, Problem
from simulator.script import Frame, Script

DOCS: Final = "https://docs.fal.ai/errors"
JSON: Final = ("content-type", "application/json")
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {  # kind -> status and sentence
    "authentication": (401, "No user found for Key ID and Secret"),
    "permission": (403, "You are not allowed to access this application"),
    "billing": (403, "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."),
    "unknown_model": (404, "Application {param} not found"),
    "not_kept": (404, "Request not found"),
    "not_found": (404, "Not Found"),
    "method_not_allowed": (405, "Method Not Allowed"),
    "invalid_request": (422, "Unprocessable Entity"),
    "too_large": (413, "Request body too large"),
    "rate_limit": (429, "Too many requests. Please slow down."),
    "concurrency": (429, "You have reached your limit of {limit} concurrent requests. Please try again later."),
}
MODEL_ERRORS: Final[Mapping[str, tuple[int, str]]] = {  # type -> status and sentence, as entries of `detail`
    "content_policy_violation": (
        422,
        "The content could not be processed because it contained material flagged by a content checker.",
    ),
    "no_media_generated": (422, "The model did not generate the expected output for this prompt."),
    "internal_server_error": (500, "Internal server error"),
    "generation_timeout": (504, "Generation timeout"),
    "downstream_service_unavailable": (503, "Downstream service unavailable"),
}
REQUEST_ERRORS: Final[Mapping[str, tuple[int, str]]] = {  # error_type -> status and sentence, in a flat object
    "request_timeout": (504, "Request timed out"),
    "runner_scheduling_failure": (503, "No runner is available"),
    "runner_disconnected": (503, "Runner disconnected"),
    "client_cancelled": (499, "Request was cancelled by the client"),
}
_AS_MODEL: Final = {"moderation": "content_policy_violation", "server_error": "internal_server_error"}
_AS_REQUEST: Final = {
    "unavailable": "runner_scheduling_failure",
    "overloaded": "runner_scheduling_failure",
    "gateway_timeout": "request_timeout",
    "bad_gateway": "runner_disconnected",
}
_MODERATED: Final = re.compile(r"moderat|nsfw|policy|sensitive|safety", re.IGNORECASE)
_TYPES: Final = {"string": "str", "uri": "str", "number": "float", "array": "list", "object": "dict"}
_NAMES: Final = {"integer": "integer", "number": "float", "array": "list", "object": "dict", "size": "dict"}


# --- of a request -----------------------------------------------------------------------------------------------------


def told(problem: Problem) -> Script:
    """A refusal."""
    by_kind = {kind: status for status, kind in KINDS_BY_STATUS.items()}
    kind = KINDS_BY_STATUS.get(problem.status or 0, "error") if problem.kind == "status" else problem.kind
    if kind in _AS_MODEL:
        return model_error(_AS_MODEL[kind], problem.message, problem.status, problem.headers)
    if kind in _AS_REQUEST:
        return request_error(_AS_REQUEST[kind], problem.message, problem.status, problem.headers)
    exceeded = problem.exceeded
    if kind == "rate_limit" and exceeded is not None and exceeded.of == "concurrency":
        kind = "concurrency"
    status, sentence = PROBLEMS.get(kind, (by_kind.get(kind, 422), kind.replace("_", " ")))
    limit = exceeded.limit if exceeded else 0
    said = problem.message or sentence.format(param=problem.param, limit=limit)
    return _script(problem.status or status, {"detail": said} | dict(problem.details), problem.headers)


def model_error(
    kind: str, said: str | None = None, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Script:
    """A failure of a model, as a list with one entry."""
    usual, sentence = MODEL_ERRORS[kind]
    retryable = ("x-fal-retryable", "true" if (status or usual) >= 500 else "false")
    entry = detail(["body"], said or sentence, kind, url=f"{DOCS}#{kind}")
    return _script(status or usual, {"detail": [entry]}, (retryable, *headers))


def request_error(
    kind: str, said: str | None = None, status: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Script:
    """A failure of the platform, as a flat object."""
    usual, sentence = REQUEST_ERRORS[kind]
    body = {"detail": said or sentence, "error_type": kind}
    return _script(status or usual, body, (("x-fal-error-type", kind), *headers))


def failed(error: str) -> Script:
    """A run that failed with these words of the model: they tell whether a content checker was in play."""
    kind = "content_policy_violation" if _MODERATED.search(error) else "internal_server_error"
    return model_error(kind, error or None)


def _script(status: int, body: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> Script:
    return Script(status, (JSON, *headers), (Frame(orjson.dumps(body), "body"),))


# --- of an input ------------------------------------------------------------------------------------------------------


def flawed(flaws: Sequence[Flaw]) -> Script:
    """The refusal of an input: its flaws, or that the model it names cannot be loaded."""
    unknown = next((flaw for flaw in flaws if flaw.kind == "loads"), None)
    if unknown is not None and all(flaw.kind == "loads" for flaw in flaws):
        return _script(422, {"detail": _unloadable(str(unknown.came))})
    return _script(422, {"detail": [_entry(flaw) for flaw in flaws if flaw.kind != "loads"]})


def _unloadable(name: str) -> str:
    """What the loader says of a repository that holds no whole model."""
    snapshot = draws.digest("snapshot", name).hex() + draws.digest("snapshot", name, 1).hex()[:8]
    folder = f"/data/models/hub/models--{name.replace('/', '--')}/snapshots/{snapshot}"
    return f"Model directory {folder} does not contain a config.json or model_index.json file."


def _entry(flaw: Flaw) -> dict[str, Any]:
    loc: list[str | int] = ["body", *flaw.path]
    match flaw.kind:
        case "missing":
            return detail(loc, "field required", "value_error.missing")
        case "null":
            return detail(loc, "none is not an allowed value", "type_error.none.not_allowed")
        case "least":
            said = f"ensure this value is greater than or equal to {flaw.due}"
            return detail(loc, said, "value_error.number.not_ge", ctx={"limit_value": flaw.due})
        case "most":
            said = f"ensure this value is less than or equal to {flaw.due}"
            return detail(loc, said, "value_error.number.not_le", ctx={"limit_value": flaw.due})
        case "enum":
            words = ", ".join(repr(word) for word in flaw.due)
            said = f"value is not a valid enumeration member; permitted: {words}"
            return detail(loc, said, "type_error.enum", ctx={"enum_values": list(flaw.due)})
    if flaw.due == "boolean":
        return detail(loc, "value could not be parsed to a boolean", "type_error.bool")
    if flaw.due in ("string", "uri"):
        return detail(loc, "str type expected", "type_error.str")
    return detail(loc, f"value is not a valid {_NAMES[flaw.due]}", f"type_error.{_TYPES.get(flaw.due, flaw.due)}")
