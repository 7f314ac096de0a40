"""The event parser: one golden table, read whole, byte by byte, and with junk after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import sse
from gateway.sse import Event, EventTooLarge, Parser

GOLDEN: list[tuple[bytes, list[Event]]] = [
    (b"data: a\n\n", [Event(None, b"a")]),
    (b"data:a\n\n", [Event(None, b"a")]),
    (b"data:  a\n\n", [Event(None, b" a")]),
    (b"data\n\n", [Event(None, b"")]),
    (b"data: a\r\n\r\n", [Event(None, b"a")]),
    (b"data: a\r\rdata: b\r\r", [Event(None, b"a"), Event(None, b"b")]),
    (b"event: ping\ndata: {}\n\n", [Event(b"ping", b"{}")]),
    (b"data: {}\nevent: late\n\n", [Event(b"late", b"{}")]),
    (b"event: bare\n\ndata: a\n\n", [Event(None, b"a")]),
    (b": comment\n\n:\n\ndata: a\n\n", [Event(None, b"a")]),
    (b"id: 1\nretry: 5\nfoo: bar\ndata: a\n\n", [Event(None, b"a")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event(None, b"a")]),
    (b"data: [1,\ndata: 2]\n\n", [Event(None, b"[1,\n2]")]),
    (b'data: {"a":\ndata: 1}\n\n', [Event(None, b'{"a":\n1}')]),
    (b'data: {"a":1}\ndata: [DONE]\n\n', [Event(None, b'{"a":1}'), Event(None, b"[DONE]")]),
    (b"data: \xe4\xb8\x96\xe7\x95\x8c\n\n", [Event(None, "世界".encode())]),
    (b"\n\n\ndata: a\n\n\n\n", [Event(None, b"a")]),
    (b"", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "events"), GOLDEN)
def test_read_whole(text: bytes, events: list[Event]) -> None:
    assert Parser().feed(text) == events


@pytest.mark.parametrize(("text", "events"), GOLDEN)
def test_read_byte_by_byte(text: bytes, events: list[Event]) -> None:
    parser = Parser()
    assert [event for at in range(len(text)) for event in parser.feed(text[at : at + 1])] == events
    assert parser.between_events or not text


@pytest.mark.parametrize(("text", "events"), GOLDEN)
def test_junk_after_it_changes_nothing(text: bytes, events: list[Event]) -> None:
    parser = Parser()
    assert parser.feed(text + b"data: not yet") == events
    assert not parser.between_events


def test_the_last_event_may_lack_its_blank_line() -> None:
    for text in (b"data: a", b"data: a\n", b"data: a\r"):
        parser = Parser()
        assert parser.feed(text) == []
        assert parser.end() == [Event(None, b"a")]


def test_a_carriage_return_and_its_line_feed_may_come_apart() -> None:
    parser = Parser()
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\n\r") == [Event(None, b"a")]
    assert parser.feed(b"\ndata: b\r\n\r\n") == [Event(None, b"b")]


def test_an_endless_event_is_refused() -> None:
    parser = Parser(event_bytes_max=10)
    with pytest.raises(EventTooLarge):
        parser.feed(b"data: 123456")
    several = Parser(event_bytes_max=10)
    with pytest.raises(EventTooLarge):
        several.feed(b"data: 12345\ndata: 123456\n")


LINE = st.binary(max_size=30).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))


@given(st.lists(LINE, max_size=8), st.data())
def test_frames_read_back_however_they_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    text = b"".join(sse.frame(payload, data.draw(st.sampled_from([None, b"name"]))) for payload in payloads)
    parser = Parser()
    events = []
    while text:
        size = data.draw(st.integers(1, len(text)))
        events += parser.feed(text[:size])
        text = text[size:]
    assert [event.data for event in events] == payloads


def test_a_frame_is_one_line_of_data() -> None:
    assert sse.frame(b'{"a":\n1}') == b'data: {"a": 1}\n\n'
    assert sse.frame(b"{}", b"ping") == b"event: ping\ndata: {}\n\n"
