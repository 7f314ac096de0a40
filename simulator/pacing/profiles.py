"""How fast common models are, as data (`latency_profiles.yaml`), and which profile fits a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from simulator.pacing import latency
from simulator.pacing.timing import Timing

FILE = Path(__file__).parent / "profiles.yaml"
AUTO = "auto"  # the profile that fits the model asked for


@dataclass(frozen=True, slots=True)
class Profile:
    """One class of models."""

    name: str
    models: tuple[str, ...]  # globs
    timing: Timing
    source: str  # of its numbers, or that they are assumed


def read(row: Mapping[str, Any]) -> Profile:
    """A profile from its YAML. Raises KeyError or ValueError."""
    timing = Timing(
        ttft_ms=latency.read(row["ttft_ms"]),
        prefill_ms_per_1k=float(row["prefill_ms_per_1k"]),
        tokens_per_s=float(row["tokens_per_s"]),
        jitter=float(row["jitter"]),
    )
    return Profile(row["name"], tuple(row["models"]), timing, row["source"])


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile, by name, in the order in which they are tried."""
    rows = yaml.safe_load(FILE.read_bytes())["profiles"]
    return {row["name"]: read(row) for row in rows}


@lru_cache(maxsize=4096)
def fitting(model: str) -> Profile:
    """The first profile one of whose globs fits a model; the last one fits all."""
    return next(one for one in profiles().values() if any(fnmatchcase(model, glob) for glob in one.models))


def timing(name: str, model: str) -> Timing:
    """What a profile says, or the one that fits the model."""
    return (fitting(model) if name == AUTO else profiles()[name]).timing


def names() -> tuple[str, ...]:
    """What an option may say."""
    return (AUTO, *profiles())
