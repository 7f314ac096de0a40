"""Databases for tests: SQLite in the test's folder, and one of its own on a PostgreSQL server, dropped afterwards.

`WINDTUNNEL_TEST_DATABASE` and `WINDTUNNEL_TEST_REDIS` say where the servers are; without one its tests are skipped.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import make_url

from tests.gateway.making import DATABASE_FILE

DATABASES = ("sqlite", "postgresql")
SERVER = os.environ.get("WINDTUNNEL_TEST_DATABASE", "postgresql://127.0.0.1:5432/postgres")
REDIS = os.environ.get("WINDTUNNEL_TEST_REDIS", "redis://127.0.0.1:6379/0")


@cache
def missing_postgresql() -> str | None:
    """Why there is no PostgreSQL to test on."""
    try:
        psycopg.connect(SERVER, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return f"no PostgreSQL at {SERVER} (WINDTUNNEL_TEST_DATABASE): {str(error).splitlines()[0]}"
    return None


@cache
def missing_redis() -> str | None:
    """Why there is no Redis to test on."""
    try:
        with redis.Redis.from_url(REDIS, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError as error:
        return f"no Redis at {REDIS} (WINDTUNNEL_TEST_REDIS): {error}"
    return None


@contextmanager
def new_database() -> Iterator[str]:
    """The URL of an empty database on the server."""
    name = f"windtunnel_test_{secrets.token_hex(6)}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def database_in(folder: Path, kind: str) -> Iterator[Path]:
    """The folder, whose store is on a database of this kind: for `open_store`. Skips where there is none."""
    if kind == "sqlite":
        yield folder
        return
    if missing_postgresql():
        pytest.skip(str(missing_postgresql()))
    with new_database() as url:
        (folder / DATABASE_FILE).write_text(url)
        yield folder


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder whose store is on each database in turn."""
    with database_in(tmp_path, request.param) as folder:
        yield folder


@pytest.fixture
def server_url() -> Iterator[str]:
    """An empty database on PostgreSQL."""
    if missing_postgresql():
        pytest.skip(str(missing_postgresql()))
    with new_database() as url:
        yield url


@pytest.fixture
def redis_prefix() -> Iterator[str]:
    """A prefix of names in Redis that nobody else uses; what has it is deleted afterwards."""
    if missing_redis():
        pytest.skip(str(missing_redis()))
    prefix = f"test-{secrets.token_hex(6)}"
    yield prefix
    with redis.Redis.from_url(REDIS) as client:
        for name in client.scan_iter(f"{{{prefix}}}*", count=1000):
            client.delete(name)
