"""The schedule and the calls: the same for a seed, whatever the workers."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.calls import JSON_MIX, STREAM_MIX, Call, Mix, Plan, unexpected
from loadtests.draws import between, fraction, pick, weighted
from loadtests.ledger import Account
from loadtests.schedule import poisson, share
from loadtests.watch import Seen

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure

MIX = Mix(
    seed=7,
    models={"chat": ["gpt-5.5"], "messages": ["claude-sonnet-4-6"]},
    upstreams={"chat": ["openai", "openai-eu"], "messages": ["anthropic", "anthropic-eu"]},
    accounts=[Account("t-u0", "1", "ck_a"), Account("t-u1", "2", "ck_b")],
)


def test_a_seed_gives_one_schedule() -> None:
    one, again, other = (list(poisson(50.0, 20.0, seed)) for seed in (3, 3, 4))
    assert one == again != other
    assert [arrival.n for arrival in one] == list(range(len(one)))
    assert all(a.due_s < b.due_s for a, b in pairwise(one))
    assert all(0 <= arrival.due_s < 20.0 for arrival in one)


def test_the_arrivals_are_poisson() -> None:
    arrivals = list(poisson(100.0, 200.0, 1))
    assert abs(len(arrivals) - 20_000) < 5 * 20_000**0.5
    a_second = Counter(int(arrival.due_s) for arrival in arrivals)
    counts = [a_second[second] for second in range(200)]
    mean = sum(counts) / 200
    variance = sum((count - mean) ** 2 for count in counts) / 200
    assert 0.6 < variance / mean < 1.5  # 1 for Poisson, near 0 for a fixed pace


@UNHURRIED
@given(st.integers(1, 9), st.integers(0, 99))
def test_workers_share_out_the_same_arrivals(workers: int, seed: int) -> None:
    whole = list(poisson(30.0, 3.0, seed))
    shares = [list(share(poisson(30.0, 3.0, seed), worker, workers)) for worker in range(workers)]
    assert sorted((a for own in shares for a in own), key=lambda a: a.n) == whole


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz must be > 0"):
        next(poisson(0.0, 1.0, 1))
    with pytest.raises(ValueError, match="worker must be in"):
        share(poisson(1.0, 1.0, 1), 2, 2)
    with pytest.raises(ValueError, match="no choice"):
        weighted({}, 1)


@UNHURRIED
@given(st.integers(), st.text())
def test_draws_stay_in_their_range(seed: int, key: str) -> None:
    assert 0 <= fraction(seed, key) < 1
    assert 3 <= between(3, 5, seed, key) <= 5
    assert pick("abc", seed, key) in "abc"
    assert weighted({"a": 1.0, "never": 0.0}, seed, key) == "a"


def test_the_nth_call_is_a_function_of_the_seed() -> None:
    calls = [MIX.call(n) for n in range(400)]
    assert calls == [MIX.call(n) for n in range(400)]
    assert [call.case for call in calls[:3]] == ["t-u0.0", "t-u1.1", "t-u0.2"]
    assert {call.wire for call in calls} == {"chat", "messages"}
    assert {call.plan for call in calls if call.stream} == set(STREAM_MIX) == set(Plan)
    assert {call.plan for call in calls if not call.stream} == set(JSON_MIX)


def test_the_plan_rides_in_the_prompt() -> None:
    for call in (MIX.call(n) for n in range(300)):
        body = json.loads(call.body())
        prompt = body["messages"][-1]["content"]
        assert f"[[case:{call.case}]]" in prompt
        assert body.get("stream", False) is call.stream
        first = "openai" if call.wire == "chat" else "anthropic"
        expected = {
            Plan.PLAIN: "[[answer:",
            Plan.FAILOVER: f"[[fault: status=503 provider={first}]]",
            Plan.RATE_LIMITED: f"[[fault: status=429 provider={first} attempt=1]]",
            Plan.CUT: f"[[fault: cut_stream after_frames={call.leave_after}]]",
            Plan.MISSING_USAGE: "[[fault: missing_usage]]",
            Plan.HANG_UP: f"[[fault: stall after_frames={call.leave_after}]]",
        }
        assert expected[call.plan] in prompt
        assert (call.leave_after > 0) == (call.plan in (Plan.CUT, Plan.HANG_UP))


def call(plan: Plan) -> Call:
    return next(c for c in map(MIX.call, range(1000)) if c.plan is plan and c.stream)


WHOLE = {"status": 200, "content_events": 3, "usage": True, "terminal": True}


@pytest.mark.parametrize(
    ("plan", "seen", "problem"),
    [
        (Plan.PLAIN, Seen(**WHOLE), ""),
        (Plan.FAILOVER, Seen(status=502, error="api_error"), "status 502 api_error"),
        (Plan.PLAIN, Seen(broken="refused"), "refused"),
        (Plan.PLAIN, Seen(**WHOLE | {"terminal": False}), "the answer ended without its terminator"),
        (Plan.PLAIN, Seen(**WHOLE | {"usage": False}), "the answer has no usage"),
        (Plan.PLAIN, Seen(**WHOLE | {"content_events": 0}), "the answer has no content"),
        (Plan.PLAIN, Seen(**WHOLE | {"error": "api_error"}), "error api_error in an answer with status 200"),
        (Plan.MISSING_USAGE, Seen(**WHOLE | {"usage": False}), ""),
        (Plan.HANG_UP, Seen(status=200, content_events=2, left=True), ""),
        (Plan.HANG_UP, Seen(**WHOLE), "the stream ended before the planned hang-up"),
        (Plan.CUT, Seen(status=200, content_events=2, error="api_error"), ""),
        (Plan.CUT, Seen(status=200, content_events=2, error="api_error", broken="closed"), ""),
        (Plan.CUT, Seen(**WHOLE), "a cut stream ended as if it were whole"),
        (Plan.CUT, Seen(status=200, content_events=2), "a cut stream ended without an error event"),
    ],
)
def test_what_a_caller_must_see(plan: Plan, seen: Seen, problem: str) -> None:
    assert unexpected(call(plan), seen) == problem
