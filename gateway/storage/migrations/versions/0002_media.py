"""Rows of the usage log that are not billed by tokens tell their unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("usage_log") as table:
        table.add_column(sa.Column("unit", sa.String))
        table.add_column(sa.Column("units", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("usage_log") as table:
        table.alter_column("units", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("usage_log") as table:
        table.drop_column("units")
        table.drop_column("unit")
