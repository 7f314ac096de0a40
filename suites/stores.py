"""A database on PostgreSQL and names in Redis of a gateway's own, made before it starts and dropped after its end.

    python -m suites.stores make NAME --database postgresql://127.0.0.1/postgres --redis redis://127.0.0.1:6379/0
    python -m suites.stores drop NAME …

so that a target file can name them as its commands `prepare` and `clean_up`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from suites.edge import token
from suites.processes import StartError

PREFIX: Final = "windtunnel_"
ROUND: Final = 1000  # names that Redis is asked for, and told to forget, at a time


@dataclass(frozen=True, slots=True)
class Stores:
    """The servers, and how many workers share what is on them."""

    database: str  # URL of any database on the server; databases are made beside it
    redis: str
    workers: int = 1

    def url(self, name: str) -> str:
        """The URL of the database of this name."""
        parts = urlsplit(self.database)
        return urlunsplit(parts._replace(path=f"/{name}"))

    def command(self, verb: str, name: str) -> list[str]:
        """The command that makes or drops what has this name."""
        servers = ("--database", self.database, "--redis", self.redis)
        return [sys.executable, "-m", "suites.stores", verb, name, *servers]

    def options(self, name: str) -> list[str]:
        """The options of a gateway whose data have this name."""
        where = ("--database", self.url(name), "--workers", str(self.workers))
        redis = ("--set", f"redis_url={self.redis}", "--set", f"redis_prefix={name}")
        return [*where, *redis, "--set", f"secret_key=of-checks-alone-{name}"]


def new_name() -> str:
    """A name that nothing has."""
    return PREFIX + token(12)


def make(stores: Stores, name: str) -> None:
    """Makes the database. Raises StartError."""
    import psycopg

    try:
        with psycopg.connect(stores.database, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type,unused-ignore]
    except (psycopg.Error, ValueError) as error:
        raise StartError(f"no database of its own at {stores.database}: {_line(error)}") from error


def drop(stores: Stores, name: str) -> None:
    """Drops the database and whatever is in Redis by this name, if there is anything. Raises StartError."""
    import psycopg
    import redis

    try:
        with psycopg.connect(stores.database, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type,unused-ignore]
        with redis.Redis.from_url(stores.redis, socket_connect_timeout=5) as client:
            for found in client.scan_iter(f"{{{name}}}*", count=ROUND):
                client.delete(found)
    except (psycopg.Error, redis.RedisError, ValueError) as error:
        raise StartError(f"{name} is not dropped: {_line(error)}") from error


@contextmanager
def made(stores: Stores) -> Iterator[str]:
    """The name of a database that is there until the end. Raises StartError."""
    name = new_name()
    make(stores, name)
    try:
        yield name
    finally:
        drop(stores, name)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def main() -> int:
    """Read the command line, make or drop."""
    parser = argparse.ArgumentParser(prog="python -m suites.stores", description="A gateway's own database.")
    parser.add_argument("verb", choices=("make", "drop"))
    parser.add_argument("name")
    parser.add_argument("--database", required=True, metavar="URL")
    parser.add_argument("--redis", required=True, metavar="URL")
    given = parser.parse_args()
    try:
        (make if given.verb == "make" else drop)(Stores(given.database, given.redis), given.name)
    except StartError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
