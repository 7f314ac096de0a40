"""The control API over HTTP, and its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator.clock import MANUAL_START_MS, Clock
from simulator.control.api import PREFIX, Control, openapi
from tests.simulator.live import Live, Reply, chat, message, request, running


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture(autouse=True)
def _as_new(fleet: Live) -> None:
    fleet.control("POST", "reset")


def call(fleet: Live, method: str, path: str, content: object = None) -> Reply:
    return fleet.call(request(method, f"{PREFIX}/{path}", content))


def valid(name: str, content: object) -> None:
    """Check against a schema of the document."""
    document = openapi()
    Draft202012Validator({**document["components"]["schemas"][name], "components": document["components"]}).validate(
        content
    )


def test_health_and_providers(fleet: Live) -> None:
    health = fleet.control("GET", "health")
    valid("Health", health)
    assert health["seed"] == 7
    found = fleet.control("GET", "providers")["providers"]
    for row in found.values():
        valid("Provider", row)
    assert found["openai"]["base_url"] == f"http://127.0.0.1:{fleet.address[1]}/openai"
    assert found == fleet.runtime.describe()["providers"]


def test_a_scenario_is_put_told_and_taken_off(fleet: Live) -> None:
    assert fleet.control("GET", "scenario") == {"scenario": None}
    data = {"name": "down", "rules": [{"when": {"provider": "openai"}, "fault": {"kind": "status", "status": 503}}]}
    assert fleet.control("PUT", "scenario", data)["scenario"] == data
    assert fleet.call(chat("hello")).status == 503
    assert fleet.call(chat("hello", provider="openai-eu")).status == 200
    assert fleet.control("GET", "scenario")["since_ms"] == fleet.control("GET", "clock")["now_ms"]
    assert fleet.control("DELETE", "scenario") == {"scenario": None}
    assert fleet.call(chat("hello")).status == 200


def test_a_scenario_in_yaml_follows_the_clock_and_expires(fleet: Live) -> None:
    fleet.control(
        "PUT", "scenario", b"name: x\nttl_s: 100\nrules:\n- at: 10s\n  for: 20s\n  fault: {kind: status, status: 500}\n"
    )
    seen = []
    for _ in range(6):
        seen.append(fleet.call(chat("hello")).status)
        fleet.control("POST", "clock", {"advance_ms": 7_000})
    assert seen == [200, 200, 500, 500, 500, 200]
    fleet.control("POST", "clock", {"advance_ms": 60_000})
    assert fleet.control("GET", "scenario") == {"scenario": None}


def test_an_unsound_scenario_changes_nothing(fleet: Live) -> None:
    fleet.control("PUT", "scenario", {"name": "x", "rules": []})
    reply = call(fleet, "PUT", "scenario", {"name": "y", "rules": [{"fault": {"kind": "stal"}}]})
    assert reply.status == 400
    valid("Error", reply.json)
    (problem,) = reply.json["error"]["problems"]
    assert (problem["where"], problem["came"]) == ("rules[0].fault.kind", '"stal"')
    assert fleet.control("GET", "scenario")["scenario"]["name"] == "x"


def test_rules_are_added_removed_and_expire(fleet: Live) -> None:
    rule = {"when": {"case": "c1"}, "fault": {"kind": "status", "status": 418}}
    other = {"when": {"case": "c2"}, "fault": {"kind": "status", "status": 500}}
    first, second = fleet.control("POST", "faults", {"rules": [rule, other], "ttl_s": 60})["ids"]
    assert fleet.control("GET", "faults")["rules"] == [{"id": first, **rule}, {"id": second, **other}]
    assert fleet.call(chat("[[case:c1]]")).status == 418
    assert fleet.control("DELETE", f"faults/{first}")["rules"] == [{"id": second, **other}]
    assert call(fleet, "DELETE", f"faults/{first}").status == 404
    assert fleet.call(chat("[[case:c1]]")).status == 200
    assert fleet.call(chat("[[case:c2]]")).status == 500
    fleet.control("POST", "clock", {"advance_ms": 60_000})
    assert fleet.call(chat("[[case:c2]]")).status == 200
    fleet.control("POST", "faults", {"rules": [rule]})
    fleet.control("DELETE", "faults")
    assert fleet.call(chat("[[case:c1]]")).status == 200


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"{", "the body"),
        ([], "the file"),
        ({"rules": []}, "rules"),
        ({"rules": [{"fault": {"kind": "noop"}}], "ttl": 5}, "ttl"),
        ({"rules": [{"fault": {"kind": "noop"}}], "ttl_s": -5}, "ttl_s"),
        ({"rules": [{"fault": {"kind": "latency", "gap_ms": "x"}}]}, "rules[0].fault.gap_ms"),
    ],
)
def test_unsound_rules(fleet: Live, content: object, where: str) -> None:
    reply = call(fleet, "POST", "faults", content)
    assert reply.status == 400
    assert reply.json["error"]["problems"][0]["where"] == where


def test_the_journal_is_queried(fleet: Live) -> None:
    begin = fleet.control("GET", "journal")["next"]
    for case in ("j-1", "j-2", "j-1"):
        fleet.call(chat(f"[[case:{case}]]"))
    fleet.call(message("[[case:j-3]]"))
    found = fleet.control("GET", "journal")
    valid("Journal", found)
    assert [entry["n"] for entry in found["entries"]] == [begin, begin + 1, begin + 2, begin + 3]
    assert [entry["attempt"] for entry in found["entries"]] == [1, 1, 2, 1]
    page = fleet.control("GET", "journal?case=j-*&limit=2")
    assert len(page["entries"]) == 2
    assert len(fleet.control("GET", f"journal?case=j-*&since={page['next']}")["entries"]) == 2
    assert len(fleet.control("GET", "journal?provider=anthropic")["entries"]) == 1
    lines = call(fleet, "GET", "journal?format=jsonl")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.body.splitlines()] == found["entries"]
    assert fleet.control("DELETE", "journal")["entries"] == []
    assert fleet.control("GET", "journal") == {"entries": [], "next": begin + 4, "dropped": 0}


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=1.5", "wait_ms=soon", "format=xml", "cas=x"])
def test_unsound_queries(fleet: Live, query: str) -> None:
    reply = call(fleet, "GET", f"journal?{query}")
    assert reply.status == 400
    assert reply.json["error"]["problems"][0]["where"] == query.partition("=")[0]


def test_a_manual_clock_moves_delays(fleet: Live) -> None:
    start_ms = fleet.control("GET", "clock")["now_ms"]
    assert start_ms >= MANUAL_START_MS
    line = fleet.line()
    line.send(chat("[[case:m-1]] [[answer: tokens=4]] [[fault: latency ttft_ms=1000 gap_ms=100]]", stream=True))
    (pending,) = fleet.seen("m-1")
    assert (pending["status"], pending["ended"]) == (None, "pending")
    fleet.control("POST", "clock", {"advance_ms": 1_100})
    (pending,) = fleet.seen("m-1")
    assert (pending["status"], pending["frames_sent"]) == (200, 3)
    clock = fleet.control("POST", "clock", {"advance_ms": 10_000})
    valid("Clock", clock)
    assert line.reply().chunks[-1] == b"data: [DONE]\n\n"
    (entry,) = fleet.journal("m-1")
    assert entry["head_sent_ms"] == start_ms + 1_000
    assert entry["ended_ms"] == start_ms + 1_300
    assert clock["now_ms"] == start_ms + 11_100
    assert entry["lateness_ms_max"] == 0


@pytest.mark.parametrize(
    "content", [{"advance_ms": -1}, {"advance_ms": "5"}, {"advance_ms": True}, {}, [], {"advance_ms": 1, "x": 1}]
)
def test_unsound_advances(fleet: Live, content: object) -> None:
    assert call(fleet, "POST", "clock", content).status == 400


def test_a_clock_stays_within_what_dates_can_say(fleet: Live) -> None:
    before = fleet.control("GET", "clock")["now_ms"]
    reply = call(fleet, "POST", "clock", {"advance_ms": 10**14})
    assert reply.status == 400
    assert "the year 3000" in reply.json["error"]["message"]
    assert fleet.control("GET", "clock")["now_ms"] == before
    assert fleet.call(chat("hello")).status == 200


@pytest.mark.parametrize(
    ("path", "content", "flaw"),
    [
        (
            "clock",
            {"advance_ms": 1, "by": 2},
            {"where": "by", "came": "an unknown key", "due": "an object with advance_ms"},
        ),
        ("clock", [], {"where": "the body", "came": "[]", "due": "an object with advance_ms"}),
        ("gates/g/release", {"cuont": 2}, {"where": "cuont", "came": "an unknown key", "due": "an object with count"}),
        ("gates/g/release", 7, {"where": "the body", "came": "7", "due": "an object with count"}),
    ],
)
def test_what_is_wrong_with_a_body_is_told(fleet: Live, path: str, content: object, flaw: dict[str, str]) -> None:
    reply = call(fleet, "POST", path, content)
    assert reply.status == 400
    assert reply.json["error"]["problems"] == [flaw]


def test_quotas_of_nobody_are_not_found(fleet: Live) -> None:
    for method in ("GET", "DELETE"):
        assert call(fleet, method, "quotas?provider=nope").status == 404


def test_a_real_clock_is_not_advanced() -> None:
    with running() as live:
        reply = call(live, "POST", "clock", {"advance_ms": 1})
        assert reply.status == 400
        assert "only a manual clock is advanced" in reply.json["error"]["message"]


def test_lateness_is_told(fleet: Live) -> None:
    found = fleet.control("GET", "lateness")
    valid("Lateness", found)
    assert found["frames"] == 0
    line = fleet.line()
    line.send(chat("[[case:l-1]] [[fault: latency total_ms=50]]", stream=True))
    fleet.seen("l-1")
    fleet.control("POST", "clock", {"advance_ms": 100})
    line.reply()
    assert fleet.control("GET", "lateness")["frames"] > 10


@pytest.mark.parametrize("total_ms", [50, 100, 333])
def test_frames_due_at_odd_moments_all_leave(fleet: Live, total_ms: int) -> None:
    """Gaps of every length that rounds: a frame that is due now but for the last digit would be waited for for ever."""
    lines = []
    for count in range(20, 60):
        line = fleet.line()
        fault = f"[[fault: latency total_ms={total_ms}]]"
        line.send(chat(f"[[case:odd-{total_ms}-{count}]] [[answer: tokens={count}]] {fault}", stream=True))
        fleet.seen(f"odd-{total_ms}-{count}")
        lines.append(line)
    fleet.control("POST", "clock", {"advance_ms": 2 * total_ms})
    for line in lines:
        assert line.reply().body.endswith(b"data: [DONE]\n\n")


def test_reset_forgets_all(fleet: Live) -> None:
    fleet.control("PUT", "scenario", {"name": "x", "rules": [{"fault": {"kind": "hang"}}]})
    fleet.control("POST", "faults", {"rules": [{"fault": {"kind": "hang"}}]})
    fleet.control("POST", "reset")
    assert fleet.call(chat("[[case:r-1]]")).status == 200
    assert fleet.control("GET", "faults") == {"rules": []}
    assert fleet.control("GET", "scenario") == {"scenario": None}
    fleet.control("POST", "reset")
    fleet.call(chat("[[case:r-1]]"))
    assert [entry["attempt"] for entry in fleet.journal("r-1")] == [1]


def test_every_route_is_in_the_document(fleet: Live) -> None:
    document: dict[str, Any] = fleet.control("GET", "openapi.json")
    assert document["openapi"].startswith("3.1")
    described = {(m.upper(), path) for path, row in document["paths"].items() for m in row}
    routes = {(method, PREFIX + path) for method, path in Control.handlers(fleet.runtime.control)}
    assert described == routes
    names = [row[method]["operationId"] for row in document["paths"].values() for method in row]
    assert len(set(names)) == len(names)


def test_references_of_the_document_lead_somewhere() -> None:
    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    yield value
                else:
                    yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    document = openapi()
    for reference in walk(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "nothing", 404), ("PATCH", "clock", 405), ("GET", "", 404), ("GET", "reset", 405)],
)
def test_what_is_not_there(fleet: Live, method: str, path: str, status: int) -> None:
    reply = call(fleet, method, path)
    assert reply.status == status
    assert "/__fleet/openapi.json" in reply.json["error"]["message"]


def test_a_control_body_is_bounded(fleet: Live) -> None:
    assert call(fleet, "PUT", "scenario", b"x" * (5 << 20)).status == 413
