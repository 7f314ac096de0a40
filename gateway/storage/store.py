"""The open database: what writes goes through the one writer, what only reads has connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Dialect, func, select
from sqlalchemy.exc import DBAPIError

from gateway.edge import Ids
from gateway.storage.engine import READERS, StoreError, is_memory, is_shared, open_engine, passing, prepare
from gateway.storage.tables import ids, transfers, usage_log
from gateway.storage.tables.workers import IDS_BLOCK
from gateway.storage.writer import Mark, Writer

T = TypeVar("T")
READ_TRIES = 3


class Store:
    """An open database. `threaded=False` does all work at once on the caller's thread (for tests and simulation)."""

    def __init__(self, url: str, *, threaded: bool = True, mark: Mark | None = None, name: str | None = None) -> None:
        """Opens (and if need be makes or upgrades) the database. Raises CannotOpen.

        `name` is this process's among those that share the database: the owner of its holds.
        """
        self.url = url
        self.ids = Ids()
        self._engine = open_engine(url, writes=True, name=name)
        prepare(self._engine, url)
        self.shared = is_shared(url)
        if not self.shared:
            self._go_on_counting()
        self._read_engine = self._engine if is_memory(url) else open_engine(url, writes=False, name=name)
        self._readers: ThreadPoolExecutor | None = None
        self._through_writer = is_memory(url)
        self._threaded = threaded
        self.writer = Writer(self._engine, threaded=threaded, mark=mark)

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    def _go_on_counting(self) -> None:
        with self._engine.begin() as connection:
            for table in (transfers, usage_log):
                self.ids.start_after(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())

    def rising(self, connection: Connection) -> Callable[[], int]:
        """A maker of ids for a transaction that has locked what it changes.

        Each id is greater than all that any transaction made which this one had to wait for: the order of the ids is
        an order in which the changes may be replayed. So where processes share the database it is the database that
        counts: their clocks would not do.
        """
        return _counted(connection).__next__ if self.shared else self.ids.rising()

    async def write(self, job: Callable[[Connection], T]) -> T:
        """Runs `job` in a transaction of its own and returns its result once that is durable."""
        result: T = await self.writer.submit(job)
        return result

    async def read(self, job: Callable[[Connection], T]) -> T:
        """Runs `job`, which only reads, on one consistent view of everything committed so far."""
        if self._through_writer:
            return await self.write(job)
        if not self._threaded:
            return self.read_now(job)
        if self._readers is None:
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, job)

    def read_now(self, job: Callable[[Connection], T]) -> T:
        """As `read`, on this thread: for starting up. Not while the writer is at work on a database in memory.

        A connection that turns out to be broken is replaced. Raises StoreError.
        """
        for left in reversed(range(READ_TRIES)):
            try:
                with self._read_engine.begin() as connection:
                    return job(connection)
            except DBAPIError as error:
                if left and (error.connection_invalidated or passing(error)):
                    continue
                raise StoreError(f"the database refused: {error}") from error
        raise AssertionError("unreachable")

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.writer.closed

    def close(self) -> None:
        """Finishes what is queued, then closes every connection."""
        self.writer.close()
        if self._readers is not None:
            self._readers.shutdown()
        self._read_engine.dispose()
        self._engine.dispose()


def _counted(connection: Connection) -> Iterator[int]:
    while True:
        first: int = connection.execute(select(ids.next_value())).scalar_one()
        yield from range(first, first + IDS_BLOCK)
