"""Errors as Google's SDKs read them: a google.rpc.Status, on the paths that only those SDKs use.

The HTTP status is the reference's, and so is the error's type, as the `reason` of an ErrorInfo. Source: wire reference,
7.6; which word stands for which row: docs/decisions.md.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from gateway.errors import GatewayError

RPC: Final = "type.googleapis.com/google.rpc."
DOMAIN: Final = "gateway"
WORDS: Final[dict[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
}


def render(error: GatewayError) -> bytes:
    """The JSON body of an error response."""
    info = {"@type": f"{RPC}ErrorInfo", "reason": error.type.upper(), "domain": DOMAIN}
    details: list[dict[str, Any]] = [info]
    wait = dict(error.headers).get(b"retry-after")
    if wait is not None:
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": f"{wait.decode()}s"})
    return orjson.dumps({**status(error.status, error.message, details), **error.extra()})


def mid_answer(message: str) -> bytes:
    """The object that says, in a stream, that the answer will not be whole."""
    return orjson.dumps(status(502, message))


def status(code: int, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The error object."""
    told: dict[str, Any] = {"code": code, "message": message, "status": WORDS[code]}
    return {"error": told | ({"details": details} if details else {})}
