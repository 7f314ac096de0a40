"""Which faults meet which request.

Four sources add up, in this order: the provider's own row, the scenario, rules set over the control API, directives in
the prompt. Whether a rule hits is a function of the request and of the fleet's time; chance is drawn by the key (seed,
rule, provider, case or digest, attempt), so the same request meets the same fate at any concurrency and in any order.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from itertools import count
from typing import Any

from simulator import draws
from simulator.clock import Clock, Waiting
from simulator.directives import FaultSpec
from simulator.faults import FAULTS, Fault, Flaw, Flawed

Ranges = tuple[tuple[int, int], ...]
TALLIES = 100_000  # cases and digests whose attempts are remembered


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a request before its fate: the part rules look at, and the journal shows."""

    provider: str
    region: str
    dialect: str
    operation: str | None  # None: no operation of the wire
    model: str | None
    stream: bool
    method: str
    path: str  # below the provider's prefix
    query: str
    case: str | None
    key: str  # the case, else the digest of the request: what attempts are counted by


@dataclass(frozen=True, slots=True)
class When:
    """Whom a rule concerns. None and () concern everyone; strings are globs."""

    provider: str | None = None
    region: str | None = None
    dialect: str | None = None
    model: str | None = None
    path: str | None = None
    case: str | None = None
    stream: bool | None = None
    attempt: Ranges = ()
    call: Ranges = ()

    def matches(self, subject: Subject, attempt: int, call: int) -> bool:
        """Whether the request is meant."""
        return (
            _like(self.provider, subject.provider)
            and _like(self.region, subject.region)
            and _like(self.dialect, subject.dialect)
            and _like(self.model, subject.model)
            and _like(self.path, subject.path)
            and _like(self.case, subject.case)
            and (self.stream is None or self.stream == subject.stream)
            and _within(self.attempt, attempt)
            and _within(self.call, call)
        )


def _like(glob: str | None, value: str | None) -> bool:
    return glob is None or (value is not None and fnmatchcase(value, glob))


def _within(ranges: Ranges, number: int) -> bool:
    return not ranges or any(low <= number <= high for low, high in ranges)


@dataclass(frozen=True, slots=True)
class Rule:
    """`when … fault …`, within its window on the timeline. Times count from when the rule was set."""

    name: str
    faults: tuple[Fault, ...]
    when: When = field(default_factory=When)
    at_ms: float = 0.0
    for_ms: float | None = None  # None: from `at` on
    every_ms: float | None = None  # the window comes back
    chance: float | None = None

    def is_on(self, since_ms: float) -> bool:
        """Whether the window is open, so long after the rule was set."""
        inside_ms = since_ms - self.at_ms
        if inside_ms < 0:
            return False
        if self.every_ms is not None:
            inside_ms %= self.every_ms
        return self.for_ms is None or inside_ms < self.for_ms

    def hits(self, subject: Subject, attempt: int, call: int, since_ms: float, seed: int) -> bool:
        """Whether this rule's faults meet the request."""
        if not self.is_on(since_ms) or not self.when.matches(subject, attempt, call):
            return False
        if self.chance is None:
            return True
        return draws.fraction(seed, self.name, subject.provider, subject.key, attempt) < self.chance


def from_directive(spec: FaultSpec, name: str) -> Rule:
    """The rule that a directive asks for. Raises Flawed."""
    options = dict(spec.options)
    if spec.kind in ("error_in_200", "error_event") and "kind" in options:
        options["error"] = options.pop("kind")
    when = When(
        provider=spec.provider,
        region=spec.region,
        stream=spec.stream,
        attempt=(spec.attempt,) if spec.attempt else (),
        call=(spec.call,) if spec.call else (),
    )
    return Rule(name, (FAULTS.build(spec.kind, options),), when, chance=spec.chance)


def read_rule(row: Mapping[str, Any], name: str, where: str) -> Rule:
    """A rule of a file or of the control API, its shape already checked by the schema. Raises Flawed."""
    raw_faults = row["fault"] if isinstance(row["fault"], list) else [row["fault"]]
    flaws: list[Flaw] = []
    faults: list[Fault] = []
    for index, raw in enumerate(raw_faults):
        place = f"{where}.fault[{index}]" if isinstance(row["fault"], list) else f"{where}.fault"
        try:
            faults.append(FAULTS.build(raw.get("kind"), {k: v for k, v in raw.items() if k != "kind"}, place))
        except Flawed as error:
            flaws += error.flaws
    times: dict[str, float | None] = {}
    for word in ("at", "for", "every"):
        try:
            times[word] = read_time_ms(row[word]) if word in row else None
        except ValueError as error:
            flaws.append(Flaw(f"{where}.{word}", repr(row[word]), str(error)))
    if times.get("every") is not None and not flaws:
        flaws += _check_every(times, where)
    when = dict(row.get("when") or {})
    for word in ("attempt", "call"):
        if word in when:
            try:
                when[word] = read_ranges(when[word])
            except ValueError as error:
                flaws.append(Flaw(f"{where}.when.{word}", repr(when[word]), str(error)))
    if flaws:
        raise Flawed(flaws)
    return Rule(
        row.get("name") or name,
        tuple(faults),
        When(**when),
        times["at"] or 0.0,
        times["for"],
        times["every"],
        row.get("chance"),
    )


def _check_every(times: Mapping[str, float | None], where: str) -> list[Flaw]:
    every_ms, for_ms = times["every"] or 0.0, times["for"]
    if for_ms is None:
        return [Flaw(where, "every without for", "`for`, how long each window lasts")]
    if not for_ms <= every_ms or every_ms <= 0:
        return [Flaw(f"{where}.every", f"{every_ms:g} ms", f"at least `for`, {for_ms:g} ms, and more than 0")]
    return []


