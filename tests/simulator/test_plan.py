"""Which faults meet which request: timelines, attempts, and draws that do not depend on the order of things."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.faults import Flawed
from simulator.rules import scenario
from simulator.rules.directives import fault
from simulator.rules.plan import Plan
from simulator.rules.rule import from_directive, read_rules
from simulator.rules.selectors import Subject, read_ranges
from simulator.rules.tallies import Attempts
from simulator.rules.timeline import read_time_ms


def subject(**more: Any) -> Subject:
    facts: dict[str, Any] = {
        "provider": "openai",
        "region": "us-east",
        "dialect": "openai_chat",
        "operation": "generate",
        "model": "gpt-4o",
        "stream": False,
        "method": "POST",
        "path": "/v1/chat/completions",
        "query": "",
        "case": None,
        "key": "digest",
    }
    return Subject(**{**facts, **more})


def plan_of(*rows: dict[str, Any], seed: int = 1) -> tuple[Plan, Clock]:
    clock = Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None)
    plan = Plan(clock, seed)
    plan.set_scenario(scenario.read({"name": "x", "rules": list(rows)}).rules)
    return plan, clock


def kinds(plan: Plan, attempt: int = 1, call: int = 1, **more: Any) -> list[str]:
    return [each.kind for each in plan.fate(subject(**more), attempt, call, (), ())]


@pytest.mark.parametrize(
    ("when", "hit", "missed"),
    [
        ({}, {}, None),
        ({"provider": "openai*"}, {"provider": "openai-eu"}, {"provider": "anthropic"}),
        ({"region": "us-*"}, {}, {"region": "eu-central"}),
        ({"dialect": "openai_chat"}, {}, {"dialect": "anthropic_messages"}),
        ({"model": "gpt-*"}, {}, {"model": "claude"}),
        ({"model": "*"}, {}, {"model": None}),
        ({"path": "/v1/chat/*"}, {}, {"path": "/v1/models"}),
        ({"case": "ab*"}, {"case": "ab12"}, {"case": None}),
        ({"stream": True}, {"stream": True}, {"stream": False}),
        ({"attempt": 2}, {"attempt": 2}, {"attempt": 1}),
        ({"attempt": "2-3"}, {"attempt": 3}, {"attempt": 4}),
        ({"call": [1, "5-6"]}, {"call": 6}, {"call": 2}),
        ({"provider": "openai", "stream": False}, {}, {"stream": True}),
        ({"provider": ["azure", "openai*"]}, {"provider": "openai-eu"}, {"provider": "gemini"}),
        ({"operation": ["generate", "count_*"]}, {"operation": "count_tokens"}, {"operation": None}),
    ],
)
def test_when(when: dict[str, Any], hit: dict[str, Any], missed: dict[str, Any] | None) -> None:
    plan, _ = plan_of({"when": when, "fault": {"kind": "hang"}})
    assert kinds(plan, **hit) == ["hang"]
    if missed is not None:
        assert kinds(plan, **missed) == []


def test_a_timeline_begins_when_the_scenario_is_set() -> None:
    plan, clock = plan_of({"at": "10s", "for": 5, "fault": {"kind": "hang"}})
    seen = {}
    for second in range(20):
        seen[second] = bool(kinds(plan))
        clock.advance(1000)
    assert [second for second, on in seen.items() if on] == [10, 11, 12, 13, 14]


def test_a_window_comes_back() -> None:
    plan, clock = plan_of({"at": 2, "for": 1, "every": "4s", "fault": {"kind": "hang"}})
    seen = []
    for second in range(12):
        if kinds(plan):
            seen.append(second)
        clock.advance(1000)
    assert seen == [2, 6, 10]


def test_a_scenario_expires() -> None:
    plan, clock = plan_of()
    expired: list[str] = []
    plan.set_scenario(
        scenario.read({"name": "x", "rules": [{"fault": {"kind": "hang"}}]}).rules,
        5_000,
        None,
        lambda: expired.append("x"),
    )
    clock.advance(4_999)
    assert kinds(plan) == ["hang"]
    assert plan.concerns("openai")
    clock.advance(1)
    assert kinds(plan) == []
    assert not plan.concerns("openai")
    assert expired == ["x"]


def test_a_new_scenario_outlives_the_end_of_the_old_one() -> None:
    plan, clock = plan_of()
    rules = scenario.read({"name": "x", "rules": [{"fault": {"kind": "hang"}}]}).rules
    plan.set_scenario(rules, 5_000)
    plan.set_scenario(rules, 50_000)
    clock.advance(10_000)
    assert kinds(plan) == ["hang"]


def test_added_rules_are_removed_by_id_and_expire() -> None:
    plan, clock = plan_of()
    rows = [{"when": {"provider": "anthropic"}, "fault": {"kind": "hang"}}, {"fault": {"kind": "noop"}}]
    first, second = plan.add(read_rules(rows), rows, 1_000)
    assert [each["id"] for each in plan.added()] == [first, second]
    assert kinds(plan) == ["noop"]
    assert kinds(plan, provider="anthropic") == ["hang", "noop"]
    assert plan.remove(second)
    assert not plan.remove(second)
    assert (plan.concerns("openai"), plan.concerns("anthropic")) == (False, True)
    clock.advance(1_000)
    assert plan.added() == []
    assert kinds(plan, provider="anthropic") == []


def test_faults_come_in_the_order_of_their_sources() -> None:
    plan, _ = plan_of({"fault": [{"kind": "latency", "ttft_ms": 1}, {"kind": "crlf"}]})
    rows = [{"fault": {"kind": "bom"}}]
    plan.add(read_rules(rows), rows, None)
    asked = (from_directive(fault("stall after_frames=1"), "d"),)
    own = (from_directive(fault("noop"), "o").faults[0],)
    assert [each.kind for each in plan.fate(subject(), 1, 1, own, asked)] == ["noop", "latency", "crlf", "bom", "stall"]


def test_a_directive_s_selectors() -> None:
    plan, _ = plan_of()
    rule = from_directive(fault("status=503 provider=open* region=us-east attempt=2-3 stream=false"), "d")
    assert rule.hits(subject(), 2, 1, 0, 1)
    assert not rule.hits(subject(), 1, 1, 0, 1)
    assert not rule.hits(subject(provider="anthropic"), 2, 1, 0, 1)
    assert not rule.hits(subject(stream=True), 2, 1, 0, 1)
    with pytest.raises(Flawed, match="came 'nope'; due perhaps noop"):
        from_directive(fault("nope"), "d")
    assert kinds(plan) == []


CHANCES: list[dict[str, Any]] = [
    {"name": "a", "chance": 0.3, "fault": {"kind": "hang"}},
    {"name": "b", "chance": 0.5, "when": {"attempt": "1-2"}, "fault": {"kind": "noop"}},
    {"chance": 0.2, "when": {"provider": "anthropic"}, "fault": {"kind": "bom"}},
    {"name": "c", "chance": 0.5, "times": 2, "fault": {"kind": "crlf"}},
    {"name": "d", "chance": 0.5, "otherwise": True, "ramp": {"down": 60}, "for": 90, "fault": {"kind": "coalesced"}},
    {"name": "e", "flap": {"on": 7, "off": 7, "jitter": 5}, "fault": {"kind": "comments"}},
]
REQUESTS = [(f"case-{n % 40}", provider) for n in range(120) for provider in ("openai", "anthropic")]


def fates(
    order: list[tuple[str, str]], concurrency: int, seed: int = 1, at_ms: float = 40_000
) -> dict[tuple[str, str], Counter[tuple[str, ...]]]:
    """Who met what, when `concurrency` requests are in flight at once and reach the fleet in any order."""
    plan, clock = plan_of(*CHANCES, seed=seed)
    clock.advance(at_ms)
    attempts = Attempts()
    dice = random.Random(concurrency)
    found: dict[tuple[str, str], Counter[tuple[str, ...]]] = {}
    waiting = list(order)
    while waiting:
        batch = [waiting.pop(0) for _ in range(min(concurrency, len(waiting)))]
        dice.shuffle(batch)
        for case, provider in batch:
            attempt, call = attempts.count(case, provider)
            met = tuple(kinds(plan, attempt, call, provider=provider, case=case, key=case))
            found.setdefault((case, provider), Counter())[met] += 1
    return found


@settings(max_examples=25, deadline=None)
@given(st.permutations(REQUESTS), st.sampled_from([1, 8, 64]))
def test_the_same_requests_meet_the_same_fates_at_any_concurrency_in_any_order(
    order: list[tuple[str, str]], concurrency: int
) -> None:
    assert fates(order, concurrency) == fates(REQUESTS, 1)


def test_another_seed_is_another_fate() -> None:
    assert fates(REQUESTS, 1, seed=2) != fates(REQUESTS, 1)


def test_a_chance_hits_its_share() -> None:
    plan, _ = plan_of({"chance": 0.25, "fault": {"kind": "hang"}})
    hits = sum(bool(kinds(plan, key=f"case-{n}")) for n in range(4000))
    assert hits == pytest.approx(1000, rel=0.1)


def test_providers_draw_apart() -> None:
    plan, _ = plan_of({"chance": 0.5, "fault": {"kind": "hang"}})
    both = [(bool(kinds(plan, key=f"{n}")), bool(kinds(plan, key=f"{n}", provider="openai-eu"))) for n in range(400)]
    assert 60 < sum(one and other for one, other in both) < 140


def test_times_are_counted_by_case_and_provider() -> None:
    plan, _ = plan_of({"times": 2, "fault": {"kind": "hang"}})
    for provider in ("openai", "azure"):
        hits = [bool(kinds(plan, attempt, provider=provider, key="one")) for attempt in range(1, 5)]
        assert hits == [True, True, False, False]
    assert kinds(plan, key="other") == ["hang"]


def test_times_count_hits_not_requests() -> None:
    plan, _ = plan_of({"times": 2, "chance": 0.5, "fault": {"kind": "hang"}})
    free, _ = plan_of({"chance": 0.5, "fault": {"kind": "hang"}})
    for case in range(50):
        drawn = [bool(kinds(free, attempt, key=f"{case}")) for attempt in range(1, 12)]
        hits = [bool(kinds(plan, attempt, key=f"{case}")) for attempt in range(1, 12)]
        assert hits == [one and sum(drawn[: n + 1]) <= 2 for n, one in enumerate(drawn)]


def test_the_first_ones_are_hit_or_pass_in_the_order_of_arrival() -> None:
    plan, _ = plan_of({"succeed_first": 2, "first": 3, "when": {"provider": "openai"}, "fault": {"kind": "hang"}})
    assert kinds(plan, provider="azure") == []
    assert [len(kinds(plan, key=f"{n}")) for n in range(8)] == [0, 0, 1, 1, 1, 0, 0, 0]


def test_a_scenario_set_anew_counts_anew() -> None:
    plan, _ = plan_of({"first": 1, "fault": {"kind": "hang"}})
    rules = read_rules([{"first": 1, "fault": {"kind": "hang"}}])
    assert [kinds(plan), kinds(plan)] == [["hang"], []]
    plan.set_scenario(rules)
    assert [kinds(plan), kinds(plan)] == [["hang"], []]


def test_otherwise_shares_requests_out() -> None:
    first = {"name": "a", "chance": 0.5, "fault": {"kind": "hang"}}
    second = {"name": "b", "chance": 0.5, "otherwise": True, "fault": {"kind": "noop"}}
    plan, _ = plan_of(first, second, {"name": "c", "otherwise": True, "fault": {"kind": "bom"}})
    met = Counter(tuple(kinds(plan, key=f"{n}")) for n in range(4000))
    assert set(met) == {("hang",), ("noop",), ("bom",)}
    assert met[("hang",)] == pytest.approx(2000, rel=0.1)
    assert met[("noop",)] == pytest.approx(1000, rel=0.15)


def test_otherwise_looks_at_rules_of_its_own_scenario_alone() -> None:
    plan, _ = plan_of({"fault": {"kind": "hang"}})
    rows = [{"otherwise": True, "fault": {"kind": "noop"}}, {"otherwise": True, "fault": {"kind": "bom"}}]
    plan.add(read_rules(rows), rows, None)
    assert kinds(plan) == ["hang", "noop"]


def test_a_flap_is_the_same_for_everybody() -> None:
    plan, clock = plan_of({"name": "f", "flap": {"on": 5, "off": 5, "jitter": 4}, "fault": {"kind": "hang"}})
    for _ in range(60):
        seen = {bool(kinds(plan, key=f"{n}", provider=p)) for n in range(5) for p in ("openai", "azure")}
        assert len(seen) == 1
        clock.advance(1000)


def test_a_ramped_chance_rises_over_time() -> None:
    plan, clock = plan_of({"name": "r", "ramp": "100s", "chance": 0.8, "fault": {"kind": "hang"}})
    met: list[set[int]] = []
    for _ in range(6):
        met.append({n for n in range(2000) if kinds(plan, key=f"{n}")})
        clock.advance(25_000)
    for step, cases in enumerate(met):
        assert len(cases) == pytest.approx(2000 * 0.8 * min(1, step / 4), abs=90)
    for before, after in pairwise(met):
        assert before <= after  # who is hit stays hit: the draw is the request's own


def test_attempts_count_by_provider_and_calls_by_fleet() -> None:
    attempts = Attempts()
    assert attempts.count("a", "x") == (1, 1)
    assert attempts.count("a", "y") == (1, 2)
    assert attempts.count("a", "x") == (2, 3)
    assert attempts.count("b", "x") == (1, 1)
    attempts.clear()
    assert attempts.count("a", "x") == (1, 1)


def test_attempts_are_bounded() -> None:
    attempts = Attempts(limit=3)
    for key in "abcd":
        attempts.count(key, "x")
    assert len(attempts) == 3
    assert attempts.count("b", "x") == (2, 2)
    attempts.count("e", "x")
    assert attempts.count("b", "x") == (3, 3)
    assert attempts.count("c", "x") == (1, 1)


@pytest.mark.parametrize(
    ("text", "ms"),
    [(1, 1000), (0.5, 500), ("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), (" 1.5 s ", 1500)],
)
def test_times(text: object, ms: float) -> None:
    assert read_time_ms(text) == ms


@pytest.mark.parametrize("text", ["", "s", "10", "10 parsecs", "-1s", -1, True, None, "1.2.3s", "nans", "1e99h"])
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(ValueError, match="seconds, or a text such as"):
        read_time_ms(text)


@pytest.mark.parametrize(
    ("text", "ranges"), [(1, ((1, 1),)), ("2-3", ((2, 3),)), ([1, "4-5", "7"], ((1, 1), (4, 5), (7, 7)))]
)
def test_ranges(text: object, ranges: object) -> None:
    assert read_ranges(text) == ranges


@pytest.mark.parametrize("text", [0, "0", "3-2", "a", "1-", "-1", "1-2-3", True, [], [[]], 1.5, None])
def test_what_is_no_range(text: object) -> None:
    with pytest.raises(ValueError, match="a number from 1"):
        read_ranges(text)
