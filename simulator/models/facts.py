"""Which models a provider knows, and the facts about them (`models/*.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from simulator.dialects.base import Profile

FILE = Path(__file__).parent / "openai.yaml"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file."""

    dialects: frozenset[str]
    vendor: str
    snapshots: Mapping[str, str]  # name -> dated name, for every name written out
    match: tuple[str, ...]  # globs of further names
    facts: Mapping[str, Any]

    def snapshot(self, model: str) -> str | None:
        """The dated name that answers for `model`, or None when the row does not know it."""
        if model in self.snapshots:
            return self.snapshots[model]
        known = model in self.snapshots.values() or any(fnmatchcase(model, glob) for glob in self.match)
        return model if known else None


def read_row(data: Mapping[str, Any]) -> Row:
    """A row from its YAML. Raises KeyError when `dialects` or `vendor` is missing, ValueError for a key that is a bool.

    YAML reads a bare `on` as true: such a fact would be there and never be found.
    """
    _check_keys(data, str(data.get("vendor")))
    named = {model: model for model in data.get("ids", [])} | data.get("snapshots", {})
    return Row(
        dialects=frozenset(data["dialects"]),
        vendor=data["vendor"],
        snapshots=named,
        match=tuple(data.get("match", [])),
        facts=data.get("facts", {}),
    )


def _check_keys(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, bool):
                raise ValueError(f"{where}: YAML reads a key as {key!r}; quote it")
            _check_keys(inner, f"{where}.{key}")


@cache
def rows() -> tuple[Row, ...]:
    """Every row of `openai.yaml` and of its sisters `models_*.yaml`, in order."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = (FILE, *sorted(path for path in FILE.parent.glob("*.yaml") if path != FILE))
    return tuple(read_row(data) for file in files for data in yaml.load(file.read_bytes(), Loader=loader)["rows"])


@lru_cache(maxsize=4096)
def _found(dialect: str, model: str, vendors: tuple[str, ...] | None) -> tuple[Row, str] | None:
    for row in rows():
        if dialect in row.dialects and (vendors is None or row.vendor in vendors):
            snapshot = row.snapshot(model)
            if snapshot is not None:
                return row, snapshot
    return None


def _vendors(provider_facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    vendors = provider_facts.get("vendors")
    return None if vendors is None else tuple(vendors)


def profile(provider: str, dialect: str, model: str, provider_facts: Mapping[str, Any]) -> Profile | None:
    """What is known of `model` at a provider, or None when the provider does not serve it.

    The provider's own facts win over the model's. Its fact `vendors`, a list, limits whose models it serves.
    """
    found = _found(dialect, model, _vendors(provider_facts))
    if found is None:
        return None
    row, snapshot = found
    return Profile(provider, model, snapshot, {**row.facts, **provider_facts})


def listed(dialect: str, provider_facts: Mapping[str, Any]) -> dict[str, str]:
    """The models that a provider lists: id -> dated name."""
    vendors = _vendors(provider_facts)
    return {
        model: snapshot
        for row in rows()
        if dialect in row.dialects and (vendors is None or row.vendor in vendors)
        for model, snapshot in row.snapshots.items()
    }
