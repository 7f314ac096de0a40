"""The billing load end to end: short, on the reference gateway and the fleet, ending in an audit that agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests import Bounds, processes, run
from loadtests.audit import audit, read_target

SLOW = Bounds(lag_p99_ms=10_000, lateness_p99_ms=10_000, dropped=0.2)  # what is judged here is the money


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with processes.stack(tmp_path_factory.mktemp("servers"), seed=1) as started:
        yield started


def results(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "results.json").read_text())
    return told


def test_every_credit_is_accounted_for(
    target: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("billing", users=20, time_s=5, rate_hz=20, seed=4, target=target, out=tmp_path, bounds=SLOW)
    printed = capsys.readouterr().out
    told = results(tmp_path)
    assert code == told["exit_code"] == 0, printed
    assert "every credit is accounted for" in printed
    audited = told["audit"]
    assert audited["expected_uc"] == audited["ledger_uc"] == audited["usage_log_uc"] > 0
    assert audited["cases"] == told["counts"]["calls"] > 50
    assert all(audited["rules"][rule] > 0 for rule in ("told", "estimated", "free"))
    assert told["counts"]["unexpected"] == 0
    plans = {name for name in told["counts"] if name.startswith("plan ")}
    assert plans == {f"plan {p}" for p in ("plain", "failover", "rate_limited", "cut", "missing_usage", "hang_up")}
    streams = told["latency"]["chat sse"]
    assert streams["effective"]["count"] == streams["ttft"]["count"] > 0
    assert streams["ttft"]["p50_ms"] >= 30  # the fleet waits 30 ms before its first frame
    assert streams["ttft"]["max_ms"] < streams["effective"]["max_ms"]
    assert streams["effective"]["p50_ms"] >= streams["service"]["p50_ms"] * 0.999
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert len(calls) == told["counts"]["calls"]
    assert all(request for _, request, *_ in calls)
    again = audit(read_target(str(tmp_path / "target.json")))
    assert (again.exit_code, again.expected_uc) == (0, audited["expected_uc"])


def test_a_bill_that_is_off_by_one_fails(target: dict[str, Any], tmp_path: Path) -> None:
    assert run("billing", users=60, time_s=1, rate_hz=15, seed=9, target=target, out=tmp_path, bounds=SLOW) == 0
    left = read_target(str(tmp_path / "target.json"))
    first = next(iter(left["audit"]["requests"]))
    left["audit"]["refused"] = [first]  # as if its caller had got an error: then nothing was due
    result = audit(left)
    assert result.exit_code == 1
    assert {difference.case for difference in result.differences} == {first}


def test_workers_share_one_load(target: dict[str, Any], tmp_path: Path) -> None:
    code = run("billing", users=20, time_s=2, rate_hz=20, seed=4, target=target, processes=2, out=tmp_path, bounds=SLOW)
    told = results(tmp_path)
    assert code == 0, (tmp_path / "results.txt").read_text()
    assert told["workers"] == 2
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    numbers = sorted(int(case.rpartition(".")[2]) for case, *_ in calls)
    assert numbers == list(range(told["counts"]["arrivals"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scenario": "none"}, "no load is called 'none'"),
        ({"users": 0}, "must be positive"),
        ({"processes": 2, "role": "master"}, "--processes is its own master"),
        ({"target": {"name": "t"}}, "the target has no base_urls"),
        (
            {"target": {"base_urls": {"openai": "http://x"}, "fleet": {"control_url": "http://x"}}},
            "no provisioning API",
        ),
        (
            {
                "target": {
                    "base_urls": {"openai": "http://127.0.0.1:1"},
                    "fleet": {"control_url": "http://127.0.0.1:1"},
                    "provisioning": {"kind": "admin_api", "url": "http://127.0.0.1:1/admin", "token": "t"},
                }
            },
            "GET http://127.0.0.1:1/health",
        ),
    ],
)
def test_wrong_use_is_one_clear_line_and_exit_2(
    changes: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"scenario": "billing", "time_s": 1, "out": tmp_path, **changes}
    assert run(options.pop("scenario"), **options) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_importing_the_loads_leaves_the_standard_library_alone() -> None:
    code = "import loadtests, sys; print('gevent' in sys.modules, 'locust' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
