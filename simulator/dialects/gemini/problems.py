"""Gemini's refusals: one table from our word to status, code word and sentence, and the `details` that go with them.

Every error is a google.rpc.Status: `{"error": {"code", "message", "status", "details"}}`. What the API itself does not
know (paths, bodies too large, a gateway that fails) is answered by the front end before it, as HTML. The fact `errors`
of a mount picks Vertex's sentences where they differ. Source: recorded replies (400, 404, 429) and public issues; the
sentences of 403, 500 and 504 and the HTML pages are not confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final, NamedTuple

from simulator.dialects.base import Serving
from simulator.dialects.gemini.quota import exhausted
from simulator.problem import KINDS_BY_STATUS, Problem, Refused

RPC: Final = "type.googleapis.com/google.rpc."
STUDIO: Final = "generativelanguage.googleapis.com"
VERTEX: Final = "aiplatform.googleapis.com"
_METHOD = re.compile(r"/(v1(?:beta\d?)?)/(?:.*/)?(?:models/)?([^/:]*)(?::(\w+))?$")
_SUPPORTED: Final = {"streamGenerateContent": "generateContent", "batchEmbedContents": "embedContent"}


class Native(NamedTuple):
    """What the wire says for one kind; `{param}` and what stands in the path are filled into the sentence."""

    status: int
    word: str
    message: str


INVALID: Final = "INVALID_ARGUMENT"
_KEY: Final = "API key not valid. Please pass a valid API key."
_NO_KEY: Final = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)
_OAUTH: Final = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_NO_MODEL: Final = (
    "models/{model} is not found for API version {version}, or is not supported for {method}. Call "
    "ModelService.ListModels to see the list of available models and their supported methods."
)
_NO_PUBLISHER_MODEL: Final = (
    "Publisher Model `{place}/models/{model}` was not found or your project does not have access to it. Please ensure "
    "you are using a valid model version. For more information, see: "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions"
)
_INTERNAL: Final = (
    "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting"
)
_BILLING: Final = (
    "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio."
)
_NO_PAGE: Final = "The requested URL <code>{path}</code> was not found on this server."
_EXHAUSTED: Final = "Resource has been exhausted (e.g. check quota)."

PROBLEMS: Final[Mapping[str, Native]] = {
    "invalid_request": Native(400, INVALID, "Request contains an invalid argument."),
    "bad_request": Native(400, INVALID, "Request contains an invalid argument."),
    "bad_json": Native(400, INVALID, "Invalid JSON payload received. Unexpected token."),
    "invalid_key": Native(400, INVALID, _KEY),
    "stale_signature": Native(400, INVALID, "Corrupted thought signature."),
    "billing": Native(400, "FAILED_PRECONDITION", _BILLING),
    "authentication": Native(401, "UNAUTHENTICATED", f"Request had invalid authentication credentials. {_OAUTH}"),
    "missing_token": Native(401, "UNAUTHENTICATED", f"Request is missing required authentication credential. {_OAUTH}"),
    "missing_key": Native(403, "PERMISSION_DENIED", _NO_KEY),
    "permission": Native(403, "PERMISSION_DENIED", "The caller does not have permission"),
    "unknown_model": Native(404, "NOT_FOUND", _NO_MODEL),
    "not_found": Native(404, "NOT_FOUND", _NO_PAGE),
    "method_not_allowed": Native(404, "NOT_FOUND", _NO_PAGE),
    "timeout": Native(408, "DEADLINE_EXCEEDED", "The request timed out. Please try again."),
    "conflict": Native(409, "ABORTED", "The operation was aborted."),
    "too_large": Native(413, "OUT_OF_RANGE", "Your client issued a request that was too large."),
    "rate_limit": Native(429, "RESOURCE_EXHAUSTED", _EXHAUSTED),
    "insufficient_quota": Native(429, "RESOURCE_EXHAUSTED", _EXHAUSTED),
    "cancelled": Native(499, "CANCELLED", "The operation was cancelled."),
    "server_error": Native(500, "INTERNAL", _INTERNAL),
    "not_implemented": Native(501, "UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    "bad_gateway": Native(
        502, "UNAVAILABLE", "The server encountered a temporary error and could not complete your request."
    ),
    "unavailable": Native(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "overloaded": Native(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "gateway_timeout": Native(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
_ON_VERTEX: Final[Mapping[str, Native]] = {
    "stale_signature": Native(
        400,
        INVALID,
        "Unable to submit request because Thought signature is not valid.. Learn more: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini",
    ),
    "unknown_model": Native(404, "NOT_FOUND", _NO_PUBLISHER_MODEL),
    "rate_limit": Native(
        429,
        "RESOURCE_EXHAUSTED",
        "Resource exhausted. Please try again later. Please refer to "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
    ),
    "server_error": Native(500, "INTERNAL", "Internal error encountered."),
    "unavailable": Native(503, "UNAVAILABLE", "The service is currently unavailable."),
}
SURFACES: Final[Mapping[str, Mapping[str, Native]]] = {"studio": PROBLEMS, "vertex": {**PROBLEMS, **_ON_VERTEX}}
BY_STATUS: Final[Mapping[int, str]] = {**KINDS_BY_STATUS, 402: "billing", 499: "cancelled", 501: "not_implemented"}
HTML: Final[Mapping[str, str]] = {
    "not_found": "Not Found",
    "method_not_allowed": "Not Found",
    "too_large": "Request Entity Too Large",
    "bad_gateway": "Server Error",
}


def refuse(message: str) -> Refused:
    """A 400 with this sentence, to be raised."""
    return Refused(Problem("invalid_request", message))


def kind(problem: Problem) -> str:
    """The row that a problem is told by; "" when the table has none for its status."""
    return problem.kind if problem.kind in PROBLEMS else BY_STATUS.get(problem.status or 500, "")


def native(problem: Problem, serving: Serving) -> Native:
    """Status, code word and sentence of a problem."""
    row = SURFACES[serving.facts.get("errors", "studio")].get(kind(problem))
    status = problem.status or (row.status if row else 500)
    if row is None:
        row = Native(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION", "Unexpected error.")
    said = None if problem.exceeded else problem.message  # of a quota this module has the words
    message = said or row.message.format(param=problem.param or "unknown", **asked(serving.path))
    return row._replace(status=status, message=message)


def asked(path: str) -> dict[str, str]:
    """What a path asks for: API version, model, method, and where on Vertex the model is."""
    found = _METHOD.search(path)
    version, model, method = found.groups() if found else ("v1beta", "", None)
    place = path.removeprefix(f"/{version}/").partition("/models/")[0]
    method = _SUPPORTED.get(method or "", method) or "generateContent"
    return {"version": version, "model": model, "method": method, "place": place, "path": escape(path)}


def error(problem: Problem, serving: Serving) -> dict[str, Any]:
    """The error object, in the wire's order of keys."""
    row = native(problem, serving)
    vertex = serving.facts.get("errors") == "vertex"
    details = _details(problem, row, vertex)
    if row.word == "RESOURCE_EXHAUSTED" and not vertex and (problem.exceeded or not problem.message):
        message, details = exhausted(problem, asked(serving.path)["model"], serving)
        row = row._replace(message=message)
    told: dict[str, Any] = {"code": row.status, "message": row.message, "status": row.word}
    return {"error": told | {"details": details} if details else told}


