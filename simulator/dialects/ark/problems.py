"""Refusals on Ark's wire: `{"error": {code, message, param, type}}`, the request's id at the end of every message.

Source: Ark's documentation, error codes; recorded refusals for the sentences, the request's id and the `type` of each
status. Not confirmed: the code of an unknown task, of a cancelled one that is deleted, and of paths that nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from simulator import draws
from simulator.ask import Request
from simulator.dialects import inspection
from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

TYPES: Final[Mapping[int, str]] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "BadRequest",
    429: "TooManyRequests",
}
SERVER_TYPE: Final = "InternalServerError"
REQUEST_ID_LENGTH: Final = 53
FAILED: Final = "The request failed because"
OF_PARAMETERS: Final = ("invalid_request", "missing")  # kinds that tell `param`


class Native(NamedTuple):
    """A refusal as Ark has it."""

    status: int
    code: str
    sentence: str  # {param}: what it is about


PROBLEMS: Final[Mapping[str, Native]] = {
    "authentication": Native(401, "AuthenticationError", "The API key doesn't exist."),
    "no_key": Native(401, "AuthenticationError", "The API key or AK/SK in the request is missing or invalid."),
    "permission": Native(403, "AccessDenied", f"{FAILED} you do not have access to the requested resource."),
    "billing": Native(403, "AccountOverdueError", f"{FAILED} your account has an overdue balance."),
    "invalid_request": Native(400, "InvalidParameter", "A parameter specified in the request is not valid."),
    "missing": Native(400, "MissingParameter", f"{FAILED} it is missing `{{param}}` parameter."),
    "moderation": Native(
        400, "InputTextSensitiveContentDetected", f"{FAILED} the input text may contain sensitive information."
    ),
    "unknown_model": Native(
        404,
        "InvalidEndpointOrModel.NotFound",
        "The model or endpoint {param} does not exist or you do not have access to it.",
    ),
    "not_kept": Native(404, "ResourceNotFound", "The specified resource is not found."),
    "not_found": Native(404, "NotFound", "The requested path does not exist: {param}."),
    "method_not_allowed": Native(405, "MethodNotAllowed", "The method {param} is not allowed here."),
    "running_deleted": Native(
        409, "InvalidAction.RunningTaskDeletion", "Cannot delete task because it is currently running."
    ),
    "cancelled_deleted": Native(
        409, "InvalidAction.CancelledTaskDeletion", "Cannot delete task because it has been cancelled."
    ),
    "too_large": Native(413, "RequestBodyTooLarge", "The size of the request body exceeds the limit."),
    "server_error": Native(500, "InternalServiceError", "The service encountered an unexpected internal error."),
    "overloaded": Native(
        429,
        "ServerOverloaded",
        "The service is currently unable to handle additional requests due to server overload.",
    ),
    "unavailable": Native(503, "ServiceUnavailable", "The service is temporarily unavailable."),
    "bad_gateway": Native(502, "InternalServiceError", "The service encountered an unexpected internal error."),
    "gateway_timeout": Native(504, "InternalServiceError", "The service did not respond in time."),
    "rate_limit": Native(
        429,
        "RateLimitExceeded.EndpointRPMExceeded",
        "The Requests Per Minute (RPM) limit of the associated endpoint for your account has been exceeded.",
    ),
}
TOKENS: Final = Native(
    429,
    "RateLimitExceeded.EndpointTPMExceeded",
    "The Tokens Per Minute (TPM) limit of the associated endpoint for your account has been exceeded.",
)
JOBS: Final = Native(429, "QuotaExceeded", "The number of queued and running tasks of your account exceeds the quota.")
QUOTAS: Final[Mapping[str, Native]] = {  # what a quota counts -> its refusal; else that of requests
    "tokens": TOKENS,
    "input_tokens": TOKENS,
    "output_tokens": TOKENS,
    "concurrency": JOBS,
    "jobs": JOBS,
}
IN_RESULT: Final[Mapping[str, Native]] = {  # what the safety system finds in what was made, by what that is
    kind: Native(
        400,
        f"Output{kind}SensitiveContentDetected",
        f"{FAILED} the output {kind.lower()} may contain sensitive information.",
    )
    for kind in ("Video", "Image", "Audio")
}


def refuse(param: str, complaint: str) -> Refused:
    """The refusal of a parameter's value."""
    said = f"The parameter `{param}` specified in the request is not valid: {complaint}."
    return Refused(Problem("invalid_request", said, param=param))


def missing(param: str) -> Refused:
    """The refusal of a request without a parameter."""
    return Refused(Problem("missing", param=param))


def authenticate(request: Request, keys: frozenset[str]) -> None:
    """Raise Refused unless the request bears one of `keys` as a bearer token."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused(Problem("no_key"))
    if key.strip() not in keys:
        raise Refused(Problem("authentication"))


def request_id(serving: Serving) -> str:
    """The id of a request: its time in milliseconds, then letters and digits."""
    drawn = draws.digest("ark", serving.seed).hex()
    head = f"02{serving.now_s}{int(drawn[:4], 16) % 1000:03}"
    return f"{head}{drawn[4:][: REQUEST_ID_LENGTH - len(head) - len(serving.nonce)]}{serving.nonce}"


def with_id(message: str, serving: Serving) -> str:
    """A message as Ark ends it."""
    return f"{message} Request id: {request_id(serving)}"


def found_in_result(kind: str, told: str, serving: Serving) -> dict[str, str]:
    """The `error` of a task or picture that failed.

    `told` is the worker's word: `Code: message` as it stands, of moderation in Ark's own words, else an internal error.
    """
    code, colon, message = told.partition(": ")
    if colon and code and not any(mark in code for mark in " \n") and code[0].isupper():
        return {"code": code, "message": with_id(message, serving)}
    native = IN_RESULT[kind]
    if not told or inspection.is_moderation(told):
        return {"code": native.code, "message": with_id(native.sentence, serving)}
    return {"code": "InternalServiceError", "message": with_id(told, serving)}


def error(problem: Problem, serving: Serving) -> Script:
    """A refusal as an HTTP reply."""
    status, body = told(problem, serving)
    head = (("content-type", "application/json"), ("x-request-id", request_id(serving)))
    return Script(status, (*head, *problem.headers), (Frame(orjson.dumps(body), "body"),))


def told(problem: Problem, serving: Serving) -> tuple[int, dict[str, dict[str, str]]]:
    """Status and body of a refusal."""
    kind = KINDS_BY_STATUS.get(problem.status or 0, "error") if problem.kind == "status" else problem.kind
    by_kind = {each: status for status, each in KINDS_BY_STATUS.items()}
    native = PROBLEMS.get(kind) or Native(by_kind.get(kind, 400), "RequestError", "The request failed.")
    if problem.exceeded is not None:
        native = QUOTAS.get(problem.exceeded.of, native)
    status = problem.status or native.status
    message = problem.message or native.sentence.replace("{param}", problem.param or "")
    return status, {
        "error": {
            "code": problem.code or native.code,
            "message": with_id(message, serving),
            "param": (problem.param or "") if kind in OF_PARAMETERS else "",
            "type": problem.type or TYPES.get(status, SERVER_TYPE if status >= 500 else TYPES[400]),
        }
    }
