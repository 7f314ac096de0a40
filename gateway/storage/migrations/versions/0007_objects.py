"""Files: what users uploaded and what was made for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "objects",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("key_id", sa.String),
        sa.Column("request_id", sa.String),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("mime", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.CheckConstraint("origin IN ('upload', 'made')", name=op.f("ck_objects_origin")),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_objects_bytes")),
        sa.PrimaryKeyConstraint("id", name="pk_objects"),
        sa.UniqueConstraint("name", name="uq_objects_name"),
    )
    op.create_index("ix_objects_owner_created_at_ms", "objects", ["owner", "created_at_ms"])
    condition = sa.text("expires_at_ms IS NOT NULL")
    op.create_index(
        "ix_objects_expires_at_ms",
        "objects",
        ["expires_at_ms"],
        sqlite_where=condition,
        postgresql_where=condition,
    )


def downgrade() -> None:
    op.drop_table("objects")
