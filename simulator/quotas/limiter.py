"""Quotas of a provider: so many requests, tokens, requests or jobs in flight, counted by key, organisation and model.

    {limit: 60, per: 1m, of: requests, by: [key, model], kind: sliding}
    {limit: 5, of: jobs, by: [key], over: queue}
    {limit: 20, of: balance, unit: credits, by: [key]}

A request is admitted by all quotas that concern it, or by none: one that is refused spends nothing anywhere. What is
taken at admission is, for tokens, the input and the most that may come out; it is corrected to what was truly used once
the reply ended, unless the row says `count: admission`. A reply that broke off used what was delivered of it. A job
takes its place, and its price, until it ends; what it costs is known once it has a plan (`Limiter.began`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulator.problem import Exceeded
from simulator.quotas.accounts import Balance, Charge, Held, JobSlots, Slot
from simulator.quotas.counters import Counter, Fixed, InFlight, Mark, Sliding, TokenBucket
from simulator.rules.selectors import Globs, like

DEFAULT_ORG = "org-fleet"  # whose keys are those that the provider's row gives to no organisation
ESTIMATE = 256  # output tokens reserved where neither the request nor the model names the most
NO_TOKENS = ("requests", "concurrency", "jobs", "balance")
IDLE_COUNTERS = 4096  # above this, counters of callers that have used nothing are dropped


@dataclass(frozen=True, slots=True)
class Limit:
    """One quota."""

    limit: float  # whole, but for a balance
    of: str = "requests"
    per_ms: int | None = 60_000  # None: it does not come back with time
    kind: str = "sliding"
    by: tuple[str, ...] = ("key", "model")
    burst: int | None = None  # what a token bucket holds; None: `limit`
    models: Globs = ()
    operations: Globs = ()  # none named: everything that asks a model, but for counting tokens
    count: str = "actual"
    cached: str = "counted"  # or "free": input read from the provider's cache does not count
    estimate: int = ESTIMATE
    over: str = "refuse"  # or "queue": jobs for which there is no room wait for it
    slots: str = "job"  # or "result": a job takes a place for each of its results
    unit: str = ""  # of a balance, as the provider charges: "credits", "usd"

    @property
    def most(self) -> float:
        """What one request may take at the most."""
        return self.limit if self.burst is None else self.burst

    def concerns(self, claim: Claim) -> bool:
        """Whether a request counts."""
        if self.models and not like(self.models, claim.model) and not like(self.models, claim.asked):
            return False
        if self.of == "jobs" and not claim.jobs:
            return False
        return like(self.operations, claim.operation) if self.operations else claim.operation != "count_tokens"

    def caller(self, claim: Claim) -> tuple[str, ...]:
        """Who is counted together."""
        return tuple([getattr(claim, name) for name in self.by])

    def charge(self, claim: Claim) -> int:
        """What a request takes when it is admitted."""
        if self.of in ("requests", "concurrency"):
            return 1
        if self.of in ("jobs", "balance"):
            return claim.jobs if self.slots == "result" else min(1, claim.jobs)
        output = claim.output_tokens
        return self.tokens(claim.input_tokens, claim.cached_tokens, self.estimate if output is None else output)

    def tokens(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """What counts of these."""
        counted = input_tokens - cached_tokens if self.cached == "free" else input_tokens
        return (counted if self.of != "output_tokens" else 0) + (output_tokens if self.of != "input_tokens" else 0)

    def counter(self) -> Counter:
        """A new one, of which nothing is used."""
        limit = int(self.limit)
        if self.of == "balance":
            return Balance(self.limit)
        if self.of == "jobs":
            return JobSlots(limit, queues=self.over == "queue")
        if self.per_ms is None:
            return InFlight(limit)
        if self.kind == "token_bucket":
            return TokenBucket(limit, self.per_ms, int(self.most))
        return (Fixed if self.kind == "fixed" else Sliding)(limit, self.per_ms)


class Claim(NamedTuple):
    """What a request is, as far as quotas are concerned."""

    key: str
    org: str
    model: str  # the dated name that answers: an alias counts with it
    asked: str  # the name as asked
    operation: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int | None  # the most that may come out; None: nobody said
    jobs: int = 0  # results of the job that it is to begin; 0: it begins none


class Used(NamedTuple):
    """What a request turned out to use."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


class Standing(NamedTuple):
    """How a quota stands for one caller."""

    limit: Limit
    remaining: float  # below 0 once replies used more than was taken for them; whole, but for a balance
    reset_ms: int


class Taken(NamedTuple):
    """What one request took of one quota."""

    limit: Limit
    counter: Counter
    mark: Mark
    amount: int


