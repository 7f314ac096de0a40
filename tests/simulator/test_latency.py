"""Distributions by their percentiles, and the fleet's own lateness."""

from __future__ import annotations

import pytest

from simulator import draws
from simulator.lateness import Lateness
from simulator.pacing import gamma, latency


def sample(text: object, count: int = 20_000) -> list[float]:
    dice = draws.dice("latency", str(text))
    distribution = latency.read(text)
    return sorted(distribution.draw(dice) for _ in range(count))


def percentile(values: list[float], percent: float) -> float:
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("250", {1: 250, 99: 250}),
        (250, {1: 250, 99: 250}),
        ("uniform min=100 max=200", {25: 125, 50: 150, 99: 199}),
        ({"dist": "uniform", "min": 100, "max": 200}, {50: 150}),
        ("normal mean=500 sd=50", {50: 500, 99: 616}),
        ("lognormal p50=200 p99=900", {50: 200, 99: 900}),
        ("exponential mean=100", {50: 69.3, 99: 460.5}),
        ("gamma mean=100 shape=1", {50: 69.3, 99: 460.5}),
        ("gamma mean=100 shape=4", {50: 91.8, 99: 251}),
        ("pareto min=100 shape=2", {50: 141.4, 99: 1000}),
        ("percentiles p0=10 p50=100 p99=500 p100=1000", {25: 55, 50: 100, 90: 427, 99: 500}),
        ("percentiles p99=900 p50=80", {10: 80, 50: 80, 99: 900}),
        ("uniform p50=100 p99=150", {1: 51, 50: 100, 99: 150}),
        ("normal p50=500 p99=616", {16: 450, 50: 500, 99: 616}),
        ("gamma p50=69.3 p99=460.5", {25: 28.8, 50: 69.3, 99: 460.5}),
        ("gamma p50=1000 p99=1100", {1: 907, 50: 1000, 99: 1100}),
        ({"dist": "gamma", "p50": 10, "p99": 3000}, {50: 10, 99: 3000}),
        ("pareto p50=200 p99=1414.2", {1: 141.4, 50: 200, 99: 1414.2}),
    ],
)
def test_percentiles_are_as_written(text: object, marks: dict[int, float]) -> None:
    values = sample(text)
    for percent, due_ms in marks.items():
        assert percentile(values, percent) == pytest.approx(due_ms, rel=0.12), percent
    assert values[0] >= 0


def test_no_delay_is_negative() -> None:
    assert sample("normal mean=5 sd=50")[0] == 0


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("", "a number of milliseconds, or a distribution"),
        ("-5", "constant: value a number of milliseconds >= 0"),
        (-5, "constant: value a number of milliseconds >= 0"),
        (True, "a number of milliseconds"),
        (None, "a number of milliseconds"),
        ("nan", "constant: value"),
        ("zipf a=1", "one of constant, uniform"),
        ("lognormal", "lognormal with p50 and p99"),
        ("lognormal p50=2 p99=1", "lognormal with 0 < p50 <= p99"),
        ("lognormal p50=0 p99=1", "lognormal with 0 < p50 <= p99"),
        ("uniform min=2 max=1", "uniform with min <= max"),
        ("uniform 1 2", "a number of milliseconds"),
        ("uniform min=a max=2", "uniform: min a number"),
        ("gamma mean=1 shape=0", "gamma with shape > 0"),
        ("gamma p50=5 p99=5", "gamma with 0 < p50 < p99"),
        ("gamma p50=5 p99=5.001", "gamma with 0 < p50 < p99, neither nearly equal"),
        ("gamma mean=5 p99=9", "gamma with mean and shape or p50 and p99"),
        ("normal p50=5 p99=4", "normal with p50 <= p99"),
        ("pareto p50=0 p99=4", "pareto with 0 < p50 < p99"),
        ("uniform p50=1 p99=2", "uniform with p50 <= p99 <= 1.98 * p50"),
        ("percentiles p50=1", "percentiles with"),
        ("percentiles p50=5 p99=1", "percentiles with percentiles that do not fall"),
        ("percentiles p50=1 p101=5", "percentiles with"),
        ({"p50": 1}, "a number of milliseconds"),
        ({"dist": "normal", "mean": "x", "sd": 1}, "normal: mean a number"),
    ],
)
def test_what_is_no_distribution(text: object, due: str) -> None:
    with pytest.raises(ValueError) as caught:
        latency.read(text)
    assert due in str(caught.value)


@pytest.mark.parametrize(
    "text", ["250", "lognormal p50=200 p99=900", "percentiles p50=80 p99=900", "gamma p50=80 p99=900"]
)
def test_a_distribution_reads_what_it_writes(text: str) -> None:
    distribution = latency.read(text)
    assert str(distribution) == text
    assert latency.read(distribution) is distribution


@pytest.mark.parametrize(("shape", "x", "due"), [(1, 0.5, 0.393469), (3, 2.0, 0.323324), (0.5, 2.0, 0.954500)])
def test_the_incomplete_gamma_function_is_the_tables(shape: float, x: float, due: float) -> None:
    assert gamma.lower(shape, x) == pytest.approx(due, abs=1e-6)
    assert gamma.lower(shape, 0) == 0
    assert gamma.quantile(shape, due, 0.0) == pytest.approx(x, rel=1e-4)


def test_a_distribution_put_together_by_hand_draws_like_one_that_was_read() -> None:
    made = latency.Distribution("gamma", (("p50", 80.0), ("p99", 900.0)))
    assert made == latency.read("gamma p50=80 p99=900")
    assert made.draw(draws.dice(1)) == latency.read("gamma p50=80 p99=900").draw(draws.dice(1))


def test_lateness_percentiles() -> None:
    lateness = Lateness()
    assert lateness.summary() == {"frames": 0, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    for tenths in range(1000):
        lateness.record(tenths / 10)
    summary = lateness.summary()
    assert summary["frames"] == 1000
    assert summary["p50_ms"] == pytest.approx(50, abs=0.2)
    assert summary["p99_ms"] == pytest.approx(99, abs=0.2)
    assert summary["max_ms"] == 99.9
    lateness.record(-3)
    lateness.record(60_000)
    assert lateness.percentile_ms(100) == pytest.approx(10_000, rel=0.01)
    assert lateness.summary()["max_ms"] == 60_000
    lateness.clear()
    assert lateness.frames == 0
