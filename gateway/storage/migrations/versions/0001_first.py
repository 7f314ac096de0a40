"""The first schema: users, keys, accounts, transfers, holds and the usage log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String),
        sa.Column("email", sa.String),
        sa.Column("limits", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("name", sa.String),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("expires_at_s", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.CheckConstraint("status IN ('active', 'disabled')", name=op.f("ck_keys_status")),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_keys_user_id"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_index("ix_keys_user_id", "keys", ["user_id"])
    op.create_table(
        "accounts",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("balance_uc", sa.BigInteger, nullable=False),
        sa.CheckConstraint("balance_uc >= 0 OR name = 'world'", name=op.f("ck_accounts_never_negative")),
        sa.PrimaryKeyConstraint("name", name="pk_accounts"),
        sqlite_with_rowid=False,
    )
    create_transfers()
    op.create_table(
        "holds",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("amount_uc", sa.BigInteger, nullable=False),
        sa.Column("deadline_ms", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.CheckConstraint("amount_uc > 0", name=op.f("ck_holds_positive")),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
    create_usage_log()


def create_transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("destination", sa.String, nullable=False),
        sa.Column("amount_uc", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("closes", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("idempotency_key", sa.String),
        sa.Column("note", sa.String),
        sa.CheckConstraint("amount_uc > 0", name=op.f("ck_transfers_positive")),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
    )
    partial_index("ix_transfers_openings", ["user_id", "id"], "closes IS NULL")
    partial_index("ix_transfers_closes", ["closes"], "closes IS NOT NULL")
    partial_index("ix_transfers_top_ups", ["user_id", "amount_uc"], "kind = 'TOP_UP'")
    partial_index(
        "uq_transfers_idempotency", ["user_id", "idempotency_key"], "idempotency_key IS NOT NULL", unique=True
    )


def create_usage_log() -> None:
    op.create_table(
        "usage_log",
        sa.Column("id", Id, autoincrement=False, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("key_id", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("requested_model", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("status_code", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.BigInteger, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("upstream", sa.String),
        sa.Column("ttft_ms", sa.BigInteger),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cost_uc", sa.BigInteger, nullable=False),
        sa.Column("capped", sa.Boolean, nullable=False),
        sa.CheckConstraint(
            "status IN ('succeeded', 'failed', 'client_closed', 'upstream_failed')", name=op.f("ck_usage_log_status")
        ),
        sa.CheckConstraint("cost_uc >= 0", name=op.f("ck_usage_log_cost")),
        sa.PrimaryKeyConstraint("id", name="pk_usage_log"),
    )
    op.create_index("ix_usage_log_user_id_created_at_ms", "usage_log", ["user_id", "created_at_ms"])


def partial_index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    """An index on the rows of `transfers` where the condition holds."""
    condition = sa.text(where)
    op.create_index(name, "transfers", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for table in ("usage_log", "holds", "transfers", "accounts", "keys", "users"):
        op.drop_table(table)
