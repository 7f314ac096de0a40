"""Requests on fal's wire. The body is the model's input; what steers the run stands in headers and in the query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from simulator.ask import Ask, Request, Turn
from simulator.dialects.predictions.inputs import texts
from simulator.problem import Problem, Refused

BODY_BYTES: Final = 100 << 20
LIFE_MS: Final = 7 * 86_400_000  # of a file, unless the request says else
LIFE_S_MAX: Final = 10 * 365 * 86_400
TIMEOUT: Final = "x-fal-request-timeout"
LIFECYCLE: Final = ("x-fal-object-lifecycle-preference", "x-fal-object-lifecycle")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-(4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})")
_SECONDS: Final = re.compile(r"\d{1,6}(?:\.\d{1,6})?")
_YES: Final = frozenset({"1", "true", "yes"})


def submission(request: Request, operation: str) -> Ask:
    """The request that runs a model. Raises Refused."""
    params = request.params
    app = f"{params['owner']}/{params['app']}"
    model = f"{app}/{params['rest'].strip('/')}" if params.get("rest") else app
    given = _input(request)
    query = dict(parse_qsl(request.query))
    body = {
        "input": given,
        "app": app,
        "webhook": query.get("fal_webhook", ""),
        "start_ms": _start_ms(request.headers),
        "life_ms": _life_ms(request.headers),
    }
    site = request.site + request.path.partition(f"/{app}")[0]
    turns = (Turn("user", "\n".join(texts(given))),)
    return Ask(operation, model, turns, body=body, fresh=True, site=site)


def about(request: Request, operation: str) -> Ask:
    """A request about one that is in the queue. Raises Refused."""
    found = _ID.fullmatch(request.params["id"])
    if found is None:
        raise Refused(Problem("not_kept"))
    query = dict(parse_qsl(request.query))
    app = f"{request.params['owner']}/{request.params['app']}"
    body = {"id": request.params["id"], "app": app, "logs": query.get("logs", "").lower() in _YES}
    stream = operation == "status_stream"
    return Ask(operation, "", body=body, stream=stream, fresh=True, needs=found[1], site=request.site)


def detail(loc: list[str | int], said: str, kind: str, **more: Any) -> dict[str, Any]:
    """One entry of `detail`."""
    return {"loc": loc, "msg": said, "type": kind, **more}


def refused(*entries: Mapping[str, Any]) -> Refused:
    """The refusal of a body."""
    return Refused(Problem("invalid_request", details=(("detail", list(entries)),)))


def _input(request: Request) -> dict[str, Any]:
    if len(request.body) > BODY_BYTES:
        raise Refused(Problem("too_large"))
    if not request.body.strip():
        raise refused(detail(["body"], "field required", "value_error.missing"))
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        said = "Expecting value: line 1 column 1 (char 0)"
        raise refused(detail(["body", 0], said, "value_error.jsondecode")) from None
    if not isinstance(given, dict):
        raise refused(detail(["body"], "value is not a valid dict", "type_error.dict"))
    return given


def _start_ms(headers: Mapping[str, str]) -> int | None:
    """By when the run must have begun, from its submission; None: it may wait."""
    told = headers.get(TIMEOUT, "").strip()
    return round(1000 * float(told)) if _SECONDS.fullmatch(told) else None


def _life_ms(headers: Mapping[str, str]) -> int:
    """How long files are kept."""
    for name in LIFECYCLE:
        try:
            told = orjson.loads(headers.get(name, "null"))
        except orjson.JSONDecodeError:
            continue
        seconds = told.get("expiration_duration_seconds") if isinstance(told, dict) else None
        if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds <= LIFE_S_MAX:
            return 1000 * seconds
    return LIFE_MS
