"""What vendors' models of clips take, as data (`clips.yaml`), and an order fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.chain import Failure, Verdict
from gateway.media.order import Order
from gateway.media.steps import Failed

FILE: Final = Path(__file__).parent / "clips.yaml"


@dataclass(frozen=True, slots=True)
class Clip:
    """What one model takes; see the head of clips.yaml."""

    text: str = "{}"
    image: str = "{}"
    path: str = ""
    lengths: Sequence[int] = ()  # rising; (): whatever comes is passed on
    lengths_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    resolutions: Mapping[str, str] = field(default_factory=dict)
    resolution: str | None = None
    sizes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ratio: str = "16:9"
    fields: Mapping[str, str] = field(default_factory=dict)
    length_as: str = "number"
    last_frame: bool = False
    passed: Sequence[str] = ()

    def model(self, order: Order) -> str:
        """The vendor's id for this order: with a first frame it may be another one."""
        return (self.image if order.images else self.text).format(order.model)

    def tier(self, order: Order) -> str | None:
        """The resolution in the vendor's word."""
        if order.resolution is None:
            return self.resolution
        return self.resolutions.get(order.resolution.casefold(), order.resolution)

    def seconds(self, order: Order) -> int | None:
        """The length to ask for: the shortest that is long enough, else the longest. None: the vendor's own choice."""
        due = self.lengths_at.get(self.tier(order) or "", self.lengths)
        if order.seconds is None or not due:
            return order.seconds
        return next((length for length in due if length >= order.seconds), due[-1])

    def size(self, order: Order) -> str:
        """The size in the vendor's form. Raises Failed where it has none for this ratio."""
        ratio = order.aspect_ratio or self.ratio
        sizes = self.sizes.get(self.tier(order) or "", {})
        if ratio not in sizes:
            due = ", ".join(sizes) or "another resolution"
            raise Failed(Failure(Verdict.STOP, f"`aspect_ratio` {ratio!r} is not made here; {due} was due", 400))
        return sizes[ratio]

    def extras(self, order: Order) -> dict[str, Any]:
        """What else the caller sent and this model knows."""
        return {name: order.extras[name] for name in self.passed if name in order.extras}


@cache
def of(dialect: str, model: str) -> Clip:
    """The first row of a dialect that names this model; nothing known where none does."""
    for row in _file().get(dialect, ()):
        if any(fnmatchcase(model, glob) for glob in row["models"]):
            facts = {name: value for name, value in row.items() if name != "models"}
            facts["lengths"] = lengths(facts.get("lengths", ()))
            facts["lengths_at"] = {tier: lengths(due) for tier, due in facts.get("lengths_at", {}).items()}
            return Clip(**facts)
    return Clip()


def lengths(due: Sequence[int] | Mapping[str, int]) -> Sequence[int]:
    """Lengths as they are listed, or all from the least to the most."""
    if isinstance(due, Mapping):
        return tuple(range(due["least"], due["most"] + 1))
    return tuple(due)


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load(FILE.read_bytes())
    return data
