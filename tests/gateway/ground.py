"""What the labs' gateways stand on: SQLite, or with WINDTUNNEL_TEST_ON=postgresql a database and names in Redis.

A gateway gets its own of both. Databases are made once and emptied between tests: to drop one costs a checkpoint.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from gateway import config
from gateway.config import Config
from gateway.storage.store import Store
from gateway.storage.tables import metadata
from tests.gateway.databases import REDIS, missing_postgresql, missing_redis, new_database

ON = os.environ.get("WINDTUNNEL_TEST_ON", "sqlite")
EMPTY: Any = "; ".join(
    [
        *(f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)),
        "ALTER SEQUENCE windtunnel_ids RESTART",
    ]
)
ALONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True)
class Plot:
    """A database of a gateway's own, and the beginning of its names in Redis."""

    database: str
    prefix: str

    @property
    def flags(self) -> dict[str, Any]:
        """The configuration of a gateway that stands on it."""
        where = {"database": self.database, "redis_url": REDIS, "redis_prefix": self.prefix}
        return {**where, "secret_key": f"of-this-test-alone-{self.prefix}"}

    @property
    def options(self) -> tuple[str, ...]:
        """The same, for a gateway that is a process."""
        return tuple(word for name, value in self.flags.items() for word in ("--set", f"{name}={value}"))

    def clear(self) -> None:
        """Empties both; whoever is still connected no longer is. Raises UndefinedTable."""
        with redis.Redis.from_url(REDIS) as client:
            for name in client.scan_iter(f"{{{self.prefix}}}*", count=1000):
                client.delete(name)
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(ALONE)
            connection.execute(EMPTY)


class Ground:
    """The databases of this process, and what the test that is running has of them."""

    def __init__(self) -> None:
        self._made = ExitStack()
        self._free: list[str] = []
        self._labs: list[tuple[Plot, Store]] = []  # of the test
        self._folders: dict[Path, Plot] = {}  # of the test

    def take(self) -> Plot:
        """A plot with nothing on it."""
        missing = missing_postgresql() or missing_redis()
        assert missing is None, f"WINDTUNNEL_TEST_ON={ON}: {missing}"
        if not self._free:
            url = self._made.enter_context(new_database())
            Store(url, threaded=False).close()
            self._free.append(url)
        return Plot(self._free.pop(), f"test-{secrets.token_hex(6)}")

    def give_back(self, plot: Plot) -> None:
        """It may be another's, unless the test took it apart."""
        with suppress(psycopg.errors.UndefinedTable):
            plot.clear()
            self._free.append(plot.database)

    def open(self, flags: Mapping[str, Any], providers: Any) -> tuple[Config, Store]:
        """The configuration and the store of a gateway that stands on a plot until the test is over."""
        self._give_back_closed()
        plot = self.take()
        settings = config.load(flags={**plot.flags, **flags}, providers=providers)
        self._labs.append((plot, Store(settings.database, threaded=False)))
        return settings, self._labs[-1][1]

    def at(self, folder: Path) -> Plot:
        """The plot of a folder, until the test is over."""
        if folder not in self._folders:
            self._folders[folder] = self.take()
        return self._folders[folder]

    def clear(self) -> None:
        """The test is over."""
        for _, store in self._labs:
            store.close()
        self._give_back_closed()
        while self._folders:
            self.give_back(self._folders.popitem()[1])

    def _give_back_closed(self) -> None:
        """A test that tries many gateways closes one before it begins with the next."""
        for plot in [plot for plot, store in self._labs if store.closed]:
            self.give_back(plot)
        self._labs = [lab for lab in self._labs if not lab[1].closed]

    def close(self) -> None:
        """Drops all of it."""
        self._made.close()


GROUND = Ground()


def opened(flags: Mapping[str, Any], providers: Any = None) -> tuple[Config, Store]:
    """The configuration and the store of a lab's gateway."""
    if ON != "sqlite":
        return GROUND.open(flags, providers)
    settings = config.load(flags={"database": "sqlite://", **flags}, providers=providers)
    return settings, Store("sqlite://", threaded=False)


def options(folder: Path) -> tuple[str, ...]:
    """Where a gateway that is a process keeps its data: in this folder, or on a plot until the test is over."""
    return in_folder(folder) if ON == "sqlite" else GROUND.at(folder).options


@contextmanager
def longer(folder: Path) -> Iterator[tuple[str, ...]]:
    """The same, for a gateway that several tests use."""
    if ON == "sqlite":
        yield in_folder(folder)
        return
    plot = GROUND.take()
    try:
        yield plot.options
    finally:
        GROUND.give_back(plot)


def in_folder(folder: Path) -> tuple[str, ...]:
    return ("--database", f"sqlite:///{folder / 'gateway.sqlite'}")


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    """Takes back what the test had."""
    yield
    GROUND.clear()


@pytest.fixture(scope="session", autouse=True)
def grounds() -> Iterator[None]:
    """Drops what was made."""
    yield
    GROUND.close()


@pytest.fixture(scope="module")
def module_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """`longer`, for all tests of a file."""
    with longer(tmp_path_factory.mktemp("ground")) as words:
        yield words
