"""A scenario drawn as text: a bar for each rule over time, dark where it is in force and lighter on its ramps."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.faults import Fault
    from simulator.rules.rule import Rule
    from simulator.rules.scenario import Scenario

COLUMNS = 48
SAMPLES = 8  # looked at within a column
SHADES = " ░▒▓█"
ROUNDS = 3  # shown of what comes back for ever
MINUTE_MS = 60_000.0


def draw(scenario: Scenario, columns: int = COLUMNS) -> list[str]:
    """The lines: an axis, then for each rule its bar and what it does to whom."""
    until_ms = horizon_ms(scenario)
    width = max((len(rule.name) for rule in scenario.rules), default=0)
    lines = [f"{rule.name:{width}}  {bar(rule, until_ms, columns)}  {told(rule)}" for rule in scenario.rules]
    return [f"{'':{width}}  {axis(until_ms, columns)}", *lines]


def horizon_ms(scenario: Scenario) -> float:
    """How much of the timeline is shown: all that ends, a few rounds of what comes back, a little of what goes on."""
    ends = [MINUTE_MS]
    for rule in scenario.rules:
        window = rule.window
        if window.every_ms is not None:
            ends.append(window.at_ms + ROUNDS * window.every_ms)
        elif window.for_ms is not None:
            ends.append(window.at_ms + window.for_ms)
        else:
            ends.append(window.at_ms * 1.25)
    longest = max(ends)
    return min(longest, scenario.ttl_s * 1000) if scenario.ttl_s is not None else longest


def axis(until_ms: float, columns: int) -> str:
    """Moments above the bars: a quarter of the time apart."""
    from simulator.rules.timeline import time_text

    marks = [time_text(round(until_ms * part / 4)) if part else "0s" for part in range(5)]
    text = "".join(f"{mark:<{columns // 4}}" for mark in marks[:4])
    return f"{text}{marks[4]}"


def bar(rule: Rule, until_ms: float, columns: int) -> str:
    """How much of a rule is in force over time."""
    return "".join(SHADES[ceil(_strength(rule, until_ms, column, columns) * 4)] for column in range(columns))


def _strength(rule: Rule, until_ms: float, column: int, columns: int) -> float:
    """The share of a column in which the rule is on, times its level there."""
    step_ms = until_ms / columns
    moments = [(column + (sample + 0.5) / SAMPLES) * step_ms for sample in range(SAMPLES)]
    key = (rule.seed or 0, rule.name)
    return sum(rule.window.level(at) for at in moments if rule.window.is_on(at, key)) / SAMPLES


def told(rule: Rule) -> str:
    """What a rule does, how often and to whom, in words."""
    from simulator.rules.selectors import ranges_text

    share = "" if rule.chance is None else f"{rule.chance * 100:.3g} % of "
    words = []
    for name, value in rule.when.given():
        text = ranges_text(value) if name in ("attempt", "call") else _listed(value)
        words.append(f"{name} {text}")
    counts = [f"{name} {value}" for name in ("times", "first", "succeed_first") if (value := getattr(rule, name))]
    extra = [*counts, *(["otherwise"] if rule.otherwise else []), *([f"then {rule.then}"] if rule.then else [])]
    whom = f"{share}{', '.join(words) or 'all'}{''.join(f', {word}' for word in extra)}"
    return f"{whom}: {' + '.join(map(fault_text, rule.faults))}"


def _listed(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def fault_text(fault: Fault) -> str:
    """A fault as a directive writes it."""
    given = [(field.name, getattr(fault, field.name)) for field in fields(fault) if _is_given(fault, field)]
    return " ".join([fault.kind, *(f"{name}={_quoted(value)}" for name, value in given)])


def _is_given(fault: Fault, field: Field[Any]) -> bool:
    return field.default is MISSING or getattr(fault, field.name) != field.default


def _quoted(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text else text
