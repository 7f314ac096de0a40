"""Refusals in Fish Audio's words.

`{"message": …, "status": …}`, as its page on errors has it; what is wrong with fields comes as a bare list, as its
OpenAPI file has it; a body that cannot be parsed as plain text. The sentences other than `Invalid Token`, and the
status of a body that cannot be parsed, are not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

JSON: Final = (("content-type", "application/json"),)
PLAIN: Final = (("content-type", "text/plain; charset=utf-8"),)
UNPARSABLE, UNPROCESSABLE = "unparsable", "unprocessable"
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "authentication": (401, "Invalid Token"),
    "billing": (402, "No payment -- see charging schemes"),
    "permission": (403, "Request forbidden -- authorization will not help"),
    "unknown_model": (400, "Model not found"),
    "not_kept": (404, "Nothing matches the given URI"),
    "not_found": (404, "Nothing matches the given URI"),
    "method_not_allowed": (405, "Specified method is invalid for this resource"),
    "timeout": (408, "Request timed out; try again"),
    "conflict": (409, "Request conflict"),
    "too_large": (413, "Entity is too large"),
    "unsupported": (415, "Entity body in unsupported format"),
    "rate_limit": (429, "Rate limit exceeded"),
    "moderation": (400, "The text was refused by the content policy"),
    "invalid_request": (400, "Bad request syntax or unsupported method"),
    "server_error": (500, "Server got itself in trouble"),
    "bad_gateway": (502, "Invalid responses from another server/proxy"),
    "overloaded": (503, "The server cannot process the request due to a high load"),
    "unavailable": (503, "The server cannot process the request due to a high load"),
    "gateway_timeout": (504, "The gateway server did not receive a timely response"),
}
_OTHER: Final = (500, "Server got itself in trouble")


def bad(message: str, status: int = 400) -> Refused:
    """A refusal with a sentence of its own."""
    return Refused(Problem("invalid_request", message, status=status))


def unparsable(why: str) -> Refused:
    """A body that is not what its content type says."""
    return Refused(Problem(UNPARSABLE, why))


def unprocessable(flaws: Sequence[Mapping[str, Any]]) -> Refused:
    """Fields that are not as they should be."""
    return Refused(Problem(UNPROCESSABLE, "; ".join(str(flaw["msg"]) for flaw in flaws), details=(("flaws", flaws),)))


def told(problem: Problem) -> Script:
    """A refusal as an HTTP reply."""
    if problem.kind == UNPARSABLE:
        return _script(problem.status or 400, PLAIN, (problem.message or "").encode("utf-8", "replace"), problem)
    if problem.kind == UNPROCESSABLE:
        return _script(422, JSON, orjson.dumps(dict(problem.details)["flaws"]), problem)
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 500, "server_error")
    status, message = PROBLEMS.get(kind, _OTHER)
    status = problem.status or status
    body: dict[str, Any] = {"message": problem.message or message, "status": status}
    if problem.code is not None:
        body["reason"] = problem.code
    return _script(status, JSON, orjson.dumps(body), problem)


def _script(status: int, headers: tuple[tuple[str, str], ...], body: bytes, problem: Problem) -> Script:
    return Script(status, (*headers, *problem.headers), (Frame(body, "body"),))
