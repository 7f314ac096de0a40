"""Making off the loop what the store has not: in a few threads, each thing once however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from simulator.media.store import STORE, Made, Store, Unmade

THREADS: Final = 2

T = TypeVar("T")


class Makers:
    """The threads of one fleet; they begin with the first thing that is to be made."""

    def __init__(self, store: Store = STORE, threads: int = THREADS) -> None:
        self._store = store
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: dict[bytes, asyncio.Future[Made]] = {}

    async def done(self, write: Callable[[], T]) -> T:
        """What `write` gives, which may run more than once: it must change nothing before it has all it needs."""
        try:
            return write()
        except Unmade as unmade:
            return await self.finish(unmade, write)

    async def finish(self, unmade: Unmade, write: Callable[[], T]) -> T:
        """The same, after `write` asked for this in vain."""
        held: dict[bytes, Made] = {}
        while True:
            held[unmade.key] = await self._made(unmade)
            try:
                with self._store.holding(held):
                    return write()
            except Unmade as more:
                unmade = more

    async def _made(self, unmade: Unmade) -> Made:
        found = self._under_way.get(unmade.key)
        if found is None:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "making")
            loop = asyncio.get_running_loop()
            found = loop.run_in_executor(self._pool, self._store.make, unmade.key, unmade.make)
            self._under_way[unmade.key] = found
            found.add_done_callback(lambda _: self._under_way.pop(unmade.key, None))
        return await asyncio.shield(found)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
