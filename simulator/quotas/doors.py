"""The door of a provider that has quotas or a load model: who is let in, how fast they are served, what they are told.

Only requests that a model answers come to the door; those that are refused before (keys, unknown models, bad bodies)
use nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.jobs.desk import BEGIN, effect
from simulator.journal import Outcome
from simulator.memory import Known
from simulator.problem import Exceeded, Problem
from simulator.providers import Provider
from simulator.quotas import headers as quota_headers
from simulator.quotas import sentences as quota_sentences
from simulator.quotas.accounts import Held, JobSlots, Slot
from simulator.quotas.limiter import Claim, Limit, Limiter, Standing, Taken, Used
from simulator.quotas.load import AT_ONCE, UNLOADED, Load, Pace

QUOTA, LOAD = "quota", "load"  # what the journal says of a request that was refused here
JOBS: Final = 20_000  # whose places and prices a door can still change
BALANCE: Final = "balance"

Costs = Mapping[str, float]  # by unit


@dataclass(slots=True, eq=False)
class Visit:
    """One request at a door, from its admission to the end of its reply; or one that was refused."""

    door: Door
    style: str
    limiter: Limiter | None  # the door's when it came: it may get another
    taken: tuple[Taken, ...] = ()
    standings: tuple[Standing, ...] = ()  # of the quotas, with what this request took
    now_ms: float = 0.0
    pace: Pace = AT_ONCE
    problem: Problem | None = None
    refused_by: str = ""

    @property
    def told(self) -> quota_headers.Headers | None:
        """The headers that tell how the quotas truly stand; None where there are none."""
        if self.limiter is None:
            return None
        style = quota_headers.STYLES[self.style]
        told = quota_headers.limits(style, self.standings, self.now_ms)
        exceeded = None if self.problem is None else self.problem.exceeded
        return told if exceeded is None else (*quota_headers.retry(style, exceeded), *told)

    @property
    def held_ms(self) -> int:
        """How long the job that it begins waits for a place."""
        slots = (mark for _, counter, mark, _ in self.taken if isinstance(counter, JobSlots))
        return max((slot.held_ms for slot in slots if isinstance(slot, Slot)), default=0)

    @property
    def funds(self) -> tuple[tuple[str, float], ...]:
        """What is left of the balances that it is charged to: (unit, amount)."""
        return () if self.limiter is None else tuple(self.limiter.funds(self.taken))

    def began(self, job: str, until_ms: int, costs: Costs, now_ms: float) -> None:
        """It began a job, which counts until then and costs so much; "": it began none, and costs so much itself."""
        if self.limiter is None or self.problem is not None:
            return
        if job:
            self.door.began(self, job, until_ms, costs, now_ms)
            return
        self.limiter.spend(self.taken, costs)
        self.limiter.settle([one for one in self.taken if one.limit.of == "jobs"], Used(0, 0, 0), now_ms)

    def refuse(self, now_ms: float) -> Problem:
        """Its balance does not do: it leaves as if it had not come in."""
        self.settle(Used(0, 0, 0), now_ms)
        self.problem, self.refused_by = Problem("billing"), QUOTA
        self.door.refused[BALANCE] += 1
        return self.problem

    def leave(self, outcome: Outcome | None, now_ms: float) -> None:
        """The reply ended, whoever ended it; None: it never began."""
        self.settle(used(outcome), now_ms)

    def settle(self, use: Used, now_ms: float) -> None:
        """It ended, and used this."""
        if self.problem is not None:
            return
        self.door.in_flight -= 1
        if self.limiter is not None:
            self.limiter.settle(self.taken, use, now_ms)


@dataclass(slots=True, eq=False)
class Door:
    """The door of one provider."""

    provider: Provider
    limiter: Limiter | None = None
    load: Load | None = None
    in_flight: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by what the quota counts; "load" for a full queue
    jobs: OrderedDict[str, Visit] = field(default_factory=OrderedDict)  # by the nonces of those that were begun
    moved: Callable[[str, list[Held]], None] = lambda *_: None  # told (provider, jobs) of those that wait anew

    @property
    def unplanned(self) -> bool:
        """Whether whoever comes may have to wait for a job that has no plan yet."""
        return self.limiter is not None and self.limiter.unplanned

    def began(self, visit: Visit, job: str, until_ms: int, costs: Costs, now_ms: float) -> None:
        """A job was begun by that request."""
        self.jobs[job] = visit
        if len(self.jobs) > JOBS:
            self.jobs.popitem(last=False)
        self.changed(job, until_ms, costs, now_ms)

    def changed(self, job: str, until_ms: int, costs: Costs, now_ms: float) -> None:
        """A job ends at another moment than was known, or costs another amount."""
        visit = self.jobs.get(job)
        if visit is not None and visit.limiter is not None and visit.limiter is self.limiter:
            moved = visit.limiter.began(visit.taken, job, until_ms, costs, now_ms)
            if moved:
                self.moved(self.provider.name, moved)

    def enter(self, found: Claim, style: str, now_ms: float) -> Visit:
        """Admit or refuse a request; `style` is how its wire tells of quotas."""
        visit = Visit(self, style, self.limiter, now_ms=now_ms)
        visit.problem = None if self.load is None else self.load.refusal(self.in_flight + 1)
        if visit.problem is not None:
            self.refused[LOAD] += 1
            visit.refused_by = LOAD
        elif self.limiter is not None:
            self._limit(visit, self.limiter, found)
        if visit.problem is None:
            self.in_flight += 1
            visit.pace = UNLOADED if self.load is None else self.load.pace(self.in_flight)
        return visit

    def _limit(self, visit: Visit, limiter: Limiter, found: Claim) -> None:
        taken = limiter.admit(found, visit.now_ms)
        if isinstance(taken, Exceeded):
            visit.problem = Problem("billing") if taken.of == BALANCE else _problem(taken, visit.style)
            visit.refused_by = QUOTA
            self.refused[taken.of] += 1
        else:
            visit.taken = taken
        visit.standings = tuple(limiter.standings(found, visit.now_ms))


def _problem(exceeded: Exceeded, style: str) -> Problem:
    counted = "requests" if exceeded.of in ("requests", "concurrency", "jobs") else "tokens"
    type_ = counted if quota_headers.STYLES[style].typed else None
    return Problem("rate_limit", quota_sentences.sentence(style, exceeded), type=type_, exceeded=exceeded)


def arrival(known: Known) -> tuple[Claim, str] | None:
    """What a request is to quotas, and how its wire tells of them; None when no model answers it."""
    found = claim(known)
    if found is None or known.profile is None:
        return None
    return found, quota_headers.name(known.profile.facts, known.subject.dialect)


def claim(known: Known) -> Claim | None:
    """What a request is to quotas; None when no model answers it."""
    ask, profile = known.ask, known.profile
    if ask is None or profile is None or known.problem is not None:
        return None
    key = key_of(known)
    most = ask.max_tokens if ask.max_tokens is not None else profile.facts.get("default_max_tokens")
    if most is None and ask.operation != "generate":
        most = 0
    return Claim(
        key=key,
        org=known.provider.org(key),
        model=profile.snapshot,
        asked=ask.model,
        operation=ask.operation,
        input_tokens=ask.input_tokens,
        cached_tokens=ask.cached_tokens,
        output_tokens=None if most is None else most * ask.choices,
        jobs=max(1, ask.choices) if effect(known.mount.dialect, ask.operation) == BEGIN else 0,
    )


def key_of(known: Known) -> str:
    """The key that a request bears."""
    return known.provider.borne(known.headers, known.subject.query)


def used(outcome: Outcome | None) -> Used:
    """What a reply truly used: all of it, or as far as it was delivered; nothing when it was refused."""
    usage = None if outcome is None else outcome.usage_true
    if outcome is None or usage is None:
        return Used(0, 0, 0)
    output = usage.output_tokens if outcome.ended == "end" else min(usage.output_tokens, outcome.tokens)
    return Used(usage.input_tokens, usage.cached_tokens, output)


class Doors(dict[str, Door]):
    """The doors of a fleet, by provider; false while there is none, so that the fast way costs one look."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        super().__init__()
        self._providers = providers
        self.moved: Callable[[str, list[Held]], None] = lambda *_: None
        self.reset()

    def reset(self) -> None:
        """As the rows say, with nothing used; what is in flight still counts as load."""
        for name, row in self._providers.items():
            self.set_quotas(name, row.quotas)
        for door in self.values():
            door.refused.clear()

    def set_quotas(self, provider: str, limits: tuple[Limit, ...]) -> None:
        """Put quotas in place of those of a provider, with nothing used. Raises KeyError for an unknown one."""
        row = self._providers[provider]
        if not limits and row.load is None:
            self.pop(provider, None)
            return
        door = self.setdefault(provider, Door(row, load=row.load, moved=lambda *moved: self.moved(*moved)))
        door.jobs.clear()
        door.limiter = Limiter(limits) if limits else None

    def as_json(self, now_ms: float) -> dict[str, Any]:
        """The quotas of each provider that has some, and their use."""
        return {name: door.limiter.as_json(now_ms) for name, door in self.items() if door.limiter is not None}