UNITS_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
TIME_DUE = 'seconds, or a text such as "250ms", "10s", "2m" or "1h"'


def read_time_ms(value: object) -> float:
    """Milliseconds of a number of seconds or a text with a unit. Raises ValueError with what was due."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value * 1000.0
    if isinstance(value, str):
        number = value.strip().rstrip("mshMSH ")
        unit = value.strip()[len(number) :].strip()
        try:
            ms = float(number) * UNITS_MS[unit]
        except (ValueError, KeyError):
            raise ValueError(TIME_DUE) from None
        if 0 <= ms < 1e12:
            return ms
    raise ValueError(TIME_DUE)


RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?")
RANGES_DUE = 'a number from 1, a range "N-M", or a list of these'


def read_ranges(value: object) -> Ranges:
    """Inclusive ranges of a number, "N-M", or a list of these. Raises ValueError with what was due."""
    ranges: list[tuple[int, int]] = []
    for part in value if isinstance(value, list) else [value]:
        found = None if isinstance(part, bool) else RANGE.fullmatch(str(part))
        if found is None:
            raise ValueError(RANGES_DUE)
        ranges.append((int(found[1]), int(found[2] or found[1])))
        if not 1 <= ranges[-1][0] <= ranges[-1][1]:
            raise ValueError(RANGES_DUE)
    if not ranges:
        raise ValueError(RANGES_DUE)
    return tuple(ranges)


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

    def count(self, key: str, provider: str) -> tuple[int, int]:
        """Count one request; returns its attempt (at this provider) and call (at the fleet), both from 1."""
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
            if len(self._tallies) > self._limit:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(key)
        tally.calls += 1
        attempt = tally.providers[provider] = tally.providers.get(provider, 0) + 1
        return attempt, tally.calls

    def clear(self) -> None:
        """Every next request is the first again."""
        self._tallies.clear()

    def __len__(self) -> int:
        return len(self._tallies)


@dataclass(frozen=True, slots=True)
class Active:
    """A rule in force, and since when."""

    rule: Rule
    since_ms: float
    seed: int


class Plan:
    """All rules in force."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._scenario: tuple[Active, ...] = ()
        self._scenario_end: Waiting | None = None
        self._added: dict[str, Active] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._ids = count(1)
        self._concerned: dict[str, bool] = {}

    def set_scenario(
        self,
        rules: tuple[Rule, ...],
        ttl_ms: float | None = None,
        seed: int | None = None,
        on_expiry: Callable[[], None] | None = None,
    ) -> None:
        """Put a scenario's rules in place of the former one's; its timeline begins now and ends after `ttl_ms`."""
        if self._scenario_end is not None:
            self._scenario_end.cancel()
            self._scenario_end = None
        now_ms = self._clock.now_ms()
        own_seed = self._seed if seed is None else seed
        self._scenario = tuple(Active(rule, now_ms, own_seed) for rule in rules)
        self._concerned.clear()
        if ttl_ms is not None:

            def expire() -> None:
                self.set_scenario(())
                if on_expiry is not None:
                    on_expiry()

            self._scenario_end = self._clock.call_at(now_ms + ttl_ms, expire)

    def add(self, rules: tuple[Rule, ...], rows: list[Mapping[str, Any]], ttl_ms: float | None) -> list[str]:
        """Add rules, made of these rows, that last for `ttl_ms`; returns their ids."""
        now_ms = self._clock.now_ms()
        ids = []
        for rule, row in zip(rules, rows, strict=True):
            rule_id = f"rule-{next(self._ids)}"
            self._added[rule_id] = Active(rule, now_ms, self._seed)
            self._rows[rule_id] = row
            ids.append(rule_id)
            if ttl_ms is not None:
                self._clock.call_at(now_ms + ttl_ms, partial(self._expire, rule_id))
        self._concerned.clear()
        return ids

    def _expire(self, rule_id: str) -> None:
        self.remove(rule_id)

    def added(self) -> list[dict[str, Any]]:
        """The added rules in force, as they were written, with their ids."""
        return [{"id": rule_id, **self._rows[rule_id]} for rule_id in self._added]

    def remove(self, rule_id: str | None = None) -> bool:
        """Remove one added rule, or all of them. False when there was none of that id."""
        self._concerned.clear()
        if rule_id is None:
            self._added.clear()
            self._rows.clear()
            return True
        self._rows.pop(rule_id, None)
        return self._added.pop(rule_id, None) is not None

    def concerns(self, provider: str) -> bool:
        """Whether any rule in force may hit this provider: while none does, replies come ready-made."""
        found = self._concerned.get(provider)
        if found is None:
            active = (*self._scenario, *self._added.values())
            found = any(_like(one.rule.when.provider, provider) for one in active)
            self._concerned[provider] = found
        return found

    def fate(
        self, subject: Subject, attempt: int, call: int, own: tuple[Fault, ...], asked: tuple[Rule, ...]
    ) -> tuple[Fault, ...]:
        """The faults this request meets, in order; `own` are the provider's, `asked` the directives'."""
        now_ms = self._clock.now_ms()
        faults = list(own)
        for one in (*self._scenario, *self._added.values()):
            if one.rule.hits(subject, attempt, call, now_ms - one.since_ms, one.seed):
                faults += one.rule.faults
        for rule in asked:
            if rule.hits(subject, attempt, call, 0.0, self._seed):
                faults += rule.faults
        return tuple(faults)
