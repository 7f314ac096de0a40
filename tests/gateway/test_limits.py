"""Hourly windows: how many are admitted, when a window begins and ends, what the headers will say."""

from __future__ import annotations

import pytest

from gateway.limits import WINDOW_S, Limiter, Window

T0 = 1_778_371_234  # not a full hour


def test_exactly_the_limit_is_admitted() -> None:
    limiter = Limiter()
    windows = [limiter.admit("a", "chat", 3, T0 + n) for n in range(5)]
    assert [window.admitted for window in windows] == [True, True, True, False, False]
    assert [window.remaining for window in windows] == [2, 1, 0, 0, 0]
    assert {window.reset_s for window in windows} == {T0 + WINDOW_S}
    assert windows[3] == Window(False, 3, 0, T0 + WINDOW_S, WINDOW_S - 3)


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_limit_of_n_admits_n(limit: int) -> None:
    limiter = Limiter()
    assert sum(limiter.admit("a", "chat", limit, T0).admitted for _ in range(limit + 10)) == limit


def test_a_limit_of_none_admits_none_and_remembers_nothing() -> None:
    limiter = Limiter()
    assert not limiter.admit("a", "chat", 0, T0).admitted
    assert len(limiter) == 0


def test_the_reset_told_is_when_the_next_request_succeeds() -> None:
    limiter = Limiter()
    limiter.admit("a", "chat", 1, T0)
    refused = limiter.admit("a", "chat", 1, T0 + 10)
    assert not limiter.admit("a", "chat", 1, refused.reset_s - 1).admitted
    fresh = limiter.admit("a", "chat", 1, T0 + 10 + refused.retry_after_s)
    assert fresh.admitted
    assert fresh.reset_s == refused.reset_s + WINDOW_S


def test_a_window_begins_with_its_first_request_not_with_the_hour() -> None:
    limiter = Limiter()
    edge_of_hour = T0 // 3600 * 3600 + 3600
    assert limiter.admit("a", "chat", 1, edge_of_hour - 1).admitted
    assert not limiter.admit("a", "chat", 1, edge_of_hour).admitted


def test_users_and_classes_have_windows_of_their_own() -> None:
    limiter = Limiter()
    assert limiter.admit("a", "chat", 1, T0).admitted
    assert limiter.admit("b", "chat", 1, T0).admitted
    assert limiter.admit("a", "image", 1, T0).admitted
    assert not limiter.admit("a", "chat", 1, T0).admitted


def test_a_changed_limit_counts_what_was_admitted_before() -> None:
    limiter = Limiter()
    for _ in range(3):
        limiter.admit("a", "chat", 3, T0)
    assert limiter.admit("a", "chat", 5, T0).remaining == 1
    lowered = limiter.admit("a", "chat", 2, T0)
    assert (lowered.admitted, lowered.remaining) == (False, 0)


def test_expired_windows_are_forgotten() -> None:
    limiter = Limiter()
    for n in range(10_000):
        limiter.admit(f"user {n}", "chat", 10, T0 + n)
    assert len(limiter) == WINDOW_S
    limiter.admit("a", "chat", 10, T0 + 10_000 + WINDOW_S)
    assert len(limiter) == 1
