"""Exchanges that can be asked for later, wherever they were answered: who misses one asks the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.fleet import Fleet
from simulator.jobs.job import Job
from simulator.shelf import Held
from simulator.workers.peers import Handler, Peers


class Shelves:
    """The shelves of all workers, as one of them sees them."""

    def __init__(self, fleet: Fleet, peers: Peers) -> None:
        self._fleet = fleet
        self._peers = peers

    def handlers(self) -> Mapping[str, Handler]:
        """What a worker answers the others."""
        return {"shelf-find": self.find, "shelf-drop": self.drop}

    async def find(self, argument: Any) -> Any:
        """The exchange, as what it takes to read it again; None when it is not here."""
        held = self._fleet.shelf.get(*argument)
        return None if held is None else _told(held)

    async def drop(self, argument: Any) -> None:
        """An exchange is changed or deleted by another worker."""
        self._fleet.shelf.drop(*argument)

    async def fetch(self, provider: str, nonce: str) -> bool:
        """Bring an exchange here; False when nobody has it. Raises Lost."""
        for told in await self._peers.command("shelf-find", (provider, str(nonce))):
            if told is not None:
                self._fleet.shelf.put(provider, nonce, self._held(told))
                return True
        return False

    async def forget(self, provider: str, nonce: str) -> None:
        """An exchange is about to be changed or deleted here: whoever asks elsewhere comes here for it. Raises Lost."""
        held = self._fleet.shelf.get(provider, nonce)
        await self._peers.command("shelf-drop", (provider, str(nonce)))
        if held is not None:
            self._fleet.shelf.put(provider, nonce, held)

    def _held(self, told: Any) -> Held:
        provider, method, path, query, headers, body, now_s, cancelled_s, job = told
        pairs = [(bytes(name), bytes(value)) for name, value in headers]
        row = self._fleet.providers[provider]
        known = self._fleet.recognise(row, method, path, query.encode("latin-1"), pairs, body)
        return Held(known, now_s, cancelled_s, None if job is None else msgspec.convert(job, Job))


def _told(held: Held) -> tuple[Any, ...]:
    subject = held.known.subject
    asked = (subject.provider, subject.method, subject.path, subject.query, held.known.headers, held.known.body)
    return (*asked, held.now_s, held.cancelled_s, msgspec.to_builtins(held.job))
