"""One clock moves everything alike: delays, timelines, quotas, gates, links and background jobs, a test for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from simulator.clock import Clock
from tests.simulator.live import Line, Live, Reply, chat, request, running

KEY = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
HOUR_MS = 3_600_000


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(clock=Clock("manual")) as live:
        yield live


def advance(fleet: Live, ms: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": ms})


def openai(fleet: Live, method: str, path: str, content: object = None) -> Reply:
    return fleet.call(request(method, f"/openai/v1/{path}", content, KEY), method)


def begin(fleet: Live, prompt: str, case: str) -> Line:
    """Ask, and go on once the fleet has the request."""
    line = fleet.line()
    line.send(chat(f"{prompt} [[case:{case}]]"))
    fleet.seen(case)
    return line


def pending(fleet: Live, case: str) -> bool:
    return bool(fleet.seen(case)[0]["ended"] == "pending")


def test_delays(fleet: Live) -> None:
    line = begin(fleet, "[[fault: latency ttft_ms=5000]]", "slow")
    advance(fleet, 4_999)
    assert pending(fleet, "slow")
    advance(fleet, 1)
    assert line.reply().status == 200


def test_timelines(fleet: Live) -> None:
    rule = {"at": "10s", "for": "5s", "every": "1m", "fault": {"kind": "status", "status": 503}}
    fleet.control("PUT", "scenario", {"name": "now and then", "rules": [rule]})
    statuses = []
    for ms in (0, 9_999, 1, 4_999, 1, 54_999, 1):
        advance(fleet, ms)
        statuses.append(fleet.call(chat("hello")).status)
    assert statuses == [200, 200, 503, 503, 200, 200, 503]


def test_a_time_to_live(fleet: Live) -> None:
    rule = {"fault": {"kind": "status", "status": 503}}
    fleet.control("POST", "faults", {"rules": [rule], "ttl_s": 30})
    advance(fleet, 29_999)
    assert fleet.call(chat("hello")).status == 503
    advance(fleet, 1)
    assert fleet.call(chat("hello")).status == 200


def test_quotas(fleet: Live) -> None:
    limits = [{"of": "requests", "limit": 2, "per": "1m", "kind": "sliding", "by": ["key"]}]
    fleet.control("PUT", "quotas", {"openai": limits})
    assert [fleet.call(chat("hello")).status for _ in range(3)] == [200, 200, 429]
    advance(fleet, 59_999)
    assert fleet.call(chat("hello")).status == 429
    advance(fleet, 1)
    assert fleet.call(chat("hello")).status == 200


def test_gates(fleet: Live) -> None:
    fleet.control("POST", "faults", {"rules": [{"fault": {"kind": "gate", "name": "g", "ttl_s": 60}}]})
    line = begin(fleet, "hello", "held")
    advance(fleet, 59_999)
    assert pending(fleet, "held")
    advance(fleet, 1)
    assert line.reply().status == 200


def test_links(fleet: Live) -> None:
    made = openai(fleet, "POST", "images/generations", {"model": "dall-e-3", "prompt": "a teapot"}).json
    link = urlsplit(made["data"][0]["url"])
    fetch = request("GET", f"{link.path}?{link.query}")
    assert fleet.call(fetch, "GET").headers["content-type"] == "image/png"
    advance(fleet, HOUR_MS - 1000)
    assert fleet.call(fetch, "GET").status == 200
    advance(fleet, 2000)
    assert fleet.call(fetch, "GET").status == 403


def test_background_responses(fleet: Live) -> None:
    made: dict[str, Any] = openai(
        fleet, "POST", "responses", {"model": "gpt-5", "input": "hello", "background": True}
    ).json
    seen = [made["status"]]
    for _ in range(200):
        advance(fleet, 1000)
        seen.append(openai(fleet, "GET", f"responses/{made['id']}").json["status"])
    order = ["queued", "in_progress", "completed"]
    assert list(dict.fromkeys(seen)) == order
    assert seen == sorted(seen, key=order.index)


def test_the_second_that_replies_bear(fleet: Live) -> None:
    first = fleet.call(chat("hello")).json["created"]
    advance(fleet, 90_000)
    assert fleet.call(chat("hello")).json["created"] == first + 90
