"""Opening the database: the only place that knows which database it is.

SQLite is the embedded default: WAL with `synchronous=FULL`, so that what was committed survives the loss of power.
The schema is made directly when the database is new; Alembic is imported only when an older one must be upgraded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from gateway.storage.tables import for_dialect, metadata

HEAD = "0008"  # the newest revision in migrations/versions
VERSION_TABLE = (  # as Alembic makes it
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
BUSY_TIMEOUT_S = 5.0
CACHED_STATEMENTS = 512


class StoreError(Exception):
    """The database cannot be used, or refused to keep something."""


class CannotOpen(StoreError):
    """The database of this URL cannot be opened (the operator's fault)."""


def is_memory(url: str) -> bool:
    """Whether the database lives only in this process."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")


def open_engine(url: str, *, writes: bool) -> Engine:
    """An engine for `url`. SQLite: one connection that takes the write lock at once, or several that only read."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, paramstyle="format", pool_size=1 if writes else 5)
        options: dict[str, Any] = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
        if is_memory(url):
            engine = create_engine(parsed, poolclass=StaticPool, connect_args=options)
        elif writes:
            options["cached_statements"] = CACHED_STATEMENTS
            engine = create_engine(parsed, poolclass=NullPool, connect_args=options)
        else:
            engine = create_engine(parsed, poolclass=QueuePool, connect_args=options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise CannotOpen(f"database {url!r}: {error}") from None
    event.listen(engine, "connect", _prepare_writer if writes else _prepare_reader)
    event.listen(engine, "begin", _begin_immediate if writes else _begin)
    return engine


def _prepare_writer(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_immediate` says, not before the first write
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-65536",
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _prepare_reader(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def prepare(engine: Engine, url: str) -> None:
    """Makes the schema, or brings it to `HEAD`. Raises CannotOpen when the database is newer than this program."""
    try:
        with engine.begin() as connection:
            revision = _revision(connection)
            if revision is None:
                for_dialect(engine.dialect.name)
                metadata.create_all(connection, checkfirst=False)
                connection.exec_driver_sql(VERSION_TABLE)
                connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{HEAD}')")
        if revision not in (None, HEAD):
            _upgrade(engine, url)
    except DBAPIError as error:
        raise CannotOpen(f"database {_shown(url)}: {error.orig}") from error


def _upgrade(engine: Engine, url: str) -> None:
    from gateway.storage.migrations.upgrade import UnknownRevision, upgrade

    try:
        upgrade(engine)
    except UnknownRevision as error:
        raise CannotOpen(f"database {_shown(url)} was written by a newer version: {error}") from error


def _revision(connection: Connection) -> str | None:
    """The revision of the schema; "" before the first one; None for a new database."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""


def _shown(url: str) -> str:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return str(Path(parsed.database).absolute())
    return parsed.render_as_string(hide_password=True)
