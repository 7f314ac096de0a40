"""The page of the outages that ship (docs/outages.md), written from their files by `python -m simulator.faults`."""

from __future__ import annotations

from simulator.rules import scenario
from simulator.rules.scenario import Scenario
from simulator.rules.timeline import time_text

INTRO = """# Outages

<!-- Written by `python -m simulator.faults`; edit the files in simulator/scenarios/ instead. -->

Scenarios that ship with the fleet: `windtunnel up --scenario NAME`, or several of them, which add up. Each says what it
reproduces, with its sources, and what a good gateway does. `windtunnel scenario show NAME` draws its timeline.
How to write your own: [scenarios](scenarios.md).

| name | lasts | rules | concerns | faults |
|---|---|---|---|---|
"""


def shipped() -> list[Scenario]:
    """The scenarios that ship, by name. Raises Flawed."""
    return [scenario.load(path) for path in sorted(scenario.SHIPPED.glob("*.yaml"))]


def length(found: Scenario) -> str:
    """How long a scenario lasts, as people say it."""
    end_ms = found.end_ms()
    return "until it is taken off" if end_ms is None else time_text(end_ms)


def concerns(found: Scenario) -> str:
    """Whom a scenario concerns: providers, regions and dialects that its rules name."""
    names = [
        glob for rule in found.rules for glob in rule.when.provider or rule.when.region or rule.when.dialect or ("all",)
    ]
    return ", ".join(dict.fromkeys(names))


def kinds(found: Scenario) -> list[str]:
    """The kinds of fault in a scenario, in order."""
    return list(dict.fromkeys(fault.kind for rule in found.rules for fault in rule.faults))


def text() -> str:
    """The page."""
    found = shipped()
    rows = [_row(each) for each in found]
    return "".join([INTRO, *rows, *map(_section, found)])


def _row(found: Scenario) -> str:
    faults = ", ".join(f"[{kind}](faults.md#{kind})" for kind in kinds(found))
    whom = concerns(found).replace("*", "\\*")
    return f"| [{found.name}](#{found.name}) | {length(found)} | {len(found.rules)} | {whom} | {faults} |\n"


def _section(found: Scenario) -> str:
    sources = "\n".join(f"- <{url}>" for url in found.sources)
    return f"\n## {found.name}\n\n{found.about}\n\n**A good gateway:** {found.expect}\n\n{sources}\n"
