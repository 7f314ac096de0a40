"""A counter of spending made anew from the ledger: for a scope that had no limit until now, or lost count.

What was charged is in the usage log, beside the key; what was refunded and in which month a hold was made is in the
transfers; what is open is in the holds. The holds that are open are marked, so that the counter hears of their end.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from gateway.ledger.spending import Spending, bounds, counts, key_scope, org_scope, period_of
from gateway.ledger.transfers import TransferId
from gateway.storage.tables import holds, spending, transfers, usage_log

ARRIVAL_MS = 7 * 86_400_000  # the longest between the arrival of a request, which dates its log row, and its hold


def recount(
    connection: Connection, payer_id: str, scope: str, period: str, limit_uc: int
) -> tuple[Spending, dict[TransferId, str]]:
    """The counter of the payer's scope, and the open holds that now count in it, with all that each counts in."""
    told = select(spending.c.told).where(spending.c.scope == scope, spending.c.period == period)
    spent_uc = _charged_uc(connection, payer_id, scope, period)
    held_uc, marked = _open(connection, payer_id, scope, period)
    return Spending(scope, period, spent_uc, held_uc, limit_uc, connection.execute(told).scalar() or 0), marked


def _charged_uc(connection: Connection, payer_id: str, scope: str, period: str) -> int:
    begins_ms, ends_ms = bounds(period)
    log, hold, refund = usage_log.c, transfers.alias("hold"), transfers.alias("refund")
    mine = (
        select(log.id, log.cost_uc)
        .join(hold, hold.c.id == log.id)
        .where(
            log.user_id == payer_id,
            log.created_at_ms >= begins_ms - ARRIVAL_MS,
            log.cost_uc > 0,
            hold.c.created_at_ms >= begins_ms,
            hold.c.created_at_ms < ends_ms,
        )
    )
    if scope != org_scope(payer_id):
        mine = mine.where(log.key_id == scope.partition(":")[2])
    found = mine.subquery()
    charged_uc = connection.execute(select(func.coalesce(func.sum(found.c.cost_uc), 0))).scalar_one()
    refunds = select(func.coalesce(func.sum(refund.c.amount_uc), 0)).join(found, refund.c.closes == found.c.id)
    refunded_uc = connection.execute(
        refunds.where(refund.c.kind == "REFUND", refund.c.closes.is_not(None))
    ).scalar_one()
    return int(charged_uc) - int(refunded_uc)


def _open(connection: Connection, payer_id: str, scope: str, period: str) -> tuple[int, dict[TransferId, str]]:
    """The sum of the scope's open holds of the month, and those of them that are newly marked."""
    begins_ms, ends_ms = bounds(period)
    mine = (
        select(holds.c.id, holds.c.amount_uc, holds.c.counts)
        .join(transfers, transfers.c.id == holds.c.id)
        .where(
            holds.c.user_id == payer_id,
            transfers.c.created_at_ms >= begins_ms,
            transfers.c.created_at_ms < ends_ms,
        )
    )
    if scope != org_scope(payer_id):
        mine = mine.where(holds.c.key_id == scope.partition(":")[2])
    held_uc, marked = 0, {}
    for ident, amount_uc, where in connection.execute(mine).all():
        held_uc += amount_uc
        if where is None or scope not in where.split(" "):
            marked[ident] = counts(period, [scope]) if where is None else f"{where} {scope}"
            connection.execute(update(holds).where(holds.c.id == ident).values(counts=marked[ident]))
    return held_uc, marked


def counts_of_resolved(connection: Connection, hold_id: TransferId, payer_id: str, made_at_ms: int) -> str:
    """Where a hold that is no longer open counts, if anything is counted there."""
    key_id = connection.execute(select(usage_log.c.key_id).where(usage_log.c.id == hold_id)).scalar()
    scopes = [org_scope(payer_id)] if key_id is None else [key_scope(key_id), org_scope(payer_id)]
    return counts(period_of(made_at_ms), scopes)
