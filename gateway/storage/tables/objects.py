"""Files: what users uploaded and what was made for them. Their bytes are on the shelf (gateway/objects)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, String, Table

from gateway.storage.tables.base import metadata, partial

objects = Table(
    "objects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),  # on the shelf and in links
    Column("owner", String, nullable=False),  # who pays: a user or an organisation
    Column("key_id", String),
    Column("request_id", String),  # that made it
    Column("origin", String, CheckConstraint("origin IN ('upload', 'made')", name="origin"), nullable=False),
    Column("kind", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("mime", String, nullable=False),
    Column("bytes", BigInteger, CheckConstraint("bytes >= 0", name="bytes"), nullable=False),
    Column("digest", String, nullable=False),  # SHA-256 of its bytes, in hex
    Column("secret", String, nullable=False),  # that its links are signed with
    Column("is_public", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Index("ix_objects_owner_created_at_ms", "owner", "created_at_ms"),
)
partial("ix_objects_expires_at_ms", objects.c.expires_at_ms, where="expires_at_ms IS NOT NULL")
