"""Gates: requests held in flight until enough are there, until they are released, or until their time is up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.rules.gates import GATES, Gates, Hold
from tests.simulator.live import Line, Live, chat, request, running

CATALOGUE = ["gate"]


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def held(fleet: Live, cases: list[str], **options: Any) -> list[Line]:
    """Requests at the gate `full`, one after the other."""
    lines = []
    words = " ".join(f"{name}={value}" for name, value in options.items())
    for case in cases:
        line = fleet.line()
        line.send(chat(f"[[case:{case}]] [[fault: gate name=full {words}]]", stream=True))
        fleet.seen(case)
        lines.append(line)
    return lines


def gate(fleet: Live) -> dict[str, Any]:
    (found,) = fleet.control("GET", "gates")["gates"]
    return dict(found)


def ended(fleet: Live, *cases: str) -> list[str]:
    return [fleet.seen(case)[0]["ended"] for case in cases]


def test_requests_are_held_in_flight_until_enough_are_there(fleet: Live) -> None:
    lines = held(fleet, ["a", "b"], until=3)
    assert gate(fleet) == {"name": "full", "open": False, "held": 2, "until": 3, "released": 0, "expired": 0}
    assert ended(fleet, "a", "b") == ["pending", "pending"]
    lines += held(fleet, ["c", "d"], until=3)
    assert [line.reply().status for line in lines] == [200] * 4
    assert gate(fleet) == {"name": "full", "open": True, "held": 0, "until": 3, "released": 3, "expired": 0}
    (entry,) = fleet.journal("a")
    assert (entry["faults"], entry["ended"]) == (["gate"], "end")


def test_requests_are_released_in_the_order_of_their_arrival(fleet: Live) -> None:
    lines = held(fleet, ["a", "b", "c"])
    answer = fleet.control("POST", "gates/full/release", {"count": 2})
    assert (answer["released"], answer["gates"][0]["held"]) == (2, 1)
    assert [line.reply().status for line in lines[:2]] == [200, 200]
    assert ended(fleet, "c") == ["pending"]
    assert fleet.control("POST", "gates/full/release", {"count": 5})["released"] == 1
    assert lines[2].reply().status == 200
    (late,) = held(fleet, ["d"])
    assert gate(fleet)["held"] == 1
    fleet.control("POST", "gates/full/release", {"count": None})
    assert late.reply().status == 200
    (passing,) = held(fleet, ["e"])
    assert passing.reply().status == 200


def test_nobody_is_held_longer_than_the_ttl(fleet: Live) -> None:
    (line,) = held(fleet, ["a"], ttl_s=30)
    fleet.control("POST", "clock", {"advance_ms": 29_999})
    assert ended(fleet, "a") == ["pending"]
    fleet.control("POST", "clock", {"advance_ms": 1})
    assert line.reply().status == 200
    assert (gate(fleet)["released"], gate(fleet)["expired"]) == (1, 1)


def test_what_was_held_takes_its_own_time_afterwards(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:slow]] [[fault: gate]] [[fault: latency ttft_ms=500]]"))
    fleet.seen("slow")
    fleet.control("POST", "clock", {"advance_ms": 10_000})
    fleet.control("POST", "gates/gate/release", {})
    fleet.control("POST", "clock", {"advance_ms": 499})
    assert ended(fleet, "slow") == ["pending"]
    fleet.control("POST", "clock", {"advance_ms": 1})
    assert line.reply().status == 200
    (entry,) = fleet.journal("slow")
    assert entry["head_sent_ms"] == entry["arrived_ms"] + 10_500


def test_a_peer_that_goes_away_frees_its_place(fleet: Live) -> None:
    first, second = held(fleet, ["a", "b"])
    first.close()
    (entry,) = fleet.journal("a")
    assert (entry["ended"], entry["status"]) == ("peer_closed", None)
    assert gate(fleet)["held"] == 1
    assert fleet.control("POST", "gates/full/release", {"count": 1})["released"] == 1
    assert second.reply().status == 200


@pytest.mark.parametrize(("method", "path"), [("DELETE", "scenario"), ("POST", "reset")])
def test_a_reset_lets_everybody_go(fleet: Live, method: str, path: str) -> None:
    (line,) = held(fleet, ["a"])
    fleet.control(method, path)
    assert line.reply().status == 200
    assert fleet.control("GET", "gates") == {"gates": []}


def test_a_rule_holds_whom_it_concerns(fleet: Live) -> None:
    rule = {"when": {"provider": "openai"}, "fault": {"kind": "gate", "name": "one", "until": 2}}
    fleet.control("POST", "faults", {"rules": [rule]})
    line = fleet.line()
    line.send(chat("[[case:a]]"))
    fleet.seen("a")
    assert fleet.call(chat("hello", provider="openai-eu")).status == 200
    assert fleet.call(chat("[[case:b]]")).status == 200
    assert line.reply().status == 200


def test_two_gates_are_passed_one_after_the_other(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:a]] [[fault: gate name=one]] [[fault: gate name=two]]"))
    fleet.seen("a")
    fleet.control("POST", "gates/one/release", {"count": 1})
    assert ended(fleet, "a") == ["pending"]
    for _ in range(100):  # the reply walks on to the second gate on the fleet's own loop
        if len(fleet.control("GET", "gates")["gates"]) == 2:
            break
    fleet.control("POST", "gates/two/release", {"count": 1})
    assert line.reply().status == 200


@pytest.mark.parametrize("body", [{"count": -1}, {"count": True}, {"count": "2"}, []])
def test_unsound_releases_are_refused(fleet: Live, body: object) -> None:
    held(fleet, ["a"])
    assert fleet.call(request("POST", "/__fleet/gates/full/release", body)).status == 400
    assert gate(fleet)["held"] == 1


def test_a_gate_that_nobody_came_to_is_not_there(fleet: Live) -> None:
    assert fleet.call(request("POST", "/__fleet/gates/none/release", {})).status == 404


def test_gates_are_bounded() -> None:
    gates = Gates(Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None))
    waiting = gates.enter(Hold("kept", None, 1_000), lambda: None)
    for n in range(GATES + 10):
        assert gates.enter(Hold(f"gate-{n}", 1, 1_000), lambda: None) is None
    names = [row["name"] for row in gates.as_json()]
    assert len(names) == GATES
    assert waiting is not None
    assert names[0] == "kept"  # somebody waits there
    assert names[-1] == f"gate-{GATES + 9}"


def test_who_a_quota_turned_away_comes_to_no_gate(fleet: Live) -> None:
    fleet.control("PUT", "quotas", {"openai": [{"of": "concurrency", "limit": 2}]})
    lines = held(fleet, ["in1", "in2"], ttl_s=60)
    refused = fleet.call(chat("[[case:out]] [[fault: gate name=full ttl_s=60]]"))
    assert refused.status == 429
    assert fleet.journal("out")[0]["faults"] == ["quota"]
    (gate,) = fleet.control("GET", "gates")["gates"]
    assert gate["held"] == 2
    fleet.control("POST", "gates/full/release", {})
    assert [line.reply().status for line in lines] == [200, 200]
