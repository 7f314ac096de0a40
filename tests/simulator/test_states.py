"""States of a scenario: rules look at them, hits and time move them, and the control API tells and sets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.faults import Flawed
from simulator.rules import scenario
from simulator.rules.states import Machine, States
from tests.simulator.live import Live, chat, request, running

CASCADE = {
    "name": "cascade",
    "states": ["healthy", "degraded", "down"],
    "transitions": [{"after": "60s", "from": "down", "to": "healthy"}],
    "rules": [
        {
            "name": "tip",
            "when": {"state": "healthy", "case": "tip"},
            "fault": {"kind": "noop"},
            "then": {"state": "degraded"},
        },
        {
            "name": "fall",
            "when": {"state": "degraded", "provider": "openai"},
            "fault": {"kind": "status", "status": 503},
            "then": {"state": "down"},
        },
        {"name": "dark", "when": {"state": "down"}, "fault": {"kind": "status", "status": 500}},
    ],
}


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def state(fleet: Live) -> str:
    (row,) = fleet.control("GET", "scenario/state")["states"]
    return str(row["state"])


def test_hits_and_time_move_a_scenario_from_state_to_state(fleet: Live) -> None:
    fleet.control("PUT", "scenario", CASCADE)
    assert (fleet.call(chat("hello")).status, state(fleet)) == (200, "healthy")
    assert (fleet.call(chat("[[case:tip]]")).status, state(fleet)) == (200, "degraded")
    assert (fleet.call(chat("hello")).status, state(fleet)) == (
        503,
        "down",
    )  # the hit that moves it is not hit by what follows
    assert fleet.call(chat("hello", provider="openai-eu")).status == 500
    fleet.control("POST", "clock", {"advance_ms": 59_999})
    assert fleet.call(chat("hello")).status == 500
    fleet.control("POST", "clock", {"advance_ms": 1})
    assert (fleet.call(chat("hello")).status, state(fleet)) == (200, "healthy")


def test_a_state_is_set_over_the_control_api(fleet: Live) -> None:
    fleet.control("PUT", "scenario", CASCADE)
    (row,) = fleet.control("PUT", "scenario/state", {"state": "down"})["states"]
    now_ms = fleet.control("GET", "clock")["now_ms"]
    assert row == {
        "scenario": "cascade",
        "state": "down",
        "states": ["healthy", "degraded", "down"],
        "since_ms": now_ms,
        "moves_in_ms": 60_000,
    }
    assert fleet.call(chat("hello")).status == 500


@pytest.mark.parametrize(
    "body", [{}, [], {"state": 5}, {"state": "lost"}, {"state": "down", "scenario": "x"}, {"state": "down", "x": 1}]
)
def test_unsound_states_are_refused(fleet: Live, body: object) -> None:
    fleet.control("PUT", "scenario", CASCADE)
    assert fleet.call(request("PUT", "/__fleet/scenario/state", body)).status == 400
    assert state(fleet) == "healthy"


def test_without_states_there_is_nothing_to_set(fleet: Live) -> None:
    reply = fleet.call(request("PUT", "/__fleet/scenario/state", {"state": "down"}))
    assert "a scenario with states, put on before" in str(reply.json)
    assert fleet.control("GET", "scenario/state") == {"states": []}


def test_scenarios_that_add_up_keep_their_states_apart(fleet: Live) -> None:
    other = {**CASCADE, "name": "other", "rules": []}
    fleet.control("PUT", "scenario", [CASCADE, other])
    reply = fleet.call(request("PUT", "/__fleet/scenario/state", {"state": "down"}))
    assert reply.status == 400
    assert "one of cascade + other/cascade, cascade + other/other" in str(reply.json)
    rows = fleet.control("PUT", "scenario/state", {"state": "down", "scenario": "cascade + other/other"})["states"]
    assert [row["state"] for row in rows] == ["healthy", "down"]
    assert fleet.call(chat("hello")).status == 200


def test_an_included_scenario_begins_in_its_first_state_when_it_begins() -> None:
    data: dict[str, Any] = {"name": "x", "states": ["a", "b"], "transitions": [{"after": 10, "from": "a", "to": "b"}]}
    inner = {**data, "rules": []}
    found = scenario.read({"name": "y", "include": [{"scenario": inner, "at": 100}]})
    (declared,) = found.states
    machine = Machine(declared, 5_000)
    assert [machine.at(ms) for ms in (5_000, 114_999, 115_000)] == ["a", "a", "b"]


def walked(declared: States, until_ms: int) -> str:
    """The state after walking every millisecond."""
    state, since_ms = declared.names[0], 0
    for now_ms in range(until_ms + 1):
        step = declared.after.get(state)
        if step is not None and now_ms >= since_ms + step[0]:
            state, since_ms = step[1], now_ms
    return state


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 50).map(float), st.sampled_from("abcd"))),
    st.lists(st.integers(0, 2_000), min_size=1, max_size=4),
)
def test_time_moves_it_as_if_somebody_had_watched_every_millisecond(
    after: dict[str, tuple[float, str]], moments: list[int]
) -> None:
    declared = States("x", ("a", "b", "c", "d"), after)
    machine = Machine(declared, 0)
    for moment in sorted(moments):
        assert machine.at(moment) == walked(declared, moment)


def test_long_jumps_around_a_circle_are_quick() -> None:
    machine = Machine(States("x", ("a", "b"), {"a": (1.0, "b"), "b": (2.0, "a")}), 0)
    assert [machine.at(3e14 + ms) for ms in (0, 1, 2, 3)] == ["a", "b", "b", "a"]


def test_it_remembers_where_it_was() -> None:
    machine = Machine(States("x", ("a", "b", "c"), {"b": (100.0, "c")}), 1_000)
    machine.go("b", 2_000)
    assert machine.at(2_500) == "c"
    assert [machine.was(ms) for ms in (900, 1_999, 2_000, 2_099, 2_100, 9_000)] == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize(
    ("more", "due"),
    [
        ({"states": ["a", "a"]}, "states: came a, a; due states that differ"),
        (
            {"transitions": [{"after": 1, "from": "a", "to": "b"}]},
            "transitions[0].from: came 'a'; due no state: the scenario has no",
        ),
        (
            {"states": ["a"], "transitions": [{"after": 1, "from": "a", "to": "b"}]},
            "transitions[0].to: came 'b'; due one of a",
        ),
        (
            {"states": ["a"], "transitions": [{"after": 0, "from": "a", "to": "a"}]},
            "transitions[0].after: came 0; due at least 1 ms",
        ),
        (
            {"states": ["a", "b"], "transitions": [{"after": 1, "from": "a", "to": "b"}] * 2},
            "transitions[1].from: came 'a'; due a state that no other transition leaves",
        ),
        (
            {"states": ["a"], "rules": [{"when": {"state": "b"}, "fault": {"kind": "noop"}}]},
            "rules[0].when.state: came 'b'; due one of a",
        ),
        (
            {"states": ["a"], "rules": [{"then": {"state": "b"}, "fault": {"kind": "noop"}}]},
            "rules[0].then.state: came 'b'; due one of a",
        ),
        ({"states": []}, "states: came []; due a list that is not empty"),
    ],
)
def test_what_is_wrong_is_told(more: dict[str, Any], due: str) -> None:
    with pytest.raises(Flawed) as caught:
        scenario.read({"name": "x", "rules": [], **more})
    assert str(caught.value.flaws[0]).startswith(due)


def test_added_rules_have_no_states(fleet: Live) -> None:
    rules = {"rules": [{"when": {"state": "down"}, "fault": {"kind": "noop"}}]}
    reply = fleet.call(request("POST", "/__fleet/faults", rules))
    assert (reply.status, reply.json["error"]["problems"][0]["where"]) == (400, "rules[0].when.state")
