"""Runs the migrations. Imported only when a database needs them: importing Alembic takes longer than a start may."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine

from gateway.storage.engine import lock_schema


class UnknownRevision(Exception):
    """The database has a revision that this program does not know: a newer program wrote it."""


def configuration() -> Config:
    """Alembic's configuration, with no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Brings the database to `revision`, in one transaction where the database can."""
    config = configuration()
    with engine.begin() as connection:
        lock_schema(connection)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise UnknownRevision(str(error)) from error
