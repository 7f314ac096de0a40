"""A usage log made into a scenario, which does to requests what the log says."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime
from random import Random
from statistics import median, quantiles
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.faults import Flawed
from simulator.faults.latency import Latency
from simulator.faults.status import Status
from simulator.pacing import latency
from simulator.rules import scenario
from simulator.rules.from_log import Call, dump, percentiles, read_log, to_scenario
from simulator.rules.plan import Plan
from simulator.rules.selectors import Subject

START_MS = 1_767_225_600_000.0


def entry(
    provider: str | None, at_s: float, status: int, latency_ms: int = 100, ttft_ms: int | None = None
) -> dict[str, Any]:
    """An entry as the usage log shows it."""
    at = datetime.fromtimestamp(START_MS / 1000 + at_s, UTC)
    return {
        "upstream": provider,
        "createdAt": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "status": "succeeded" if status < 400 else "upstream_failed",
        "statusCode": status,
        "latencyMs": latency_ms,
        "ttftMs": ttft_ms,
    }


def as_csv(rows: list[dict[str, Any]], names: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, names.values())
    writer.writeheader()
    writer.writerows({names[name]: row[name] for name in names} for row in rows)
    return out.getvalue()


LOG = [entry("openai", 61, 200, 900, 300), entry("openai", 5, 503), entry(None, 6, 402), entry("anthropic", 7, 499, 50)]
CALLS = [
    Call("openai", START_MS + 5_000, 503, 100),
    Call("anthropic", START_MS + 7_000, 499, 50),
    Call("openai", START_MS + 61_000, 200, 900, 300),
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"logs": LOG, "costByModel": []}),
        json.dumps(LOG),
        "\n".join(map(json.dumps, LOG)),
        "\ufeff" + as_csv(LOG, {name: name for name in LOG[0]}),
    ],
    ids=["usage log", "list", "lines", "csv"],
)
def test_a_log_is_read(text: str) -> None:
    assert read_log(text) == CALLS


def test_columns_and_providers_may_have_other_names() -> None:
    names = {"upstream": "vendor", "createdAt": "when", "statusCode": "code", "latencyMs": "took", "ttftMs": "first"}
    columns = {"provider": "vendor", "at": "when", "status": "code", "latency_ms": "took", "ttft_ms": "first"}
    found = read_log(as_csv(LOG, names), columns, {"openai": "openai-eu"})
    assert [call.provider for call in found] == ["openai-eu", "anthropic", "openai-eu"]
    assert found[2].ttft_ms == 300


@pytest.mark.parametrize(
    "moment", ["2026-01-01T00:00:05Z", "2026-01-01T01:00:05+01:00", "2026-01-01 00:00:05", 1767225605, "1767225605000"]
)
def test_moments(moment: object) -> None:
    assert read_log(json.dumps([{"provider": "x", "at": moment, "status": "ok"}]))[0].at_ms == START_MS + 5_000


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("", "the log: came no rows; due JSON with a list `logs`, or CSV"),
        ('{"logs": []}', "the log: came no rows"),
        ("[1]", "the log: came no rows"),
        ("{", "the log: came "),
        ("a,b\n1,2", "columns.provider: came no such column; due one of upstream, provider, or say which of a, b"),
        ("provider,at,status\n,1,200", "the log: came 1 rows without a provider"),
        ("provider,at,status\nx,soon,200", "row 1.at: came 'soon'; due an ISO 8601 time"),
        ("provider,at,status\nx,1,200\nx,1,lost", "row 2.status: came 'lost'; due an HTTP status"),
        ("provider,at,status,latency_ms\nx,1,200,-1", "row 1.latency_ms: came '-1'; due milliseconds"),
    ],
)
def test_what_is_wrong_is_told(text: str, due: str) -> None:
    with pytest.raises(Flawed) as caught:
        read_log(text)
    assert str(caught.value.flaws[0]).startswith(due)


def test_columns_that_are_not_there_are_told() -> None:
    with pytest.raises(Flawed) as caught:
        read_log("provider,at,status\nx,1,200", {"status": "code", "speed": "at"})
    assert [str(flaw) for flaw in caught.value.flaws] == [
        "columns: came 'speed'; due one of provider, status, at, latency_ms, ttft_ms",
        "columns.status: came 'code'; due one of at, provider, status",
    ]


def test_a_scenario_says_what_was() -> None:
    found = to_scenario(CALLS, 60_000, "yesterday")
    assert found["name"] == "yesterday"
    assert found["about"].startswith(
        "What a log says of 3 requests to anthropic, openai from 2026-01-01T00:00:00+00:00 to"
    )
    assert "1 of them failed" in found["about"]
    first, second = found["rules"]
    assert first == {
        "name": "openai 0s 503",
        "when": {"provider": "openai"},
        "at": 0,
        "for": 60,
        "otherwise": True,
        "fault": [{"kind": "status", "status": 503}, {"kind": "latency", "total_ms": 100}],
    }
    assert (second["at"], second["fault"]) == (60, [{"kind": "latency", "ttft_ms": 300, "total_ms": 900}])


statuses = st.sampled_from([200, 200, 200, 429, 500, 503])
logs = st.dictionaries(
    st.tuples(st.sampled_from(["openai", "anthropic"]), st.integers(0, 3)),
    st.lists(st.tuples(statuses, st.integers(1, 30_000)), min_size=1, max_size=60),
    min_size=1,
    max_size=4,
)
KEYS = 1500


@settings(max_examples=15)
@given(logs)
def test_replaying_gives_the_rates_and_latencies_of_the_log(log: dict[tuple[str, int], list[tuple[int, int]]]) -> None:
    rows = [entry(p, 60 * n + 1, status, ms) for (p, n), found in log.items() for status, ms in found]
    text = dump(to_scenario(read_log(json.dumps({"logs": rows})), 60_000))
    rules = scenario.parse(text).rules
    begin = min(n for _, n in log)
    for (provider, number), found in log.items():
        clock = Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None)
        plan = Plan(clock, 5)
        plan.set_scenario(rules)
        clock.advance((number - begin) * 60_000 + 30_000)
        met: Counter[int] = Counter()
        slow: dict[int, list[float]] = {}
        for key in range(KEYS):
            request = Subject(provider, "", "", None, None, False, "POST", "/", "", None, f"{number} {key}")
            faults = plan.fate(request, 1, 1, (), ())
            status = next((fault.status for fault in faults if isinstance(fault, Status)), 200)
            (delay,) = [fault.total_ms for fault in faults if isinstance(fault, Latency)]
            assert delay is not None
            slow.setdefault(status, []).append(delay.draw(Random(key)))
            met[status] += 1
        shares = Counter(status for status, _ in found)
        for status in {200, 429, 500, 503}:
            assert met[status] / KEYS == pytest.approx(shares[status] / len(found), abs=0.08)
            told = [float(ms) for each, ms in found if each == status]
            if met[status] >= 150:
                same_latencies(slow[status], told)


def same_latencies(drawn: list[float], told: list[float]) -> None:
    """Whether draws lie as the values of the log do."""
    assert min(told) - 0.1 <= min(drawn)
    assert max(drawn) <= max(told) + 0.1
    for share, value in ((0.5, median(told)), (0.9, quantiles([*told, *told], n=10, method="inclusive")[8])):
        assert sum(ms < value - 0.1 for ms in drawn) / len(drawn) < share + 0.25
        assert sum(ms <= value + 0.1 for ms in drawn) / len(drawn) > share - 0.25


@given(st.lists(st.integers(0, 100_000).map(float), min_size=2))
def test_percentiles_are_those_of_the_values(values: list[float]) -> None:
    found = latency.read(percentiles(values))
    ordered = sorted(values)
    points = dict(found.values)
    if found.shape == "percentiles":
        assert (points["p0"], points["p100"]) == (ordered[0], ordered[-1])
        below = sum(value <= points["p50"] + 1e-4 for value in ordered)
        assert below >= len(ordered) / 2
    else:
        assert ordered[0] == ordered[-1] == points["value"]
