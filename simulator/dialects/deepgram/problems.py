"""Refusals in Deepgram's words: `err_code`, `err_msg` and the id of the request.

Source: Deepgram's documentation, errors; that of one kind (429, 413) transcripts and speech spell their codes
differently. What it does not name (404 of a path, 405, 5xx besides 503) is assumed to have the same envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from simulator import draws
from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

BAD, QUERY, PAYLOAD, REMOTE = "Bad Request", "INVALID_QUERY_PARAMETER", "PAYLOAD_ERROR", "REMOTE_CONTENT_ERROR"
UNREACHABLE: Final = "The remote server hosting the media returned a client error: 404 Not Found."
HEADERS: Final = (
    ("vary", "accept-encoding, origin, access-control-request-method, access-control-request-headers"),
    ("access-control-allow-credentials", "true"),
    (
        "access-control-expose-headers",
        "dg-model-name,dg-model-uuid,dg-additional-model-uuids,dg-char-count,dg-request-id,dg-project-id,dg-error,"
        "dg-breaks-applied,dg-pronunciations-applied,dg-pronunciation-warnings",
    ),
)
PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "authentication": (401, "INVALID_AUTH", "Invalid credentials."),
    "billing": (
        402,
        "ASR_PAYMENT_REQUIRED",
        "Project does not have enough credits for an ASR request and does not have an overage agreement.",
    ),
    "permission": (403, "INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    "unknown_model": (400, BAD, "Bad Request: No such model/language/tier combination found."),
    "not_kept": (404, "NOT_FOUND", "Not found."),
    "not_found": (404, "NOT_FOUND", "Not found."),
    "method_not_allowed": (405, "METHOD_NOT_ALLOWED", "Method not allowed."),
    "timeout": (408, "REQUEST_TIMEOUT", "Request timed out."),
    "conflict": (409, "CONFLICT", "Conflict."),
    "too_large": (413, "PAYLOAD_TOO_LARGE", "Payload size exceeds limit of 2 MB."),
    "rate_limit": (429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later"),
    "moderation": (422, "UNPROCESSABLE_ENTITY", "Failed to handle request."),
    "invalid_request": (400, BAD, "Bad Request"),
    "server_error": (500, "INTERNAL_SERVER_ERROR", "An internal error occurred."),
    "bad_gateway": (502, "BAD_GATEWAY", "Bad gateway."),
    "overloaded": (503, "Service Unavailable", "Please try again later"),
    "unavailable": (503, "Service Unavailable", "Please try again later"),
    "gateway_timeout": (504, "GATEWAY_TIMEOUT", "Gateway timeout."),
}


def bad(code: str, message: str, status: int = 400) -> Refused:
    """A refusal with a code and a sentence of its own."""
    return Refused(Problem("invalid_request", message, code=code, status=status))


def request_id(serving: Serving) -> str:
    """The id of the request: a UUID that ends in the nonce."""
    head = draws.digest("deepgram", serving.seed).hex()
    return f"{head[:8]}-{head[8:12]}-{serving.nonce}"


def uuid(*parts: object) -> str:
    """A UUID of version 4 that depends on every part."""
    text = draws.digest("deepgram", *parts).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def told(problem: Problem, serving: Serving) -> Script:
    """A refusal as an HTTP reply."""
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 500, "server_error")
    status, code, message = PROBLEMS.get(kind, PROBLEMS["server_error"])
    own = request_id(serving)
    body = {"err_code": problem.code or code, "err_msg": problem.message or message, "request_id": own}
    headers = (("content-type", "application/json"), *HEADERS, ("dg-request-id", own), *problem.headers)
    return Script(problem.status or status, headers, (Frame(orjson.dumps(body), "body"),))
