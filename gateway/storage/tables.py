"""The tables, as SQLAlchemy Core data. A change here needs a migration beside it (a test compares the two)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)

# An INTEGER PRIMARY KEY is SQLite's own row id: no second tree to keep.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial(name: str, *columns: Column[Any], where: str, unique: bool = False) -> None:
    """An index on the rows where the condition holds; `for_dialect` makes the condition known."""
    Index(name, *columns, unique=unique, info={"where": where})


def for_dialect(name: str) -> None:
    """Tells a dialect the conditions of the partial indexes. To name one up there would import it: 40 ms of a start."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options[name]["where"] = text(index.info["where"])


users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String),
    Column("email", String),
    Column("limits", String, nullable=False),  # JSON: class -> requests an hour, where it differs from the default
    Column("created_at_ms", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String),
    Column(
        "digest", String, nullable=False, unique=True
    ),  # SHA-256 of the secret, in hex; the secret itself is not kept
    Column("status", String, CheckConstraint("status IN ('active', 'disabled')", name="status"), nullable=False),
    Column("expires_at_s", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String, primary_key=True),
    Column("balance_uc", BigInteger, nullable=False),
    CheckConstraint("balance_uc >= 0 OR name = 'world'", name="never_negative"),
    sqlite_with_rowid=False,
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("source", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("amount_uc", BigInteger, CheckConstraint("amount_uc > 0", name="positive"), nullable=False),
    Column("user_id", String, nullable=False),
    Column("request_id", String),
    Column("closes", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("idempotency_key", String),
    Column("note", String),
)
# What a user bought or held; what closed those is found by `closes`.
_partial("ix_transfers_openings", transfers.c.user_id, transfers.c.id, where="closes IS NULL")
_partial("ix_transfers_closes", transfers.c.closes, where="closes IS NOT NULL")
# How much a user ever bought decides the tier.
_partial("ix_transfers_top_ups", transfers.c.user_id, transfers.c.amount_uc, where="kind = 'TOP_UP'")
_partial(
    "uq_transfers_idempotency",
    transfers.c.user_id,
    transfers.c.idempotency_key,
    where="idempotency_key IS NOT NULL",
    unique=True,
)

holds = Table(  # the open ones only, so this table stays small and is read whole by the sweeper
    "holds",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # of its HOLD transfer
    Column("user_id", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("amount_uc", BigInteger, CheckConstraint("amount_uc > 0", name="positive"), nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    Column("owner", String, nullable=False),  # the process that holds
)

usage_log = Table(
    "usage_log",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # of the hold that paid it: a hold is charged on one row
    Column("request_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("model", String, nullable=False),
    Column("requested_model", String, nullable=False),
    Column(
        "status",
        String,
        CheckConstraint("status IN ('succeeded', 'failed', 'client_closed', 'upstream_failed')", name="status"),
        nullable=False,
    ),
    Column("status_code", Integer, nullable=False),
    Column("latency_ms", BigInteger, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("upstream", String),
    Column("ttft_ms", BigInteger),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cost_uc", BigInteger, CheckConstraint("cost_uc >= 0", name="cost"), nullable=False),
    Column("capped", Boolean, nullable=False),
    Index("ix_usage_log_user_id_created_at_ms", "user_id", "created_at_ms"),
)
