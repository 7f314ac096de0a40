"""Scenario files: a named list of rules on a timeline. Load one, or say precisely what is wrong with it.

A scenario may include others, later and for other providers; several scenarios together are one that includes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import yaml

from simulator import shapes, yaml_bounds
from simulator.faults import Flaw, Flawed
from simulator.rules.rule import Rule, read_rules, read_when
from simulator.rules.selectors import When
from simulator.rules.states import States, read_states
from simulator.rules.timeline import read_time_ms

SHIPPED = Path(__file__).parents[1] / "scenarios"
BOOLEAN = "tag:yaml.org,2002:bool"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which, as in its version 1.2, only true and false are booleans: `on` and `off` are words."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in found if tag != BOOLEAN]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with all that it includes, and the data it was read from."""

    name: str
    about: str
    rules: tuple[Rule, ...]
    seed: int | None = None
    ttl_s: float | None = None
    data: Mapping[str, Any] | None = None
    states: tuple[States, ...] = ()
    expect: str = ""  # what a good gateway does
    sources: tuple[str, ...] = ()  # URLs of what it reproduces

    def end_ms(self) -> float | None:
        """When nothing is in force any more; None: never."""
        ends = [rule.window.end_ms() for rule in self.rules]
        if self.ttl_s is not None:
            ends = [self.ttl_s * 1000 if end is None else min(end, self.ttl_s * 1000) for end in ends]
        known = [end for end in ends if end is not None]
        return max(known, default=0.0) if len(known) == len(ends) else None


def parse(text: str | bytes, folder: Path | None = None) -> Scenario:
    """The scenario in YAML or JSON text; a list is several that add up. Raises Flawed with everything that is wrong.

    With a `folder` it may include files, named from there; without one only what ships.
    """
    data = parse_yaml(text)
    if isinstance(data, list) and data:
        return together([_child(each, folder, (), f"[{index}]") for index, each in enumerate(data)])
    return read(data, folder)


