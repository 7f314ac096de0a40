"""What several workers share: idempotency, kept responses, messages to be sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence, DropSequence

from gateway.storage.tables.workers import ANNOUNCE, ANNOUNCED, IDS_BLOCK, announcing

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBERED = ("transfers", "usage_log")


Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    create_budgets()
    create_mails()
    create_workers()


def create_budgets() -> None:
    """What keys and organisations spend a month, and the marks that they pass."""
    op.add_column("holds", sa.Column("key_id", sa.String))
    op.add_column("holds", sa.Column("counts", sa.String))
    op.create_table(
        "spending",
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("period", sa.String, nullable=False),
        sa.Column("spent_uc", sa.BigInteger, nullable=False),
        sa.Column("held_uc", sa.BigInteger, nullable=False),
        sa.Column("limit_uc", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("scope", "period", name="pk_spending"),
    )
    op.create_table(
        "notices",
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("period", sa.String, nullable=False),
        sa.Column("mark", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("limit_uc", sa.BigInteger, nullable=False),
        sa.Column("spent_uc", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("told_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("scope", "period", "mark", name="pk_notices"),
    )
    is_untold = sa.text("told_at_ms IS NULL")
    op.create_index("ix_notices_untold", "notices", ["at_ms"], sqlite_where=is_untold, postgresql_where=is_untold)
    op.create_table(
        "budgets",
        sa.Column("org_id", sa.String, nullable=False),
        sa.Column("limit_uc", sa.BigInteger, nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("org_id", name="pk_budgets"),
    )


def create_mails() -> None:
    """The outbox."""
    op.create_table(
        "mails",
        sa.Column("id", Id, nullable=False),
        sa.Column("message_id", sa.String, nullable=False),
        sa.Column("recipient", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("problem", sa.String),
        sa.CheckConstraint("state IN ('due', 'sent', 'failed')", name=op.f("ck_mails_state")),
        sa.PrimaryKeyConstraint("id", name="pk_mails"),
        sa.UniqueConstraint("message_id", name="uq_mails_message_id"),
    )
    is_due = sa.text("state = 'due'")
    op.create_index("ix_mails_due", "mails", ["due_at_ms"], sqlite_where=is_due, postgresql_where=is_due)


def create_workers() -> None:
    """Who is alive; on PostgreSQL also the ids, beginning after those there are, and the announcements of changes."""
    op.create_table(
        "workers",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("began_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    greatest = [bind.execute(sa.select(sa.func.max(sa.table(name, sa.column("id")).c.id))) for name in NUMBERED]
    blocks = max(found.scalar() or 0 for found in greatest) // IDS_BLOCK + 1
    op.execute(CreateSequence(sa.Sequence("windtunnel_ids", start=blocks * IDS_BLOCK, increment=IDS_BLOCK)))
    op.execute(ANNOUNCE)
    for table in ANNOUNCED:
        op.execute(announcing(table))


def drop_workers() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ANNOUNCED:
            op.execute(f"DROP TRIGGER windtunnel_{table} ON {table}")
        op.execute("DROP FUNCTION windtunnel_announce()")
        op.execute(DropSequence(sa.Sequence("windtunnel_ids")))
    op.drop_table("workers")


def downgrade() -> None:
    drop_workers()
    for table in ("mails", "budgets", "notices", "spending"):
        op.drop_table(table)
    op.drop_column("holds", "counts")
    op.drop_column("holds", "key_id")
