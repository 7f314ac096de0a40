"""The open database: what writes goes through the one writer, what only reads has connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Dialect, func, select

from gateway.edge import Ids
from gateway.storage.engine import is_memory, open_engine, prepare
from gateway.storage.tables import transfers, usage_log
from gateway.storage.writer import Mark, Writer

T = TypeVar("T")

READERS = 2


class Store:
    """An open database. `threaded=False` does all work at once on the caller's thread (for tests and simulation)."""

    def __init__(self, url: str, *, threaded: bool = True, mark: Mark | None = None) -> None:
        """Opens (and if need be makes or upgrades) the database. Raises CannotOpen."""
        self.url = url
        self.ids = Ids()
        self._engine = open_engine(url, writes=True)
        prepare(self._engine, url)
        with self._engine.begin() as connection:
            for table in (transfers, usage_log):
                self.ids.start_after(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())
        self._read_engine = self._engine if is_memory(url) else open_engine(url, writes=False)
        self._readers: ThreadPoolExecutor | None = None
        self._through_writer = is_memory(url)
        self._threaded = threaded
        self.writer = Writer(self._engine, threaded=threaded, mark=mark)

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

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
        """As `read`, on this thread: for starting up. Not while the writer is at work on a database in memory."""
        with self._read_engine.begin() as connection:
            return job(connection)

    def close(self) -> None:
        """Finishes what is queued, then closes every connection."""
        self.writer.close()
        if self._readers is not None:
            self._readers.shutdown()
        self._read_engine.dispose()
        self._engine.dispose()
