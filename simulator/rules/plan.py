"""Which faults meet which request.

Four sources add up, in this order: the provider's own row, the scenario, rules set over the control API, directives in
the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from simulator.clock import Clock, Waiting
from simulator.faults import Fault
from simulator.rules.rule import Rule
from simulator.rules.selectors import Misfit, Subject, like
from simulator.rules.states import Machine, States
from simulator.rules.tallies import Hits


class Active:
    """A rule in force, since when, and how often it has hit."""

    __slots__ = ("hits", "machine", "rule", "seed", "since_ms", "source")

    def __init__(self, rule: Rule, since_ms: float, seed: int, source: str, machine: Machine | None = None) -> None:
        self.rule = rule
        self.since_ms = since_ms
        self.seed = seed
        self.source = source  # "scenario", or the id that the control API gave it
        self.machine = machine
        self.hits = Hits() if rule.counts else None

    def misfit(self, subject: Subject, attempt: int, call: int, now_ms: float) -> Misfit | None:
        """What keeps the rule from a request that is here now; None when it hits, as far as it does not count."""
        state = None if self.machine is None else self.machine.at(now_ms)
        return self.rule.misfit(subject, attempt, call, now_ms - self.since_ms, self.seed, state)


class Plan:
    """All rules in force."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self.seed = seed
        self._scenario: tuple[Active, ...] = ()
        self._scenario_end: Waiting | None = None
        self.machines: dict[str, Machine] = {}  # by the name of their scenario
        self._added: dict[str, Active] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._ids = count(1)
        self._concerned: dict[str, tuple[Active, ...]] = {}

    def set_scenario(
        self,
        rules: tuple[Rule, ...],
        ttl_ms: float | None = None,
        seed: int | None = None,
        on_expiry: Callable[[], None] | None = None,
        states: tuple[States, ...] = (),
    ) -> None:
        """Put a scenario's rules in place of the former one's; its timeline begins now and ends after `ttl_ms`."""
        if self._scenario_end is not None:
            self._scenario_end.cancel()
            self._scenario_end = None
        now_ms = self._clock.now_ms()
        own_seed = self.seed if seed is None else seed
        self.machines = {each.scenario: Machine(each, now_ms) for each in states}
        self._scenario = tuple(
            Active(rule, now_ms, own_seed, "scenario", self.machines.get(rule.scenario)) for rule in rules
        )
        self._concerned.clear()
        if ttl_ms is not None:

            def expire() -> None:
                self.set_scenario(())
                if on_expiry is not None:
                    on_expiry()

            self._scenario_end = self._clock.call_at(now_ms + ttl_ms, expire)

    def add(self, rules: tuple[Rule, ...], rows: Sequence[Mapping[str, Any]], ttl_ms: float | None) -> list[str]:
        """Add rules, made of these rows, that last for `ttl_ms`; returns their ids."""
        now_ms = self._clock.now_ms()
        ids = []
        for rule, row in zip(rules, rows, strict=True):
            rule_id = f"rule-{next(self._ids)}"
            self._added[rule_id] = Active(rule, now_ms, self.seed, rule_id)
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

    def active(self) -> Iterator[Active]:
        """The rules in force, in their order."""
        yield from self._scenario
        yield from self._added.values()

    def concerns(self, provider: str) -> bool:
        """Whether any rule in force may hit this provider: while none does, replies come ready-made."""
        return bool(self._concerning(provider))

    def _concerning(self, provider: str) -> tuple[Active, ...]:
        """The rules in force that may hit this provider."""
        found = self._concerned.get(provider)
        if found is None:
            active = [(one, one.rule.when.provider) for one in self.active()]
            found = tuple(one for one, globs in active if not globs or like(globs, provider))
            self._concerned[provider] = found
        return found

    def fate(
        self,
        subject: Subject,
        attempt: int,
        call: int,
        own: tuple[Fault, ...],
        asked: tuple[Rule, ...],
        arrived_ms: float | None = None,
    ) -> tuple[Fault, ...]:
        """The faults this request meets, in order; `own` are the provider's, `asked` the directives'."""
        now_ms = self._clock.now_ms() if arrived_ms is None else arrived_ms
        standing = self.standing(subject, attempt, call, now_ms)
        return (*own, *standing, *self.directed(subject, attempt, call, asked))

    def directed(self, subject: Subject, attempt: int, call: int, asked: tuple[Rule, ...]) -> tuple[Fault, ...]:
        """The faults that a request's own directives bring."""
        hit = [rule for rule in asked if rule.hits(subject, attempt, call, 0.0, self.seed)]
        return tuple([fault for rule in hit for fault in rule.faults])

    def standing(self, subject: Subject, attempt: int, call: int, now_ms: float) -> tuple[Fault, ...]:
        """The faults that the rules in force bring; counts the hit where rules count, and moves states."""
        faults: list[Fault] = []
        hit = self._hit(subject, attempt, call, now_ms)
        for one in hit:
            faults += one.rule.faults_at(now_ms - one.since_ms)
        for one in hit:  # only now: a request sees every scenario in the state in which it came
            if one.rule.then is not None and one.machine is not None:
                one.machine.go(one.rule.then, now_ms)
        return tuple(faults)

    def _hit(self, subject: Subject, attempt: int, call: int, now_ms: float) -> list[Active]:
        """The rules in force that hit a request; counts it where rules count."""
        hit: list[Active] = []
        for one in self._concerning(subject.provider):
            if one.rule.otherwise and any(each.rule.scenario == one.rule.scenario for each in hit):
                continue
            if one.misfit(subject, attempt, call, now_ms) is not None:
                continue
            if one.hits is None or one.hits.decide(one.rule, subject, attempt):
                hit.append(one)
        return hit
