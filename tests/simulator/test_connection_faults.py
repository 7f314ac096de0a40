"""Connections that break, fall silent or crawl, at every stage of a reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.simulator.live import END, RESET, Live, chat, message, running
from tests.simulator.playing import Sent, played

CATALOGUE = ["slow-headers", "slow-body"]  # the kinds that no other test sees
Make = Callable[..., bytes]
PROMPT = "count to twelve [[answer: tokens=12]]"
WIRES: list[Make] = [chat, message]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def body(sent: Sent) -> bytes:
    """What left but for the head and the ending."""
    data = b"".join(data for _, data in sent if not data.startswith(b"<"))
    return data.partition(b"\r\n\r\n")[2]


def head(sent: Sent) -> bytes:
    """What left of the head."""
    return b"".join(data for _, data in sent if not data.startswith(b"<")).partition(b"\r\n\r\n")[0]


BROKEN = {"reset": b"<rst>", "cut_stream": b"<fin>"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["reset", "cut_stream", "stall"])
class TestStages:
    """The three ways to break off, at each stage; a stall ends when the peer gives up."""

    def play(self, kind: str, stream: bool, /, *before: Mapping[str, object], **options: object) -> Sent:
        sent, outcome = played(chat(PROMPT, stream=stream), [*before, {"kind": kind, **options}])
        assert outcome.faults[-1] == kind
        assert outcome.ended == {"reset": "reset", "cut_stream": "cut", "stall": "stall"}[kind]
        if kind == "stall":
            assert not any(data.startswith(b"<") for _, data in sent)
        else:
            assert sent[-1][1] == BROKEN[kind]
        return sent

    def test_before_the_head(self, kind: str, stream: bool) -> None:
        late: Mapping[str, object] = {"kind": "latency", "ttft_ms": 70}
        sent = self.play(kind, stream, late, when="before_headers")
        assert head(sent) == b""
        assert kind == "stall" or sent == [(70.0, BROKEN[kind])]

    def test_within_the_head(self, kind: str, stream: bool) -> None:
        sent = self.play(kind, stream, when="within_headers")
        assert head(sent).startswith(b"HTTP/1.1 200 OK\r\ndate: ")
        assert b"\r\n\r\n" not in sent[0][1]
        assert len(sent) == 1 + (kind != "stall")

    def test_after_the_head(self, kind: str, stream: bool) -> None:
        sent = self.play(kind, stream, when="after_headers")
        assert sent[0][1].endswith(b"\r\n\r\n")
        assert body(sent) == b""

    @pytest.mark.parametrize("after_bytes", [0, 1, 99, 100_000])
    def test_after_bytes(self, kind: str, stream: bool, after_bytes: int) -> None:
        sent = self.play(kind, stream, after_bytes=after_bytes)
        told, _ = played(chat(PROMPT, stream=stream), [{"kind": "noop"}])
        full = _unchunked(body(told)) if stream else body(told)
        part = _unchunked(body(sent)) if stream else body(sent)
        assert part == full[:after_bytes]
        assert stream or f"content-length: {len(full)}".encode() in head(sent)

    @pytest.mark.parametrize("after_frames", [0, 1, 5, 12, 99])
    def test_after_frames(self, kind: str, stream: bool, after_frames: int) -> None:
        sent = self.play(kind, stream, after_frames=after_frames)
        if stream:
            assert body(sent).count(b'"delta":{"content"') == min(after_frames, 12)
            assert (b"[DONE]" in body(sent)) is (after_frames > 12)
        else:
            assert bool(body(sent)) is (after_frames > 0)
            assert b'"usage"' not in body(sent)

    def test_after_ms(self, kind: str, stream: bool) -> None:
        paced: Mapping[str, object] = {"kind": "latency", "ttft_ms": 100, "gap_ms": 10}
        nothing = self.play(kind, stream, paced, after_ms=99)
        assert head(nothing) == b""
        assert kind == "stall" or nothing == [(99.0, BROKEN[kind])]
        some = self.play(kind, stream, paced, after_ms=135)
        assert kind == "stall" or some[-1] == (135.0, BROKEN[kind])
        assert head(some).startswith(b"HTTP/1.1 200")
        assert body(some).count(b'"delta":{"content"') == (4 if stream else 0)

    def test_after_ms_within_a_slow_head(self, kind: str, stream: bool) -> None:
        slow: Mapping[str, object] = {"kind": "slow_headers", "pieces": 10, "gap_ms": 20}
        sent = self.play(kind, stream, slow, after_ms=90)
        pieces = [at_ms for at_ms, data in sent if not data.startswith(b"<")]
        assert pieces == [0, 20, 40, 60, 80]
        assert b"\r\n\r\n" not in b"".join(data for _, data in sent)


def _unchunked(data: bytes) -> bytes:
    """A chunked body, whole or not, as what it says."""
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        out, data = out + data[:count], data[count + 2 :]
    return out


STALLS: list[tuple[dict[str, object], int]] = [  # a pause, and how many writes come before it
    ({"when": "before_headers"}, 0),
    ({"when": "within_headers"}, 1),
    ({"when": "after_headers"}, 1),
    ({"after_frames": 3}, 1),
    ({"after_bytes": 700}, 1),
    ({"after_ms": 0}, 3),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("options", "writes"), STALLS)
def test_a_stall_for_a_while_loses_nothing(stream: bool, options: dict[str, object], writes: int) -> None:
    plain, _ = played(chat(PROMPT, stream=stream), [{"kind": "noop"}])
    sent, outcome = played(chat(PROMPT, stream=stream), [{"kind": "stall", "for_ms": 500, **options}])
    assert outcome.ended == "end"
    said, due = (_unchunked(body(each)) if stream else body(each) for each in (sent, plain))
    assert said == due
    if "after_ms" not in options:  # all is due at once without delays
        assert [at_ms for at_ms, _ in sent if at_ms < 500] == [0.0] * writes
        assert sent[-1][0] == 500


def test_a_stall_at_a_moment_delays_what_is_due_later() -> None:
    paced = {"kind": "latency", "ttft_ms": 100, "gap_ms": 10}
    sent, _ = played(chat(PROMPT, stream=True), [paced, {"kind": "stall", "after_ms": 115, "for_ms": 1000}])
    assert sorted({at_ms for at_ms, _ in sent})[:4] == [100, 110, 1120, 1130]
    sent, _ = played(chat(PROMPT, stream=True), [paced, {"kind": "stall", "after_ms": 50, "for_ms": 1000}])
    assert sent[0][0] == 1100


@pytest.mark.parametrize("stream", [False, True])
def test_slow_headers(stream: bool) -> None:
    slow = {"kind": "slow_headers", "pieces": 8, "gap_ms": 25}
    sent, outcome = played(chat(PROMPT, stream=stream), [slow])
    plain, _ = played(chat(PROMPT, stream=stream), [{"kind": "noop"}])
    assert [at_ms for at_ms, _ in sent[:8]] == [25.0 * n for n in range(8)]
    assert b"".join(data for _, data in sent) == b"".join(data for _, data in plain)
    assert b"".join(data for _, data in sent[:8]).endswith(b"\r\n\r\n")
    sizes = [len(data) for _, data in sent[:8]]
    assert max(sizes) - min(sizes) <= 1
    assert (outcome.status, outcome.ended) == (200, "end")
    assert outcome.bytes_sent == sum(len(data) for _, data in sent[:-1])


def test_a_head_that_never_ended_has_no_status() -> None:
    _, outcome = played(chat(PROMPT), [{"kind": "reset", "when": "within_headers"}])
    assert (outcome.status, outcome.head_sent_ms, outcome.tokens) == (None, None, 0)
    assert outcome.bytes_sent > 0


@pytest.mark.parametrize("stream", [False, True])
def test_slow_body_keeps_to_its_rate(stream: bool) -> None:
    sent, _ = played(chat(PROMPT, stream=stream), [{"kind": "slow_body", "bytes_per_s": 2000, "size": 50}])
    plain, _ = played(chat(PROMPT, stream=stream), [{"kind": "noop"}])
    said, due = (_unchunked(body(each)) if stream else body(each) for each in (sent, plain))
    assert said == due
    last_ms = max(at_ms for at_ms, data in sent if not data.startswith(b"<"))
    assert (len(due) - 50) / 2 <= last_ms <= len(due) / 2


LIVE: list[tuple[str, int, str]] = [  # a fault, the status the client reads, and how it ends for it
    ("refuse", 0, RESET),
    ("reset", 0, RESET),
    ("reset when=within_headers", 0, RESET),
    ("reset when=after_headers", 200, RESET),
    ("reset after_bytes=300", 200, RESET),
    ("cut_stream when=before_headers", 0, END),
    ("cut_stream when=within_headers", 0, END),
    ("cut_stream", 200, END),
    ("cut_stream after_bytes=300", 200, END),
    ("slow_headers pieces=500 gap_ms=0", 200, ""),
    ("slow_body bytes_per_s=1000000 size=7", 200, ""),
    ("stall when=within_headers for_ms=1", 200, ""),
]


@pytest.mark.parametrize("make", WIRES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "status", "ended"), LIVE)
def test_a_bare_socket_sees_it(fleet: Live, fault: str, status: int, ended: str, stream: bool, make: Make) -> None:
    reply = fleet.call(make(f"{PROMPT} [[fault: {fault}]]", stream=stream))
    assert (reply.status, reply.ended) == (status, ended)
    if fault.startswith(("reset when=within", "cut_stream when=within")):
        assert reply.body.startswith(b"HTTP/1.1 200 OK\r\n")


def test_half_open_silence_lasts_until_the_peer_leaves(fleet: Live) -> None:
    for number, where in enumerate(("when=before_headers", "when=within_headers", "after_bytes=40", "after_ms=0")):
        line = fleet.line()
        line.send(message(f"[[case:half-{number}]] [[fault: stall {where}]]", stream=True))
        assert fleet.seen(f"half-{number}")[0]["ended"] == "pending"
        line.close()
        (entry,) = fleet.journal(f"half-{number}")
        assert entry["ended"] == "stall"
        assert (entry["status"] is None) is (number < 2)
