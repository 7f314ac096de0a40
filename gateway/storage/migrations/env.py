"""Alembic runs this for every command. The connection is given by `upgrade.py`."""

from __future__ import annotations

from alembic import context

from gateway.storage.tables import for_dialect, metadata

connection = context.config.attributes["connection"]
for_dialect(connection.dialect.name)
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
