"""The outbox: mails to be sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, String, Table

from gateway.storage.tables.base import Id, metadata, partial

mails = Table(
    "mails",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", String, nullable=False, unique=True),  # of the header: tells a mail that comes twice
    Column("recipient", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("text", String, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("state", String, CheckConstraint("state IN ('due', 'sent', 'failed')", name="state"), nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),  # of the next try; while one is under way, when it counts as lost
    Column("tries", Integer, nullable=False),
    Column("problem", String),  # of the last try
)
partial("ix_mails_due", mails.c.due_at_ms, where="state = 'due'")
