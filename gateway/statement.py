"""The statement of a month, from the ledger: what was there, what came, what went on which model, what is left.

A charge and a refund stand in the month in which they were made (a spending limit counts them for the month of the
call). Open holds are still the payer's, so they do not show. It adds up to the microcredit: start + top-ups + refunds -
charges = end. All times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from gateway.ledger.spending import bounds
from gateway.ledger.transfers import held_account, user_account
from gateway.storage.tables import accounts, transfers, usage_log
from gateway.usage import credits, iso_utc

HOLD_LONGEST_MS: Final = 31 * 86_400_000  # between the arrival of a request and its settle
LISTED_MAX: Final = 1000  # top-ups and refunds; the totals count all


def statement(connection: Connection, payer_id: str, period: str, now_ms: int) -> dict[str, Any]:
    """The statement of a user or an organisation for a month that has begun."""
    begins_ms, ends_ms = bounds(period)
    names = (user_account(payer_id), held_account(payer_id))
    owned = select(func.coalesce(func.sum(accounts.c.balance_uc), 0)).where(accounts.c.name.in_(names))
    end_uc = int(connection.execute(owned).scalar_one()) - _moved_uc(connection, payer_id, ends_ms)
    bought = _listed(connection, payer_id, "TOP_UP", begins_ms, ends_ms)
    given_back = _listed(connection, payer_id, "REFUND", begins_ms, ends_ms)
    charges = _charges(connection, payer_id, begins_ms, ends_ms)
    bought_uc = sum(row.amount_uc for row in bought)
    back_uc = sum(row.amount_uc for row in given_back)
    charged_uc = sum(uc for _, _, uc in charges)
    start_uc = end_uc - bought_uc - back_uc + charged_uc
    return {
        "month": period,
        "from": iso_utc(begins_ms),
        "to": iso_utc(ends_ms),
        "complete": now_ms >= ends_ms,
        **_amount("start", start_uc),
        "topUps": [
            {"id": f"tr_{row.id}", "at": iso_utc(row.created_at_ms), **_amount("amount", row.amount_uc)}
            for row in bought[:LISTED_MAX]
        ],
        "charges": [{"model": model, "requests": count, **_amount("cost", uc)} for model, count, uc in charges],
        "refunds": [
            {
                "id": f"tr_{row.id}",
                "at": iso_utc(row.created_at_ms),
                "requestId": row.request_id,
                **_amount("amount", row.amount_uc),
            }
            for row in given_back[:LISTED_MAX]
        ],
        "totals": {**_amount("topUps", bought_uc), **_amount("charges", charged_uc), **_amount("refunds", back_uc)},
        **_amount("end", end_uc),
    }


def _amount(name: str, amount_uc: int) -> dict[str, Any]:
    return {f"{name}Uc": amount_uc, f"{name}Credits": credits(amount_uc)}


def _moved_uc(connection: Connection, payer_id: str, since_ms: int) -> int:
    """What came less what went from a moment until now."""
    came = sum(int(connection.execute(_total(payer_id, kind, since_ms)).scalar_one()) for kind in ("TOP_UP", "REFUND"))
    return came - sum(uc for _, _, uc in _charges(connection, payer_id, since_ms, None))


def _total(payer_id: str, kind: str, since_ms: int) -> Any:
    amount = func.coalesce(func.sum(transfers.c.amount_uc), 0)
    return select(amount).where(*_of(payer_id, kind), transfers.c.created_at_ms >= since_ms)


def _of(payer_id: str, kind: str) -> tuple[ColumnElement[bool], ...]:
    """Written so that the partial index of the kind serves."""
    return transfers.c.kind == literal_column(f"'{kind}'"), transfers.c.user_id == payer_id


def _listed(connection: Connection, payer_id: str, kind: str, begins_ms: int, ends_ms: int) -> Sequence[Any]:
    at = transfers.c.created_at_ms
    query = select(transfers).where(*_of(payer_id, kind), at >= begins_ms, at < ends_ms).order_by(transfers.c.id)
    return connection.execute(query).all()


def _charges(connection: Connection, payer_id: str, begins_ms: int, ends_ms: int | None) -> list[tuple[str, int, int]]:
    """(model, requests, microcredits) of what was settled in the time, the dearest first."""
    log, at = usage_log.c, transfers.c.created_at_ms
    cost = func.sum(transfers.c.amount_uc)
    query = (
        select(log.model, func.count(), cost)
        .join(transfers, transfers.c.closes == log.id)
        .where(log.user_id == payer_id, log.created_at_ms >= begins_ms - HOLD_LONGEST_MS, log.cost_uc > 0)
        .where(transfers.c.closes.is_not(None), transfers.c.kind == "SETTLE", at >= begins_ms)
        .group_by(log.model)
        .order_by(cost.desc(), log.model)
    )
    if ends_ms is not None:
        query = query.where(at < ends_ms)
    return [(model, count, int(uc)) for model, count, uc in connection.execute(query)]
