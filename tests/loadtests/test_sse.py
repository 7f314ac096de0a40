"""The SSE reader and the two wires' watches: however the bytes are cut, the same comes out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.sse import Event, Reader
from loadtests.watch import Seen, Watch, read_json

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure

CHAT = (
    ': hello\n\ndata: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"naïve 水"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    "data: [DONE]\n\n"
).encode()
MESSAGES = (
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}  }\n\n'
    'event: ping\ndata: {"type": "ping"}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"thinking_delta","thinking":"hm"}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,'
    '"delta":{"type":"text_delta","text":"café"}}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":{"output_tokens":9}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
).encode()
STREAMS = [
    CHAT,
    MESSAGES,
    CHAT.replace(b"\n", b"\r\n"),
    MESSAGES.replace(b"\n", b"\r"),
    b"\xef\xbb\xbf" + CHAT,
    b"data: a\ndata: b\n\n\n\nevent:x\ndata:c\n\ndata: never ended\n",
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


def read(parts: list[bytes]) -> tuple[list[Event], int]:
    reader = Reader()
    return [event for part in parts for event in reader.feed(part)], reader.comments


@pytest.mark.parametrize("stream", STREAMS)
def test_every_single_cut_gives_the_same_events(stream: bytes) -> None:
    whole = read([stream])
    assert whole[0]
    for cut in range(len(stream)):
        assert read(pieces(stream, [cut])) == whole
    assert read([stream[i : i + 1] for i in range(len(stream))]) == whole


@UNHURRIED
@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 5000), max_size=12))
def test_any_cuts_give_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert read(pieces(stream, cuts)) == read([stream])


def test_fields_are_read_as_the_standard_says() -> None:
    events, comments = read([b":c\ndata:one\ndata:  two\nid: 7\nevent: e\n\nevent: none\n\ndata\n\n"])
    assert events == [Event(b"e", b"one\n two"), Event(b"", b"")]
    assert comments == 1


def test_an_event_comes_out_with_its_last_byte() -> None:
    reader = Reader()
    assert reader.feed(b"data: a\r\n\r") == [Event(b"", b"a")]
    assert reader.feed(b"\ndata: b\n\n") == [Event(b"", b"b")]


@pytest.mark.parametrize(("wire", "stream", "text"), [("chat", CHAT, "naïve 水{}"), ("messages", MESSAGES, "hmcafé")])
@UNHURRIED
@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_a_watch_sees_the_same_however_cut(wire: str, stream: bytes, text: str, cuts: list[int]) -> None:
    seen = Seen()
    watch = Watch(wire, seen)
    contents = sum(watch.feed(part) for part in pieces(stream, cuts))
    assert 1 <= contents <= 2
    assert (seen.content_events, seen.text_bytes) == (2, len(text.encode()))
    assert (seen.usage, seen.terminal, seen.error, seen.broken) == (True, True, "", "")


def test_errors_in_a_stream_are_seen() -> None:
    chat, messages, junk = Seen(), Seen(), Seen()
    Watch("chat", chat).feed(b'data: {"error":{"type":"api_error","message":"m"}}\n\n')
    Watch("messages", messages).feed(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n'
    )
    Watch("chat", junk).feed(b"data: <html>\n\n")
    assert (chat.error, chat.terminal) == ("api_error", False)
    assert (messages.error, messages.terminal) == ("overloaded_error", False)
    assert "not of this wire" in junk.broken


@pytest.mark.parametrize(
    ("wire", "body", "expected"),
    [
        ("chat", b'{"choices":[{"message":{"content":"hi"}}],"usage":{"total_tokens":1}}', (1, True, True, "")),
        ("messages", b'{"content":[{"type":"text","text":"hi"}],"usage":{"output_tokens":1}}', (1, True, True, "")),
        ("chat", b'{"choices":[{"message":{"content":"hi"}}]}', (1, False, True, "")),
        ("chat", b'{"error":{"type":"api_error","message":"m"}}', (0, False, False, "api_error")),
    ],
)
def test_json_bodies_are_read(wire: str, body: bytes, expected: tuple[int, bool, bool, str]) -> None:
    seen = Seen()
    read_json(wire, body, seen)
    assert (seen.content_events, seen.usage, seen.terminal, seen.error) == expected
    assert seen.broken == ""


def test_a_body_of_another_kind_is_told() -> None:
    seen = Seen()
    read_json("chat", b"<html>", seen)
    assert "not of this wire" in seen.broken
