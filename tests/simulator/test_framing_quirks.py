"""The quirks of SSE framing and transport, by their names in the catalogue, seen by a bare socket."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import brotli
import pytest

from simulator.faults import FAULTS
from tests.simulator.live import END, Live, Reply, chat, message, request, running

CATALOGUE = [
    "crlf-line-endings",
    "cr-only-line-endings",
    "crlf-split-across-segments",
    "single-newline-separator",
    "data-no-space",
    "comment-keepalive",
    "empty-data-heartbeat",
    "blank-lines-before-json",
    "data-before-event",
    "event-line-on-chat",
    "responses-no-event-lines",
    "responses-with-done",
    "missing-done",
    "unterminated-last-frame",
    "bom-prefix",
    "multi-line-data",
    "id-retry-fields",
    "trailing-space-padding",
    "obfuscation-field",
    "utf8-split",
    "half-utf8-in-json",
    "byte-dribble",
    "coalesced-frames",
    "huge-data-line",
    "gzip-sse",
    "br-sse",
    "br-json",
    "encoding-header-lies",
    "sse-wrong-content-type",
    "json-error-as-event-stream",
    "json-as-octet-stream",
    "incomplete-chunked",
    "stall-open",
    "cut-mid-line",
]
Make = Callable[..., bytes]
PROMPT = "steady as she goes [[answer: tokens=12]]"
WIRES = {"chat": chat, "message": message}
EVENT_STREAM = "text/event-stream"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def told(fleet: Live, make: Make, fault: str, *, stream: bool = True) -> Reply:
    """The reply under one fault."""
    return fleet.call(make(f"{PROMPT} [[fault: {fault}]]", stream=stream))


def datas(body: bytes) -> list[bytes]:
    """The data of every event, by a reader as tolerant as the standard."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events = [re.findall(rb"^data:[ ]?(.*)$", block, re.MULTILINE) for block in text.split(b"\n\n")]
    return [b"\n".join(lines) for lines in events if lines]


def said(body: bytes) -> str:
    """The text of a stream on either wire."""
    out = ""
    for data in datas(body):
        if data and data != b"[DONE]":
            event = json.loads(data)
            delta = event["choices"][0]["delta"] if event.get("choices") else event.get("delta", {})
            out += delta.get("content") or delta.get("text") or ""
    return out


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_is_known(name: str) -> None:
    assert name in FAULTS
    assert FAULTS[name].seen_at
    assert name in (FAULTS[name].quirk, FAULTS[name].kind.replace("_", "-"))


LEGAL = [
    "crlf-line-endings",
    "cr-only-line-endings",
    "crlf-split-across-segments",
    "data-no-space",
    "comment-keepalive every=2",
    "data-before-event",
    "responses-no-event-lines",
    "bom-prefix",
    "multi-line-data",
    "id-retry-fields",
    "trailing-space-padding",
    "obfuscation-field",
    "byte-dribble size=3",
    "coalesced-frames",
    "huge-data-line line_bytes=70000",
    "incomplete-chunked",
    "sse-wrong-content-type",
]


