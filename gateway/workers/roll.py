"""Who of the processes that share the database is alive, and what becomes of the holds of one that died.

Each has a row that it counts up. One whose count stands still is dead: not by anybody's wall clock, but by the time
that passed for whoever looked on, and only while the database could be read. Its holds then expire, once, whoever
notices first; its row goes last, so that a death in between is noticed again. A worker that was only asleep comes back
into the roll by its next beat; it finds those holds expired, and charges nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway import edge
from gateway.ledger.money import Money
from gateway.log import Log
from gateway.storage.engine import StoreError, fence
from gateway.storage.store import Store
from gateway.storage.tables import holds, workers

BEAT_S: Final = 2.0
SILENT_S: Final = 10.0  # without a beat: dead
FENCE_S: Final = 0.01  # between two looks whether the database has done with a dead worker
FENCE_TRIES: Final = 500


class Watch:
    """Which counts stand still. Pure: the time is passed in."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._since: dict[str, tuple[int, float]] = {}  # id -> its count, and since when it is that
        self._looked_s = 0.0

    def look(self, beats: Mapping[str, int], now_s: float) -> list[str]:
        """The ids whose count did not change for `silent_s`. Time in which nobody looked does not count."""
        if now_s - self._looked_s > self._silent_s / 2:
            self._since.clear()
        self._looked_s = now_s
        self._since = {
            ident: self._since[ident] if ident in self._since and self._since[ident][0] == beat else (beat, now_s)
            for ident, beat in beats.items()
        }
        return [ident for ident, (_, since_s) in self._since.items() if now_s - since_s >= self._silent_s]


class Roll:
    """This process's place among the others."""

    def __init__(self, store: Store, money: Money, clock: edge.Clock, log: Log) -> None:
        self._store = store
        self._money = money
        self._clock = clock
        self._log = log
        self._watch = Watch()
        self._task: asyncio.Task[None] | None = None

    async def join(self, dead: Iterable[str] = ()) -> None:
        """Enters this process, and gives back the holds of those that are known to be `dead`. Raises StoreError."""
        await self._store.write(self._beat)
        for worker in dead:
            await self.bury(worker)
        self._task = asyncio.create_task(self._go_on())

    async def others(self) -> list[str]:
        """The ids of all other processes in the roll."""
        return [ident for ident in await self._beats() if ident != self._money.owner]

    async def is_gone(self, worker: str) -> bool:
        """Whether a worker is not in the roll: it is dead, and its holds are given back."""
        return worker not in await self._beats()

    async def bury(self, worker: str) -> None:
        """Gives back the holds of a dead worker, then strikes it off. Raises StoreError.

        Only when the database has done with it: a hold or a charge that it sent off with its last breath counts.
        """
        for _ in range(FENCE_TRIES):
            if not await self._store.read(lambda c: fence(c, worker)):
                break
            await edge.sleep(FENCE_S)
        else:
            raise StoreError(f"the connections of {worker} do not end")
        expired = await self._money.expire_of(worker, "crash")
        await self._store.write(lambda c: c.execute(delete(workers).where(workers.c.id == worker)))
        self._log.write("warning", "worker_dead", worker=worker, holds=expired)

    async def leave(self) -> None:
        """Strikes this process off, unless it leaves holds behind: those are for the others to give back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(StoreError):
            await self._store.write(self._strike_off)

    async def _go_on(self) -> None:
        while True:
            await edge.sleep(BEAT_S)
            try:
                await self._store.write(self._beat)
                beats = await self._beats()
                beats.pop(self._money.owner, None)
                for worker in self._watch.look(beats, edge.monotonic()):
                    await self.bury(worker)
            except Exception as error:
                self._log.write("error", "roll", error=repr(error))

    async def _beats(self) -> dict[str, int]:
        return await self._store.read(lambda c: {row.id: row.beat for row in c.execute(select(workers))})

    def _beat(self, connection: Connection) -> None:
        mine = workers.c.id == self._money.owner
        if not connection.execute(update(workers).where(mine).values(beat=workers.c.beat + 1)).rowcount:
            row = {"id": self._money.owner, "beat": 0, "began_at_ms": self._clock.now_ms()}
            connection.execute(insert(workers).values(row))

    def _strike_off(self, connection: Connection) -> None:
        left = connection.execute(select(func.count()).where(holds.c.owner == self._money.owner)).scalar_one()
        if not left:
            connection.execute(delete(workers).where(workers.c.id == self._money.owner))
