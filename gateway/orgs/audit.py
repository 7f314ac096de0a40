"""The audit log of an organisation: who did what to what, when and from where. Rows are added, never changed.

A row is written in the transaction of what it tells, so neither is ever there without the other.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select

from gateway.storage.tables import audit_log, users
from gateway.usage import clean_text, iso_utc

DONE: Final = "done"
DENIED: Final = "denied"
OPERATOR: Final = "operator"  # the actor of what comes through /admin


class Actor(NamedTuple):
    """Who acts, and how we know of it."""

    user_id: str
    ip: str | None = None
    request_id: str | None = None


class Deed(NamedTuple):
    """What was done: `action` in words of a noun and a verb, `target` the id of what it was done to."""

    action: str
    target: str | None = None
    details: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    outcome: str = DONE


def record(connection: Connection, org_id: str, actor: Actor, deed: Deed, at_ms: int) -> None:
    """Adds a row."""
    row = {
        "org_id": org_id,
        "at_ms": at_ms,
        "actor_id": actor.user_id,
        "action": deed.action,
        "outcome": deed.outcome,
        "target": deed.target,
        "details": json.dumps(deed.details, ensure_ascii=True),
        "ip": None if actor.ip is None else clean_text(actor.ip),
        "request_id": actor.request_id,
    }
    connection.execute(insert(audit_log).values(row))


def has(connection: Connection, org_id: str, deed: Deed) -> bool:
    """Whether there is a row of this action on this target."""
    log = audit_log.c
    query = select(log.id).where(log.org_id == org_id, log.action == deed.action, log.target == deed.target)
    return connection.execute(query.limit(1)).first() is not None


def page(connection: Connection, org_id: str, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The newest rows of one organisation, or those older than the row `before`."""
    log = audit_log.c
    query = (
        select(audit_log, users.c.email, users.c.name)
        .select_from(audit_log.outerjoin(users, users.c.id == log.actor_id))
        .where(log.org_id == org_id)
        .order_by(log.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(log.id < before)
    return [_entry(row) for row in connection.execute(query)]


def _entry(row: Any) -> dict[str, Any]:
    return {
        "id": f"aud_{row.id}",
        "at": iso_utc(row.at_ms),
        "actor": {"id": row.actor_id, "email": row.email, "name": row.name},
        "action": row.action,
        "outcome": row.outcome,
        "target": row.target,
        "details": json.loads(row.details),
        "ip": row.ip,
        "requestId": row.request_id,
    }
