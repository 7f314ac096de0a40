"""Windows, bursts, flapping and ramps: functions of the time since a rule was set, and of its key."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults import Flawed
from simulator.pacing.latency import Distribution
from simulator.rules.rule import Rule, read_rules
from simulator.rules.timeline import Flap, Ramp, Window, read_time_ms, time_text

HANG = {"kind": "hang"}


def rule(**row: Any) -> Rule:
    (found,) = read_rules([{"fault": HANG, **row}])
    return found


def on_seconds(window: Window, seconds: int, key: tuple[object, ...] = ()) -> list[int]:
    return [second for second in range(seconds) if window.is_on(second * 1000.0, key)]


def test_a_flap_is_on_and_off_inside_its_window() -> None:
    window = rule(at="10s", **{"for": "20s"}, flap={"on": "2s", "off": "5s"}).window
    assert on_seconds(window, 40) == [10, 11, 17, 18, 24, 25]


def test_a_burst_comes_back() -> None:
    window = rule(at=3, every="10s", **{"for": "2s"}).window
    assert on_seconds(window, 30) == [3, 4, 13, 14, 23, 24]


def test_a_flap_begins_anew_with_each_window() -> None:
    window = rule(every="10s", **{"for": "5s"}, flap={"on": 1, "off": 1}).window
    assert on_seconds(window, 20) == [0, 2, 4, 10, 12, 14]


def test_jitter_is_drawn_by_key_and_moves_every_edge_within_bounds() -> None:
    flap = Flap(5_000, 20_000, 3_000)
    window = Window(flap=flap)
    spans = list(islice(window.spans(0.0, (1, "a")), 200))
    assert spans == list(islice(window.spans(0.0, (1, "a")), 200))
    assert spans != list(islice(window.spans(0.0, (2, "a")), 200))
    assert spans != list(islice(window.spans(0.0, (1, "b")), 200))
    for cycle, (begin_ms, end_ms) in enumerate(spans):
        assert 0 <= begin_ms - cycle * 25_000 <= 3_000
        assert 0 <= end_ms - cycle * 25_000 - 5_000 <= 3_000
    assert len({begin_ms % 25_000 for begin_ms, _ in spans}) > 190


times = st.integers(1, 60_000).map(float)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    flap = None
    if draw(st.booleans()):
        on_ms, off_ms = draw(times), draw(times)
        flap = Flap(on_ms, off_ms, draw(st.integers(0, int(min(on_ms, off_ms)))))
    for_ms = draw(st.none() | times)
    every_ms = None if for_ms is None or draw(st.booleans()) else for_ms + draw(times)
    ends_ms = draw(st.none() | st.integers(0, 200_000).map(float))
    return Window(draw(times), for_ms, every_ms, None, flap, ends_ms)


@given(windows(), st.lists(st.floats(0, 200_000), min_size=1, max_size=20), st.integers(0, 9))
def test_the_spans_are_when_it_is_on(window: Window, moments: list[float], seed: int) -> None:
    key = (seed, "rule")
    spans = list(takewhile(lambda span: span[0] <= 200_000, islice(window.spans(0.0, key), 500)))
    assert all(begin <= end for begin, end in spans)
    for moment in moments:
        if len(spans) < 500 or moment < spans[-1][0]:
            assert window.is_on(moment, key) == any(begin <= moment < end for begin, end in spans)
        later = next(window.spans(moment, key), None)
        if later is not None and window.is_on(moment, key):
            assert later[0] <= moment < later[1]


@given(windows(), st.floats(0, 200_000), st.floats(0, 1e6))
def test_a_moved_window_is_the_same_later(window: Window, moment: float, later_ms: float) -> None:
    moved = window.moved(round(later_ms))
    assert moved.is_on(round(moment) + round(later_ms)) == window.is_on(round(moment))


def test_a_moved_window_ends_with_what_included_it() -> None:
    window = Window(1_000).moved(10_000, 5_000)
    assert on_seconds(window, 30) == [11, 12, 13, 14]
    assert on_seconds(window.moved(1_000, 12_000), 30) == [12]


@pytest.mark.parametrize(
    ("ramp", "for_ms", "levels"),
    [
        (Ramp(4_000), None, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
        (Ramp(2_000, 4_000), 8_000, [0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25]),
        (Ramp(0, 2_000), 4_000, [1, 1, 1, 0.5, 0, 0, 0, 0]),
    ],
)
def test_a_ramp_rises_and_falls_along_straight_lines(ramp: Ramp, for_ms: float | None, levels: list[float]) -> None:
    window = Window(1_000, for_ms, None, ramp)
    assert [window.level(1_000 + second * 1000.0) for second in range(8)] == levels
    assert window.level(999) == 0


def test_a_ramp_comes_with_each_window() -> None:
    window = rule(every=10, **{"for": 4}, ramp={"up": 2, "down": 2}, chance=1).window
    assert [window.level(second * 1000.0) for second in (0, 1, 2, 3, 4, 10, 11)] == [0, 0.5, 1, 0.5, 0, 0, 0.5]


def test_a_ramp_grows_the_chance() -> None:
    found = rule(ramp="10s", chance=0.8)
    assert [found.chance_at(ms) for ms in (0, 2_500, 10_000, 60_000)] == [0, 0.2, 0.8, 0.8]
    assert found.faults_at(0) == found.faults
    assert rule(ramp="10s").chance_at(5_000) == 0.5  # a fault without delays: the chance grows to 1


def test_a_ramp_grows_the_delays_of_a_rule_without_a_chance() -> None:
    found = rule(ramp="10s", fault={"kind": "latency", "ttft_ms": 2_000, "gap_ms": "lognormal p50=20 p99=90"})
    assert found.chance_at(1_000) is None
    (half,) = found.faults_at(5_000)
    assert (half.ttft_ms, half.gap_ms) == (  # type: ignore[attr-defined]
        Distribution("constant", (("value", 1_000),)),
        Distribution("lognormal", (("p50", 10), ("p99", 45))),
    )
    (nothing,) = found.faults_at(0)
    assert str(nothing.gap_ms) == "0"  # type: ignore[attr-defined]
    assert found.faults_at(10_000) == found.faults


def test_a_ramp_grows_what_it_is_told_to() -> None:
    fault = {"kind": "status", "status": 429, "retry_after_s": 30}
    found = rule(ramp={"up": "10s", "of": ["chance", "retry_after_s"]}, chance=0.5, fault=fault)
    (half,) = found.faults_at(5_000)
    assert (found.chance_at(5_000), half.retry_after_s, half.status) == (0.25, 15, 429)  # type: ignore[attr-defined]


def test_whole_options_stay_whole_and_above_their_least() -> None:
    found = rule(ramp={"up": 10, "of": "status"}, fault={"kind": "status", "status": 503})
    assert [each.status for ms in (0, 9_000) for each in found.faults_at(ms)] == [200, 453]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("row", "due"),
    [
        ({"ramp": "soon"}, "rules[0].ramp: came 'soon'; due seconds, or a text"),
        ({"ramp": {}}, "rules[0].ramp: came no edge; due `up`, `down` or both"),
        ({"ramp": {"down": 5}}, "rules[0].ramp.down: came down without for; due `for`"),
        ({"ramp": {"up": 5, "down": 6}, "for": 10}, "rules[0].ramp: came 11s; due edges that fit into `for`, 10s"),
        (
            {"ramp": {"up": 5, "of": "status"}},
            "rules[0].ramp.of: came 'status'; due a number that the faults are given",
        ),
        ({"flap": {"on": 0, "off": 1}}, "rules[0].flap: came on 0ms, off 1s; due at least 1 ms each"),
        ({"flap": {"on": 1, "off": "x"}}, "rules[0].flap.off: came 'x'; due seconds"),
        (
            {"flap": {"on": 1, "off": 5, "jitter": 2}},
            "rules[0].flap.jitter: came 2s; due at most the shorter of on and off, 1s",
        ),
    ],
)
def test_what_is_wrong_is_told(row: dict[str, Any], due: str) -> None:
    with pytest.raises(Flawed) as caught:
        rule(**row)
    (flaw,) = caught.value.flaws
    assert str(flaw).startswith(due)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0ms"), (250, "250ms"), (1_500, "1.5s"), (10_000, "10s"), (120_000, "2m"), (90_000, "90s"), (7.2e6, "2h")],
)
def test_times_are_written_as_files_do(ms: float, text: str) -> None:
    assert time_text(ms) == text
    assert read_time_ms(text) == ms
