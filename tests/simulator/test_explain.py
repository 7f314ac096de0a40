"""Why did nothing match: for a request, every rule in force and the first selector that did not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.clock import Clock
from tests.simulator.live import Live, chat, request, running

NOOP = {"kind": "noop"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture
def fleet(server: Live) -> Live:
    server.control("POST", "reset")
    return server


def why(fleet: Live, case: str, *rows: dict[str, Any], prompt: str = "", **more: Any) -> list[str]:
    """What is told of each rule, after one request."""
    fleet.control("PUT", "scenario", {"name": "x", "rules": [{"fault": NOOP, **row} for row in rows], **more})
    fleet.call(chat(f"[[case:{case}]] {prompt}"))
    (found,) = fleet.control("GET", f"explain?case={case}")["requests"]
    return [row["why"] for row in found["rules"]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "hit"),
        ({"when": {"provider": "openai-eu"}}, 'provider: wants "openai-eu", came "openai"'),
        ({"when": {"provider": ["azure", "gem*"]}}, 'provider: wants "azure" or "gem*", came "openai"'),
        ({"when": {"region": "eu-*"}}, 'region: wants "eu-*", came "us-east"'),
        ({"when": {"operation": "list_models"}}, 'operation: wants "list_models", came "generate"'),
        ({"when": {"case": "other", "model": "gpt-9"}}, 'model: wants "gpt-9", came "gpt-4o"'),
        ({"when": {"stream": True}}, "stream: wants true, came false"),
        ({"when": {"attempt": [2, "4-5"]}}, "attempt: wants 2, 4-5, came 1"),
        ({"when": {"call": 3}}, "call: wants 3, came 1"),
        ({"at": "12s"}, "window: opens in 12s"),
        ({"at": "12s", "for": "1s", "every": "5s"}, "window: opens in 12s"),
        ({"chance": 0}, "chance: drew 0."),
        ({"succeed_first": 2}, "succeed_first: this was number 1 of the 2 that pass"),
        ({"otherwise": True}, "hit"),
        ({"fault": {"kind": "crlf"}}, "hit, but crlf found nothing to bite on"),
    ],
)
def test_the_first_selector_that_does_not_fit_is_told(fleet: Live, row: dict[str, Any], said: str) -> None:
    (found,) = why(fleet, "one", row)
    assert found.startswith(said)


def test_a_draw_is_told_with_what_was_due(fleet: Live) -> None:
    (found,) = why(fleet, "drawn", {"chance": 0.001})
    drew, due = found.removeprefix("chance: drew ").split(", due < ")
    assert 0.001 <= float(drew) < 1
    assert due == "0.001"


def test_a_window_that_closed_and_one_between(fleet: Live) -> None:
    rows: list[Row] = [{"for": "4s"}, {"for": "4s", "every": "20s"}, {"flap": {"on": "3s", "off": "6s"}}]
    fleet.control("PUT", "scenario", {"name": "x", "rules": [{"fault": NOOP, **row} for row in rows]})
    fleet.control("POST", "clock", {"advance_ms": 5_000})
    fleet.call(chat("[[case:late]]"))
    fleet.control("POST", "clock", {"advance_ms": 60_000})  # what is told is as of the request
    (found,) = fleet.control("GET", "explain?case=late")["requests"]
    assert [row["why"] for row in found["rules"]] == [
        "window: closed 1s before",
        "window: opens in 15s",
        "window: opens in 4s",
    ]


def test_counts_are_told_as_they_were(fleet: Live) -> None:
    rows = [{"name": "a", "first": 1}, {"name": "b", "times": 1}]
    fleet.control("PUT", "scenario", {"name": "x", "rules": [{"fault": NOOP, **row} for row in rows]})
    for _ in range(2):
        fleet.call(chat("[[case:counted]]"))
    first, second = fleet.control("GET", "explain?case=counted")["requests"]
    assert [row["why"] for row in first["rules"]] == ["hit", "hit"]
    assert [row["why"] for row in second["rules"]] == [
        "first: it had hit 1 requests, 1 at most",
        "times: it had hit this case 1 times, 1 at most",
    ]


def test_states_are_told_as_they_were(fleet: Live) -> None:
    data = {
        "name": "x",
        "states": ["well", "ill"],
        "rules": [{"name": "fall", "when": {"state": "well"}, "fault": NOOP, "then": {"state": "ill"}}],
    }
    fleet.control("PUT", "scenario", data)
    for _ in range(2):
        fleet.call(chat("[[case:stated]]"))
        fleet.control("POST", "clock", {"advance_ms": 10})
    first, second = fleet.control("GET", "explain?case=stated")["requests"]
    assert first["rules"][0]["why"] in ("hit", 'state: wants "well", came "ill"')
    assert second["rules"][0]["why"] == 'state: wants "well", came "ill"'


def test_otherwise_names_the_rule_that_hit_before(fleet: Live) -> None:
    rows: list[Row] = [{"name": "a", "when": {"case": "no"}}, {"name": "b"}, {"name": "c", "otherwise": True}]
    assert why(fleet, "other", *rows) == ['case: wants "no", came "other"', "hit", 'otherwise: "b" hit before']


def test_all_sources_are_told(fleet: Live) -> None:
    fleet.control("PUT", "scenario", {"name": "x", "rules": [{"name": "s", "fault": NOOP}]})
    (rule_id,) = fleet.control("POST", "faults", {"rules": [{"name": "r", "when": {"case": "no"}, "fault": NOOP}]})[
        "ids"
    ]
    reply = fleet.call(chat("[[case:all]] [[fault: status=503 attempt=1]] [[fault: status=500 provider=azure]]"))
    assert reply.status == 503
    (found,) = fleet.control("GET", "explain?case=all")["requests"]
    assert (found["provider"], found["attempt"], found["faults"]) == ("openai", 1, ["status", "noop"])
    assert [(row["source"], row["hit"], row["why"]) for row in found["rules"]] == [
        ("scenario", True, "hit"),
        (rule_id, False, 'case: wants "no", came "all"'),
        ("directive", True, "hit"),
        ("directive", False, 'provider: wants "azure", came "openai"'),
    ]


def test_a_rule_set_later_says_so(fleet: Live) -> None:
    fleet.call(chat("[[case:early]]"))
    fleet.control("POST", "clock", {"advance_ms": 3_000})
    fleet.control("POST", "faults", {"rules": [{"fault": NOOP}]})
    (found,) = fleet.control("GET", "explain?case=early")["requests"]
    assert [row["why"] for row in found["rules"]] == ["set: 3s after the request came"]


def test_a_request_is_named_by_its_number_too(fleet: Live) -> None:
    fleet.call(chat("[[case:numbered]]"))
    n = fleet.journal("numbered")[0]["n"]
    (found,) = fleet.control("GET", f"explain?n={n}")["requests"]
    assert (found["n"], found["case"], found["rules"]) == (n, "numbered", [])
    assert fleet.control("GET", f"explain?n={n + 1}") == {"requests": []}


@pytest.mark.parametrize("query", ["", "?case=a&n=1", "?cas=a", "?n=x"])
def test_unsound_queries_are_refused(fleet: Live, query: str) -> None:
    assert fleet.call(request("GET", f"/__fleet/explain{query}")).status == 400
