"""Requests on RunPod's wire: bodies, policies, ids. What stands in `input` is the worker's affair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from simulator.ask import Ask, Request, Turn
from simulator.problem import Problem, Refused

BODY_BYTES: Final = {"run": 10 << 20, "runsync": 20 << 20}
WAIT_MS: Final = (90_000, 1_000, 300_000)  # default, least, most
SECOND_MS, DAY_MS = 1_000, 86_400_000
POLICY: Final = {  # name -> default, least, most
    "executionTimeout": (600 * SECOND_MS, 5 * SECOND_MS, 7 * DAY_MS),
    "ttl": (DAY_MS, 10 * SECOND_MS, 7 * DAY_MS),
}
OBJECTS: Final = ("policy", "s3Config")
_ID = re.compile(r"(?:sync-)?[0-9a-f]{8}-[0-9a-f]{4}-(4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})(?:-[a-z][0-9]+)?")


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    endpoint = request.params["endpoint"]
    if operation in BODY_BYTES:
        return _submission(request, operation, endpoint)
    body: dict[str, Any] = {}
    needs = ""
    if "id" in request.params:
        found = _ID.fullmatch(request.params["id"])
        if found is None:
            raise Refused(Problem("not_kept"))
        body["id"], needs = request.params["id"], found[1]
    return Ask(operation, endpoint, body=body, fresh=True, needs=needs, site=request.site)


def _submission(request: Request, operation: str, endpoint: str) -> Ask:
    if len(request.body) > BODY_BYTES[operation]:
        raise Refused(Problem("too_large"))
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise _bad("request body is not JSON") from None
    if not isinstance(body, dict) or body.get("input") is None:
        raise _bad("input is required")
    for name in OBJECTS:
        if not isinstance(body.get(name, {}), dict):
            raise _bad(f"{name} must be an object")
    if not isinstance(body.get("webhook", ""), str):
        raise _bad("webhook must be a URL")
    policy = {name: _whole(body.get("policy", {}).get(name), f"policy.{name}", *POLICY[name]) for name in POLICY}
    wait_ms = None
    if operation == "runsync":
        told = dict(parse_qsl(request.query)).get("wait")
        wait_ms = _whole(int(told) if told and told.isdecimal() and len(told) < 10 else told, "wait", *WAIT_MS)
    text = "\n".join(texts(body["input"]))
    site = request.site + request.path.removesuffix(f"/{endpoint}/{operation}")
    read = body | {"limits": policy, "wait_ms": wait_ms, "asked_wait": "wait=" in request.query}
    return Ask(operation, endpoint, (Turn("user", text),), body=read, fresh=True, site=site)


def texts(value: object) -> Iterator[str]:
    """All texts in a JSON value, in order; long ones without blanks are data and hold none."""
    if isinstance(value, str):
        if len(value) < 4096 or " " in value[:256]:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def _whole(value: object, name: str, default: int, low: int, high: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _bad(f"{name} must be a whole number of milliseconds from {low} to {high}")
    return value


def _bad(message: str) -> Refused:
    return Refused(Problem("invalid_request", message))
