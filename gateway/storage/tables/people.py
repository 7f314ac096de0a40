"""Users and their keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, String, Table

from gateway.storage.tables.base import metadata

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
