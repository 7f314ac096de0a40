"""Moments on one axis."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.model import Moment
from reports.timeline import duration, lay_out, ticks


@given(st.floats(0.001, 1e9))
def test_ticks_are_few_evenly_spaced_and_on_the_axis(span_ms: float) -> None:
    found = ticks(span_ms)
    assert 2 <= len(found) <= 6
    assert found[0].percent == 0
    assert all(0 <= tick.percent <= 100.01 for tick in found)
    gaps = [after.percent - before.percent for before, after in itertools.pairwise(found)]
    assert max(gaps) - min(gaps) < 0.05


@given(st.lists(st.floats(0, 1e7), max_size=30))
def test_places_follow_time(times: list[float]) -> None:
    timeline = lay_out([Moment(at, "client", "x", "") for at in sorted(times)])
    places = [placed.percent for placed in timeline.moments]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


def test_only_long_silences_are_named() -> None:
    moments = [Moment(at, "client", "x", "") for at in (0, 10, 20, 500, 510, 1000)]
    assert [placed.pause for placed in lay_out(moments).moments] == ["", "", "", "480 ms", "", "490 ms"]


def test_the_axis_begins_with_the_first_moment() -> None:
    """A check may have waited long for its turn."""
    timeline = lay_out([Moment(at, "client", "x", "") for at in (2040, 2140)])
    assert [(placed.label, placed.percent) for placed in timeline.moments] == [("0 ms", 0.0), ("100 ms", 100.0)]
    assert timeline.span_ms == 100


def test_a_single_moment_needs_no_axis() -> None:
    timeline = lay_out([Moment(0.0, "client", "x", "")])
    assert [tick.label for tick in timeline.ticks] == ["0 ms"]
    assert timeline.moments[0].pause == ""


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [(0, "0 ms"), (4.62, "4.6 ms"), (262.4, "262 ms"), (999.6, "1.00 s"), (1751, "1.75 s"), (41_800, "41.8 s"),
     (59_960, "1 min 00 s"), (125_000, "2 min 05 s"), (-3, "−3 ms")],
)  # fmt: skip
def test_durations_are_for_people(value_ms: float, text: str) -> None:
    assert duration(value_ms) == text
