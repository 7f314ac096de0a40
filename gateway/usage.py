"""The usage log: one row for each request that reached an upstream, what it cost, and the questions the log answers.

All times are UTC. Source: api-reference#gateway-features (Cost Dashboard, Request Logs).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, String, and_, cast, func, or_, select

from gateway import usage_days
from gateway.storage.tables import usage_log

Status = Literal["succeeded", "failed", "client_closed", "upstream_failed"]
STATUSES: tuple[Status, ...] = ("succeeded", "failed", "client_closed", "upstream_failed")
DAY_MS = 86_400_000
TOP_EXPENSIVE = 10
TEXT_MAX = 1000  # characters; nothing that is written honestly comes near
INTEGER_MAX = 2**53 - 1  # what JSON carries everywhere
CURSOR = re.compile(r"([0-9a-f]{1,12})-([0-9a-f]{1,15})")


class UsageRow(NamedTuple):
    """What the gateway knows of a finished request. Its id, its cost and whether it was capped are the ledger's to say.

    A NamedTuple because it goes to the database as it is; the fields are in the order of the columns of `usage_log`.
    """

    request_id: str
    user_id: str
    key_id: str
    created_at_ms: int  # when the request arrived
    endpoint: str  # the documented path, e.g. "/v1/chat/completions"
    model: str  # what was charged
    requested_model: str  # as the client wrote it
    status: Status
    status_code: int
    latency_ms: int
    stream: bool
    upstream: str | None = None  # the one that answered (or failed last)
    ttft_ms: int | None = None
    input_tokens: int = 0  # all input, cached or not
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    attempts: int = 1
    unit: str | None = None  # of what is not billed by tokens: "image", "second", "clip", "request" or "gpu_ms"
    units: int = 0  # charged


def storable(row: UsageRow) -> UsageRow:
    """The row with values that any database takes: no NUL or lone surrogate in a text, no number past 64 bits.

    Model names and token counts come from strangers, and a bad row must not lose the charge beside it.
    """
    texts = "".join((row.request_id, row.key_id, row.endpoint, row.model, row.requested_model, row.upstream or ""))
    numbers = max(
        *(row.input_tokens, row.output_tokens, row.cached_input_tokens, row.cache_write_tokens, row.reasoning_tokens),
        row.units,
    )
    if texts.isascii() and "\0" not in texts and len(texts) <= TEXT_MAX and numbers <= INTEGER_MAX:
        return row
    return UsageRow(*(_storable(value) for value in row))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    return min(max(value, -INTEGER_MAX), INTEGER_MAX) if type(value) is int else value


def clean_text(text: str) -> str:
    """`text` with NULs and lone surrogates replaced by U+FFFD, and cut to a sane length."""
    whole = text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole if len(whole) <= TEXT_MAX else whole[: TEXT_MAX - 1] + "…"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which rows of a user's log are asked for: the period and the filters, all of which must match."""

    user_id: str
    since_ms: int
    limit: int = 1000
    model: str | None = None  # as charged or as requested, exactly
    status: str | None = None  # one of STATUSES, or a status code
    endpoint: str | None = None
    q: str | None = None  # part of the endpoint, model, request id, key id, upstream or status code, case aside
    until_ms: int | None = None  # rows before this moment
    key_id: str | None = None
    min_cost_uc: int = 0
    before: tuple[int, int] | None = None  # (created_at_ms, id): only rows older than this one are on the page
    zone: str = "UTC"  # whose days `dailyCost` has

    def where(self) -> list[ColumnElement[bool]]:
        """The conditions, for the whole period (no limit)."""
        log = usage_log.c
        conditions: list[ColumnElement[bool]] = [log.user_id == self.user_id, log.created_at_ms >= self.since_ms]
        if self.until_ms is not None:
            conditions.append(log.created_at_ms < self.until_ms)
        if self.key_id is not None:
            conditions.append(log.key_id == self.key_id)
        if self.min_cost_uc:
            conditions.append(log.cost_uc >= self.min_cost_uc)
        if self.model is not None:
            conditions.append(or_(log.model == self.model, log.requested_model == self.model))
        if self.status is not None:
            code = self.status.isdigit()
            conditions.append(log.status_code == int(self.status) if code else log.status == self.status)
        if self.endpoint is not None:
            conditions.append(log.endpoint == self.endpoint)
        if self.q:
            part = self.q.lower()
            texts = (log.endpoint, log.model, log.requested_model, log.request_id, log.key_id, log.upstream)
            found = [func.lower(text).contains(part, autoescape=True) for text in texts]
            conditions.append(or_(*found, cast(log.status_code, String).contains(part, autoescape=True)))
        return conditions


def page(query: UsageQuery, size: int) -> Any:
    """The statement of the newest rows, or of those older than `query.before`."""
    log = usage_log.c
    where = query.where()
    if query.before is not None:
        at_ms, ident = query.before
        where.append(or_(log.created_at_ms < at_ms, and_(log.created_at_ms == at_ms, log.id < ident)))
    return select(usage_log).where(*where).order_by(log.created_at_ms.desc(), log.id.desc()).limit(size)


