"""Rows that one of several workers takes in hand for a while: claimed, worked on, let go.

Where the database locks rows, those that another worker is just claiming are skipped (FOR UPDATE SKIP LOCKED); SQLite
has one writer. A claim ends by itself, so a worker that dies holds nothing up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, select, update


def claim(
    connection: Connection,
    table: Table,
    due: Column[Any],
    where: ColumnElement[bool],
    now_ms: int,
    real_ms: int,
    owner: str,
    until_ms: int,
    limit: int,
) -> Sequence[Any]:
    """The rows that are due and nobody's, the longest due first; they are the owner's until `until_ms` of real time."""
    columns = table.c
    free = (where, due <= now_ms, columns.lease_until_ms <= real_ms)
    wanted = select(columns.id).where(*free).order_by(due).limit(limit).with_for_update(skip_locked=True)
    ids = connection.execute(wanted).scalars().all()
    if not ids:
        return ()
    mine = columns.id.in_(ids)
    connection.execute(update(table).where(mine).values(lease_owner=owner, lease_until_ms=until_ms))
    return connection.execute(select(table).where(mine).order_by(due)).all()


def is_due(
    connection: Connection, table: Table, due: Column[Any], where: ColumnElement[bool], now_ms: int, real_ms: int
) -> bool:
    """Whether there is anything to claim. Locks nothing."""
    free = (where, due <= now_ms, table.c.lease_until_ms <= real_ms)
    return connection.execute(select(table.c.id).where(*free).limit(1)).first() is not None
