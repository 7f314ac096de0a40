"""What is sound in a scenario and still cannot be meant: selectors that no provider of the fleet fits, and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulator.providers import Provider
from simulator.rules.rule import Rule
from simulator.rules.scenario import Scenario
from simulator.rules.selectors import Globs, like

Rows = Mapping[str, Provider]


def advice(found: Scenario, rows: Rows) -> list[str]:
    """A line for everything that looks like a mistake."""
    lines = [f'rule "{rule.name}": {line}' for rule in found.rules for line in _of(rule, rows)]
    names = [rule.name for rule in found.rules]
    lines += [f'rule "{name}": two rules have this name, so they draw alike' for name in _twice(names)]
    if found.ttl_s is not None:
        late = [rule.name for rule in found.rules if rule.window.at_ms >= found.ttl_s * 1000]
        lines += [f'rule "{name}": begins when the scenario is over, after {found.ttl_s:g} s' for name in late]
    return lines


def _twice(names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _of(rule: Rule, rows: Rows) -> Iterator[str]:
    """What is odd about one rule: whom it names that is not there."""
    when = rule.when
    known = {
        "provider": set(rows),
        "region": {row.region for row in rows.values()},
        "dialect": {mount.dialect.name for row in rows.values() for mount in row.mounts},
        "operation": {
            name for row in rows.values() for mount in row.mounts for name in mount.dialect.operations.values()
        },
    }
    odd = False
    for selector, names in known.items():
        globs: Globs = getattr(when, selector)
        fitting = [glob for glob in globs if any(like((glob,), name) for name in names)]
        strange = [glob for glob in globs if glob not in fitting and (not fitting or not set("*?[") & set(glob))]
        odd = odd or bool(globs and not fitting)
        if strange:
            yield f"no {selector} of the fleet is called {' or '.join(strange)}; there are {', '.join(sorted(names))}"
    meant = [row for row in rows.values() if _concerns(rule, row)]
    if not odd and not meant:
        yield "no provider of the fleet fits all of its selectors"
    if meant and when.model and not any(_has_model(row, when.model) for row in meant):
        yield f"no provider that it concerns has a model {' or '.join(when.model)}"


def _concerns(rule: Rule, row: Provider) -> bool:
    when = rule.when
    return (
        (not when.provider or like(when.provider, row.name))
        and (not when.region or like(when.region, row.region))
        and (not when.dialect or any(like(when.dialect, mount.dialect.name) for mount in row.mounts))
    )


def _has_model(row: Provider, globs: Globs) -> bool:
    for mount in row.mounts:
        listed = mount.snapshots()
        if any(like(globs, name) for pair in listed.items() for name in pair):
            return True
        if any(mount.profile(row.name, glob) is not None for glob in globs):
            return True
    return False
