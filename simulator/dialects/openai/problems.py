"""OpenAI's refusals: one table from our word to status, type, code and sentence, and how they are written.

Two doors answer. The API itself indents by two and says how long it took; the front door (keys, models, quotas) indents
by four, ends with a newline and names its charset; 502 and 504 come from the network before both, as HTML. Source:
recorded replies (400, 403, 404) and public issues; the sentences of 403, 408, 409, 413 and 503 are not confirmed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from simulator.problem import KINDS_BY_STATUS, Problem, Refused

Headers = tuple[tuple[str, str], ...]


class Native(NamedTuple):
    """What the wire says for one kind; `{param}` in the sentence is filled from the problem."""

    status: int
    type: str
    message: str
    code: str | None = None
    front: bool = False  # the front door says it
    param: bool = True  # `param` is told when the problem has one


INVALID = "invalid_request_error"
_DOCS = "https://platform.openai.com"
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    f"read the docs: {_DOCS}/docs/guides/error-codes/api-errors."
)
_RATE = (
    "Rate limit reached for requests in organization org-fleet on requests per min (RPM): Limit 10000, Used 10000, "
    f"Requested 1. Please try again in 6ms. Visit {_DOCS}/account/rate-limits to learn more."
)
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    f"(i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from {_DOCS}/account/api-keys."
)
_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
)
_NOT_CHAT = (
    "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
    "Did you mean to use v1/completions?"
)
_NO_TOOLS = (
    "tools is not supported in this model. For a list of supported models, refer to "
    f"{_DOCS}/docs/guides/function-calling#models-supporting-function-calling."
)
_GONE = f"The model `{{param}}` has been deprecated, learn more here: {_DOCS}/docs/deprecations"
_NO_MODEL = "The model `{param}` does not exist or you do not have access to it."
_SERVER = "The server had an error while processing your request. Sorry about that!"

PROBLEMS: Mapping[str, Native] = {
    "invalid_request": Native(400, INVALID, "Invalid request."),
    "missing_model": Native(400, INVALID, "you must provide a model parameter", front=True),
    "bad_json": Native(400, INVALID, _JSON, front=True),
    "authentication": Native(401, INVALID, "Incorrect API key provided.", "invalid_api_key", front=True, param=False),
    "missing_key": Native(401, INVALID, _NO_KEY, front=True, param=False),
    "insufficient_quota": Native(429, "insufficient_quota", _QUOTA, "insufficient_quota", front=True),
    "billing": Native(429, "insufficient_quota", _QUOTA, "insufficient_quota", front=True),
    "permission": Native(403, INVALID, "You have insufficient permissions for this operation.", None, front=True),
    "sampling_forbidden": Native(
        403, INVALID, "You are not allowed to sample from this model", front=True, param=False
    ),
    "not_found": Native(404, INVALID, "Invalid URL ({param})", front=True, param=False),
    "unknown_model": Native(404, INVALID, _NO_MODEL, "model_not_found", front=True, param=False),
    "deprecated": Native(404, INVALID, _GONE, "model_not_found", front=True, param=False),
    "not_a_chat_model": Native(404, INVALID, _NOT_CHAT),
    "no_tools": Native(404, INVALID, _NO_TOOLS),
    "method_not_allowed": Native(
        405, INVALID, "Not allowed to {param} on this URL.", "method_not_supported", True, False
    ),
    "timeout": Native(408, "server_error", "Request timed out."),
    "conflict": Native(409, INVALID, "The request conflicts with another one."),
    "too_large": Native(413, INVALID, "The request body is too large.", front=True),
    "unprocessable": Native(422, INVALID, "The request could not be processed."),
    "rate_limit": Native(429, "requests", _RATE, "rate_limit_exceeded", front=True),
    "server_error": Native(500, "server_error", _SERVER),
    "bad_gateway": Native(502, "server_error", "Bad gateway.", front=True),
    "unavailable": Native(503, "server_error", "The engine is currently overloaded, please try again later"),
    "overloaded": Native(503, "server_error", "The engine is currently overloaded, please try again later"),
    "gateway_timeout": Native(504, "server_error", "Gateway time-out.", front=True),
    "stale_signature": Native(
        400, INVALID, "The encrypted content could not be verified.", "invalid_encrypted_content"
    ),
    "content_filter": Native(
        400, INVALID, "Your request was rejected by the safety system.", "content_policy_violation"
    ),
    "moderation_blocked": Native(
        400, "image_generation_user_error", "Your request was rejected by the safety system.", "moderation_blocked"
    ),
}
BY_STATUS: Mapping[int, str] = {**KINDS_BY_STATUS, 422: "unprocessable"}
HTML = frozenset({"bad_gateway", "gateway_timeout"})
_HTML_TITLE = {502: "Bad gateway", 504: "Gateway time-out"}


def refuse(message: str, param: str | None = None, code: str | None = None) -> Refused:
    """A 400 with this sentence, to be raised."""
    return Refused(Problem("invalid_request", message, param, code))


def kind(problem: Problem) -> str:
    """The row that a problem is told by; "" when the table has none for its status."""
    return problem.kind if problem.kind in PROBLEMS else BY_STATUS.get(problem.status or 500, "")


def native(problem: Problem) -> Native:
    """Status, type, code and sentence of a problem. A status that the table lacks is a server_error from 500 on."""
    row = PROBLEMS.get(kind(problem))
    status = problem.status or (row.status if row else 500)
    if row is None:
        row = Native(status, "server_error" if status >= 500 else INVALID, "Unexpected error.")
    message = problem.message or row.message.format(param=problem.param or "unknown")
    return row._replace(status=status, type=problem.type or row.type, message=message, code=problem.code or row.code)


def error(problem: Problem) -> dict[str, object]:
    """The error object, in the wire's order of keys."""
    row = native(problem)
    param = problem.param if row.param else None
    return {"message": row.message, "type": row.type, "param": param, "code": row.code}


def is_page(problem: Problem) -> bool:
    """Whether the network in front of the API answers with a page, as it does for every vendor."""
    return kind(problem) in HTML and problem.message is None


def body(problem: Problem) -> tuple[bytes, str]:
    """(bytes, content type) of the error as a reply."""
    row = native(problem)
    if is_page(problem):
        return html(row.status), "text/html; charset=UTF-8"
    if row.front:
        text = json.dumps({"error": error(problem)}, indent=4, ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass") + b"\n", "application/json; charset=utf-8"
    return orjson.dumps({"error": error(problem)}, option=orjson.OPT_INDENT_2), "application/json"


def frame(problem: Problem) -> bytes:
    """The error as the last event of a stream: no `[DONE]` follows it."""
    return b"data: " + orjson.dumps({"error": error(problem)}) + b"\n\n"


def html(status: int) -> bytes:
    """The page that the network in front of the API shows."""
    title = _HTML_TITLE.get(status, "Error")
    return (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    ).encode()
