"""Distributions of delays, written as people know them: by p50 and p99, or as a list of percentiles.

    200 · "lognormal p50=200 p99=900" · {"dist": "uniform", "min": 50, "max": 150} · "percentiles p50=80 p99=900"

Every family takes its median and 99th percentile; most take the parameters of the textbook as well.
Every draw uses the dice of one request, keyed by it: the same request waits equally long in every run.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.pacing import gamma
from simulator.pacing.gamma import Z99

if TYPE_CHECKING:
    from random import Random

BY_PERCENTILES = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Shape:
    """One family: its parameters in order of writing, and how to draw from it.

    `fit` makes the parameters of the median and the 99th percentile, or returns what was due of them.
    """

    parameters: tuple[str, ...]
    about: str
    draw: Callable[[Random, Mapping[str, float]], float]
    check: Callable[[Mapping[str, float]], str | None] = lambda _: None
    fit: Callable[[float, float], Mapping[str, float] | str] | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """A delay in milliseconds, fixed or drawn; never below 0."""

    shape: str
    values: tuple[tuple[str, float], ...]  # as written
    parameters: Mapping[str, float] = field(init=False, compare=False, repr=False)  # what is drawn by

    def __post_init__(self) -> None:
        """Find the parameters of what is written. Raises ValueError with what was due."""
        written = dict(self.values)
        shape = SHAPES[self.shape]
        if shape.fit is not None and set(written) == set(BY_PERCENTILES):
            fitted = shape.fit(written["p50"], written["p99"])
            if isinstance(fitted, str):
                raise ValueError(f"{self.shape} with {fitted}")
            written = dict(fitted)
        object.__setattr__(self, "parameters", written)

    def draw(self, dice: Random) -> float:
        """One delay."""
        if self.shape == "constant":
            return self.values[0][1]
        return max(0.0, SHAPES[self.shape].draw(dice, self.parameters))

    def __str__(self) -> str:
        if self.shape == "constant":
            return f"{self.values[0][1]:g}"
        return " ".join([self.shape, *(f"{name}={value:g}" for name, value in self.values)])


def read(value: object) -> Distribution:
    """The distribution that a number, a string or an object names. Raises ValueError with what was due."""
    if isinstance(value, Distribution):
        return value
    if isinstance(value, bool):
        raise ValueError(DUE)
    if isinstance(value, int | float):
        return _build("constant", {"value": value})
    if isinstance(value, str):
        words = value.split()
        if len(words) == 1 and _number(words[0]) is not None:
            return _build("constant", {"value": _number(words[0])})
        pairs = [word.partition("=") for word in words[1:]]
        if not words or not all(mark for _, mark, _ in pairs):
            raise ValueError(DUE)
        return _build(words[0], {name: _number(raw) for name, _, raw in pairs})
    if isinstance(value, Mapping) and isinstance(value.get("dist"), str):
        return _build(value["dist"], {str(name): raw for name, raw in value.items() if name != "dist"})
    raise ValueError(DUE)


def _number(raw: str) -> float | None:
    try:
        return float(raw)
    except ValueError:
        return None


def _build(name: str, raw: Mapping[str, Any]) -> Distribution:
    shape = SHAPES.get(name)
    if shape is None:
        raise ValueError(f"one of {', '.join(SHAPES)}")
    values: dict[str, float] = {}
    for key, value in raw.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise ValueError(f"{name}: {key} a number of milliseconds >= 0")
        values[key] = float(value)
    if shape.fit is not None and set(values) == set(BY_PERCENTILES):
        return Distribution(name, tuple((key, values[key]) for key in BY_PERCENTILES))
    if name == "percentiles":
        ok = len(values) >= 2 and all(_percent(key) is not None for key in values)
    else:
        ok = set(values) == set(shape.parameters)
    if not ok:
        either = " or p50 and p99" if shape.fit is not None else ""
        raise ValueError(f"{name} with {' and '.join(shape.parameters)}{either}")
    complaint = shape.check(values)
    if complaint:
        raise ValueError(f"{name} with {complaint}")
    order = sorted(values, key=lambda key: _percent(key) or 0.0) if name == "percentiles" else shape.parameters
    return Distribution(name, tuple((key, values[key]) for key in order))


def _percent(name: str) -> float | None:
    """50.0 of "p50", 99.9 of "p99.9"; None when it is no percentile."""
    number = _number(name[1:]) if name[:1] == "p" else None
    return number if number is not None and 0 <= number <= 100 else None


def _lognormal(dice: Random, v: Mapping[str, float]) -> float:
    return v["p50"] * math.exp(math.log(v["p99"] / v["p50"]) / Z99 * dice.gauss())


def _percentiles(dice: Random, v: Mapping[str, float]) -> float:
    """Straight lines between the points; beyond the outermost ones, their values."""
    points = [(_percent(name) or 0.0, value) for name, value in v.items()]
    at = dice.random() * 100
    after = bisect_right([percent for percent, _ in points], at)
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (low, low_ms), (high, high_ms) = points[after - 1], points[after]
    return low_ms + (high_ms - low_ms) * (at - low) / (high - low)


def _fit_uniform(p50: float, p99: float) -> Mapping[str, float] | str:
    half = (p99 - p50) / 0.98
    return {"min": p50 - half, "max": p50 + half} if 0 <= half <= p50 else "p50 <= p99 <= 1.98 * p50"


def _fit_normal(p50: float, p99: float) -> Mapping[str, float] | str:
    return {"mean": p50, "sd": (p99 - p50) / Z99} if p50 <= p99 else "p50 <= p99"


def _fit_gamma(p50: float, p99: float) -> Mapping[str, float] | str:
    found = gamma.fit(p50, p99) if 0 < p50 < p99 else None
    return (
        "0 < p50 < p99, neither nearly equal nor a million apart"
        if found is None
        else dict(zip(("mean", "shape"), found, strict=True))
    )


def _fit_pareto(p50: float, p99: float) -> Mapping[str, float] | str:
    if not 0 < p50 < p99:
        return "0 < p50 < p99"
    shape = math.log(50) / math.log(p99 / p50)
    return {"min": p50 / 2 ** (1 / shape), "shape": shape}


def _rising(values: Mapping[str, float]) -> str | None:
    ordered = [values[name] for name in sorted(values, key=lambda name: _percent(name) or 0.0)]
    return None if ordered == sorted(ordered) else "percentiles that do not fall"


SHAPES: dict[str, Shape] = {
    "constant": Shape(("value",), "always the same", lambda _, v: v["value"]),
    "uniform": Shape(
        ("min", "max"),
        "anything between, equally likely",
        lambda dice, v: v["min"] + (v["max"] - v["min"]) * dice.random(),
        lambda v: None if v["min"] <= v["max"] else "min <= max",
        _fit_uniform,
    ),
    "normal": Shape(
        ("mean", "sd"), "a bell, cut at 0", lambda dice, v: dice.gauss(v["mean"], v["sd"]), fit=_fit_normal
    ),
    "lognormal": Shape(
        ("p50", "p99"),
        "a bell with a long tail, by its median and 99th percentile",
        _lognormal,
        lambda v: None if 0 < v["p50"] <= v["p99"] else "0 < p50 <= p99",
    ),
    "exponential": Shape(("mean",), "memoryless waiting", lambda dice, v: -v["mean"] * math.log(1 - dice.random())),
    "gamma": Shape(
        ("mean", "shape"),
        "a sum of `shape` exponential waits",
        lambda dice, v: dice.gammavariate(v["shape"], v["mean"] / v["shape"]) if v["mean"] else 0.0,
        lambda v: None if v["shape"] > 0 else "shape > 0",
        _fit_gamma,
    ),
    "pareto": Shape(
        ("min", "shape"),
        "a power law: few, but very long, waits",
        lambda dice, v: v["min"] * dice.paretovariate(v["shape"]),
        lambda v: None if v["shape"] > 0 else "shape > 0",
        _fit_pareto,
    ),
    "percentiles": Shape(("p50", "p99", "… (pN, at least two)"), "measured percentiles", _percentiles, _rising),
}
DUE = f'a number of milliseconds, or a distribution such as "lognormal p50=200 p99=900" ({", ".join(SHAPES)})'
