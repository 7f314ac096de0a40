"""Faults on a ramp: their numeric options, and the delays they draw, as a share of what the rule says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from simulator.faults import Fault
from simulator.pacing import latency
from simulator.pacing.latency import Distribution

CHANCE = "chance"
NOTHING = Distribution("constant", (("value", 0.0),))
UNSCALED = frozenset({"shape"})  # parameters of distributions that are no milliseconds


def scalable(faults: Sequence[Fault]) -> list[str]:
    """The options given to these faults that a ramp can grow."""
    found = [field.name for fault in faults for field in fields(fault) if _is_number(getattr(fault, field.name))]
    return list(dict.fromkeys(found))


def delays(faults: Sequence[Fault]) -> tuple[str, ...]:
    """The options given to these faults that are times: what a ramp grows when it is not told."""
    return tuple(name for name in scalable(faults) if "_ms" in name)


def scaled(faults: tuple[Fault, ...], names: tuple[str, ...], level: float) -> tuple[Fault, ...]:
    """The faults with those options at `level` (0 to 1) of what they are."""
    return tuple([_scaled_fault(fault, names, level) for fault in faults])


def _scaled_fault(fault: Fault, names: tuple[str, ...], level: float) -> Fault:
    values: dict[str, Any] = {}
    for field in fields(fault):
        value = getattr(fault, field.name)
        if field.name in names and _is_number(value):
            values[field.name] = _scaled(value, level, field.metadata["schema"].get("minimum", 0))
    return replace(fault, **values) if values else fault


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Distribution) and not isinstance(value, bool)


def _scaled(value: Any, level: float, least: float) -> Any:
    if isinstance(value, Distribution):
        return _scaled_delay(value, level)
    part = max(least, value * level)
    return round(part) if isinstance(value, int) else part


def _scaled_delay(delay: Distribution, level: float) -> Distribution:
    if level <= 0:
        return NOTHING
    values = {name: value if name in UNSCALED else value * level for name, value in delay.values}
    return latency.read({"dist": delay.shape, **values})
