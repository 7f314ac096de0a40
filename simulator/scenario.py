"""Scenario files: a named list of rules on a timeline. Load one, or say precisely what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulator import shapes
from simulator.faults import Flaw, Flawed
from simulator.plan import Rule, read_rule

SHIPPED = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, and the data it was read from."""

    name: str
    about: str
    rules: tuple[Rule, ...]
    seed: int | None = None
    ttl_s: float | None = None
    data: Mapping[str, Any] | None = None


def parse(text: str | bytes) -> Scenario:
    """The scenario in YAML or JSON text. Raises Flawed with everything that is wrong."""
    return read(parse_yaml(text))


def parse_yaml(text: str | bytes) -> object:
    """The data in YAML or JSON text. Raises Flawed."""
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise Flawed([Flaw(where, error.problem or "no YAML", "YAML or JSON")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Flawed([Flaw("the file", str(error).splitlines()[0], "YAML or JSON in UTF-8")]) from None


def read(data: object) -> Scenario:
    """The scenario in parsed data. Raises Flawed."""
    flaws = shapes.flaws("scenario", data)
    if flaws or not isinstance(data, Mapping):
        raise Flawed(flaws)
    rules = read_rules(data["rules"])
    return Scenario(data["name"], data.get("about", ""), rules, data.get("seed"), data.get("ttl_s"), data)


def read_rules(rows: list[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The rules of rows that the schema has passed; a rule without a name is called by its place. Raises Flawed."""
    rules: list[Rule] = []
    flaws: list[Flaw] = []
    for index, row in enumerate(rows):
        try:
            rules.append(read_rule(row, f"rule {index}", f"rules[{index}]"))
        except Flawed as error:
            flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    return tuple(rules)


def find(name: str) -> Path:
    """The file of that path, or the shipped scenario of that name."""
    shipped = SHIPPED / f"{name}.yaml"
    return shipped if shipped.is_file() and not Path(name).is_file() else Path(name)


def load(path: str | Path) -> Scenario:
    """The scenario in a file, or the shipped one of that name. Raises Flawed."""
    file = find(str(path))
    try:
        text = file.read_bytes()
    except OSError as error:
        names = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.yaml")))
        raise Flawed([Flaw(str(path), error.strerror or "unreadable", f"a file, or one of {names}")]) from None
    return parse(text)


def check(path: str | Path) -> list[str]:
    """Everything wrong with a scenario file, a line each; empty when it is sound."""
    try:
        load(path)
    except Flawed as error:
        return [str(flaw) for flaw in error.flaws]
    return []
