"""Quotas as state machines, against plain models that keep every event and look at all of them each time."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults import Flawed
from simulator.problem import Exceeded
from simulator.quotas import rows as quota_rows
from simulator.quotas.counters import Counter, Fixed, Sliding, TokenBucket
from simulator.quotas.limiter import Claim, Limit, Limiter, Taken, Used

PER_MS = 1000
START_MS = 1_767_225_600_000
STEPS = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 5)), max_size=60)  # (ms since the last one, amount)
LIMITS = st.integers(0, 6)


class Event(NamedTuple):
    """Something that was admitted."""

    at_ms: int
    amount: int


def run(counter: Counter, steps: list[tuple[int, int]]) -> list[Event]:
    """Ask for each amount in turn, taking what is admitted."""
    now_ms = START_MS
    admitted = []
    for after_ms, amount in steps:
        now_ms += after_ms
        if counter.wait_ms(now_ms, amount) == 0:
            counter.take(now_ms, amount)
            admitted.append(Event(now_ms, amount))
    return admitted


def ended(steps: list[tuple[int, int]]) -> int:
    """When the last of the steps was."""
    return START_MS + sum(after_ms for after_ms, _ in steps)


def within(events: list[Event], begin_ms: int, end_ms: int) -> int:
    return sum(event.amount for event in events if begin_ms <= event.at_ms < end_ms)


@given(LIMITS, STEPS)
def test_a_sliding_window_admits_exactly_what_fits_in_any_window(limit: int, steps: list[tuple[int, int]]) -> None:
    admitted = run(Sliding(limit, PER_MS), steps)
    for event in admitted:
        assert within(admitted, event.at_ms, event.at_ms + PER_MS) <= limit
    model: list[Event] = []
    now_ms = START_MS
    for after_ms, amount in steps:
        now_ms += after_ms
        if within(model, now_ms - PER_MS + 1, now_ms + 1) + amount <= limit:
            model.append(Event(now_ms, amount))
    assert admitted == model


@given(LIMITS, STEPS)
def test_a_fixed_window_admits_exactly_what_fits_in_it(limit: int, steps: list[tuple[int, int]]) -> None:
    admitted = run(Fixed(limit, PER_MS), steps)
    model: list[Event] = []
    now_ms = START_MS
    for after_ms, amount in steps:
        now_ms += after_ms
        begin_ms = now_ms - now_ms % PER_MS
        if within(model, begin_ms, begin_ms + PER_MS) + amount <= limit:
            model.append(Event(now_ms, amount))
    assert admitted == model


@given(st.integers(1, 6), st.integers(1, 9), STEPS)
def test_a_bucket_is_bound_by_its_burst_and_rate(limit: int, burst: int, steps: list[tuple[int, int]]) -> None:
    admitted = run(TokenBucket(limit, PER_MS, burst), steps)
    for first in admitted:
        for last in admitted:
            if first.at_ms <= last.at_ms:
                got = within(admitted, first.at_ms, last.at_ms + 1)
                assert got * PER_MS <= burst * PER_MS + limit * (last.at_ms - first.at_ms)
    level = burst * PER_MS  # the model: thousandths, filled up to the brim at each step
    now_ms, model = START_MS, []
    for after_ms, amount in steps:
        now_ms += after_ms
        level = min(burst * PER_MS, level + after_ms * limit)
        if amount * PER_MS <= level:
            level -= amount * PER_MS
            model.append(Event(now_ms, amount))
    assert admitted == model


def counters(limit: int) -> list[Counter]:
    buckets = [TokenBucket(limit, PER_MS, limit), TokenBucket(2, PER_MS, limit)]
    return [Fixed(limit, PER_MS), Sliding(limit, PER_MS), *buckets]


@given(st.integers(1, 6), STEPS, st.integers(1, 6), st.integers(0, 1200))
def test_whoever_waits_exactly_so_long_is_admitted_and_nobody_sooner(
    limit: int, steps: list[tuple[int, int]], amount: int, after_ms: int
) -> None:
    for counter in counters(limit):
        run(counter, steps)
        now_ms = ended(steps) + after_ms
        wait_ms = counter.wait_ms(now_ms, amount)
        if amount > limit:
            assert wait_ms is None
            continue
        assert wait_ms is not None
        if wait_ms > 0:
            early = deepcopy(counter)
            assert early.wait_ms(now_ms + wait_ms - 1, amount) == 1
        seconds = -(-wait_ms // 1000)
        later = deepcopy(counter)
        assert later.wait_ms(now_ms + seconds * 1000, amount) == 0  # whole seconds, as retry-after tells them
        assert counter.wait_ms(now_ms + wait_ms, amount) == 0


@given(st.integers(1, 6), STEPS)
def test_after_its_reset_nothing_counts(limit: int, steps: list[tuple[int, int]]) -> None:
    for counter in counters(limit):
        admitted = run(counter, steps)
        now_ms = ended(steps)
        reset_ms = counter.reset_ms(now_ms)
        if reset_ms > 0 and admitted[-1].amount:
            assert deepcopy(counter).room(now_ms + reset_ms - 1) < limit
        assert counter.room(now_ms + reset_ms) == limit


@given(st.permutations([1, 1, 2, 3, 1]))
def test_what_comes_at_one_moment_and_fits_may_come_in_any_order(amounts: list[int]) -> None:
    for counter in counters(8):
        assert len(run(counter, [(0, amount) for amount in amounts])) == len(amounts)
        assert (counter.room(START_MS), counter.wait_ms(START_MS, 1)) == (0, counters_wait(counter))


def counters_wait(counter: Counter) -> int:
    """How long one has to wait when eight were taken at the start."""
    if isinstance(counter, TokenBucket):
        return -(-PER_MS // counter.limit)
    return PER_MS


# ---------------------------------------------------------------- several quotas of one provider


def claim(key: str = "k", model: str = "m-1", **more: Any) -> Claim:
    values: dict[str, Any] = {"org": "o", "asked": "m", "operation": "generate", "input_tokens": 10} | more
    return Claim(key=key, model=model, **{"cached_tokens": 0, "output_tokens": 20, **values})


def admit(limiter: Limiter, found: Claim, now_ms: float) -> tuple[Taken, ...]:
    taken = limiter.admit(found, now_ms)
    assert not isinstance(taken, Exceeded)
    return taken


def refuse(limiter: Limiter, found: Claim, now_ms: float) -> Exceeded:
    exceeded = limiter.admit(found, now_ms)
    assert isinstance(exceeded, Exceeded)
    return exceeded


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_a_refused_request_spends_nothing_of_any_quota(steps: list[tuple[int, int, int]]) -> None:
    limits = (
        Limit(3, kind="fixed"),
        Limit(100, of="tokens", kind="token_bucket"),
        Limit(60, of="output_tokens"),
        Limit(2, of="concurrency", per_ms=None),
        Limit(5, per_ms=86_400_000, kind="fixed"),
    )
    limiter = Limiter(limits)
    now_ms = START_MS
    flying: list[tuple[Taken, ...]] = []
    for after_ms, given_in, most in steps:
        now_ms += after_ms
        found = claim(input_tokens=given_in, output_tokens=most)
        before = [(one.limit, one.remaining) for one in limiter.standings(found, now_ms)]
        taken = limiter.admit(found, now_ms)
        after = [(one.limit, one.remaining) for one in limiter.standings(found, now_ms)]
        if isinstance(taken, Exceeded):
            assert before == after
            assert any(limit.of == taken.of and limit.charge(found) > left for limit, left in before)
            if flying:
                limiter.settle(flying.pop(0), Used(0, 0, 0), now_ms)
            continue
        assert [left - limit.charge(found) for limit, left in before] == [left for _, left in after]
        assert all(left >= 0 for _, left in after)
        flying.append(taken)


def test_the_longest_wait_is_told() -> None:
    limiter = Limiter([Limit(2), Limit(3, per_ms=3_600_000), Limit(1_000, of="tokens")])
    for _ in range(2):
        admit(limiter, claim(), START_MS)
    told = refuse(limiter, claim(), START_MS + 10)
    assert (told.limit, told.used, told.requested, told.per_ms, told.wait_ms) == (2, 2, 1, 60_000, 59_990)
    admit(limiter, claim(), START_MS + 60_000)
    told = refuse(limiter, claim(), START_MS + 61_000)
    assert (told.limit, told.per_ms, told.wait_ms) == (3, 3_600_000, 3_600_000 - 61_000)
    assert (told.of, told.model, told.org, told.by, told.fits) == ("requests", "m", "o", ("key", "model"), True)


def test_what_is_larger_than_a_quota_never_fits() -> None:
    told = refuse(Limiter([Limit(25, of="tokens")]), claim(), START_MS)
    assert (told.fits, told.wait_ms, told.requested, told.used) == (False, None, 30, 0)
    assert refuse(Limiter([Limit(0)]), claim(), START_MS).wait_ms is None


def test_tokens_are_corrected_to_what_was_used() -> None:
    limiter = Limiter([Limit(100, of="tokens"), Limit(100, of="tokens", count="admission", models=("m",))])
    taken = admit(limiter, claim(), START_MS)
    assert [one.remaining for one in limiter.standings(claim(), START_MS)] == [70, 70]
    limiter.settle(taken, Used(10, 0, 5), START_MS + 500)
    assert [one.remaining for one in limiter.standings(claim(), START_MS + 500)] == [85, 70]
    limiter.settle(taken, Used(10, 0, 5), START_MS + 60_001)  # too late to matter: the window is over
    assert [one.remaining for one in limiter.standings(claim(), START_MS + 60_001)] == [100, 100]


@pytest.mark.parametrize("kind", ["fixed", "sliding", "token_bucket"])
def test_an_answer_longer_than_reserved_overdraws(kind: str) -> None:
    limiter = Limiter([Limit(60, of="tokens", kind=kind, estimate=5)])
    taken = admit(limiter, claim(output_tokens=None), START_MS)
    limiter.settle(taken, Used(10, 0, 80), START_MS)
    (standing,) = limiter.standings(claim(), START_MS)
    assert standing.remaining == -30
    told = refuse(limiter, claim(output_tokens=0), START_MS)
    assert told.wait_ms == (40_000 if kind == "token_bucket" else 60_000)
    admit(limiter, claim(output_tokens=0), START_MS + told.wait_ms)


def test_cached_input_may_be_free() -> None:
    free, counted = Limit(50, of="input_tokens", cached="free"), Limit(50, of="input_tokens")
    found = claim(input_tokens=40, cached_tokens=30)
    assert (free.charge(found), counted.charge(found)) == (10, 40)


def test_requests_in_flight_are_given_back() -> None:
    limiter = Limiter([Limit(1, of="concurrency", per_ms=None)])
    taken = admit(limiter, claim(), START_MS)
    told = refuse(limiter, claim(), START_MS + 10**9)
    assert (told.of, told.used, told.wait_ms, told.per_ms) == ("concurrency", 1, None, None)
    limiter.settle(taken, Used(0, 0, 0), START_MS + 10**9)
    admit(limiter, claim(), START_MS + 10**9)


def test_callers_are_counted_apart_and_together() -> None:
    def left(by: tuple[str, ...], *claims: Claim) -> int:
        limiter = Limiter([Limit(9, by=by)])
        for one in claims:
            admit(limiter, one, START_MS)
        return limiter.standings(claim(), START_MS)[0].remaining

    others = [claim("other"), claim(model="m-2"), claim(org="p"), claim()]
    assert left(("key", "model"), *others) == 7  # org alone makes no difference
    assert left(("key",), *others) == 6
    assert left(("org",), *others) == 6
    assert left(("model",), *others) == 6
    assert left((), *others) == 5
    assert left(("key", "org", "model"), *others) == 8


def test_a_quota_concerns_models_by_either_name_and_operations() -> None:
    assert Limit(1, models=("m",)).concerns(claim())
    assert Limit(1, models=("m-*",)).concerns(claim())
    assert not Limit(1, models=("n*",)).concerns(claim())
    assert not Limit(1).concerns(claim(operation="count_tokens"))
    assert Limit(1, operations=("count_*",)).concerns(claim(operation="count_tokens"))
    assert not Limit(1, operations=("count_*",)).concerns(claim())


def test_a_day_begins_at_midnight_utc() -> None:
    (limit,) = quota_rows.read([{"limit": 1, "per": "1d", "kind": "fixed"}])
    limiter = Limiter([limit])
    noon_ms = START_MS + 12 * 3_600_000
    admit(limiter, claim(), noon_ms)
    told = refuse(limiter, claim(), noon_ms + 1)
    assert told.wait_ms == 12 * 3_600_000 - 1
    admit(limiter, claim(), START_MS + 86_400_000)


def test_time_never_steps_back_for_a_quota() -> None:
    limiter = Limiter([Limit(1)])
    admit(limiter, claim(), START_MS + 60_000.9)
    assert refuse(limiter, claim(), START_MS).wait_ms == 60_000


def test_counters_of_callers_at_rest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.quotas.limiter.IDLE_COUNTERS", 10)
    limiter = Limiter([Limit(1, kind="fixed")])
    for number in range(200):
        admit(limiter, claim(f"key-{number}"), START_MS + number * 10_000)
    usage = limiter.as_json(START_MS + 2_000_000)[0]["usage"]
    assert len(usage) <= 10
    assert all(before["key"] != after["key"] for before, after in pairwise(usage))


@pytest.mark.parametrize(
    ("row", "due"),
    [
        ({"limit": 1, "of": "concurrency", "per": "1m"}, "concurrency without per"),
        ({"limit": 1, "burst": 5}, "burst only with kind: token_bucket"),
        ({"limit": 1, "per": "soon"}, 'per: a time of at least 1 ms, such as "1m"'),
        ({"limit": 1, "per": "0s"}, "per: a time of at least 1 ms"),
        ({"limit": 1, "per": "1x d"}, "per: a time of at least 1 ms"),
        ({"limit": 1, "per": 0.0005}, "per: a time of at least 1 ms"),
    ],
)
def test_rows_that_make_no_quota(row: dict[str, Any], due: str) -> None:
    with pytest.raises(Flawed) as caught:
        quota_rows.read([row], "providers[0].quotas")
    (flaw,) = caught.value.flaws
    assert flaw.where == "providers[0].quotas[0]"
    assert due in flaw.due
