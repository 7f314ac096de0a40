"""What is decided of a request before its reply is written: the how-manieth it is, what it meets, who lets it in.

One process decides by itself (`Judge`). Of several workers one decides for all (`simulator/workers/keeper.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from simulator.faults import Fault
from simulator.journal import Outcome
from simulator.memory import Known
from simulator.problem import Problem
from simulator.quotas.doors import Doors, arrival
from simulator.quotas.limiter import Claim, Used
from simulator.quotas.load import Pace
from simulator.rules.gates import Gates, Hold, Line
from simulator.rules.plan import Plan
from simulator.rules.selectors import Subject
from simulator.rules.tallies import Attempts


class Undecided(RuntimeError):
    """Nobody can decide what a request meets: a fault of the fleet's own, not one that it plays."""


class Passage(Protocol):
    """A request that came to the door of its provider: let in, or refused with `problem`."""

    @property
    def pace(self) -> Pace: ...
    @property
    def problem(self) -> Problem | None: ...
    @property
    def refused_by(self) -> str: ...
    @property
    def told(self) -> tuple[tuple[str, str], ...] | None: ...
    @property
    def held_ms(self) -> int: ...
    @property
    def funds(self) -> tuple[tuple[str, float], ...]: ...
    def began(self, job: str, until_ms: int, costs: Mapping[str, float], now_ms: float) -> None: ...
    def refuse(self, now_ms: float) -> Problem: ...
    def leave(self, outcome: Outcome | None, now_ms: float) -> None: ...
    def settle(self, use: Used, now_ms: float) -> None: ...


class Fate(NamedTuple):
    """What a request meets. `faults` are those of the rules in force."""

    attempt: int  # requests of this case at this provider, from 1
    call: int  # at the whole fleet
    faults: tuple[Fault, ...] = ()
    passage: Passage | None = None  # None: the provider has no door, or the request does not come to it


class Judge:
    """Decides for one process."""

    def __init__(self, plan: Plan, attempts: Attempts, doors: Doors, gates: Gates) -> None:
        self.plan = plan
        self.attempts = attempts
        self.doors = doors
        self.gates = gates

    def count(self, known: Known) -> tuple[int, int]:
        """Count a request that nothing meets: its attempt and call."""
        return self.attempts.count(known.subject.key, known.provider.name)

    async def fate(self, known: Known, now_ms: float) -> Fate:
        """Count a request and decide it."""
        came = arrival(known) if known.subject.provider in self.doors else None
        return self.decide(known.subject, came, now_ms)

    def decide(self, subject: Subject, came: tuple[Claim, str] | None, now_ms: float) -> Fate:
        """Count a request and decide it; `came` is what it is to the door of its provider."""
        attempt, call = self.attempts.count(subject.key, subject.provider)
        door = self.doors.get(subject.provider)
        passage = None if door is None or came is None else door.enter(*came, now_ms)
        return Fate(attempt, call, self.plan.standing(subject, attempt, call, now_ms), passage)

    def changed(self, provider: str, job: str, until_ms: int, costs: Mapping[str, float], now_ms: float) -> None:
        """A job ends at another moment than was known when it began, or costs another amount."""
        door = self.doors.get(provider)
        if door is not None:
            door.changed(job, until_ms, costs, now_ms)

    async def settled(self) -> None:
        """Return once whoever decides knows of all that was told here."""

    async def hold(self, holds: tuple[Hold, ...], line: Line) -> None:
        """Return once a request passed these gates, or its peer went away."""
        await self.gates.pass_all(holds, line)
