"""One worker decides for all: it keeps what the fleet's requests change (counts, hits, states, quotas, load, gates).

So several workers decide exactly as one process does. A request that nothing can meet is counted where it arrives, and
the counts are handed in soon after, and always before a change of rules takes effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import msgspec

from simulator.faults import FAULTS, Fault
from simulator.fleet import Fleet
from simulator.journal import Outcome
from simulator.judge import Fate, Judge, Passage
from simulator.memory import Known
from simulator.problem import Problem
from simulator.quotas.doors import arrival, used
from simulator.quotas.limiter import Claim, Used
from simulator.quotas.load import Pace
from simulator.rules.gates import Hold, Line, Visitor
from simulator.rules.selectors import Subject
from simulator.workers.peers import Handler, Lost, Peers

KEEPER = 0  # the worker that decides
log = logging.getLogger(__name__)


class Told(msgspec.Struct, array_like=True):
    """What the keeper says of a request that came to a door."""

    ticket: int
    pace: Pace
    problem: Problem | None
    refused_by: str
    told: tuple[tuple[str, str], ...] | None


class Decided(msgspec.Struct, array_like=True):
    """What the keeper decides of a request."""

    attempt: int
    call: int
    faults: list[tuple[str, dict[str, Any]]]
    passage: Told | None


class Asked(msgspec.Struct, array_like=True):
    """What it is asked."""

    subject: Subject
    now_ms: float
    arrival: tuple[Claim, str] | None


def plain(fault: Fault) -> tuple[str, dict[str, Any]]:
    """A fault as values: its kind and its options."""
    return fault.kind, msgspec.to_builtins({name: getattr(fault, name) for name in fault.__dataclass_fields__})


def made(kind: str, values: Mapping[str, Any]) -> Fault:
    """The fault of those values."""
    return msgspec.convert(values, type=FAULTS[kind], strict=False)


class Keeper:
    """The worker that decides: what it answers the others."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._judge = fleet.judge
        self._tickets = count(1)
        self._passages: dict[int, Passage] = {}
        self._held: dict[str, asyncio.Event] = {}

    def handlers(self) -> dict[str, Handler]:
        """By name."""
        return {"fate": self.fate, "left": self.left, "hold": self.hold, "gone": self.gone, "counted": self.counted}

    async def fate(self, argument: Any) -> Any:
        """Count a request and decide it."""
        asked = msgspec.convert(argument, Asked)
        fate = self._judge.decide(asked.subject, asked.arrival, asked.now_ms)
        told = None if fate.passage is None else self._told(fate.passage)
        return msgspec.to_builtins(Decided(fate.attempt, fate.call, [plain(one) for one in fate.faults], told))

    def _told(self, passage: Passage) -> Told:
        ticket = next(self._tickets)
        if passage.problem is None:
            self._passages[ticket] = passage
        return Told(ticket, passage.pace, passage.problem, passage.refused_by, passage.told)

    async def left(self, argument: Any) -> None:
        """A reply ended: what it used."""
        ticket, use, now_ms = argument
        passage = self._passages.pop(ticket, None)
        if passage is not None:
            passage.settle(Used(*use), now_ms)

    async def counted(self, argument: Any) -> None:
        """Requests that nothing met, counted by another worker."""
        for key, provider, times in argument:
            self._judge.attempts.count(key, provider, times)

    async def hold(self, argument: Any) -> None:
        """Answer once a request passed its gates, or its peer went away."""
        visit, holds = argument
        gone = self._held[visit] = asyncio.Event()
        try:
            await self._fleet.gates.pass_all([Hold(*hold) for hold in holds], _Far(gone))
        finally:
            self._held.pop(visit, None)

    async def gone(self, visit: Any) -> None:
        """The peer of a request that is held went away."""
        if visit in self._held:
            self._held[visit].set()


class _Far:
    """The wire of a request that is held for another worker."""

    def __init__(self, over: asyncio.Event) -> None:
        self._over = over
        self._watching: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        return self._over.is_set()

    def attend(self, listener: Any) -> None:
        async def watch() -> None:
            await self._over.wait()
            listener.on_lost()

        self._watching = asyncio.create_task(watch())


@dataclass(frozen=True, slots=True)
class FarPassage:
    """A request that the keeper let in, or refused."""

    ticket: int
    pace: Pace
    problem: Problem | None
    refused_by: str
    told: tuple[tuple[str, str], ...] | None
    tell: Callable[[str, Any], None]

    def leave(self, outcome: Outcome | None, now_ms: float) -> None:
        """The reply ended."""
        self.settle(used(outcome), now_ms)

    def settle(self, use: Used, now_ms: float) -> None:
        """It ended, and used this."""
        if self.problem is None:
            self.tell("left", (self.ticket, use, now_ms))


class FarJudge(Judge):
    """What a worker that is not the keeper does instead of deciding."""

    def __init__(self, judge: Judge, peers: Peers) -> None:
        super().__init__(judge.plan, judge.attempts, judge.doors, judge.gates)
        self._peers = peers
        self._uncounted: dict[tuple[str, str], int] = {}
        self._visits = count(1)
        self._telling: set[asyncio.Task[None]] = set()

    def count(self, known: Known) -> tuple[int, int]:
        """Count a request that nothing meets, and hand it in later."""
        subject = known.subject
        where = (subject.key, subject.provider)
        self._uncounted[where] = self._uncounted.get(where, 0) + 1
        return super().count(known)

    async def hand_in(self) -> None:
        """Tell the keeper what was counted here."""
        if self._uncounted:
            counted = [(*where, times) for where, times in self._uncounted.items()]
            self._uncounted = {}
            await self._peers.tell(KEEPER, "counted", counted)

    async def fate(self, known: Known, now_ms: float) -> Fate:
        """Ask the keeper."""
        await self.hand_in()
        asked = Asked(known.subject, now_ms, arrival(known))
        decided = msgspec.convert(await self._peers.ask(KEEPER, "fate", msgspec.to_builtins(asked)), Decided)
        subject = known.subject
        self.attempts.reach(subject.key, subject.provider, decided.attempt, decided.call)
        told = decided.passage
        passage = None if told is None else FarPassage(**msgspec.structs.asdict(told), tell=self._tell)
        return Fate(decided.attempt, decided.call, tuple(made(*fault) for fault in decided.faults), passage)

    async def hold(self, holds: tuple[Hold, ...], line: Line) -> None:
        """Wait for the keeper to let a request go."""
        visitor = Visitor()
        line.attend(visitor)
        visit = f"{self._peers.role.worker}/{next(self._visits)}"
        asking = asyncio.ensure_future(
            self._peers.ask(KEEPER, "hold", (visit, [tuple(asdict(hold).values()) for hold in holds]), wait_ms=None)
        )
        going = asyncio.ensure_future(visitor.moved.wait())
        try:
            await asyncio.wait({asking, going}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                await self._peers.tell(KEEPER, "gone", visit)
            await asking
        finally:
            going.cancel()

    def _tell(self, name: str, argument: Any) -> None:
        async def tell() -> None:
            try:
                await self._peers.tell(KEEPER, name, argument)
            except Lost as error:
                log.error("%s was not told: %s", name, error)

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
