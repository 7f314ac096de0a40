"""Organisations: members, invitations and the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, UniqueConstraint

from gateway.storage.tables.base import Id, metadata

orgs = Table(
    "orgs",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("slug", String, nullable=False, unique=True),  # never given away again, not even after the deletion
    Column("created_at_ms", BigInteger, nullable=False),
    Column("deleted_at_ms", BigInteger),
)

memberships = Table(
    "memberships",
    metadata,
    Column("org_id", String, ForeignKey("orgs.id"), primary_key=True),
    Column("user_id", String, ForeignKey("users.id"), primary_key=True, index=True),
    Column("role", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String, primary_key=True),
    Column("org_id", String, ForeignKey("orgs.id"), nullable=False),
    Column("email", String, nullable=False),  # in lower case
    Column("role", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),  # SHA-256 of the token, in hex
    Column("invited_by", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    UniqueConstraint("org_id", "email"),
)

audit_log = Table(  # rows are added, never changed or removed
    "audit_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("org_id", String, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("outcome", String, nullable=False),  # done or denied
    Column("target", String),  # the id of what was acted upon
    Column("details", String, nullable=False),  # JSON object
    Column("ip", String),
    Column("request_id", String),
    Index("ix_audit_log_org_id_id", "org_id", "id"),
)
