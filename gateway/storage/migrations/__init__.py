"""Alembic's environment (`env.py`), the revisions (`versions/`) and how the gateway runs them (`upgrade.py`)."""
