"""The usage log: one row for each request that reached an upstream, what it cost, and the questions the log answers.

All times are UTC. Source: api-reference#gateway-features (Cost Dashboard, Request Logs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, String, cast, func, or_, select

from gateway.storage.tables import usage_log

Status = Literal["succeeded", "failed", "client_closed", "upstream_failed"]
STATUSES: tuple[Status, ...] = ("succeeded", "failed", "client_closed", "upstream_failed")
DAY_MS = 86_400_000
TOP_EXPENSIVE = 10
TEXT_MAX = 1000  # characters; nothing that is written honestly comes near
INTEGER_MAX = 2**53 - 1  # what JSON carries everywhere


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

    def where(self) -> list[ColumnElement[bool]]:
        """The conditions, for the whole period (no limit)."""
        log = usage_log.c
        conditions: list[ColumnElement[bool]] = [log.user_id == self.user_id, log.created_at_ms >= self.since_ms]
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


def report(connection: Connection, query: UsageQuery) -> dict[str, Any]:
    """The answer of GET /api/api-usage. `costByModel` and `topExpensiveRequests` cover the period, not the page."""
    where = query.where()
    log = usage_log.c
    newest = select(usage_log).where(*where).order_by(log.created_at_ms.desc(), log.id.desc()).limit(query.limit)
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
    return {
        "logs": _entries(connection.execute(newest).mappings().all()),
        "costByModel": [
            {
                "model": row.model,
                "requests": row.requests,
                "costUc": int(row.cost_uc),
                "costCredits": credits(row.cost_uc),
            }
            for row in connection.execute(by_model)
        ],
        "topExpensiveRequests": _entries(connection.execute(dearest).mappings().all()),
    }


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
