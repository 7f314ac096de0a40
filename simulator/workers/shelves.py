"""Exchanges that can be asked for later, wherever they were answered: who misses one asks the others.

Whoever changes an exchange takes it over first: the others forget it, and come for it when they need it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from simulator.fleet import Fleet
from simulator.jobs.bills import downloads
from simulator.jobs.desk import CHANGES, LOOK, PURGE, SURVEY, effect_of
from simulator.jobs.job import Job
from simulator.jobs.webhooks import Webhooks
from simulator.journal import Headers
from simulator.media.making import Makers
from simulator.memory import Known
from simulator.quotas.accounts import Held as Waits
from simulator.shelf import Held
from simulator.workers.peers import Handler, Lost, Peers

log = logging.getLogger(__name__)


class Shelves:
    """The shelves of all workers, as one of them sees them."""

    def __init__(self, fleet: Fleet, peers: Peers, webhooks: Webhooks, makers: Makers) -> None:
        self._fleet = fleet
        self._peers = peers
        self._webhooks = webhooks
        self._makers = makers
        self._telling: set[asyncio.Task[None]] = set()

    # --- what others ask ----------------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[str, Handler]:
        """What a worker answers the others."""
        return {
            "shelf-find": self.find,
            "shelf-jobs": self.jobs,
            "shelf-case": self.case,
            "shelf-drop": self.drop,
            "shelf-hold": self.hold,
        }

    async def find(self, argument: Any) -> Any:
        """The exchange, as what it takes to read it again; None when it is not here."""
        held = self._fleet.shelf.get(*argument)
        return None if held is None else _told(held)

    async def jobs(self, provider: Any) -> Any:
        """All jobs of a provider: (nonce, what it takes to read it again)."""
        return [(nonce, _told(held)) for nonce, held in self._fleet.shelf.of(provider) if held.job is not None]

    async def case(self, argument: Any) -> Any:
        """The case of the job that a path names."""
        return self._fleet.desk.case_of_file(*argument)

    async def drop(self, argument: Any) -> None:
        """Exchanges are changed or deleted by another worker."""
        provider, nonces = argument
        for nonce in nonces:
            self._fleet.shelf.drop(provider, nonce)
            self._webhooks.forget(provider, nonce)

    async def hold(self, argument: Any) -> None:
        """Jobs wait for a place of their account, wherever they are."""
        provider, jobs = argument
        for job, held_ms in jobs:
            self._fleet.desk.hold(provider, job, held_ms)

    # --- what is asked of others --------------------------------------------------------------------------------------

    async def bring(self, known: Known, headers: Headers) -> Known:
        """A request once all is here that it is about, and whatever it changes is here alone. Raises Lost."""
        ask, name, does = known.ask, known.provider.name, effect_of(known)
        if ask is None:
            return known
        if does in (PURGE, SURVEY) or ask.among:
            await self._gather(name)
            if does == PURGE:
                await self._take_over(name, self._fleet.desk.queued(known, self._fleet.clock.now_ms()))
        elif does == LOOK:
            for nonce in ask.about:
                if self._fleet.shelf.get(name, nonce) is None:
                    await self._fetch(name, nonce)
        elif ask.needs:
            known = await self._with_needed(known, headers)
        if known.subject.case is None and ask.operation in downloads(known.mount.dialect):
            known = await self._of_case(known)
        return known

    async def _with_needed(self, known: Known, headers: Headers) -> Known:
        """A request about one earlier exchange."""
        subject, provider, ask = known.subject, known.provider, known.ask
        if ask is None:
            return known
        missing = known.problem is not None and known.problem.kind == "not_kept"
        if missing and await self._fetch(provider.name, ask.needs):
            query = subject.query.encode("latin-1")
            asked = (provider, subject.method, subject.path, query, headers, known.body)
            known = await self._makers.done(partial(self._fleet.recognise, *asked))
        if known.problem is None and (ask.operation in ("cancel", "delete") or effect_of(known) in CHANGES):
            await self._take_over(provider.name, [ask.needs])
        return known

    async def _of_case(self, known: Known) -> Known:
        """A download, with the case of its job."""
        asked = (known.provider.name, known.subject.path, len(known.mark))
        cases = [case for case in await self._peers.command("shelf-case", asked) if case is not None]
        return replace(known, subject=replace(known.subject, case=cases[0])) if cases else known

    async def _gather(self, provider: str) -> None:
        """Bring all jobs of a provider here."""
        for theirs in await self._peers.command("shelf-jobs", provider):
            for nonce, told in theirs:
                if self._fleet.shelf.get(provider, nonce) is None:
                    self._fleet.shelf.put(provider, nonce, await self._held(told))

    async def _fetch(self, provider: str, nonce: str) -> bool:
        """Bring an exchange here; False when nobody has it. Raises Lost."""
        for told in await self._peers.command("shelf-find", (provider, str(nonce))):
            if told is not None:
                self._fleet.shelf.put(provider, nonce, await self._held(told))
                return True
        return False

    async def _take_over(self, provider: str, nonces: Iterable[str]) -> None:
        """Exchanges are about to be changed here: whoever asks elsewhere comes here for them. Raises Lost."""
        here = [(nonce, self._fleet.shelf.get(provider, nonce)) for nonce in nonces]
        await self._peers.command("shelf-drop", (provider, [str(nonce) for nonce, _ in here]))
        for nonce, held in here:
            if held is not None:
                self._fleet.shelf.put(provider, nonce, held)
                if held.job is not None:
                    self._webhooks.taken_over(provider, nonce)

    def hold_soon(self, provider: str, jobs: list[Waits]) -> None:
        """Tell all workers how long jobs wait."""
        task = asyncio.create_task(self._told_to_hold(provider, jobs))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told_to_hold(self, provider: str, jobs: list[Waits]) -> None:
        try:
            await self._peers.command("shelf-hold", (provider, jobs))
        except Lost as error:
            log.error("jobs that wait were not told of: %s", error)

    async def _held(self, told: Any) -> Held:
        provider, method, path, query, headers, body, now_s, cancelled_s, job = told
        pairs = [(bytes(name), bytes(value)) for name, value in headers]
        asked = (self._fleet.providers[provider], method, path, query.encode("latin-1"), pairs, body)
        known = await self._makers.done(partial(self._fleet.recognise, *asked))
        return Held(known, now_s, cancelled_s, None if job is None else msgspec.convert(job, Job))


def _told(held: Held) -> tuple[Any, ...]:
    subject = held.known.subject
    asked = (subject.provider, subject.method, subject.path, subject.query, held.known.headers, held.known.body)
    return (*asked, held.now_s, held.cancelled_s, msgspec.to_builtins(held.job))
