"""GET /api/api-usage: the caller's own usage log, its costs by model and day and its dearest requests; the same as CSV.

Any key form will do, and so does the dashboard's session. Source: api-reference#gateway-features (Cost Dashboard,
Request Logs).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway import auth, usage_csv, usage_days
from gateway.accounts import Accounts
from gateway.errors import InvalidRequest, shown
from gateway.people import door
from gateway.services import Services
from gateway.usage import DAY_MS, STATUSES, UsageQuery, from_cursor, iso_utc, report

PATHS = ("/api/api-usage", "/api/v1/api-usage", "/v1/api-usage")
DAYS, DAYS_MAX = 30, 3650
LIMIT, LIMIT_MAX = 1000, 10_000
FILTER_MAX = 256  # characters
MOMENT_MAX_MS = 2**42  # the year 2109
CREDITS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
NO_STORE = {"cache-control": "no-store"}


def routes(services: Services) -> list[Route]:
    """The documented paths and their aliases."""

    async def api_usage(request: Request) -> Response:
        return await answer(services, request, await payer_of(services, request))

    async def export(request: Request) -> Response:
        return await download(services, request, await payer_of(services, request))

    return [
        *(Route(path, api_usage, methods=["GET"]) for path in PATHS),
        *(Route(path + "/export", export, methods=["GET"]) for path in PATHS),
    ]


async def payer_of(services: Services, request: Request) -> str:
    """Whose log it is: that of the request's key, or of whoever is signed in. Raises Unauthenticated, NoAccess."""
    headers: Mapping[bytes, bytes] = dict(reversed(request.scope["headers"]))
    if b"cookie" not in headers or auth.secret(headers, request.scope.get("query_string", b"")) is not None:
        return services.authenticate(request).payer_id
    return (await door.signed_in(services, request)).user.id


async def answer(services: Services, request: Request, payer_id: str) -> Response:
    """The log of a user or an organisation. Raises InvalidRequest."""
    now_ms = services.clock.now_ms()
    query = parse(request.query_params, payer_id, now_ms)
    return reply(await services.store.read(lambda connection: report(connection, query, now_ms)))


async def download(services: Services, request: Request, payer_id: str) -> Response:
    """The log as a file. Raises InvalidRequest."""
    now_ms = services.clock.now_ms()
    query = parse(request.query_params, payer_id, now_ms)
    name = f"hypereal-usage-{iso_utc(now_ms)[:10]}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff", **NO_STORE}
    pieces = usage_csv.export(services.store, query, lambda key_id: key_name(services.accounts, key_id))
    first = await anext(pieces)  # what goes wrong at once is still an error response

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(body(), media_type="text/csv; charset=utf-8; header=present", headers=headers)


def key_name(accounts: Accounts, key_id: str) -> str | None:
    """What a key is called, while it exists."""
    key = accounts.key(key_id)
    return None if key is None else key.name


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
    zone = _zone(parameters)
    since_ms, until_ms = period(parameters, zone, now_ms)
    return UsageQuery(
        user_id=user_id,
        since_ms=since_ms,
        limit=number(parameters, "limit", LIMIT, LIMIT_MAX),
        model=_text(parameters, "model"),
        status=status,
        endpoint=_text(parameters, "endpoint"),
        q=_text(parameters, "q"),
        until_ms=until_ms,
        key_id=_text(parameters, "keyId"),
        min_cost_uc=_min_cost_uc(parameters),
        before=_before(parameters),
        zone=zone,
    )


def period(parameters: Mapping[str, str], zone: str, now_ms: int) -> tuple[int, int | None]:
    """(from, to) in milliseconds: `from` and `to`, or the last `days` before `to` or now. Raises InvalidRequest."""
    days = number(parameters, "days", DAYS, DAYS_MAX)
    until_ms = moment(parameters, "to", zone, whole=True)
    since_ms = moment(parameters, "from", zone, whole=False)
    end_ms = now_ms if until_ms is None else until_ms
    if since_ms is None:
        return max(0, end_ms - days * DAY_MS) if until_ms is not None else end_ms - days * DAY_MS, until_ms
    if until_ms is not None and since_ms >= until_ms:
        raise InvalidRequest("`from` is not before `to`.")
    if max(end_ms, since_ms) - since_ms > (DAYS_MAX + 1) * DAY_MS:
        raise InvalidRequest(f"The period is over {DAYS_MAX} days.")
    return since_ms, until_ms


def moment(parameters: Mapping[str, str], name: str, zone: str, *, whole: bool) -> int | None:
    """A date (its start in the zone or, if `whole`, its end) or a date and time, ISO 8601. Raises InvalidRequest."""
    text = _text(parameters, name)
    if text is None:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            at_ms = usage_days.start_of(zone, date.fromordinal(day.toordinal() + 1) if whole else day)
        else:
            read = datetime.fromisoformat(text)
            at = read if read.tzinfo is not None else read.replace(tzinfo=usage_days.zone(zone))
            at_ms = int(Decimal(str(at.timestamp())) * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if not 0 <= at_ms < MOMENT_MAX_MS:
        raise InvalidRequest(f"`{name}` is {shown(text)!r}; a date or a date and time (ISO 8601) since 1970 was due.")
    return at_ms


def _zone(parameters: Mapping[str, str]) -> str:
    name = _text(parameters, "tz") or "UTC"
    try:
        usage_days.zone(name)
    except ValueError:
        raise InvalidRequest(f"`tz` is {shown(name)!r}; a time zone such as 'Europe/Berlin' was due.") from None
    return name


def _min_cost_uc(parameters: Mapping[str, str]) -> int:
    text = _text(parameters, "minCost") or "0"
    if CREDITS.fullmatch(text) is None:
        raise InvalidRequest(f"`minCost` is {shown(text)!r}; credits with up to six decimals were due.")
    return int(Decimal(text) * 1_000_000)


def _before(parameters: Mapping[str, str]) -> tuple[int, int] | None:
    text = _text(parameters, "cursor")
    found = None if text is None else from_cursor(text)
    if text is not None and found is None:
        raise InvalidRequest("`cursor` is none of ours; the `nextCursor` of a page was due.")
    return found


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
    """A JSON response that nobody on its way keeps."""
    return Response(orjson.dumps(value), status, headers=NO_STORE, media_type="application/json")
