"""Users, their keys and their sign-in sessions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, String, Table, false

from gateway.storage.tables.base import metadata

users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String),
    Column("email", String),
    Column("limits", String, nullable=False),  # JSON: class -> requests an hour, where it differs from the default
    Column("created_at_ms", BigInteger, nullable=False),
    Column("login", String),  # the e-mail address that signs in, in lower case
    Column("password", String),  # scrypt, with its parameters and salt; null: signs in some other way, or never
    Column("email_verified_at_ms", BigInteger),  # when somebody whom we trust vouched for the address
    Index("uq_users_login", "login", unique=True),
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
    Column("org_id", String, index=True),  # whose key it is, where it is not its user's own
    Column("prefix", String),  # the first characters of the secret, to tell keys apart
    Column("status_reason", String),  # why it is disabled
    Column("spending_limit_uc", BigInteger),  # a month; null: none
    Column("auto_disable", Boolean, nullable=False, server_default=false()),  # when the spending limit is passed
    Column("origins", String),  # JSON list: from where browsers may use it; null: from anywhere
    Column("ips", String),  # JSON list of networks; null: from anywhere
    Column("rotated_at_ms", BigInteger),
    Column("old_digest", String),  # of the secret before the last rotation
    Column("old_until_s", BigInteger),  # until when that one works on
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256 of the cookie, in hex
    Column("user_id", String, ForeignKey("users.id"), nullable=False, index=True),
    Column("via", String, nullable=False),  # how the user signed in: "password", or what a provider is called
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)
