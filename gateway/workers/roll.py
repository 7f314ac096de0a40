"""Who of the processes that share the database is alive, and what becomes of the holds of one that died.

Each has a row that it counts up. One whose count stands still is dead: not by anybody's wall clock, but by the time
that passed for whoever looked on, and only while the database could be read. Sooner, if all the while it had not one
connection to the database: a process that lives has one that listens, and makes another at once when it breaks. So a
gateway that was killed as a whole, supervisor and all, gives back what it held soon after it starts again.

The holds of the dead expire, once, whoever notices first; their rows go last, so that a death in between is noticed
again. A worker that was only asleep comes back into the roll by its next beat; it finds those holds expired, and
charges nothing. Nobody looks on in the task that beats: to bury may take long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway import edge
from gateway.ledger.money import Money
from gateway.log import Log
from gateway.storage import engine
from gateway.storage.engine import StoreError
from gateway.storage.store import Store
from gateway.storage.tables import holds, workers

BEAT_S: Final = 2.0
SILENT_S: Final = 10.0  # without a beat: dead
CUT_S: Final = 2 * BEAT_S  # without a beat and without a connection: dead
LATE_S: Final = SILENT_S / 2  # between two looks: nobody looked on
FENCE_S: Final = 0.01  # between two looks whether the database has done with a dead worker
FENCE_TRIES: Final = 500


class Watch:
    """Which counts stand still. Pure: the time is passed in."""

    def __init__(self, silent_s: float = SILENT_S, cut_s: float = CUT_S) -> None:
        self._silent_s = silent_s
        self._cut_s = cut_s
        self._since: dict[str, tuple[int, float]] = {}  # id -> its count, and since when it is that
        self._cut: dict[str, float] = {}  # id -> since when it has no connection
        self._looked_s = 0.0

    def look(self, beats: Mapping[str, int], now_s: float, connected: Container[str] | None = None) -> list[str]:
        """The ids whose count did not change for `silent_s`, or for `cut_s` in which they were never `connected`.

        Time in which nobody looked does not count. None: nothing is known of connections.
        """
        if now_s - self._looked_s > LATE_S:
            self._since.clear()
            self._cut.clear()
        self._looked_s = now_s
        self._since = {
            ident: self._since[ident] if ident in self._since and self._since[ident][0] == beat else (beat, now_s)
            for ident, beat in beats.items()
        }
        cut = () if connected is None else [ident for ident in beats if ident not in connected]
        self._cut = {ident: max(self._cut.get(ident, now_s), self._since[ident][1]) for ident in cut}
        silent = [ident for ident, (_, since_s) in self._since.items() if now_s - since_s >= self._silent_s]
        return silent + [i for i, since_s in self._cut.items() if now_s - since_s >= self._cut_s and i not in silent]


class Roll:
    """This process's place among the others."""

    def __init__(self, store: Store, money: Money, clock: edge.Clock, log: Log) -> None:
        self._store = store
        self._money = money
        self._clock = clock
        self._log = log
        self._watch = Watch()
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, dead: Iterable[str] = ()) -> None:
        """Enters this process, and gives back the holds of those that are known to be `dead`. Raises StoreError."""
        await self._store.write(self._beat)
        self._tasks.append(asyncio.create_task(self._again_and_again(self._beats)))
        await self.bury(*dead)
        await self._look()
        self._tasks.append(asyncio.create_task(self._again_and_again(self._look)))

    async def others(self) -> list[str]:
        """The ids of all other processes in the roll."""
        return [ident for ident in await self._store.read(_read) if ident != self._money.owner]

    async def is_gone(self, worker: str) -> bool:
        """Whether a worker is not in the roll: it is dead, and its holds are given back."""
        return worker not in await self._store.read(_read)

    async def bury(self, *dead: str) -> None:
        """Gives back the holds of dead workers, then strikes them off. Raises StoreError.

        Only when the database has done with them: a hold or a charge that one sent off with its last breath counts.
        """
        if not dead:
            return
        for _ in range(FENCE_TRIES):
            if not await self._store.read(lambda c: engine.fence(c, dead)):
                break
            await edge.sleep(FENCE_S)
        else:
            raise StoreError(f"the connections of {', '.join(dead)} do not end")
        expired = [await self._money.expire_of(worker, "crash") for worker in dead]
        await self._store.write(lambda c: c.execute(delete(workers).where(workers.c.id.in_(dead))))
        for worker, count in zip(dead, expired, strict=True):
            self._log.write("warning", "worker_dead", worker=worker, holds=count)

    async def leave(self) -> None:
        """Strikes this process off, unless it leaves holds behind: those are for the others to give back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(StoreError):
            await self._store.write(self._strike_off)

    async def _again_and_again(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await edge.sleep(BEAT_S)
            try:
                await step()
            except Exception as error:
                self._log.write("error", "roll", error=repr(error))

    async def _beats(self) -> None:
        await self._store.write(self._beat)

    async def _look(self) -> None:
        """Gives back the holds of those that are found dead."""
        beats, connected = await self._store.read(lambda c: (_read(c), engine.connected(c)))
        beats.pop(self._money.owner, None)
        await self.bury(*self._watch.look(beats, edge.monotonic(), connected or None))

    def _beat(self, connection: Connection) -> None:
        mine = workers.c.id == self._money.owner
        if not connection.execute(update(workers).where(mine).values(beat=workers.c.beat + 1)).rowcount:
            row = {"id": self._money.owner, "beat": 0, "began_at_ms": self._clock.now_ms()}
            connection.execute(insert(workers).values(row))

    def _strike_off(self, connection: Connection) -> None:
        left = connection.execute(select(func.count()).where(holds.c.owner == self._money.owner)).scalar_one()
        if not left:
            connection.execute(delete(workers).where(workers.c.id == self._money.owner))


def _read(connection: Connection) -> dict[str, int]:
    return {row.id: row.beat for row in connection.execute(select(workers))}
