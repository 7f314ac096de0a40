"""Histograms merge over workers without loss, and results are judged as the bounds say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.audit import AuditResult, Difference
from loadtests.metrics import Metrics
from loadtests.results import Bounds, judge

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure

times = st.lists(st.floats(0, 100), min_size=1, max_size=60)


@UNHURRIED
@given(times, times)
def test_merged_workers_equal_one_worker(one: list[float], other: list[float]) -> None:
    alone, merged = Metrics(), Metrics()
    for part in (one, other):
        worker = Metrics()
        for seconds in part:
            worker.record("chat sse", "ttft", seconds)
            alone.record("chat sse", "ttft", seconds)
            worker.counts["calls"] += 1
        merged.merge(json.loads(json.dumps(worker.drain())))
    assert merged.rows() == alone.rows()
    assert merged.counts == {"calls": len(one) + len(other)}


def test_a_drain_leaves_nothing_behind() -> None:
    metrics = Metrics()
    metrics.record("row", "service", 0.25)
    metrics.counts["calls"] += 1
    first, second = metrics.drain(), metrics.drain()
    assert len(first["histograms"]) == 1
    assert second == {"histograms": [], "counts": {}}


def test_summaries_are_milliseconds_to_three_digits() -> None:
    metrics = Metrics()
    for ms in range(1, 1001):
        metrics.record("row", "service", ms / 1000)
    told = metrics.rows()["row"]["service"]
    assert told["count"] == 1000
    assert told["p50_ms"] == pytest.approx(500, rel=2e-3)
    assert told["p99_ms"] == pytest.approx(990, rel=2e-3)
    assert told["max_ms"] == pytest.approx(1000, rel=2e-3)


def measured(**counts: int) -> dict[str, Any]:
    metrics = Metrics()
    metrics.counts.update({"calls": 100, "arrivals": 100} | counts)
    metrics.record("all", "sched_lag", 0.001)
    metrics.record("chat json", "effective", 0.05)
    problems = [["t.1", "r1", "500", "chat json", "status 500"]] if counts.get("unexpected") else []
    return {"metrics": metrics.drain(), "calls": problems, "workers": 1, "done": 1}


FACTS = {"scenario": "billing", "target": "t", "seed": 1, "users": 9, "time_s": 5.0, "rate_hz": 4.5, "workers": 1}
PUNCTUAL = {"frames": 10, "p50_ms": 0.1, "p99_ms": 1.0, "max_ms": 2.0}
WRONG = AuditResult(cases=1, differences=[Difference("u", "u.1", "ledger", 5, 6)])


@pytest.mark.parametrize(
    ("told", "lateness", "audited", "exit_code", "words"),
    [
        (measured(), PUNCTUAL, AuditResult(), 0, "every credit is accounted for"),
        (measured(), PUNCTUAL, WRONG, 1, "expected 5 uc, found 6 uc"),
        (measured(), PUNCTUAL, AuditResult(problems=["dropped entries"]), 3, "dropped entries"),
        (measured(unexpected=1), PUNCTUAL, AuditResult(), 1, "1 of 100 calls ended otherwise"),
        (measured(dropped=5), PUNCTUAL, AuditResult(), 3, "found no free place"),
        (measured(unfinished=1), PUNCTUAL, AuditResult(), 3, "did not end in time"),
        (measured(), PUNCTUAL | {"p99_ms": 300.0}, AuditResult(), 3, "the fleet was late"),
        (measured(), PUNCTUAL | {"p99_ms": 300.0}, WRONG, 1, "the fleet was late"),
        (measured(unexpected=1), PUNCTUAL | {"p99_ms": 300.0}, AuditResult(), 3, "INVALID"),
        (measured() | {"done": 0}, PUNCTUAL, AuditResult(), 3, "never reported back"),
    ],
)
def test_the_verdict(
    told: dict[str, Any], lateness: dict[str, Any], audited: AuditResult, exit_code: int, words: str
) -> None:
    results = judge(FACTS, told, lateness, audited, Bounds())
    assert results.exit_code == exit_code
    assert words in results.text()
    assert json.loads(json.dumps(results.to_json()))["exit_code"] == exit_code


def test_a_lagging_run_declares_itself_invalid() -> None:
    metrics = Metrics()
    metrics.counts.update(calls=10, arrivals=10)
    for _ in range(10):
        metrics.record("all", "sched_lag", 0.5)
    told = {"metrics": metrics.drain(), "calls": [], "workers": 1, "done": 1}
    assert judge(FACTS, told, PUNCTUAL, AuditResult(), Bounds()).exit_code == 3
    assert judge(FACTS, told, PUNCTUAL, AuditResult(), Bounds(lag_p99_ms=600)).exit_code == 0
