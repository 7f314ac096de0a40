"""One worker decides for all: it keeps what the fleet's requests change (counts, hits, states, quotas, load, gates).

So several workers decide exactly as one process does. A request that nothing can meet is counted where it arrives, and
the counts are handed in soon after, and always before a change of rules takes effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
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
from simulator.quotas.doors import QUOTA, arrival, used
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
    held_ms: int
    funds: tuple[tuple[str, float], ...]


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


class KeeperJudge(Judge):
    """What the keeper does for its own requests: it decides, once it knows what it must."""

    def __init__(self, judge: Judge, planned: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(judge.plan, judge.attempts, judge.doors, judge.gates)
        self._planned = planned

    async def fate(self, known: Known, now_ms: float) -> Fate:
        """Count a request and decide it."""
        await self._planned(known.subject.provider)
        return await super().fate(known, now_ms)


class Keeper:
    """The worker that decides: what it answers the others."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._judge = fleet.judge
        self._tickets = count(1)
        self._passages: dict[int, Passage] = {}
        self._planned = asyncio.Event()  # set whenever a job was told of
        self._held: dict[str, asyncio.Event] = {}

    def handlers(self) -> dict[str, Handler]:
        """By name."""
        return {
            "fate": self.fate,
            "began": self.began,
            "refused": self.refused,
            "changed": self.changed,
            "left": self.left,
            "hold": self.hold,
            "gone": self.gone,
            "counted": self.counted,
        }

    async def fate(self, argument: Any) -> Any:
        """Count a request and decide it."""
        asked = msgspec.convert(argument, Asked)
        await self.planned(asked.subject.provider)
        fate = self._judge.decide(asked.subject, asked.arrival, asked.now_ms)
        told = None if fate.passage is None else self._told(fate.passage)
        return msgspec.to_builtins(Decided(fate.attempt, fate.call, [plain(one) for one in fate.faults], told))

    def _told(self, passage: Passage) -> Told:
        ticket = next(self._tickets)
        if passage.problem is None:
            self._passages[ticket] = passage
        told = (passage.problem, passage.refused_by, passage.told, passage.held_ms, passage.funds)
        return Told(ticket, passage.pace, *told)

    async def planned(self, provider: str) -> None:
        """Return once the ends of all jobs are known for which somebody may have to wait."""
        door = self._fleet.doors.get(provider)
        while door is not None and door.unplanned:
            self._planned.clear()
            await self._planned.wait()

    async def began(self, argument: Any) -> None:
        """A request that was let in began a job, or none: until when that counts, and what it costs."""
        ticket, job, until_ms, costs, now_ms = argument
        passage = self._passages.get(ticket)
        if passage is not None:
            passage.began(job, until_ms, costs, now_ms)
        self._planned.set()

    async def refused(self, argument: Any) -> None:
        """A request that was let in is refused after all: its balance does not do."""
        ticket, now_ms = argument
        passage = self._passages.pop(ticket, None)
        if passage is not None:
            passage.refuse(now_ms)
        self._planned.set()

    async def changed(self, argument: Any) -> None:
        """A job ends at another moment than was known, or costs another amount."""
        self._judge.changed(*argument)

    async def left(self, argument: Any) -> None:
        """A reply ended: what it used."""
        ticket, use, now_ms = argument
        passage = self._passages.pop(ticket, None)
        if passage is not None:
            passage.settle(Used(*use), now_ms)
        self._planned.set()

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


@dataclass(slots=True)
class FarPassage:
    """A request that the keeper let in, or refused."""

    ticket: int
    pace: Pace
    problem: Problem | None
    refused_by: str
    told: tuple[tuple[str, str], ...] | None
    held_ms: int
    funds: tuple[tuple[str, float], ...]  # when it was let in
    tell: Callable[[str, Any], None]

    def began(self, job: str, until_ms: int, costs: Mapping[str, float], now_ms: float) -> None:
        """It began a job, or none."""
        if self.problem is None:
            self.tell("began", (self.ticket, job, until_ms, dict(costs), now_ms))

    def refuse(self, now_ms: float) -> Problem:
        """Its balance does not do."""
        self.tell("refused", (self.ticket, now_ms))
        self.problem, self.refused_by = Problem("billing"), QUOTA
        return self.problem

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
        self._untold: deque[tuple[str, Any]] = deque()
        self._telling: asyncio.Task[None] | None = None

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

    def changed(self, provider: str, job: str, until_ms: int, costs: Mapping[str, float], now_ms: float) -> None:
        """A job ends at another moment than was known when it began, or costs another amount."""
        self._tell("changed", (provider, job, until_ms, dict(costs), now_ms))

    async def settled(self) -> None:
        """Return once the keeper has been told all there was to tell."""
        while self._telling is not None and not self._telling.done():
            await self._telling

    def _tell(self, name: str, argument: Any) -> None:
        """Tell the keeper something soon: in order, and nobody waits for it."""
        self._untold.append((name, argument))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        while self._untold:
            name, argument = self._untold.popleft()
            try:
                await self._peers.tell(KEEPER, name, argument)
            except Lost as error:
                log.error("%s was not told: %s", name, error)
