"""Rules: `when … fault …`, within a window on the timeline. Read from a file, the control API or a directive.

Whether a rule hits is a function of the request, the time since the rule was set, and the state of its scenario; chance
is drawn by the key (seed, rule, provider, case or digest, attempt), so the same request meets the same fate at any
concurrency and in any order. Only `first`, `succeed_first` and `then` look at the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from simulator import draws
from simulator.faults import FAULTS, Fault, Flaw, Flawed
from simulator.rules import ramps
from simulator.rules.directives import FaultSpec
from simulator.rules.selectors import GLOBS, Misfit, Subject, When, read_globs, read_ranges
from simulator.rules.states import States, no_state
from simulator.rules.timeline import Flap, Ramp, Window, read_time_ms, time_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom it concerns, when, how often, and what it does."""

    name: str
    faults: tuple[Fault, ...]
    when: When = field(default_factory=When)
    window: Window = field(default_factory=Window)
    chance: float | None = None
    ramped: tuple[str, ...] = ()  # what a ramp grows: "chance", or options of the faults
    times: int | None = None  # at most so many requests of one case, or digest, at one provider
    first: int | None = None  # at most so many requests in all, as they come
    succeed_first: int | None = None  # so many requests pass before, as they come
    otherwise: bool = False  # only requests that no earlier rule of the scenario hit
    then: str | None = None  # the state that a hit leads to
    scenario: str = ""  # whose rule it is; none: the control API's
    seed: int | None = None  # of its draws, in place of the fleet's

    @property
    def counts(self) -> bool:
        """Whether it hits only so many requests."""
        return self.times is not None or self.first is not None or self.succeed_first is not None

    def misfit(
        self, subject: Subject, attempt: int, call: int, since_ms: float, seed: int, state: str | None = None
    ) -> Misfit | None:
        """The first selector that keeps the rule from the request; None when it hits, as far as it does not count."""
        found = self.when.misfit(subject, attempt, call, state)
        if found is not None:
            return found
        seed = seed if self.seed is None else self.seed
        if not self.window.is_on(since_ms, (seed, self.name)):
            return Misfit("window", self.window, since_ms)
        chance = self.chance_at(since_ms)
        if chance is None:
            return None
        drawn = draws.fraction(seed, self.name, subject.provider, subject.key, attempt)
        return None if drawn < chance else Misfit("chance", chance, drawn)

    def hits(
        self, subject: Subject, attempt: int, call: int, since_ms: float, seed: int, state: str | None = None
    ) -> bool:
        """Whether this rule's faults meet the request, as far as the rule does not count."""
        return self.misfit(subject, attempt, call, since_ms, seed, state) is None

    def chance_at(self, since_ms: float) -> float | None:
        """The share of requests it hits now; None: all."""
        if ramps.CHANCE not in self.ramped:
            return self.chance
        return (1.0 if self.chance is None else self.chance) * self.window.level(since_ms)

    def faults_at(self, since_ms: float) -> tuple[Fault, ...]:
        """The faults as strong as they are now."""
        if not self.ramped or self.ramped == (ramps.CHANCE,):
            return self.faults
        level = self.window.level(since_ms)
        return self.faults if level >= 1 else ramps.scaled(self.faults, self.ramped, level)


def from_directive(spec: FaultSpec, name: str) -> Rule:
    """The rule that a directive asks for. Raises Flawed."""
    options = dict(spec.options)
    if "kind" in options and FAULTS.kind(spec.kind) in ("error_in_200", "error_event"):
        options["error"] = options.pop("kind")
    when = When(
        provider=(spec.provider,) if spec.provider else (),
        region=(spec.region,) if spec.region else (),
        stream=spec.stream,
        attempt=(spec.attempt,) if spec.attempt else (),
        call=(spec.call,) if spec.call else (),
    )
    return Rule(name, (FAULTS.build(spec.kind, options),), when, chance=spec.chance)


def read_rules(rows: Sequence[Mapping[str, Any]], scenario: str = "", states: States | None = None) -> tuple[Rule, ...]:
    """The rules of rows that the schema has passed; a rule without a name is called by its place. Raises Flawed."""
    rules: list[Rule] = []
    flaws: list[Flaw] = []
    for index, row in enumerate(rows):
        try:
            rule = read_rule(row, f"rule {index}", f"rules[{index}]", () if states is None else states.names)
            rules.append(replace(rule, scenario=scenario))
        except Flawed as error:
            flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    return tuple(rules)


def read_rule(row: Mapping[str, Any], name: str, where: str, states: tuple[str, ...] = ()) -> Rule:
    """A rule of a file or of the control API, its shape already checked by the schema. Raises Flawed."""
    flaws: list[Flaw] = []
    faults = _faults(row["fault"], f"{where}.fault", flaws)
    window = _window(row, where, flaws)
    when = read_when(row.get("when") or {}, f"{where}.when", flaws)
    flaws += [no_state(name, states, f"{where}.when.state") for name in when.state if name not in states]
    then = row["then"]["state"] if "then" in row else None
    if then is not None and then not in states:
        flaws.append(no_state(then, states, f"{where}.then.state"))
    ramped = _ramped(row, faults, where, flaws)
    if flaws:
        raise Flawed(flaws)
    return Rule(
        name=row.get("name") or name,
        faults=faults,
        when=when,
        window=window,
        chance=row.get("chance"),
        ramped=ramped,
        times=row.get("times"),
        first=row.get("first"),
        succeed_first=row.get("succeed_first"),
        otherwise=row.get("otherwise", False),
        then=then,
    )