class Limiter:
    """The quotas of one provider and how they stand."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limits = tuple(limits)
        self._counters: dict[tuple[int, tuple[str, ...]], Counter] = {}
        self._now_ms = 0

    def admit(self, claim: Claim, now_ms: float) -> tuple[Taken, ...] | Exceeded:
        """What the request takes of each quota; or, having taken nothing, the one that it must wait for longest."""
        now = self._moment(now_ms)
        asked = [(limit, self._counter(at, claim), limit.charge(claim)) for at, limit in self._concerned(claim)]
        refusals: list[Exceeded] = []
        for limit, counter, amount in asked:
            wait_ms = counter.wait_ms(now, amount)
            if wait_ms != 0:
                refusals.append(_exceeded(limit, counter.room(now), amount, wait_ms, claim))
        if refusals:
            return max(refusals, key=lambda one: float("inf") if one.wait_ms is None else one.wait_ms)
        return tuple([Taken(one, counter, counter.take(now, amount), amount) for one, counter, amount in asked])

    def settle(self, taken: Sequence[Taken], used: Used, now_ms: float) -> None:
        """The reply ended: give back what was in flight, and correct tokens to what was used."""
        now = self._moment(now_ms)
        for limit, counter, mark, amount in taken:
            if limit.of in ("concurrency", "jobs"):
                counter.correct(mark, now, -amount)
            elif limit.of not in NO_TOKENS and limit.count == "actual":
                counter.correct(mark, now, limit.tokens(*used) - amount)

    def began(
        self, taken: Sequence[Taken], job: str, until_ms: int, costs: Mapping[str, float], now_ms: float
    ) -> list[Held]:
        """A job takes its places until then, and costs so much by unit; or it was changed. Returns who waits anew."""
        now = self._moment(now_ms)
        self._charge(taken, costs)
        moved: list[Held] = []
        for _, counter, mark, _ in taken:
            if isinstance(counter, JobSlots) and isinstance(mark, Slot):
                moved += counter.ends(mark, job, until_ms, now)
        return moved

    def spend(self, taken: Sequence[Taken], costs: Mapping[str, float]) -> None:
        """A request without a job costs so much."""
        self._charge(taken, costs)

    def _charge(self, taken: Sequence[Taken], costs: Mapping[str, float]) -> None:
        for limit, counter, mark, _ in taken:
            if isinstance(counter, Balance) and isinstance(mark, Charge):
                counter.charge(mark, costs.get(limit.unit, 0.0))

    def funds(self, taken: Sequence[Taken]) -> Iterator[tuple[str, float]]:
        """What is left of each balance that a request is charged to, but for what it was charged itself."""
        for limit, counter, mark, _ in taken:
            if isinstance(counter, Balance) and isinstance(mark, Charge):
                yield limit.unit, counter.room(self._now_ms) + mark.amount

    @property
    def unplanned(self) -> bool:
        """Whether somebody may have to wait for a job whose end is not known yet."""
        return any(isinstance(one, JobSlots) and one.queues and one.unplanned for one in self._counters.values())

    def standings(self, claim: Claim, now_ms: float) -> list[Standing]:
        """How the quotas that concern a request stand."""
        now = self._moment(now_ms)
        found = [(limit, self._counter(at, claim)) for at, limit in self._concerned(claim)]
        return [Standing(limit, counter.room(now), counter.reset_ms(now)) for limit, counter in found]

    def as_json(self, now_ms: float) -> list[dict[str, Any]]:
        """Every quota, and how it stands for each caller seen."""
        now = self._moment(now_ms)
        rows: list[dict[str, Any]] = [{**describe(limit), "usage": []} for limit in self.limits]
        for (at, caller), counter in self._counters.items():
            who = dict(zip(self.limits[at].by, caller, strict=True))
            room = counter.room(now)
            usage = {"used": self.limits[at].most - room, "remaining": room, "reset_ms": counter.reset_ms(now)}
            rows[at]["usage"].append({**who, **usage})
        return rows

    def _moment(self, now_ms: float) -> int:
        """Whole milliseconds that never step back."""
        self._now_ms = max(self._now_ms, int(now_ms))
        return self._now_ms

    def _concerned(self, claim: Claim) -> list[tuple[int, Limit]]:
        return [(at, limit) for at, limit in enumerate(self.limits) if limit.concerns(claim)]

    def _counter(self, at: int, claim: Claim) -> Counter:
        place = (at, self.limits[at].caller(claim))
        found = self._counters.get(place)
        if found is None:
            if len(self._counters) >= IDLE_COUNTERS:
                self._drop_idle()
            found = self._counters[place] = self.limits[at].counter()
        return found

    def _drop_idle(self) -> None:
        now = self._now_ms
        idle = [place for place, one in self._counters.items() if one.room(now) == self.limits[place[0]].most]
        for place in idle:
            del self._counters[place]


def _exceeded(limit: Limit, room: float, requested: int, wait_ms: int | None, claim: Claim) -> Exceeded:
    return Exceeded(
        of=limit.of,
        limit=int(limit.limit),
        used=max(0, int(limit.limit - room)),
        requested=requested,
        per_ms=limit.per_ms,
        wait_ms=wait_ms,
        fits=requested <= limit.most,
        model=claim.asked,
        org=claim.org,
        by=limit.by,
    )


def describe(limit: Limit) -> dict[str, Any]:
    """A quota as the control API tells it."""
    row: dict[str, Any] = {"of": limit.of, "limit": limit.limit, "by": list(limit.by)}
    if limit.per_ms is not None:
        row |= {"per_ms": limit.per_ms, "kind": limit.kind}
    if limit.burst is not None:
        row["burst"] = limit.burst
    row |= {name: list(globs) for name in ("models", "operations") if (globs := getattr(limit, name))}
    if limit.of == "jobs":
        row |= {"over": limit.over, "slots": limit.slots}
    elif limit.of == "balance":
        row["unit"] = limit.unit
    elif limit.of not in NO_TOKENS:
        row |= {"count": limit.count, "cached": limit.cached, "estimate": limit.estimate}
    return row
