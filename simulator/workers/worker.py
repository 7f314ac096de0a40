"""One worker of a fleet: a runtime that asks the keeper, answers its peers, and speaks for all over the control API."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

from simulator import edge
from simulator.runtime import CONTROL_PATH, Runtime
from simulator.workers.keeper import KEEPER, FarJudge, Keeper
from simulator.workers.peers import Handler, Peers, Role
from simulator.workers.shelves import Shelves
from simulator.workers.together import CHANGE, JOURNAL, Together, handlers

HAND_IN_MS = 50.0  # how soon the keeper hears of requests that nothing met


class Worker:
    """One of the processes."""

    def __init__(self, runtime: Runtime, role: Role, redis_url: str) -> None:
        self.peers = Peers(Redis.from_url(redis_url), role)
        self._runtime = runtime
        self._far: FarJudge | None = None
        fleet = runtime.fleet
        fleet.salt = (role.worker,)
        if role.worker == KEEPER:
            self.peers.on(Keeper(fleet).handlers())
        else:
            self._far = fleet.judge = FarJudge(fleet.judge, self.peers)
        shelves = Shelves(fleet, self.peers)
        self.peers.on(shelves.handlers())
        control: Any = runtime.app.control
        local = handlers(control, role.worker)
        self.peers.on({**local, CHANGE: self._after_handing_in(local[CHANGE])}, slow=frozenset({JOURNAL}))
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
