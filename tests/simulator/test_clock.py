"""One clock for everything: real, scaled and manual, driven by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import MANUAL_START_MS, Clock, ClockError


class Machine:
    """A machine whose time moves when told, and whose alarms ring then."""

    def __init__(self) -> None:
        self.now_ms = 1000.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []

    def read(self) -> float:
        return self.now_ms / 1000

    def alarm(self, delay_ms: float, action: Callable[[], None]) -> Callable[[], None]:
        row = (self.now_ms + delay_ms, action)
        self.alarms.append(row)
        return lambda: self.alarms.remove(row)

    def run(self, ms: float) -> None:
        """Let `ms` pass."""
        target_ms = self.now_ms + ms
        while self.alarms and min(self.alarms, key=lambda row: row[0])[0] <= target_ms:
            row = min(self.alarms, key=lambda row: row[0])
            self.alarms.remove(row)
            self.now_ms = max(self.now_ms, row[0])
            row[1]()
        self.now_ms = target_ms

    def clock(self, scale: float = 1.0) -> Clock:
        return Clock("real", scale, start_ms=0, read=self.read, alarm=self.alarm)


def test_real_time_runs_with_the_machine() -> None:
    machine = Machine()
    clock = machine.clock()
    seen: list[tuple[str, float]] = []
    clock.call_at(20, lambda: seen.append(("b", clock.now_ms())))
    clock.call_at(10, lambda: seen.append(("a", clock.now_ms())))
    machine.run(15)
    assert seen == [("a", pytest.approx(10))]
    machine.run(15)
    assert seen == [("a", pytest.approx(10)), ("b", pytest.approx(20))]
    assert (clock.mode, clock.waiting()) == ("real", 0)
    assert machine.alarms == []


def test_scaled_time_runs_faster() -> None:
    machine = Machine()
    clock = machine.clock(60)
    seen: list[float] = []
    clock.call_at(60_000, lambda: seen.append(clock.now_ms()))
    machine.run(999)
    assert seen == []
    machine.run(1)
    assert seen == [pytest.approx(60_000)]
    assert (clock.mode, clock.scale, clock.real_ms(120)) == ("scaled", 60, 2)


def manual() -> Clock:
    machine = Machine()
    return Clock("manual", read=machine.read, alarm=machine.alarm)


def test_manual_time_stops_at_every_moment_on_its_way() -> None:
    clock = manual()
    start_ms = clock.now_ms()
    seen: list[float] = []

    def tick() -> None:
        seen.append(clock.now_ms() - start_ms)
        if len(seen) < 5:
            clock.call_at(clock.now_ms() + 10, tick)

    clock.call_at(start_ms + 10, tick)
    clock.advance(35)
    assert seen == [10, 20, 30]
    assert clock.now_ms() == start_ms + 35
    clock.advance(1000)
    assert seen == [10, 20, 30, 40, 50]
    assert start_ms == MANUAL_START_MS


def test_a_manual_clock_has_no_scale() -> None:
    with pytest.raises(ClockError, match=r"time scale 4\.0: due none"):
        Clock("manual", 4.0)


def test_what_is_due_already_runs_before_time_moves() -> None:
    machine = Machine()
    clock = Clock("manual", read=machine.read, alarm=machine.alarm)
    seen: list[float] = []
    clock.call_at(clock.now_ms() - 5, lambda: seen.append(clock.now_ms()))
    assert seen == []
    machine.run(0)
    assert seen == [clock.now_ms()]


def test_a_cancelled_action_does_not_run() -> None:
    clock = manual()
    seen: list[int] = []
    kept = clock.call_at(clock.now_ms() + 5, lambda: seen.append(1))
    gone = clock.call_at(clock.now_ms() + 5, lambda: seen.append(2))
    gone.cancel()
    gone.cancel()
    assert clock.waiting() == 1
    clock.advance(5)
    assert seen == [1]
    kept.cancel()
    assert clock.waiting() == 0


def test_cancelled_actions_are_dropped() -> None:
    clock = manual()
    many = [clock.call_at(clock.now_ms() + 1e6, lambda: None) for _ in range(1000)]
    for waiting in many:
        waiting.cancel()
    assert clock.waiting() == 0
    assert len(clock._queue) < 200


def test_an_action_that_fails_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    clock = manual()
    seen: list[int] = []
    clock.call_at(clock.now_ms() + 1, lambda: 1 // 0)
    clock.call_at(clock.now_ms() + 2, lambda: seen.append(1))
    clock.advance(2)
    assert seen == [1]
    assert "ZeroDivisionError" in caplog.text


def test_what_a_clock_refuses() -> None:
    with pytest.raises(ClockError, match="the clock is real; only a manual clock is advanced"):
        Machine().clock().advance(1)
    with pytest.raises(ClockError, match="due a number >= 0"):
        manual().advance(-1)
    with pytest.raises(ClockError, match="due real or manual"):
        Clock("lunar")
    for scale in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ClockError, match="time scale"):
            Clock("real", scale)


@given(st.lists(st.integers(0, 100), max_size=30), st.lists(st.integers(0, 50), max_size=10))
def test_actions_run_in_order_of_their_moments_however_time_is_advanced(dues: list[int], steps: list[int]) -> None:
    clock = manual()
    start_ms = clock.now_ms()
    seen: list[float] = []
    for due in dues:
        clock.call_at(start_ms + due, lambda due=due: seen.append(due))  # type: ignore[misc]
    for step in [*steps, 0]:
        clock.advance(step)
    reached_ms = clock.now_ms() - start_ms
    assert all(before <= after for before, after in pairwise(seen))
    assert sorted(seen) == sorted(due for due in dues if start_ms + due <= start_ms + reached_ms)
