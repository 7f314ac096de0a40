"""The requirements as data: one row per rule of the API reference or of a decision, one file per area.

A row has a stable id, a level, the rule in our own words, its source, the feature it belongs to, the hooks that a check
of it needs, and the gateway variants that must make such a check fail. What HTTP cannot show keeps its row,
with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

LEVELS: Final = ("MUST", "SHOULD")
NEEDS: Final = ("fleet_control", "provisioning", "usage_log", "ledger", "test_clock", "restart", "upstreams_view")
_ID = re.compile(r"[A-Z]{3}-\d{3}")
_SOURCE = re.compile(r"(api-reference|decision|clients)#[a-z0-9/-]+")
_MUTANT = re.compile(r"[a-z][a-z0-9_]*")
_KEYS = frozenset({"id", "level", "text", "source", "feature", "needs", "broken_by", "excluded"})


class RequirementError(ValueError):
    """A requirements file is wrong. The message names file, row, what came and what was due."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule."""

    id: str  # "BIL-004"
    level: str  # one of LEVELS
    text: str
    source: str  # "api-reference#section" or "decision#name"
    area: str  # the file's name: "billing"
    feature: str  # what a target declares to be judged by it
    needs: tuple[str, ...] = ()  # of NEEDS
    broken_by: tuple[str, ...] = ()  # gateway variants that a check of it must catch
    excluded: str = ""  # why no check can decide it over HTTP


def _fail_unless(holds: bool, where: str, message: str) -> None:
    if not holds:
        raise RequirementError(f"{where}: {message}")


def read_row(row: Mapping[str, Any], area: str) -> Requirement:
    """One row of a file. Raises RequirementError."""
    where = f"{area}.yaml, {row.get('id', 'a row without id')}"
    _fail_unless(not row.keys() - _KEYS, where, f"unknown keys {sorted(row.keys() - _KEYS)}; due {sorted(_KEYS)}")
    requirement = Requirement(
        id=str(row.get("id", "")),
        level=str(row.get("level", "")),
        text=str(row.get("text", "")),
        source=str(row.get("source", "")),
        area=area,
        feature=str(row.get("feature", "")),
        needs=tuple(row.get("needs", ())),
        broken_by=tuple(row.get("broken_by", ())),
        excluded=str(row.get("excluded", "")),
    )
    _fail_unless(bool(_ID.fullmatch(requirement.id)), where, "id must look like BIL-004")
    _fail_unless(requirement.level in LEVELS, where, f"level {requirement.level!r}; due one of {', '.join(LEVELS)}")
    _fail_unless(requirement.text.endswith("."), where, "text must be a sentence")
    _fail_unless(bool(_SOURCE.fullmatch(requirement.source)), where, f"source {requirement.source!r}")
    _fail_unless(bool(requirement.feature), where, "feature is missing")
    _fail_unless(set(requirement.needs) <= set(NEEDS), where, f"needs {requirement.needs}; due of {', '.join(NEEDS)}")
    for name in requirement.broken_by:
        _fail_unless(bool(_MUTANT.fullmatch(name)), where, f"broken_by {name!r} is no snake_case name")
    _fail_unless(not (requirement.excluded and requirement.broken_by), where, "excluded, yet broken_by names variants")
    return requirement


@cache
def load(folder: Path = Path(__file__).parent) -> Mapping[str, Requirement]:
    """Every requirement by id, in the order of areas and ids. Raises RequirementError."""
    found: dict[str, Requirement] = {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(folder.glob("*.yaml")):
        for row in yaml.load(path.read_bytes(), Loader=loader):
            requirement = read_row(row, path.stem)
            _fail_unless(requirement.id not in found, f"{path.name}, {requirement.id}", "the id is taken")
            found[requirement.id] = requirement
    return found