@pytest.mark.parametrize("make", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize("fault", LEGAL)
def test_what_sse_allows_says_the_same(fleet: Live, fault: str, make: Make) -> None:
    plain, raw = make(PROMPT, stream=True), make(PROMPT, stream=True)
    reply = fleet.call(raw.replace(b"\r\n", f"\r\nx-windtunnel-fault: {fault}\r\n".encode(), 1))
    assert said(reply.body) == said(fleet.call(plain).body) != ""


def lines_end(body: bytes) -> set[bytes]:
    return set(re.findall(rb"\r\n|\r|\n", body))


def padded(body: bytes) -> list[int]:
    """How many spaces stand before each last brace."""
    return [len(data) - 1 - len(data[:-1].rstrip(b" ")) for data in datas(body) if data.endswith(b"}")]


CHECKS: list[tuple[str, Make, Callable[[Reply], bool]]] = [
    ("crlf-line-endings", chat, lambda r: lines_end(r.body) == {b"\r\n"}),
    ("crlf-line-endings", message, lambda r: lines_end(r.body) == {b"\r\n"} and r.body.endswith(b"\r\n\r\n")),
    ("cr-only-line-endings", chat, lambda r: lines_end(r.body) == {b"\r"} and r.body.endswith(b"\r\r")),
    ("cr-only-line-endings", message, lambda r: lines_end(r.body) == {b"\r"}),
    ("single-newline-separator", chat, lambda r: b"\n\n" not in r.body and r.body.endswith(b"data: [DONE]\n")),
    ("single-newline-separator", message, lambda r: b"\n\n" not in r.body and b"}\nevent: " in r.body),
    ("data-no-space", chat, lambda r: b"data:{" in r.body and b"data: " not in r.body),
    (
        "data-no-space",
        message,
        lambda r: b"event:message_start\ndata:{" in r.body and b": {" not in r.body.split(b"ping")[0],
    ),
    ("comment-keepalive text=PROCESSING", chat, lambda r: r.body.startswith(b": PROCESSING\n\ndata: {")),
    (
        "comment-keepalive every=5",
        chat,
        lambda r: r.body.count(b": keep-alive\n\n") == -(-r.body.count(b"data: ") // 5),
    ),
    ("empty-data-heartbeat", chat, lambda r: r.body.count(b"data:\n\n") == r.body.count(b"data: ")),
    ("data-before-event", message, lambda r: r.body.startswith(b"data: ") and b"}\nevent: message_stop\n\n" in r.body),
    (
        "responses-no-event-lines",
        message,
        lambda r: b"event:" not in r.body and b'data: {"type":"message_stop"' in r.body,
    ),
    ("responses-with-done", message, lambda r: r.body.endswith(b"\n\ndata: [DONE]\n\n")),
    ("responses-with-done", chat, lambda r: r.body.count(b"[DONE]") == 1),
    ("missing-done", chat, lambda r: b"[DONE]" not in r.body and b'"finish_reason":"stop"' in r.body),
    ("missing-done", message, lambda r: b"message_stop" not in r.body and b"message_delta" in r.body),
    ("unterminated-last-frame", chat, lambda r: r.body.endswith(b"\n\ndata: [DONE]") and r.ended == ""),
    ("unterminated-last-frame", message, lambda r: r.body.endswith(b"}") and r.ended == ""),
    ("bom-prefix", chat, lambda r: r.body.startswith(b"\xef\xbb\xbfdata: {")),
    ("multi-line-data", chat, lambda r: b'data: {\ndata: "id"' in r.body and b"\ndata: }\n\n" in r.body),
    (
        "id-retry-fields",
        chat,
        lambda r: r.body.startswith(b"retry: 3000\nid: 1\ndata: ") and b"\nid: 2\ndata" in r.body,
    ),
    (
        "id-retry-fields",
        message,
        lambda r: r.body.startswith(b"retry: 3000\nid: 1\nevent: ") and b"retry" not in r.body[9:],
    ),
    ("trailing-space-padding", chat, lambda r: len(set(padded(r.body))) > 3 and max(padded(r.body)) <= 15),
    ("obfuscation-field", message, lambda r: _obfuscated(datas(r.body))),
    ("obfuscation-field", chat, lambda r: all(d.count(b'"obfuscation"') == 1 for d in datas(r.body)[:-1])),
    ("half-utf8-in-json every=2", chat, lambda r: _halved(r.body)),
    ("half-utf8-in-json every=2", message, lambda r: _halved(r.body)),
    ("coalesced-frames", chat, lambda r: len(r.chunks) == 1),
    ("coalesced-frames frames=4", chat, lambda r: {c.count(b"\n\n") for c in r.chunks[:-1]} == {4}),
    ("byte-dribble", chat, lambda r: {len(chunk) for chunk in r.chunks} == {1}),
    ("utf8-split", message, lambda r: any(_is_half(c) for c in r.chunks) and "風" in r.body.decode()),
    ("huge-data-line line_bytes=70000", chat, lambda r: max(map(len, r.body.split(b"\n"))) == 70_000),
    ("huge-data-line after_frames=0", message, lambda r: max(map(len, r.body.split(b"\n"))) == 1 << 20),
    ("sse-wrong-content-type content_type=text/plain", chat, lambda r: r.headers["content-type"] == "text/plain"),
    ("sse-wrong-content-type", message, lambda r: r.headers["content-type"] == "application/json"),
    ("sse-wrong-content-type content_type=''", chat, lambda r: "content-type" not in r.headers),
    ("incomplete-chunked", chat, lambda r: r.ended == END and r.body.endswith(b"[DONE]\n\n")),
    ("incomplete-chunked", message, lambda r: r.ended == END and b"message_stop" in r.body),
    ("cut-mid-line", chat, lambda r: r.ended == END and _cut(r.body.rpartition(b"\n\n")[2])),
    ("cut-mid-line then=end after_frames=3", message, lambda r: r.ended == "" and _cut(r.body.rpartition(b"\n\n")[2])),
    (
        "cut-mid-line then=error",
        chat,
        lambda r: r.ended == "" and re.search(rb'data: \{"id[^\n]*data: \{"error"', r.body),
    ),
    ("event-line-on-chat", chat, lambda r: r.ended == "" and b'\n\nevent: error\ndata: {"error":' in r.body),
    ("event-line-on-chat", message, lambda r: r.body.endswith(b"}\n\n") and b"event: error" not in r.body),
]


def _is_half(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _halved(body: bytes) -> bool:
    """Characters are parted between events, which are JSON but for that; together they are whole again."""
    halves = sum(map(_is_half, datas(body)))
    text = said(body.decode("latin-1").encode()).encode("latin-1").decode()
    return halves >= 4 and halves % 2 == 0 and text.count("風") >= halves // 2


def _obfuscated(found: list[bytes]) -> bool:
    noisy = [data for data in found if b'"obfuscation"' in data]
    whole = all(len(data) % 16 == 1 for data in noisy)
    return len(noisy) == len([data for data in found if b'"ping"' not in data]) and whole


def _cut(tail: bytes) -> bool:
    return b'data: {"' in tail and not tail.endswith((b"}", b"\n"))


@pytest.mark.parametrize(("fault", "make", "check"), CHECKS, ids=[f"{row[0]}-{row[1].__name__}" for row in CHECKS])
def test_a_quirk_is_on_the_wire(fleet: Live, fault: str, make: Make, check: Callable[[Reply], bool]) -> None:
    reply = told(fleet, make, fault)
    assert reply.status == 200
    assert check(reply), reply


def test_cr_and_lf_leave_apart(fleet: Live) -> None:
    for make in WIRES.values():
        chunks = told(fleet, make, "crlf-split-across-segments").chunks
        torn = [(one, other) for one, other in pairwise(chunks) if one.endswith(b"\r")]
        assert len(torn) >= 20
        assert all(other.startswith(b"\n") for _, other in torn)
        assert not any(b"\r\n" in chunk for chunk in chunks)


def test_blank_lines_come_before_json_alone(fleet: Live) -> None:
    reply = told(fleet, chat, "blank-lines-before-json lines=4 gap_ms=5", stream=False)
    assert reply.body.startswith(b"\n\n\n\n{")
    assert reply.json["object"] == "chat.completion"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert told(fleet, chat, "blank-lines-before-json").body.startswith(b"data: ")


@pytest.mark.parametrize("make", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize(("fault", "coding"), [("gzip-sse", "gzip"), ("br-sse", "br")])
def test_compressed_streams_can_be_read_event_by_event(fleet: Live, fault: str, coding: str, make: Make) -> None:
    reply = told(fleet, make, fault)
    assert reply.headers["content-encoding"] == coding
    assert reply.headers["content-type"].startswith(EVENT_STREAM)
    read = _reader(coding)
    first = read(reply.chunks[0])
    assert first.endswith(b"\n\n")
    assert b"data: {" in first
    body = first + b"".join(map(read, reply.chunks[1:]))
    assert said(body)
    assert told(fleet, make, fault, stream=False).json


def _reader(coding: str) -> Callable[[bytes], bytes]:
    if coding == "gzip":
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    read: Callable[[bytes], bytes] = brotli.Decompressor().process
    return read


def test_the_journal_reads_usage_off_compressed_streams(fleet: Live) -> None:
    for fault in ("gzip-sse", "br-sse", "gzip-sse]] [[fault: byte-dribble size=50"):
        case = f"q-usage-{fault[:6]}-{len(fault)}"
        fleet.call(chat(f"[[case:{case}]] [[fault: {fault}]]", stream=True))
        (entry,) = fleet.journal(case)
        assert entry["usage_told"] == entry["usage_true"] is not None
        assert entry["delivered"]["tokens"] == entry["usage_true"]["output_tokens"]


def test_brotli_json(fleet: Live) -> None:
    reply = told(fleet, message, "br-json", stream=False)
    assert reply.headers["content-encoding"] == "br"
    assert json.loads(brotli.decompress(reply.body))["role"] == "assistant"
    assert "content-encoding" not in told(fleet, message, "br-json").headers


@pytest.mark.parametrize("stream", [False, True])
def test_encoding_header_lies(fleet: Live, stream: bool) -> None:
    removed = told(fleet, chat, "encoding-header-lies", stream=stream)
    assert "content-encoding" not in removed.headers
    assert b"chat.completion" in zlib.decompress(removed.body, 16 + zlib.MAX_WBITS)
    wrong = told(fleet, chat, "encoding-header-lies body=plain header=br", stream=stream)
    assert wrong.headers["content-encoding"] == "br"
    assert b"chat.completion" in wrong.body
    reply = told(fleet, chat, "encoding-header-lies body=gzip header=gzip", stream=stream)
    assert "due a header that is not true of a gzip body" in reply.json["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "content_type", "status"),
    [("json-error-as-event-stream", EVENT_STREAM, 500), ("json-as-octet-stream", "application/octet-stream", 400)],
)
def test_json_errors_under_another_type(fleet: Live, fault: str, content_type: str, status: int, stream: bool) -> None:
    for make in WIRES.values():
        reply = told(fleet, make, fault, stream=stream)
        assert (reply.status, reply.headers["content-type"]) == (status, content_type)
        assert reply.json["error"]["message"]
    refused = told(fleet, chat, f"status=429]] [[fault: {fault}", stream=stream)
    assert (refused.status, refused.headers["content-type"]) == (429, content_type)
    other = told(fleet, chat, f"{fault} error=rate_limit", stream=stream)
    assert other.status == 429


def test_a_stall_leaves_the_socket_open(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:q-open]] [[fault: stall-open after_frames=2]]", stream=True))
    assert line.head() is not None
    assert line.until(b"}\n\n\r\n") is not None
    assert fleet.seen("q-open")[0]["ended"] == "pending"
    line.close()
    assert fleet.journal("q-open")[0]["ended"] == "stall"


def test_json_knows_no_framing(fleet: Live) -> None:
    """The faults of a stream leave a JSON reply alone, and the journal says that it met none."""
    streams_only = [name for name in CATALOGUE if name not in ANY_REPLY]
    for name in streams_only:
        case = f"q-json-{name}"
        assert fleet.call(chat(f"[[case:{case}]] [[fault: {name}]]")).json["object"] == "chat.completion"
        assert fleet.journal(case)[0]["faults"] == [], name


@pytest.fixture(scope="module")
def gemini() -> Iterator[Callable[..., Reply]]:
    """Calls a provider whose streams end their lines with CR LF, or are one JSON array."""
    with running(rows={"providers": [{"name": "gemini", "dialect": "gemini_generate", "region": "here"}]}) as live:
        key = {"x-goog-api-key": "sk-fleet-gemini", "content-type": "application/json"}
        body = {"contents": [{"role": "user", "parts": [{"text": "say it [[answer: tokens=40]]"}]}]}

        def call(fault: str, query: str = "?alt=sse") -> Reply:
            path = f"/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent{query}"
            return live.call(request("POST", path, body, key | {"x-windtunnel-fault": fault}))

        yield call


@pytest.mark.parametrize(
    "name", ["comment-keepalive", "empty-data-heartbeat", "responses-with-done", "id-retry-fields"]
)
def test_what_is_added_has_the_line_ends_of_its_wire(gemini: Callable[..., Reply], name: str) -> None:
    assert lines_end(gemini(name).body) == {b"\r\n"}
    assert gemini(name).body != gemini("noop").body


def test_a_stream_that_is_a_json_array_has_no_lines(gemini: Callable[..., Reply]) -> None:
    plain = gemini("noop", query="")
    assert plain.json[0]["candidates"]
    for name in ("bom-prefix", "comment-keepalive", "responses-with-done", "crlf-line-endings", "huge-data-line"):
        reply = gemini(name, query="")
        assert [row["candidates"] for row in reply.json] == [row["candidates"] for row in plain.json]


ANY_REPLY = {
    "blank-lines-before-json",
    "utf8-split",
    "byte-dribble",
    "br-json",
    "encoding-header-lies",
    "json-error-as-event-stream",
    "json-as-octet-stream",
    "stall-open",
}