def report(connection: Connection, query: UsageQuery, now_ms: int | None = None) -> dict[str, Any]:
    """The answer of GET /api/api-usage. All but `logs` covers the period, not the page.

    `dailyCost` has every day of the period up to `now_ms`; without that, up to the newest row.
    """
    where = query.where()
    log = usage_log.c
    cost_uc = func.sum(log.cost_uc)
    by_model = (
        select(log.model, func.count().label("requests"), cost_uc.label("cost_uc"))
        .where(*where)
        .group_by(log.model)
        .order_by(cost_uc.desc(), log.model)
    )
    dearest = (
        select(usage_log)
        .where(*where, log.cost_uc > 0)
        .order_by(log.cost_uc.desc(), log.created_at_ms.desc(), log.id.desc())
        .limit(TOP_EXPENSIVE)
    )
    rows = connection.execute(page(query, query.limit + 1)).mappings().all()
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return {
        "logs": _entries(rows),
        "nextCursor": cursor(rows[-1]["created_at_ms"], rows[-1]["id"]) if more else None,
        "costByModel": [
            {
                "model": row.model,
                "requests": row.requests,
                "costUc": int(row.cost_uc),
                "costCredits": credits(row.cost_uc),
            }
            for row in connection.execute(by_model)
        ],
        "dailyCost": _days(connection, query, now_ms),
        "topExpensiveRequests": _entries(connection.execute(dearest).mappings().all()),
        "totals": _totals(connection, where),
    }


def _totals(connection: Connection, where: Sequence[ColumnElement[bool]]) -> dict[str, Any]:
    log = usage_log.c
    sums = [func.coalesce(func.sum(column), 0) for column in (log.cost_uc, log.input_tokens, log.output_tokens)]
    bad = select(func.count()).select_from(usage_log).where(*where, log.status != "succeeded").scalar_subquery()
    requests, cost_uc, input_tokens, output_tokens, failed = connection.execute(
        select(func.count(), *sums, bad).select_from(usage_log).where(*where)
    ).one()
    return {
        "requests": requests,
        "failedRequests": failed,
        "costUc": int(cost_uc),
        "costCredits": credits(cost_uc),
        "inputTokens": int(input_tokens),
        "outputTokens": int(output_tokens),
    }


def _days(connection: Connection, query: UsageQuery, now_ms: int | None) -> list[dict[str, Any]]:
    """A row for every day of the period, those without requests too."""
    log = usage_log.c
    end_ms = query.until_ms if query.until_ms is not None else None if now_ms is None else now_ms + 1
    if end_ms is None:
        newest = select(func.max(log.created_at_ms)).where(*query.where())
        end_ms = connection.execute(newest).scalar() or query.since_ms
    offsets = usage_days.offsets(query.zone, query.since_ms, end_ms)
    day = usage_days.number(log.created_at_ms, offsets).label("day")
    rows = select(day, log.cost_uc).where(*query.where()).subquery()
    sums = select(rows.c.day, func.count(), func.sum(rows.c.cost_uc)).group_by(rows.c.day)
    found = {int(number): (count, int(cost_uc)) for number, count, cost_uc in connection.execute(sums)}
    days = []
    for number in usage_days.numbers(offsets, query.since_ms, end_ms):
        requests, cost_uc = found.get(number, (0, 0))
        told = {"requests": requests, "costUc": cost_uc, "costCredits": credits(cost_uc)}
        days.append({"date": usage_days.date_of(number), **told})
    return days


def cursor(created_at_ms: int, ident: int) -> str:
    """Where a page ends, for the next one to begin."""
    return f"{created_at_ms:x}-{ident:x}"


def from_cursor(text: str) -> tuple[int, int] | None:
    """`before` of a cursor; None if it is none."""
    found = CURSOR.fullmatch(text)
    return None if found is None else (int(found[1], 16), int(found[2], 16))


def _entries(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [entry(row) for row in rows]


def entry(row: Any) -> dict[str, Any]:
    """One log row as the API shows it, from a mapping of the table's columns."""
    return {
        "id": f"log_{row['id']}",
        "requestId": row["request_id"],
        "createdAt": iso_utc(row["created_at_ms"]),
        "endpoint": row["endpoint"],
        "model": row["model"],
        "requestedModel": row["requested_model"],
        "upstream": row["upstream"],
        "status": row["status"],
        "statusCode": row["status_code"],
        "latencyMs": row["latency_ms"],
        "ttftMs": row["ttft_ms"],
        "stream": bool(row["stream"]),
        "inputTokens": row["input_tokens"],
        "cachedInputTokens": row["cached_input_tokens"],
        "cacheWriteTokens": row["cache_write_tokens"],
        "outputTokens": row["output_tokens"],
        "reasoningTokens": row["reasoning_tokens"],
        "unit": row["unit"],
        "units": row["units"],
        "costUc": row["cost_uc"],
        "costCredits": credits(row["cost_uc"]),
        "estimated": bool(row["estimated"]),
        "capped": bool(row["capped"]),
        "keyId": row["key_id"],
        "attempts": row["attempts"],
    }


def credits(amount_uc: int) -> str:
    """Microcredits as a decimal number of credits, exactly, with six places."""
    whole, part = divmod(abs(int(amount_uc)), 1_000_000)
    return f"{'-' if amount_uc < 0 else ''}{whole}.{part:06d}"


def iso_utc(at_ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC, with milliseconds."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