def read_when(row: Mapping[str, Any], where: str, flaws: list[Flaw]) -> When:
    """Selectors, their shape already checked."""
    when = dict(row)
    for word in (*GLOBS, "state"):
        if word in when:
            when[word] = read_globs(when[word])
    for word in ("attempt", "call"):
        if word in when:
            when[word] = _told(read_ranges, when[word], f"{where}.{word}", flaws) or ()
    return When(**when)


def _told(read: Callable[[object], T], value: object, where: str, flaws: list[Flaw]) -> T | None:
    """What `read` makes of a value; None, and one more flaw, when it cannot."""
    try:
        return read(value)
    except ValueError as error:
        flaws.append(Flaw(where, repr(value), str(error)))
        return None


def _faults(data: Any, where: str, flaws: list[Flaw]) -> tuple[Fault, ...]:
    found: list[Fault] = []
    for index, raw in enumerate(data if isinstance(data, list) else [data]):
        place = f"{where}[{index}]" if isinstance(data, list) else where
        try:
            found.append(FAULTS.build(raw.get("kind"), {k: v for k, v in raw.items() if k != "kind"}, place))
        except Flawed as error:
            flaws += error.flaws
    return tuple(found)


def _window(row: Mapping[str, Any], where: str, flaws: list[Flaw]) -> Window:
    """When a rule is in force; what is wrong with it joins the flaws."""
    before = len(flaws)
    times = {word: _told(read_time_ms, row[word], f"{where}.{word}", flaws) for word in TIMES if word in row}
    ramp = _ramp(row["ramp"], f"{where}.ramp", flaws) if "ramp" in row else None
    flap = _flap(row["flap"], f"{where}.flap", flaws) if "flap" in row else None
    for_ms, every_ms = times.get("for"), times.get("every")
    if len(flaws) == before:
        flaws += _checked(for_ms, every_ms, ramp, where)
    return Window(times.get("at") or 0.0, for_ms, every_ms, ramp, flap)


TIMES = ("at", "for", "every")


def _checked(for_ms: float | None, every_ms: float | None, ramp: Ramp | None, where: str) -> list[Flaw]:
    """What does not go together."""
    found = []
    if every_ms is not None and for_ms is None:
        found.append(Flaw(where, "every without for", "`for`, how long each window lasts"))
    elif every_ms is not None and for_ms is not None and (not for_ms <= every_ms or every_ms <= 0):
        found.append(Flaw(f"{where}.every", f"{every_ms:g} ms", f"at least `for`, {for_ms:g} ms, and more than 0"))
    if ramp is not None and ramp.down_ms and for_ms is None:
        found.append(Flaw(f"{where}.ramp.down", "down without for", "`for`, how long the window lasts"))
    elif ramp is not None and for_ms is not None and ramp.up_ms + ramp.down_ms > for_ms:
        edges = time_text(ramp.up_ms + ramp.down_ms)
        found.append(Flaw(f"{where}.ramp", edges, f"edges that fit into `for`, {time_text(for_ms)}"))
    return found


def _ramp(data: Any, where: str, flaws: list[Flaw]) -> Ramp:
    if not isinstance(data, Mapping):
        return Ramp(_told(read_time_ms, data, where, flaws) or 0.0)
    edges = [_told(read_time_ms, data.get(word, 0), f"{where}.{word}", flaws) or 0.0 for word in ("up", "down")]
    if not any(edges):
        flaws.append(Flaw(where, "no edge", "`up`, `down` or both, longer than 0"))
    return Ramp(*edges)


def _flap(data: Mapping[str, Any], where: str, flaws: list[Flaw]) -> Flap:
    before = len(flaws)
    times = [
        _told(read_time_ms, data.get(word, 0), f"{where}.{word}", flaws) or 0.0 for word in ("on", "off", "jitter")
    ]
    on_ms, off_ms, jitter_ms = times
    if len(flaws) == before:
        if on_ms < 1 or off_ms < 1:
            flaws.append(Flaw(where, f"on {time_text(on_ms)}, off {time_text(off_ms)}", "at least 1 ms each"))
        elif jitter_ms > min(on_ms, off_ms):
            least = time_text(min(on_ms, off_ms))
            flaws.append(Flaw(f"{where}.jitter", time_text(jitter_ms), f"at most the shorter of on and off, {least}"))
    return Flap(on_ms, off_ms, jitter_ms)


def _ramped(row: Mapping[str, Any], faults: tuple[Fault, ...], where: str, flaws: list[Flaw]) -> tuple[str, ...]:
    """What the ramp grows: what it says, else the chance if the rule has one, else its delays, else the chance."""
    if "ramp" not in row:
        return ()
    said = row["ramp"].get("of") if isinstance(row["ramp"], Mapping) else None
    if said is None:
        return (ramps.CHANCE,) if "chance" in row else ramps.delays(faults) or (ramps.CHANCE,)
    names = tuple(said) if isinstance(said, list) else (said,)
    known = [ramps.CHANCE, *ramps.scalable(faults)]
    due = f"a number that the faults are given: {', '.join(known)}"
    flaws += [Flaw(f"{where}.ramp.of", repr(name), due) for name in names if name not in known]
    return names
