"""Keys: what each may spend a month, from where it may be used, how it was rotated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = (
    ("org_id", sa.String),
    ("prefix", sa.String),
    ("status_reason", sa.String),
    ("spending_limit_uc", sa.BigInteger),
    ("auto_disable", sa.Boolean),
    ("origins", sa.String),
    ("ips", sa.String),
    ("rotated_at_ms", sa.BigInteger),
    ("old_digest", sa.String),
    ("old_until_s", sa.BigInteger),
)


def upgrade() -> None:
    """Column by column: SQLite would otherwise copy the table."""
    for name, kind in COLUMNS:
        if kind is sa.Boolean:
            op.add_column("keys", sa.Column(name, kind, nullable=False, server_default=sa.false()))
        else:
            op.add_column("keys", sa.Column(name, kind))
    op.create_index("ix_keys_org_id", "keys", ["org_id"])


def downgrade() -> None:
    op.drop_index("ix_keys_org_id", "keys")
    for name, _ in reversed(COLUMNS):
        op.drop_column("keys", name)
