"""Kling's error codes. Source: its documentation (error codes, concurrency rules); some sentences are ours.

Money and concurrency are 429 there, whatever the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator import draws
from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

CODES: Final[Mapping[int, tuple[int, str]]] = {  # code -> status and sentence
    1000: (401, "Authentication failed"),
    1001: (401, "Authorization is empty"),
    1002: (401, "Authorization is invalid"),
    1003: (401, "Authorization is not yet valid"),
    1004: (401, "Authorization has expired"),
    1100: (429, "Account exception"),
    1101: (429, "Account in arrears"),
    1102: (429, "Account balance not enough"),
    1103: (403, "Unauthorized access to requested resource"),
    1200: (400, "Invalid request parameters"),
    1201: (400, "Invalid parameters"),
    1202: (404, "Invalid request method"),
    1203: (404, "Requested resource does not exist"),
    1300: (400, "Trigger strategy of the platform"),
    1301: (400, "Trigger the content security policy of the platform"),
    1302: (429, "API request too frequent"),
    1303: (429, "parallel task over resource pack limit"),
    1304: (429, "Trigger the IP whitelisting policy"),
    5000: (500, "Internal server error"),
    5001: (503, "Server temporarily unavailable"),
    5002: (504, "Server internal timeout"),
}
KINDS: Final[Mapping[str, int]] = {
    "authentication": 1000,
    "permission": 1103,
    "billing": 1102,
    "insufficient_quota": 1102,
    "invalid_request": 1201,
    "bad_json": 1200,
    "too_large": 1201,
    "moderation": 1301,
    "content_filter": 1301,
    "moderation_blocked": 1301,
    "unknown_model": 1203,
    "not_kept": 1203,
    "not_found": 1203,
    "method_not_allowed": 1202,
    "rate_limit": 1302,
    "server_error": 5000,
    "bad_gateway": 5000,
    "overloaded": 5001,
    "unavailable": 5001,
    "timeout": 5002,
    "gateway_timeout": 5002,
}
HEADERS: Final = (("content-type", "application/json;charset=utf-8"),)
IN_FLIGHT: Final = ("concurrency", "jobs")  # of what there is too much when the code is 1303


def bad(message: str) -> Refused:
    """A parameter that is not as it should be."""
    return Refused(Problem("invalid_request", message))


def request_id(serving: Serving) -> str:
    """The id of one request."""
    text = draws.digest("kling", serving.seed, serving.attempt, serving.now_ms).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def envelope(data: Any, serving: Serving) -> Script:
    """What all went well is told in."""
    told = {"code": 0, "message": "SUCCEED", "request_id": request_id(serving), "data": data}
    return Script(200, HEADERS, (Frame(orjson.dumps(told), "body"),))


def error(problem: Problem, serving: Serving) -> Script:
    """A refusal, by its kind or by the code it names."""
    code = _code(problem)
    status, sentence = CODES.get(code, (400, "Invalid parameters"))
    told = {
        "code": code,
        "message": problem.message or _sentence(problem, sentence),
        "request_id": request_id(serving),
        "data": None,
    }
    return Script(problem.status or status, (*HEADERS, *problem.headers), (Frame(orjson.dumps(told), "body"),))


def _code(problem: Problem) -> int:
    if problem.code and problem.code.isdecimal():
        return int(problem.code[:9])
    if problem.exceeded is not None and problem.exceeded.of in IN_FLIGHT:
        return 1303
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 0, "server_error" if (problem.status or 0) >= 500 else "")
    return KINDS.get(kind, 1201)


def _sentence(problem: Problem, sentence: str) -> str:
    if problem.kind == "unknown_model" and problem.param:
        return f"model {problem.param} does not exist"
    return sentence
