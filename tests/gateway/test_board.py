"""What workers share in memory: every one of them sees the one clock and the one breaker of a target."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breaker import Breaker, Breakers
from gateway.workers.board import Board, BoardBreakers, BoardClock

WORKERS = 3
FAILURES, COOLDOWN_S = 3, 30.0
TARGETS = [("openai", "a"), ("openai", "b"), ("eu", "a")]


def breakers(board: Board) -> list[BoardBreakers]:
    return [BoardBreakers(board, place, FAILURES, COOLDOWN_S) for place in range(board.workers)]


def test_whoever_moves_the_clock_moves_it_for_all() -> None:
    board = Board(WORKERS, TARGETS)
    clocks = [BoardClock(board, place) for place in range(WORKERS)]
    assert [clock.advance(10 + place) for place, clock in enumerate(clocks)] == [10, 21, 33]
    assert clocks[0].advance(0) == 33
    assert {clock.offset_ms for clock in clocks} == {33}
    assert BoardClock(board, 1).advance(7) == 40, "another worker in a place goes on where the one before was"
    with pytest.raises(ValueError, match="forward"):
        clocks[0].advance(-1)


def test_it_is_seen_in_another_process() -> None:
    board = Board(WORKERS, TARGETS)
    pid = os.fork()
    if pid == 0:
        BoardClock(board, 2).advance(5)
        for _ in range(FAILURES):
            breakers(board)[2].of("eu", "a").fail(100.0)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert BoardClock(board, 0).offset_ms == 5
    assert breakers(board)[0].of("eu", "a").state(100.0) == "open"


STEPS = st.tuples(
    st.integers(0, WORKERS - 1), st.sampled_from(["begin", "succeed", "fail", "late", "give_up"]), st.floats(0, 40)
)


@given(st.lists(STEPS, max_size=40))
def test_workers_that_take_turns_are_one_breaker(steps: list[tuple[int, str, float]]) -> None:
    """The same steps in one process and in three that take turns: the same state after each."""
    alone, shared = Breaker(FAILURES, COOLDOWN_S), breakers(Board(WORKERS, TARGETS))
    now = 1000.0
    for place, what, passes_s in steps:
        now += round(passes_s, 3)
        for breaker in (alone, shared[place].of("openai", "b")):
            if what == "begin":
                breaker.begin(now)
            elif what == "late":
                breaker.fail(now, 90.0)
            elif what == "fail":
                breaker.fail(now)
            else:
                getattr(breaker, what)()
        for one in shared:
            seen = one.of("openai", "b")
            assert (seen.state(now), seen.allows(now)) == (alone.state(now), alone.allows(now))
            assert seen.failures == alone.failures
            assert one.of("openai", "a").state(now) == "closed"
            assert one.state("openai", now) == alone.state(now)
            assert one.state("eu", now) == "closed"


def test_the_trial_of_a_dead_worker_is_nobodys() -> None:
    board = Board(WORKERS, TARGETS)
    for _ in range(FAILURES):
        breakers(board)[0].of("eu", "a").fail(0.5)
    breakers(board)[1].of("eu", "a").begin(40.0)
    board.take(2)
    assert not breakers(board)[0].of("eu", "a").allows(40.0)
    board.take(1)
    assert breakers(board)[0].of("eu", "a").allows(40.0)


def test_a_target_that_the_board_does_not_have_is_each_ones_own() -> None:
    one, two, _ = breakers(Board(WORKERS, TARGETS))
    for _ in range(FAILURES):
        one.of("strange", "a").fail(1.0)
    assert (one.state("strange", 1.0), two.state("strange", 1.0)) == ("open", "closed")
    assert type(one.of("strange", "a")) is type(Breakers(1, 1.0).of("strange", "a"))
