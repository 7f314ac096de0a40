"""How DashScope refuses: code, message and request_id, all at the top of the body.

Source: the error codes of Model Studio. Statuses of 405, 408 and 413 are not confirmed, nor is the one of a submission
without its async header, which is a fact (`sync_status`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from simulator.problem import KINDS_BY_STATUS, Problem, Refused

NO_SYNC: Final = "current user api does not support synchronous calls."
NO_ASYNC: Final = "current user api does not support asynchronous calls."
WRONG_URL: Final = "url error, please check url！"
NOT_PENDING: Final = "Failed to cancel the task, please confirm if the task is in PENDING status."
OUTPUT: Final = "Output data may contain inappropriate content."
DOWNLOAD: Final = "Unable to download the media resource during the data inspection process."
TIMEOUT: Final = (
    "An internal timeout error has occured during execution, please try again later or contact service support."
)


class Native(NamedTuple):
    """One kind of problem."""

    status: int
    code: str
    message: str


PROBLEMS: Final[Mapping[str, Native]] = {
    "authentication": Native(401, "InvalidApiKey", "Invalid API-key provided."),
    "missing_key": Native(401, "InvalidApiKey", "No API-key provided."),
    "permission": Native(403, "AccessDenied", "Access denied."),
    "billing": Native(400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    "rate_limit": Native(429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    "concurrency": Native(429, "Throttling", "Requests throttling triggered."),
    "tokens": Native(429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit."),
    "moderation": Native(400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    "unknown_model": Native(404, "ModelNotFound", "Model not exist."),
    "invalid_request": Native(
        400, "InvalidParameter", "Required parameter(s) missing or invalid, please check the request parameters."
    ),
    "too_large": Native(413, "BadRequest.TooLarge", "Payload Too Large"),
    "not_found": Native(400, "InvalidParameter", WRONG_URL),
    "method_not_allowed": Native(405, "BadRequest.IllegalInput", "Request method is not supported."),
    "timeout": Native(408, "RequestTimeOut", "Request timed out, please try again later."),
    "conflict": Native(409, "UnsupportedOperation", "The operation is unsupported on the referee object."),
    "server_error": Native(
        500, "InternalError", "An internal error has occured, please try again later or contact service support."
    ),
    "bad_gateway": Native(502, "InternalError", "Bad gateway."),
    "unavailable": Native(503, "ModelUnavailable", "Model is unavailable, please try again later."),
    "gateway_timeout": Native(504, "InternalError.Timeout", TIMEOUT),
}
LIKE: Final[Mapping[str, str]] = {  # kinds of other wires' making
    "insufficient_quota": "billing",
    "content_filter": "moderation",
    "overloaded": "unavailable",
    "bad_json": "invalid_request",
}


def native(problem: Problem) -> Native:
    """The row of a problem, with what the problem itself says."""
    kind = KINDS_BY_STATUS.get(problem.status or 0, "") if problem.kind == "status" else problem.kind
    kind = LIKE.get(kind, kind)
    of = problem.exceeded.of if problem.exceeded else ""
    if kind == "rate_limit" and of != "requests":
        kind = "concurrency" if of in ("concurrency", "jobs") else "tokens" if "tokens" in of else kind
    usual = "server_error" if (problem.status or 0) >= 500 else "invalid_request"
    row = PROBLEMS.get(kind) or PROBLEMS[usual]
    status = problem.status or row.status
    return Native(status, problem.code or problem.type or row.code, problem.message or row.message)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refused:
    """What is refused for its parameters."""
    return Refused(Problem("invalid_request", message, param=param, code=code))


def denied(message: str, status: int) -> Refused:
    """What is refused for how it was called."""
    return Refused(Problem("permission", message, status=status))