def _details(problem: Problem, row: Native, vertex: bool) -> list[dict[str, Any]]:
    match problem.kind:
        case "invalid_key":
            said = {"@type": f"{RPC}LocalizedMessage", "locale": "en-US", "message": row.message}
            return [_info("API_KEY_INVALID", STUDIO), said]
        case "authentication":
            return [_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", VERTEX if vertex else STUDIO)]
        case "missing_token":
            return [_info("CREDENTIALS_MISSING", VERTEX)]
        case "bad_request" | "bad_json":
            said_of = (problem.param or "").split("\n")
            violations = [
                {"field": field, "description": line} if field else {"description": line}
                for field, line in zip(said_of, _sentences(row.message, len(said_of)), strict=True)
            ]
            return [{"@type": f"{RPC}BadRequest", "fieldViolations": violations}]
        case _:
            return []


def _sentences(message: str, count: int) -> list[str]:
    """A message as one sentence a violation."""
    return message.split("\n") if count > 1 else [message]


def _info(reason: str, service: str) -> dict[str, Any]:
    info = {"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return info | {"metadata": {"service": service}}


def html(problem: Problem, serving: Serving) -> bytes | None:
    """The page that the front end shows; None for what the API answers itself."""
    title = HTML.get(kind(problem))
    if title is None or problem.message is not None:
        return None
    row = native(problem, serving)
    return (
        f"<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error {row.status} ({title})!!1</title>\n"
        f"  <p><b>{row.status}.</b> <ins>That’s an error.</ins>\n  <p>{row.message}  <ins>That’s all we know.</ins>\n"
    ).encode()
