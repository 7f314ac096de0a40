"""One worker keeps the neighbours (codes, sessions, faults, records); the others pass on what is asked of them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from simulator.neighbours.asked import Answer, Asked
from simulator.neighbours.door import Door
from simulator.neighbours.neighbourhood import failed
from simulator.workers.keeper import KEEPER
from simulator.workers.peers import Lost, Peers

NEIGHBOUR: Final = "neighbour"


def share(door: Door, peers: Peers) -> None:
    """Answer for all workers as the keeper, or ask it from now on."""

    async def answer(argument: Any) -> Any:
        return msgspec.to_builtins(await door.own(msgspec.convert(argument, Asked)), builtin_types=(bytes,))

    async def ask(asked: Asked) -> Answer:
        argument = msgspec.to_builtins(asked, builtin_types=(bytes,))
        try:
            return msgspec.convert(await peers.ask(KEEPER, NEIGHBOUR, argument), Answer)
        except Lost:
            return failed()

    if peers.role.worker == KEEPER:
        peers.on({NEIGHBOUR: answer})
    else:
        door.ask = ask
