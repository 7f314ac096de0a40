"""The reader of server-sent events: one golden table, read whole, byte by byte, and at every cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.sse import Event, EventReader, gaps_ms, parse

GOLDEN: dict[str, tuple[bytes, list[tuple[str, str | None, tuple[str, ...]]]]] = {
    "data": (b"data: {}\n\n", [("", "{}", ())]),
    "no space": (b"data:x\n\n", [("", "x", ())]),
    "only one space goes": (b"data:  x\n\n", [("", " x", ())]),
    "name": (b"event: ping\ndata: {}\n\n", [("ping", "{}", ())]),
    "comment": (b": keepalive\n\n", [("", None, ("keepalive",))]),
    "lines join": (b"data: a\ndata: b\n\n", [("", "a\nb", ())]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a", ()), ("", "b", ())]),
    "cr": (b"data: a\r\rdata: b\r\r", [("", "a", ()), ("", "b", ())]),
    "extra blank lines": (b"\n\ndata: a\n\n\n\ndata: b\n\n", [("", "a", ()), ("", "b", ())]),
    "id and retry": (b"id: 1\nretry: 5\ndata: a\n\n", [("", "a", ())]),
    "no end": (b"data: a\n\ndata: b", [("", "a", ())]),
    "utf-8": ("data: 漢字🙂\n\n".encode(), [("", "漢字🙂", ())]),
}


def told(events: list[Event]) -> list[tuple[str, str | None, tuple[str, ...]]]:
    return [(event.name, event.data, event.comments) for event in events]


@pytest.mark.parametrize("name", GOLDEN)
def test_whole(name: str) -> None:
    raw, due = GOLDEN[name]
    assert told(parse(raw)) == due


@pytest.mark.parametrize("name", GOLDEN)
def test_byte_by_byte(name: str) -> None:
    raw, due = GOLDEN[name]
    reader = EventReader()
    for at in range(len(raw)):
        reader.feed(raw[at : at + 1], float(at))
    assert told(reader.events) == due
    assert reader.raw == raw


@given(st.sampled_from(sorted(GOLDEN)), st.lists(st.integers(0, 60), max_size=5))
def test_any_cuts(name: str, cuts: list[int]) -> None:
    raw, due = GOLDEN[name]
    reader = EventReader()
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for begin, end in pairwise(edges):
        reader.feed(raw[begin:end], 0.0)
    assert told(reader.events) == due


def test_tail_is_what_has_no_end() -> None:
    reader = EventReader()
    reader.feed(b"data: a\n\ndata: b", 0.0)
    assert reader.tail == b"data: b"


def test_event_bears_the_time_of_its_last_byte() -> None:
    reader = EventReader()
    reader.feed(b"data: a\n", 1.0)
    reader.feed(b"\n", 5.0)
    reader.feed(b"data: b\n\n", 7.5)
    assert [event.at_ms for event in reader.events] == [5.0, 7.5]
    assert gaps_ms(reader.events) == [2.5]


def test_broken_json_is_none_and_strange_lines_are_kept() -> None:
    (event,) = parse(b"data: {\nhello: x\nrubbish\n\n")
    assert event.json is None
    assert event.strange == ("hello: x", "rubbish")
