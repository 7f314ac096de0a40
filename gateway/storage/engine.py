"""Opening the database: the only place that knows which database it is.

SQLite is the embedded default: WAL with `synchronous=FULL`, so that what was committed survives the loss of power.
PostgreSQL serves many processes: `postgresql://…` is `postgresql+psycopg://…`. Each process has one connection that
writes (READ COMMITTED; the rows are locked where they are read) and a few that read (REPEATABLE READ, so that a job
sees one moment). The schema is made directly when the database is new; Alembic is imported only when an older one must
be upgraded. On PostgreSQL an advisory lock lets one process at a time do either.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, column, create_engine, event, func, make_url, select, table
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
READERS = 2  # connections of a process that read
POOL_TIMEOUT_S = 10.0  # a reader waits this long for one of them
CONNECT_TIMEOUT_S = 5
SCHEMA_LOCK = 0x77_74_67_77  # of PostgreSQL's advisory locks: who makes or changes the schema
# A server that is gone without a word is noticed within ten seconds or so.
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
RETRIED = frozenset({"40001", "40P01", "55P03"})  # SQLSTATE: serialization failure, deadlock, lock not available


class StoreError(Exception):
    """The database cannot be used, or refused to keep something."""


class CannotOpen(StoreError):
    """The database of this URL cannot be opened (the operator's fault)."""


def is_memory(url: str) -> bool:
    """Whether the database lives only in this process."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")


def open_engine(url: str, *, writes: bool, name: str | None = None) -> Engine:
    """An engine for `url`. SQLite: one connection that takes the write lock at once, or several that only read.

    `name` tells a server whose connections these are: see `fence`.
    """
    try:
        parsed = with_driver(make_url(url))
        if parsed.get_backend_name() != "sqlite":
            return _open_server(parsed, writes, name)
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


def with_driver(url: URL) -> URL:
    """The URL with the driver that we ship, where it names none."""
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def is_shared(url: str) -> bool:
    """Whether several processes may write to the database at once."""
    return make_url(url).get_backend_name() != "sqlite"


def passing(error: BaseException) -> bool:
    """Whether the database says that the same transaction, done again, may succeed."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) in RETRIED


def fence(connection: Connection, names: Sequence[str]) -> int:
    """Ends what the server still does for the processes of these names; how many connections they had.

    A process is dead at once, its last commit may yet be on the way: it is over when this returns 0.
    """
    if connection.dialect.name != "postgresql":
        return 0
    activity = table("pg_stat_activity", column("pid"), column("application_name"))
    ends = select(func.pg_terminate_backend(activity.c.pid)).where(activity.c.application_name.in_(names))
    return len(connection.execute(ends).all())


def connected(connection: Connection) -> frozenset[str]:
    """The names of the processes that have a connection to the server."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    activity = table("pg_stat_activity", column("application_name"))
    return frozenset(connection.execute(select(activity.c.application_name).distinct()).scalars())


def _open_server(url: URL, writes: bool, name: str | None) -> Engine:
    """An engine for a database server. The pool never grows: a process has 1 + READERS connections."""
    options: dict[str, Any] = {}
    if url.get_driver_name() == "psycopg":
        options = {"connect_timeout": CONNECT_TIMEOUT_S, "prepare_threshold": 3, **KEEPALIVES}
        options |= {} if name is None else {"application_name": name}
        options["options"] = "-c synchronous_commit=on"  # an answer is given for what is on the disk
    return create_engine(
        url,
        paramstyle="format",
        pool_size=1 if writes else READERS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=False,  # what finds its connection broken is done again on another
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        execution_options={} if writes else {"postgresql_readonly": True},
        connect_args=options,
    )


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
            lock_schema(connection)
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


def lock_schema(connection: Connection) -> None:
    """Waits until no other process makes or changes the schema; until the end of the transaction none will."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))


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
