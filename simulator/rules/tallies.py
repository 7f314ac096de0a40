"""Counting requests: attempts by case, and how often the rules that count have hit."""

from __future__ import annotations

from collections import OrderedDict

from simulator.rules.rule import Rule
from simulator.rules.selectors import Misfit, Subject

TALLIES = 100_000  # cases and digests that are remembered


class Tally:
    """How often one case, or one digest, was seen."""

    __slots__ = ("calls", "providers")

    def __init__(self) -> None:
        self.calls = 0
        self.providers: dict[str, int] = {}


class Attempts:
    """Counts requests by case or digest; the ones not seen for longest are forgotten."""

    def __init__(self, limit: int = TALLIES) -> None:
        self._limit = limit
        self._tallies: OrderedDict[str, Tally] = OrderedDict()

    def count(self, key: str, provider: str, times: int = 1) -> tuple[int, int]:
        """Count a request; returns its attempt (at this provider) and call (at the fleet), both from 1."""
        tally = self._tally(key)
        tally.calls += times
        attempt = tally.providers[provider] = tally.providers.get(provider, 0) + times
        return attempt, tally.calls

    def reach(self, key: str, provider: str, attempt: int, call: int) -> None:
        """Count on from these, which were counted elsewhere."""
        tally = self._tally(key)
        tally.calls = max(tally.calls, call)
        tally.providers[provider] = max(tally.providers.get(provider, 0), attempt)

    def _tally(self, key: str) -> Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
            if len(self._tallies) > self._limit:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(key)
        return tally

    def clear(self) -> None:
        """Every next request is the first again."""
        self._tallies.clear()

    def __len__(self) -> int:
        return len(self._tallies)


class Hits:
    """How often one rule has hit, in all and by case, and what it decided of whom: for whoever asks later."""

    __slots__ = ("_by_key", "_decided", "_hits", "_limit", "_seen")

    def __init__(self, limit: int = TALLIES) -> None:
        self._limit = limit
        self._seen = 0
        self._hits = 0
        self._by_key: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._decided: OrderedDict[tuple[str, str, int], Misfit | None] = OrderedDict()

    def decide(self, rule: Rule, subject: Subject, attempt: int) -> bool:
        """Whether the rule hits a request that fits in all else; counts it."""
        self._seen += 1
        key = (subject.provider, subject.key)
        misfit = self._misfit(rule, key)
        if misfit is None:
            self._hits += 1
            self._by_key[key] = self._by_key.pop(key, 0) + 1
        self._decided[(*key, attempt)] = misfit
        for table in (self._by_key, self._decided):
            if len(table) > self._limit:
                table.popitem(last=False)
        return misfit is None

    def _misfit(self, rule: Rule, key: tuple[str, str]) -> Misfit | None:
        if rule.succeed_first is not None and self._seen <= rule.succeed_first:
            return Misfit("succeed_first", rule.succeed_first, self._seen)
        if rule.times is not None and self._by_key.get(key, 0) >= rule.times:
            return Misfit("times", rule.times, self._by_key[key])
        if rule.first is not None and self._hits >= rule.first:
            return Misfit("first", rule.first, self._hits)
        return None

    def decided(self, subject: Subject, attempt: int) -> Misfit | None:
        """What kept the rule from that request; None when it hit it, or nobody asked it."""
        return self._decided.get((subject.provider, subject.key, attempt))
