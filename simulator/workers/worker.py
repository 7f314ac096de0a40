"""One worker of a fleet: a runtime that asks the keeper, answers its peers, and speaks for all over the control API."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

from simulator import edge
from simulator.runtime import CONTROL_PATH, Runtime
from simulator.workers import neighbours
from simulator.workers.keeper import KEEPER, FarJudge, Keeper, KeeperJudge
from simulator.workers.peers import Handler, Peers, Role
from simulator.workers.shelves import Shelves
from simulator.workers.together import CHANGE, JOURNAL, WAIT, Together, handlers

HAND_IN_MS = 50.0  # how soon the keeper hears of requests that nothing met


class Worker:
    """One of the processes."""

    def __init__(self, runtime: Runtime, role: Role, redis_url: str) -> None:
        self.peers = Peers(Redis.from_url(redis_url), role)
        self._runtime = runtime
        self._far: FarJudge | None = None
        fleet = runtime.fleet
        fleet.reader.salt = (role.worker,)
        if role.worker == KEEPER:
            keeper = Keeper(fleet)
            self.peers.on(keeper.handlers())
            fleet.judge = KeeperJudge(fleet.judge, keeper.planned)
        else:
            self._far = fleet.judge = FarJudge(fleet.judge, self.peers)
        if runtime.app.door is not None:
            neighbours.share(runtime.app.door, self.peers)
        shelves = Shelves(fleet, self.peers, runtime.control.webhooks, runtime.app.makers)
        if role.worker == KEEPER:
            fleet.doors.moved = shelves.hold_soon
        self.peers.on(shelves.handlers())
        control: Any = runtime.app.control
        local = handlers(control, role.worker)
        self.peers.on({**local, CHANGE: self._after_handing_in(local[CHANGE])}, slow=frozenset({JOURNAL, WAIT}))
        runtime.app.control = Together(self.peers, CONTROL_PATH)
        runtime.app.shelves = shelves

    async def join(self) -> None:
        """Begin to listen to the others. Raises RedisError."""
        await self.peers.start()
        if self._far is not None:
            self._hand_in_soon(self._far)

    async def leave(self) -> None:
        """Listen no more."""
        await self.peers.stop()

    def _after_handing_in(self, change: Handler) -> Handler:
        """A change of rules takes effect after all that was counted before it."""

        async def handled(argument: Any) -> Any:
            if self._far is not None:
                await self._far.hand_in()
            return await change(argument)

        return handled

    def _hand_in_soon(self, far: FarJudge) -> None:
        def due() -> None:
            self._handing_in = asyncio.ensure_future(far.hand_in())
            self._hand_in_soon(far)

        edge.alarm(HAND_IN_MS, due)
