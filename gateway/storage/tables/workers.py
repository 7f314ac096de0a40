"""What processes that share a database know of one another: who is alive, the next ids, and who changed whose account.

The ids and the announcements are PostgreSQL's alone: on SQLite one process makes both.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import DDL, BigInteger, Column, Sequence, String, Table, event

from gateway.storage.tables.base import metadata

IDS_BLOCK: Final = 4096  # ids that one call of the sequence gives
CHANNEL: Final = "windtunnel_accounts"  # where changes are told, as "user ID", "key ID", "budget ORG_ID"

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),  # the owner of its holds
    Column("beat", BigInteger, nullable=False),  # rises as long as it lives
    Column("began_at_ms", BigInteger, nullable=False),
)

ids = Sequence("windtunnel_ids", start=IDS_BLOCK, increment=IDS_BLOCK, metadata=metadata)

# Told with the commit of the change, whoever makes it and whatever becomes of him afterwards.
ANNOUNCE: Final = f"""
CREATE OR REPLACE FUNCTION windtunnel_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{CHANNEL}', TG_ARGV[0] || ' ' || (to_jsonb(COALESCE(NEW, OLD)) ->> TG_ARGV[1]));
    RETURN NULL;
END $$
"""
ANNOUNCED: Final = {"users": ("user", "id"), "keys": ("key", "id"), "budgets": ("budget", "org_id")}


def announcing(table: str) -> str:
    """The trigger that announces changes of a table."""
    kind, column = ANNOUNCED[table]
    return (
        f"CREATE TRIGGER windtunnel_{table} AFTER INSERT OR UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION windtunnel_announce('{kind}', '{column}')"
    )


def _on_postgresql(statement: str) -> Any:
    made: Any = DDL
    return made(statement.replace("%", "%%")).execute_if(dialect="postgresql")


for statement in (ANNOUNCE, *map(announcing, ANNOUNCED)):
    event.listen(metadata, "after_create", _on_postgresql(statement))
