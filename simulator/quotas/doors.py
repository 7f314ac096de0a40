"""The door of a provider that has quotas or a load model: who is let in, how fast they are served, what they are told.

Only requests that a model answers come to the door; those that are refused before (keys, unknown models, bad bodies)
use nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.journal import Outcome
from simulator.memory import Known
from simulator.problem import Exceeded, Problem
from simulator.providers import Provider
from simulator.quotas import headers as quota_headers
from simulator.quotas import sentences as quota_sentences
from simulator.quotas.limiter import Claim, Limit, Limiter, Standing, Taken, Used
from simulator.quotas.load import AT_ONCE, UNLOADED, Load, Pace

QUOTA, LOAD = "quota", "load"  # what the journal says of a request that was refused here


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
            visit.problem = _problem(taken, visit.style)
            visit.refused_by = QUOTA
            self.refused[taken.of] += 1
        else:
            visit.taken = taken
        visit.standings = tuple(limiter.standings(found, visit.now_ms))


def _problem(exceeded: Exceeded, style: str) -> Problem:
    counted = "requests" if exceeded.of in ("requests", "concurrency") else "tokens"
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
    )


def key_of(known: Known) -> str:
    """The one of the provider's keys that a request bears, in whatever header or parameter; "" when it needs none."""
    keys = known.provider.keys
    for _, value in known.headers:
        word = value.rpartition(b" ")[2].decode("latin-1")
        if word in keys:
            return word
    for pair in known.subject.query.split("&"):
        word = pair.partition("=")[2]
        if word in keys:
            return word
    return ""


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
        door = self.setdefault(provider, Door(row, load=row.load))
        door.limiter = Limiter(limits) if limits else None

    def as_json(self, now_ms: float) -> dict[str, Any]:
        """The quotas of each provider that has some, and their use."""
        return {name: door.limiter.as_json(now_ms) for name, door in self.items() if door.limiter is not None}
