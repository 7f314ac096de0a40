"""The providers that the fleet plays: rows of `fleet.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import models, scenario, shapes, signatures
from simulator.dialects.base import Dialect, Profile
from simulator.faults import FAULTS, Fault, Flaw, Flawed

FILE = Path(__file__).parent / "fleet.yaml"
RESERVED = frozenset({"__fleet"})


@dataclass(frozen=True, slots=True)
class Provider:
    """One row: an endpoint that speaks a dialect."""

    name: str
    dialect: Dialect
    region: str
    keys: frozenset[str]
    key: str  # the first of them, which the ready line shows
    facts: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()
    about: str = ""

    def profile(self, model: str) -> Profile | None:
        """The facts about one of its models; None when it has no such model."""
        return models.profile(self.name, self.dialect.name, model, self.facts)

    def snapshots(self) -> dict[str, str]:
        """Its models: id -> dated name."""
        return models.listed(self.dialect.name, self.facts)

    def operation(self, method: str, path: str) -> tuple[str | None, bool]:
        """(operation, whether the path exists under some method)."""
        operations = self.dialect.operations
        found = operations.get((method, path))
        if found is not None:
            return found, True
        if any(path == known for _, known in operations):
            return None, True
        for (known_method, known), operation in operations.items():
            head, mark, _ = known.partition("{id}")
            if mark and path.startswith(head) and len(path) > len(head) and "/" not in path[len(head) :]:
                return (operation, True) if known_method == method else (None, True)
        return None, False


def default_key(name: str, dialect: str) -> str:
    """The key a row accepts when it names none."""
    return f"sk-ant-fleet-{name}" if dialect.startswith("anthropic") else f"sk-fleet-{name}"


def read(data: object, dialects: Mapping[str, Dialect], seed: int) -> dict[str, Provider]:
    """The providers in parsed data, by name. Raises Flawed."""
    flaws = shapes.flaws("fleet", data)
    if flaws or not isinstance(data, Mapping):
        raise Flawed(flaws)
    providers: dict[str, Provider] = {}
    for index, row in enumerate(data["providers"]):
        where = f"providers[{index}]"
        if row["name"] in providers or row["name"] in RESERVED:
            flaws.append(Flaw(f"{where}.name", repr(row["name"]), "a name that no other row has"))
        if row["dialect"] not in dialects:
            flaws.append(Flaw(f"{where}.dialect", repr(row["dialect"]), f"one of {', '.join(dialects)}"))
            continue
        try:
            providers[row["name"]] = _provider(row, dialects[row["dialect"]], seed, where)
        except Flawed as error:
            flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    return providers


def _provider(row: Mapping[str, Any], dialect: Dialect, seed: int, where: str) -> Provider:
    keys = row.get("keys") or [default_key(row["name"], dialect.name)]
    faults: list[Fault] = []
    for index, raw in enumerate(row.get("faults", [])):
        options = {name: value for name, value in raw.items() if name != "kind"}
        faults.append(FAULTS.build(raw["kind"], options, f"{where}.faults[{index}]"))
    facts = {"signature_secret": signatures.secret(seed), **row.get("facts", {})}
    about = row.get("about", "")
    return Provider(row["name"], dialect, row["region"], frozenset(keys), keys[0], facts, tuple(faults), about)


def load(path: str | Path, dialects: Mapping[str, Dialect], seed: int) -> dict[str, Provider]:
    """The providers of a fleet file. Raises Flawed."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise Flawed([Flaw(str(path), error.strerror or "unreadable", "a fleet file")]) from None
    return read(scenario.parse_yaml(text), dialects, seed)
