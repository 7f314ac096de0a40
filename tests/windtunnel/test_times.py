"""Lengths of time on the command line."""

from __future__ import annotations

import click
import pytest

from windtunnel.times import Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("250ms", 0.25), (30, 30)],
)
def test_read(text: object, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2 m", "-3s", "m2", "0", "0s", "3d", "1e3", "inf", "nan"])
def test_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)
