"""The ledger and the usage log that it pays."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table

from gateway.storage.tables.base import Id, metadata, partial

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
partial("ix_transfers_openings", transfers.c.user_id, transfers.c.id, where="closes IS NULL")
partial("ix_transfers_closes", transfers.c.closes, where="closes IS NOT NULL")
# How much a user ever bought decides the tier.
partial("ix_transfers_top_ups", transfers.c.user_id, transfers.c.amount_uc, where="kind = 'TOP_UP'")
partial(
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
    Column("key_id", String),  # on whose behalf
    Column("counts", String),  # the month and the scopes whose spending it counts in: "2026-11 key:ID org:ID"
)

spending = Table(  # what scopes with a limit spend; for the others it can be counted when they get one
    "spending",
    metadata,
    Column("scope", String, primary_key=True),  # key:ID or org:ID
    Column("period", String, primary_key=True),  # a month in UTC: 2026-11
    Column("spent_uc", BigInteger, nullable=False),
    Column("held_uc", BigInteger, nullable=False),
    Column("limit_uc", BigInteger, nullable=False),  # that the latest hold was held to
    Column("told", Integer, nullable=False),  # the highest mark passed, in percent
)

notices = Table(  # a mark of a limit was passed; one row for each, so it is told once
    "notices",
    metadata,
    Column("scope", String, primary_key=True),
    Column("period", String, primary_key=True),
    Column("mark", Integer, primary_key=True, autoincrement=False),  # percent
    Column("limit_uc", BigInteger, nullable=False),
    Column("spent_uc", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("told_at_ms", BigInteger),  # when the mail went to the outbox; null: still to be written
)
partial("ix_notices_untold", notices.c.at_ms, where="told_at_ms IS NULL")

budgets = Table(  # what an organisation may spend a month
    "budgets",
    metadata,
    Column("org_id", String, primary_key=True),
    Column("limit_uc", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
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
    Column("unit", String),
    Column("units", BigInteger, nullable=False),
    Column("cost_uc", BigInteger, CheckConstraint("cost_uc >= 0", name="cost"), nullable=False),
    Column("capped", Boolean, nullable=False),
    Index("ix_usage_log_user_id_created_at_ms", "user_id", "created_at_ms"),
)
