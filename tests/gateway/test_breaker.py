"""Circuit breakers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.breaker import Breaker, Breakers


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(3, 30)
    for _ in range(3):
        breaker.fail(at)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(3, 30)
    breaker.fail(0)
    breaker.fail(0)
    breaker.succeed()
    breaker.fail(0)
    breaker.fail(0)
    assert breaker.allows(0)
    breaker.fail(0)
    assert not breaker.allows(29.9)
    assert breaker.state(29.9) == "open"


def test_half_open_lets_one_through() -> None:
    breaker = opened()
    assert breaker.state(30) == "half_open"
    assert breaker.allows(30)
    breaker.begin(30)
    assert not breaker.allows(30)
    breaker.succeed()
    assert breaker.state(30) == "closed"
    assert breaker.allows(30)


def test_a_failed_trial_opens_it_again() -> None:
    breaker = opened()
    breaker.begin(30)
    breaker.fail(31)
    assert breaker.state(60.9) == "open"
    assert breaker.state(61) == "half_open"


def test_an_abandoned_trial_lets_the_next_one_through() -> None:
    breaker = opened()
    breaker.begin(30)
    breaker.give_up()
    assert breaker.allows(30)


def test_a_longer_wait_that_the_upstream_asks_for_prolongs_the_cooldown() -> None:
    breaker = opened()
    breaker.fail(5, retry_after_s=100)
    assert breaker.state(104.9) == "open"
    breaker.fail(6, retry_after_s=1)
    assert breaker.state(104.9) == "open"


def test_each_upstream_and_model_has_its_own() -> None:
    breakers = Breakers(1, 30)
    breakers.of("a", "m").fail(0)
    assert not breakers.of("a", "m").allows(0)
    assert breakers.of("a", "n").allows(0)
    assert breakers.of("b", "m").allows(0)
    assert breakers.state("a", 0) == "open"
    assert breakers.state("a", 30) == "half_open"
    assert breakers.state("b", 0) == "closed"


class Life(RuleBasedStateMachine):
    """Any order of attempts: never more than one trial while half open, and never shut for longer than the cooldown."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(2, 10)
        self.flying = 0

    @rule(step=st.floats(0, 20))
    def wait(self, step: float) -> None:
        self.now += step

    @rule()
    def attempt(self) -> None:
        if self.breaker.allows(self.now):
            was_half_open = self.breaker.state(self.now) == "half_open"
            self.breaker.begin(self.now)
            self.flying += 1
            assert not (was_half_open and self.breaker.allows(self.now))

    @rule(how=st.sampled_from(["succeed", "fail", "give_up"]))
    def end(self, how: str) -> None:
        if self.flying:
            self.flying -= 1
            if how == "fail":
                self.breaker.fail(self.now)
            else:
                getattr(self.breaker, how)()

    @invariant()
    def reopens(self) -> None:
        if not self.flying:
            assert self.breaker.allows(self.now + 10.001)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=30)