def parse_yaml(text: str | bytes) -> object:
    """The data in YAML or JSON text. Raises Flawed."""
    try:
        if (came := yaml_bounds.excess(text)) is not None:
            raise Flawed([Flaw("the file", came, f"at most {yaml_bounds.DEPTH_MAX} levels, and no endless aliases")])
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise Flawed([Flaw(where, error.problem or "no YAML", "YAML or JSON")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Flawed([Flaw("the file", str(error).splitlines()[0], "YAML or JSON in UTF-8")]) from None


def read(data: object, folder: Path | None = None, trail: tuple[str, ...] = ()) -> Scenario:
    """The scenario in parsed data; `trail` names those that include it. Raises Flawed."""
    flaws = shapes.flaws("scenario", data)
    if flaws or not isinstance(data, Mapping):
        raise Flawed(flaws)
    name = data["name"]
    states = read_states(data, name, flaws)
    rules: tuple[Rule, ...] = ()
    parts: list[Part] = []
    try:
        rules = read_rules(data.get("rules", []), name, states)
    except Flawed as error:
        flaws += error.flaws
    for index, row in enumerate(data.get("include", [])):
        try:
            parts.append(_part(row, folder, trail, f"include[{index}]"))
        except Flawed as error:
            flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    own = Scenario(
        name=name,
        about=" ".join(data.get("about", "").split()),
        rules=rules,
        seed=data.get("seed"),
        ttl_s=data.get("ttl_s"),
        data=data,
        states=() if states is None else (states,),
        expect=" ".join(data.get("expect", "").split()),
        sources=tuple(data.get("sources", ())),
    )
    return _joined(own, parts)


@dataclass(frozen=True, slots=True)
class Part:
    """A scenario that another one includes, from when on, and for whom."""

    scenario: Scenario
    at_ms: float = 0.0
    when: When | None = None


def _part(row: Any, folder: Path | None, trail: tuple[str, ...], where: str) -> Part:
    """One entry of `include`, its shape already checked. Raises Flawed."""
    if isinstance(row, str):
        return Part(_child(row, folder, trail, where))
    flaws: list[Flaw] = []
    when = read_when(row.get("when") or {}, f"{where}.when", flaws)
    flaws += [Flaw(f"{where}.when.state", "a state", "a selector that fits any scenario") for _ in when.state[:1]]
    at_ms = 0.0
    try:
        at_ms = read_time_ms(row.get("at", 0))
    except ValueError as error:
        flaws.append(Flaw(f"{where}.at", repr(row["at"]), str(error)))
    try:
        child = _child(row["scenario"], folder, trail, f"{where}.scenario")
    except Flawed as error:
        flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    return Part(child, at_ms, when)


def _child(said: Any, folder: Path | None, trail: tuple[str, ...], where: str) -> Scenario:
    """The scenario that is named or written there. Raises Flawed."""
    file = _included(said, folder, where) if isinstance(said, str) else None
    if file is not None and str(file) in trail:
        names = " → ".join(Path(each).stem for each in (*trail[trail.index(str(file)) :], str(file)))
        raise Flawed([Flaw(where, repr(said), f"a scenario that does not include itself ({names})")])
    try:
        return read(said, folder, trail) if file is None else _load(file, str(said), trail)
    except Flawed as error:
        raise Flawed([flaw._replace(where=f"{where}: {flaw.where}") for flaw in error.flaws]) from None


def _included(said: str, folder: Path | None, where: str) -> Path:
    """The file beside the including one, else the shipped scenario of that name."""
    shipped = SHIPPED / f"{said}.yaml"
    if folder is not None and (folder / said).is_file():
        return (folder / said).resolve()
    if shipped.is_file() and Path(said).name == said:
        return shipped
    due = _likely(said) if folder is None else f"a file in {folder}, or {_likely(said)}"
    raise Flawed([Flaw(where, repr(said), due)])


def _joined(own: Scenario, parts: Sequence[Part]) -> Scenario:
    """A scenario with the rules and states of those it includes."""
    rules, states = list(own.rules), list(own.states)
    labels: dict[str, int] = {}
    for part in parts:
        child = part.scenario
        labels[child.name] = labels.get(child.name, 0) + 1
        label = child.name if labels[child.name] == 1 else f"{child.name} {labels[child.name]}"
        home = f"{own.name}/{label}"
        for rule in child.rules:
            ttl_ms = None if child.ttl_s is None else child.ttl_s * 1000
            rules.append(
                replace(
                    rule,
                    name=f"{label}/{rule.name}",
                    when=rule.when if part.when is None else rule.when.but(part.when),
                    window=rule.window.moved(part.at_ms, ttl_ms),
                    scenario=home + rule.scenario.removeprefix(child.name),
                    seed=child.seed if rule.seed is None else rule.seed,
                )
            )
        for each in child.states:
            name = home + each.scenario.removeprefix(child.name)
            states.append(replace(each, scenario=name, at_ms=each.at_ms + part.at_ms))
    return replace(own, rules=tuple(rules), states=tuple(states))


def together(scenarios: Sequence[Scenario]) -> Scenario:
    """Several scenarios as one that begins them all at once."""
    if len(scenarios) == 1:
        return scenarios[0]
    ttls = [each.ttl_s for each in scenarios]
    known = [ttl for ttl in ttls if ttl is not None]
    name = " + ".join(each.name for each in scenarios)
    data = {"name": name, "include": [{"scenario": dict(each.data or {})} for each in scenarios]}
    about = " ".join(each.about for each in scenarios if each.about)
    sources = tuple(dict.fromkeys(url for each in scenarios for url in each.sources))
    ttl_s = max(known) if len(known) == len(ttls) else None
    own = Scenario(name, about, (), ttl_s=ttl_s, data=data, sources=sources)
    return _joined(own, [Part(each) for each in scenarios])


def find(name: str) -> Path:
    """The file of that path, or the shipped scenario of that name."""
    shipped = SHIPPED / f"{name}.yaml"
    return shipped if shipped.is_file() and not Path(name).is_file() else Path(name)


def load(path: str | Path) -> Scenario:
    """The scenario in a file, or the shipped one of that name. Raises Flawed, each flaw with the file."""
    try:
        return _load(find(str(path)), str(path), ())
    except Flawed as error:
        raise error.within(str(path)) from None


def _load(file: Path, said: str, trail: tuple[str, ...]) -> Scenario:
    try:
        text = file.read_bytes()
    except OSError as error:
        due = f"a file, or {_likely(said)}"
        raise Flawed([Flaw(said, error.strerror or "unreadable", due)]) from None
    return read(parse_yaml(text), file.resolve().parent, (*trail, str(file.resolve())))


def _likely(said: str) -> str:
    """The scenarios that ship and could have been meant."""
    close = get_close_matches(Path(said).stem, [each.stem for each in SHIPPED.glob("*.yaml")], 3)
    more = f", perhaps {' or '.join(close)}" if close else ""
    return f"the name of one that ships{more} (docs/outages.md)"


def check(path: str | Path) -> list[str]:
    """Everything wrong with a scenario file, a line each; empty when it is sound."""
    try:
        load(path)
    except Flawed as error:
        return [str(flaw) for flaw in error.flaws]
    return []
