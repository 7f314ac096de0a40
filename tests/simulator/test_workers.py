"""Several workers are one fleet: the same fates as one process, one journal, one set of rules, quotas and exchanges.

These tests need Redis on 127.0.0.1:6379 and are skipped where there is none.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from simulator.workers import cursor
from simulator.workers.asgi import Told
from simulator.workers.merge import metrics
from tests.simulator.live import Line, Reply, chat, message, request

REDIS = "redis://127.0.0.1:6379/0"
REQUESTS = 160
SCENARIO = {
    "name": "chances",
    "seed": 5,
    "rules": [
        {"name": "third", "when": {"provider": "openai"}, "chance": 0.3, "fault": {"kind": "status", "status": 503}},
        {"name": "second", "when": {"attempt": 2}, "fault": {"kind": "status", "status": 429}},
        {"name": "twice", "when": {"provider": "anthropic"}, "times": 1, "fault": {"kind": "status", "status": 529}},
    ],
}


def redis_answers() -> bool:
    try:
        with Redis.from_url(REDIS, socket_connect_timeout=1) as redis:
            return bool(redis.ping())
    except RedisError:
        return False


pytestmark = pytest.mark.skipif(not redis_answers(), reason=f"no Redis at {REDIS}")


class Many:
    """A fleet of several processes."""

    def __init__(self, told: dict[str, Any], process: subprocess.Popen[str]) -> None:
        host, port = told["fleet"]["base_url"].removeprefix("http://").split(":")
        self.address = (host, int(port))
        self.process = process

    def call(self, raw: bytes, method: str = "POST") -> Reply:
        line = Line(self.address)
        try:
            line.send(raw)
            return line.reply(method)
        finally:
            line.close()

    def control(self, method: str, path: str, content: object = None) -> Any:
        reply = self.call(request(method, f"/__fleet/{path}", content), method)
        assert reply.status < 300, reply.body
        return reply.json


@contextmanager
def fleet(workers: int, *options: str) -> Iterator[Many]:
    """A fleet as a command, with its ready line read."""
    command = [sys.executable, "-m", "simulator", "--port", "0", "--json", "--workers", str(workers), "--redis", REDIS]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line, process.stderr.read() if process.stderr else ""
        yield Many(json.loads(line), process)
    finally:
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint


@pytest.fixture(scope="module")
def four() -> Iterator[Many]:
    with fleet(4, "--clock", "manual") as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    if "four" in request.fixturenames:
        request.getfixturevalue("four").control("POST", "reset")


def asks() -> list[bytes]:
    """Requests of several cases, each case three times at two providers."""
    cases = range(REQUESTS // 4)
    once = [make(f"hello [[case:c{case}]]") for case in cases for make in (chat, message)]
    return once * 2


def fates(running: Many, concurrency: int) -> dict[str, list[int]]:
    """{provider/case: the statuses in the order of the attempts}."""
    running.control("POST", "reset")
    running.control("PUT", "scenario", SCENARIO)
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(running.call, asks()))
    found: dict[str, list[tuple[int, int]]] = {}
    for entry in running.control("GET", "journal?wait_ms=10000")["entries"]:
        found.setdefault(f"{entry['provider']}/{entry['case']}", []).append((entry["attempt"], entry["status"]))
    return {key: [status for _, status in sorted(rows)] for key, rows in found.items()}


def test_the_same_requests_meet_the_same_fate_with_one_worker_and_with_four(four: Many) -> None:
    """The same scenario and seed, at concurrency 1 and 64."""
    with fleet(1, "--clock", "manual") as one:
        expected = fates(one, 1)
        assert fates(one, 64) == expected
    assert fates(four, 1) == expected
    assert fates(four, 64) == expected
    statuses = [status for rows in expected.values() for status in rows]
    assert {200, 429, 503, 529} <= set(statuses), "every rule hit somebody, and somebody was spared"
    assert len(statuses) == REQUESTS


def test_every_worker_answers_and_one_journal_has_it_all(four: Many) -> None:
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(four.call, [chat(f"n{number} [[case:j{number}]]") for number in range(80)]))
    assert {reply.status for reply in replies} == {200}
    told = four.control("GET", "journal?wait_ms=5000")
    entries = told["entries"]
    assert sorted(entry["case"] for entry in entries) == sorted(f"j{number}" for number in range(80))
    workers = {entry["n"] % 4 for entry in entries}
    assert len(workers) > 1, "one worker did everything"
    assert len({entry["n"] for entry in entries}) == 80
    ids = {reply.json["id"] for reply in replies}
    assert len(ids) == 80


def test_reading_on_from_where_one_stood_loses_and_repeats_nothing(four: Many) -> None:
    seen: list[str] = []
    since: Any = 0
    for start in (0, 20, 40):
        for number in range(start, start + 20):
            four.call(chat(f"x [[case:k{number}]]"))
        while True:
            told = four.control("GET", f"journal?since={since}&limit=7&wait_ms=5000")
            since = told["next"]
            if not told["entries"]:
                break
            seen += [entry["case"] for entry in told["entries"]]
    assert sorted(seen) == sorted(f"k{number}" for number in range(60))


def test_ids_are_never_given_twice(four: Many) -> None:
    """The same request again and again, served ready-made, by whichever worker takes it."""
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(four.call, [chat("the same")] * 200))
    assert len({reply.json["id"] for reply in replies}) == 200


def test_requests_counted_before_a_rule_count_for_it(four: Many) -> None:
    for _ in range(9):
        assert four.call(chat("again [[case:before]]")).status == 200
    rule = {"when": {"case": "before", "attempt": 10}, "fault": {"kind": "status", "status": 418}}
    four.control("POST", "faults", {"rules": [rule]})
    assert [four.call(chat("again [[case:before]]")).status for _ in range(2)] == [418, 200]


def test_rules_are_set_and_removed_everywhere_before_the_reply(four: Many) -> None:
    for _ in range(5):
        ids = four.control("POST", "faults", {"rules": [{"fault": {"kind": "status", "status": 500}}]})["ids"]
        assert {four.call(chat(f"m{number}")).status for number in range(12)} == {500}
        four.control("DELETE", f"faults/{ids[0]}")
        assert {four.call(chat(f"m{number}")).status for number in range(12)} == {200}


def test_a_quota_is_one_for_all(four: Many) -> None:
    limits = [{"of": "requests", "limit": 10, "per": "1m", "kind": "fixed", "by": ["key"]}]
    four.control("PUT", "quotas", {"openai": limits})
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(four.call, [chat(f"q{number}") for number in range(40)]))
    assert sorted(reply.status for reply in replies) == [200] * 10 + [429] * 30
    refused = next(reply for reply in replies if reply.status == 429)
    wait_s = int(refused.headers["retry-after"])
    four.control("POST", "clock", {"advance_ms": wait_s * 1000})
    assert four.call(chat("later")).status == 200


def test_one_clock(four: Many) -> None:
    line = Line(four.address)
    line.send(chat("[[fault: latency ttft_ms=60000]] [[case:slow]]"))
    while not four.control("GET", "journal?case=slow")["entries"]:
        pass
    before = four.control("GET", "clock")["now_ms"]
    four.control("POST", "clock", {"advance_ms": 60_000})
    assert line.reply().status == 200
    assert four.control("GET", "clock")["now_ms"] == before + 60_000
    line.close()


def test_a_gate_holds_the_requests_of_all(four: Many) -> None:
    rule = {"fault": {"kind": "gate", "name": "g", "until": 8}}
    four.control("POST", "faults", {"rules": [rule]})
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(four.call, [chat(f"g{number}") for number in range(8)]))
    assert [reply.status for reply in replies] == [200] * 8


def test_an_exchange_is_found_wherever_it_was_answered(four: Many) -> None:
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}

    def responses(method: str, path: str, content: object = None) -> Reply:
        return four.call(request(method, f"/openai/v1/responses{path}", content, key), method)

    made = [responses("POST", "", {"model": "gpt-5", "input": f"hello {number}"}).json for number in range(8)]
    for one in made:
        again = responses("GET", f"/{one['id']}")
        assert again.json["output"] == one["output"]
    identity = made[0]["id"]
    assert responses("DELETE", f"/{identity}").json["deleted"] is True
    assert {responses("GET", f"/{identity}").status for _ in range(12)} == {404}


def test_metrics_and_lateness_are_those_of_all(four: Many) -> None:
    for number in range(24):
        four.call(chat(f"m{number}"))
    text = four.call(request("GET", "/__fleet/metrics"), "GET").body.decode()
    counts = [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("windtunnel_fleet_requests_total")
    ]
    assert sum(counts) == 24
    assert text.count("# TYPE windtunnel_fleet_requests") == 1
    assert set(four.control("GET", "lateness")) == {"frames", "p50_ms", "p99_ms", "max_ms"}


def test_a_wrong_request_is_refused_once(four: Many) -> None:
    reply = four.call(request("PUT", "/__fleet/scenario", {"name": "x"}))
    assert reply.status == 400
    assert "problems" in reply.json["error"]
    assert four.call(request("GET", "/__fleet/journal?since=a-b"), "GET").status == 400


def test_a_worker_that_dies_ends_the_fleet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--json", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    subprocess.run(["kill", "-9", children[1]], check=True)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "worker 1 ended with exit code -9; the fleet ends" in complaint


def test_without_redis_it_says_so() -> None:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--workers", "2", "--redis", "redis://127.0.0.1:1/0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("fleet: --workers needs Redis at redis://127.0.0.1:1/0 (--redis):")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("places", [[1, 1], [7, 40, 3], [0, 0, 0, 0]])
def test_a_cursor_is_read_as_it_was_written(places: list[int]) -> None:
    assert cursor.read(cursor.written(places), len(places)) == places


@pytest.mark.parametrize("text", ["", "a", "1-2-3", "-1", "1-"])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        cursor.read(text, 2)


def test_counts_add_up_and_gauges_of_time_do_not() -> None:
    one = '# TYPE a counter\na_total{x="1"} 2.0\n# TYPE clock_seconds gauge\nclock_seconds 5.0\n'
    two = '# TYPE a counter\na_total{x="1"} 3.0\na_total{x="2"} 1.0\n# TYPE clock_seconds gauge\nclock_seconds 6.0\n'
    told = metrics([Told(200, "text/plain", one), Told(200, "text/plain", two)]).body
    assert 'a_total{x="1"} 5.0' in told
    assert 'a_total{x="2"} 1.0' in told
    assert "clock_seconds 6.0" in told


def test_nothing_stays_in_redis() -> None:
    with Redis.from_url(REDIS) as redis:
        before = set(redis.scan_iter("windtunnel:*"))
        with fleet(2) as running:
            running.control("POST", "reset")
            during = set(redis.scan_iter("windtunnel:*")) - before
            assert during
            assert all(redis.ttl(key) > 0 for key in during), "a key without an expiry"
        assert not during & set(redis.scan_iter("windtunnel:*"))


def test_a_fleet_that_cannot_decide_says_so_itself() -> None:
    """Redis, a private one, goes away: no provider is blamed for it."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server to start")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    store = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        until_it_answers(url)
        with fleet(3, "--redis", url) as running:
            running.control("POST", "faults", {"rules": [{"when": {"attempt": 99}, "fault": {"kind": "noop"}}]})
            store.kill()
            store.wait()
            replies = [running.call(chat(f"n{number}")) for number in range(24)]
    finally:
        store.kill()
        store.wait()
    assert {reply.status for reply in replies} <= {200, 503}
    undecided = [reply.json["error"] for reply in replies if reply.status == 503]
    assert undecided, "every request met the keeper"
    assert all(error["type"] == "windtunnel_undecided" for error in undecided)


def until_it_answers(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(RedisError), Redis.from_url(url, socket_connect_timeout=1) as redis:
            redis.ping()
            return
        threading.Event().wait(0.05)
    raise AssertionError("the private Redis did not start")
