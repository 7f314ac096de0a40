"""GET /api/api-usage: the caller's own usage log, its costs by model and its dearest requests.

Any key form will do. Source: api-reference#gateway-features (Request Logs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts import Key
from gateway.edge import Clock
from gateway.errors import InvalidRequest, shown
from gateway.storage.store import Store
from gateway.usage import DAY_MS, STATUSES, UsageQuery, report

PATHS = ("/api/api-usage", "/api/v1/api-usage", "/v1/api-usage")
DAYS, DAYS_MAX = 30, 3650
LIMIT, LIMIT_MAX = 1000, 10_000
FILTER_MAX = 256  # characters


class Services(Protocol):
    """What these endpoints need of the gateway."""

    @property
    def clock(self) -> Clock: ...
    @property
    def store(self) -> Store: ...
    def authenticate(self, request: Request, /) -> Key: ...


def routes(services: Services) -> list[Route]:
    """The documented path and its aliases."""

    async def api_usage(request: Request) -> Response:
        key = services.authenticate(request)
        query = parse(request.query_params, key.payer_id, services.clock.now_ms())
        return reply(await services.store.read(lambda connection: report(connection, query)))

    return [Route(path, api_usage, methods=["GET"]) for path in PATHS]


def parse(parameters: Mapping[str, str], user_id: str, now_ms: int) -> UsageQuery:
    """The query that the URL asks. Raises InvalidRequest; parameters that mean nothing here are ignored."""
    status = _text(parameters, "status")
    if (
        status is not None
        and status not in STATUSES
        and not (status.isascii() and status.isdigit() and len(status) == 3)
    ):
        due = ", ".join(STATUSES)
        raise InvalidRequest(f"`status` is {shown(status)!r}; one of {due} or a status code of three digits was due.")
    return UsageQuery(
        user_id=user_id,
        since_ms=now_ms - number(parameters, "days", DAYS, DAYS_MAX) * DAY_MS,
        limit=number(parameters, "limit", LIMIT, LIMIT_MAX),
        model=_text(parameters, "model"),
        status=status,
        endpoint=_text(parameters, "endpoint"),
        q=_text(parameters, "q"),
    )


def number(parameters: Mapping[str, str], name: str, default: int, most: int) -> int:
    """An integer from 1 to `most`, `default` where it is missing. Raises InvalidRequest."""
    text = parameters.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise InvalidRequest(f"`{name}` is {shown(text)!r}; an integer from 1 to {most} was due.")
    return int(text)


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    text = parameters.get(name)
    if not text:
        return None
    if len(text) > FILTER_MAX or "\0" in text:
        raise InvalidRequest(f"`{name}` has {len(text)} characters; 1 to {FILTER_MAX}, none of them NUL, were due.")
    return text


def reply(value: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(value), status, media_type="application/json")
