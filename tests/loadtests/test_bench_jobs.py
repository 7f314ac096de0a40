"""The measurement of polled jobs: answers are counted however they arrive, and the figures are judged."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from loadtests.bench.jobs import Caller, Figures, text

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"status": "HTTP/1.1 x"}'
FOUND = Figures(100, 5.0, 30.0, 600, 0.4, 200.0, 3.0, 100.0, 104.0, 0.1)


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)


def caller() -> tuple[Caller, Any]:
    transport: Any = Transport()
    found = Caller(cycle([b"one", b"two"]))
    found.connection_made(transport)
    return found, transport


@pytest.mark.parametrize("size", [1, 7, len(ANSWER), 2 * len(ANSWER), 1000])
def test_answers_are_counted_however_they_are_cut(size: int) -> None:
    found, _ = caller()
    stream = ANSWER * 5
    for at in range(0, len(stream), size):
        found.data_received(stream[at : at + size])
    assert (found.answers, found.failure) == (5, "")


def test_it_asks_again_until_it_has_asked_so_often() -> None:
    found, transport = caller()
    found.fill(3)
    for _ in range(3):
        found.data_received(ANSWER)
    assert transport.sent == [b"one", b"two", b"one"]
    assert found.filled.is_set()


def test_any_other_status_is_a_failure() -> None:
    found, _ = caller()
    found.data_received(ANSWER.replace(b"200 OK", b"404 No"))
    assert found.failure == "http/1.1 404 no"


@pytest.mark.parametrize(
    ("change", "reached"), [({}, True), ({"cpu": 0.61}, False), ({"rss_mb_end": 106.0}, False), ({"cpu": 0.6}, True)]
)
def test_the_targets_decide(change: dict[str, float], reached: bool) -> None:
    found = replace(FOUND, **change)  # type: ignore[arg-type]
    assert found.reached is reached
    assert ("MISSED" in text(found)) is not reached
