"""The tables, as SQLAlchemy Core data. A change here needs a migration beside it (a test compares the two)."""

from gateway.storage.tables.base import for_dialect, metadata
from gateway.storage.tables.money import accounts, holds, transfers, usage_log
from gateway.storage.tables.people import keys, users

__all__ = ["accounts", "for_dialect", "holds", "keys", "metadata", "transfers", "usage_log", "users"]
