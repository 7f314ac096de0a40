"""The socket in the application's hands, seen from the other end of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.live import END, RESET, Live, chat, message, request, running


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def test_a_connection_serves_many_requests(fleet: Live) -> None:
    line = fleet.line()
    for number in range(3):
        line.send(chat(f"hello {number}"))
        assert line.reply().json["object"] == "chat.completion"
    line.send(chat("hello", stream=True))
    assert line.reply().chunks[-1] == b"data: [DONE]\n\n"
    line.send(chat("hello [[fault: latency ttft_ms=1]]"))
    assert line.reply().status == 200


def test_pipelined_requests_are_answered_in_order(fleet: Live) -> None:
    line = fleet.line()
    prompts = ["[[answer: say=one]]", "[[answer: say=two]] [[fault: latency ttft_ms=30]]", "[[answer: say=three]]"]
    line.send(b"".join(chat(prompt) for prompt in prompts))
    said = [line.reply().json["choices"][0]["message"]["content"] for _ in prompts]
    assert said == ["one", "two", "three"]


def test_a_pipelined_stream_that_is_left_counts_as_left(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:pipe-1]] [[fault: stall after_frames=1]]", stream=True) + chat("[[case:pipe-2]]"))
    assert line.head() is not None
    line.close()
    (entry,) = fleet.journal("pipe-1")
    assert entry["ended"] == "stall"
    assert fleet.control("GET", "journal?case=pipe-2")["entries"] == []


def test_reset_before_headers_is_an_rst_without_a_byte(fleet: Live) -> None:
    reply = fleet.call(chat("[[case:rst-0]] [[fault: reset]]"))
    assert (reply.status, reply.body, reply.ended) == (0, b"", RESET)
    (entry,) = fleet.journal("rst-0")
    assert (entry["status"], entry["head_sent_ms"], entry["bytes_sent"], entry["ended"]) == (None, None, 0, "reset")


def test_reset_within_a_stream_comes_after_its_frames(fleet: Live) -> None:
    reply = fleet.call(chat("[[case:rst-5]] [[fault: reset after_frames=5]]", stream=True))
    assert reply.status == 200
    assert reply.ended == RESET
    (entry,) = fleet.journal("rst-5")
    assert len(reply.chunks) == entry["frames_sent"] == 6  # the role chunk is no content


def test_cut_is_a_fin_without_the_last_chunk(fleet: Live) -> None:
    reply = fleet.call(message("[[case:cut-2]] [[fault: cut_stream after_frames=2]]", stream=True))
    assert reply.ended == END
    assert reply.body.count(b"event: content_block_delta") == 2
    assert b"message_stop" not in reply.body


def test_a_cut_json_body_is_shorter_than_its_length(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: cut_stream after_bytes=100]]"))
    assert reply.status == 200
    assert reply.ended == END
    assert len(reply.body) == 100 < int(reply.headers["content-length"])


def test_a_stall_lasts_until_the_peer_closes(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:stall]] [[fault: stall after_frames=3]]", stream=True))
    reply = line.head()
    assert reply is not None
    line.until(b"\n\n\r\n")
    (pending,) = fleet.seen("stall")
    assert pending["ended"] == "pending"
    line.close()
    (entry,) = fleet.journal("stall")
    assert (entry["ended"], entry["frames_sent"]) == ("stall", 4)


def test_a_hang_sends_nothing(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:hang]] [[fault: hang]]"))
    (pending,) = fleet.seen("hang")
    assert (pending["ended"], pending["status"], pending["bytes_sent"]) == ("pending", None, 0)
    line.close()
    (entry,) = fleet.journal("hang")
    assert (entry["ended"], entry["head_sent_ms"]) == ("stall", None)


def test_a_hang_up_is_noticed_at_once(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:gone]] [[fault: latency gap_ms=20000]]", stream=True))
    assert line.head() is not None
    line.close()
    (entry,) = fleet.journal("gone")
    assert entry["ended"] == "peer_closed"
    assert entry["frames_sent"] == 2 < entry["frames_planned"]
    assert entry["ended_ms"] - entry["arrived_ms"] < 15_000
    assert entry["delivered"]["tokens"] == 1
    assert entry["usage_told"] is None
    assert entry["usage_true"]["output_tokens"] > 1


def test_a_slow_reader_holds_the_fleet_back(fleet: Live) -> None:
    line = fleet.line(receive_bytes=4096)
    line.send(chat("[[case:slow]] [[answer: tokens=20000]]", stream=True))
    assert line.head() is not None
    (pending,) = fleet.seen("slow")
    assert pending["ended"] == "pending"
    assert 0 < pending["frames_sent"] < pending["frames_planned"]
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        data = line.sock.recv(1 << 20)
        assert data
        tail = (tail + data)[-16:]
    (entry,) = fleet.journal("slow")
    assert (entry["ended"], entry["frames_sent"]) == ("end", entry["frames_planned"])


def test_a_slow_reader_that_leaves_got_what_it_got(fleet: Live) -> None:
    line = fleet.line(receive_bytes=4096)
    line.send(chat("[[case:left]] [[answer: tokens=20000]]", stream=True))
    assert line.head() is not None
    line.close()
    (entry,) = fleet.journal("left")
    assert entry["ended"] == "peer_closed"
    assert entry["frames_sent"] < entry["frames_planned"]
    assert entry["delivered"]["tokens"] < 20000


def test_frames_due_together_leave_together_and_dribbled_ones_do_not(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: byte_dribble size=7]]", stream=True))
    assert {len(chunk) for chunk in reply.chunks} <= set(range(1, 8))
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_head_has_no_body(fleet: Live) -> None:
    line = fleet.line()
    line.send(request("HEAD", "/openai/v1/models", headers={"authorization": "Bearer sk-fleet-openai"}))
    reply = line.reply("HEAD")
    assert reply.status == 405
    line.send(chat("hello"))
    assert line.reply().status == 200


def test_http_1_0_gets_no_chunks_and_a_close(fleet: Live) -> None:
    raw = chat("hello", stream=True).replace(b"HTTP/1.1", b"HTTP/1.0")
    reply = fleet.call(raw)
    assert "transfer-encoding" not in reply.headers
    assert reply.headers["connection"] == "close"
    assert reply.ended == END
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_connection_close_is_kept(fleet: Live) -> None:
    raw = chat("hello").replace(b"host: fleet", b"host: fleet\r\nconnection: close")
    line = fleet.line()
    line.send(raw)
    reply = line.reply()
    assert reply.headers["connection"] == "close"
    assert reply.json["object"] == "chat.completion"
    assert line.rest() == b""
    assert line.over == END


def test_expect_100_continue(fleet: Live) -> None:
    raw = chat("hello").replace(b"host: fleet", b"host: fleet\r\nexpect: 100-continue")
    head, _, body = raw.partition(b"\r\n\r\n")
    line = fleet.line()
    line.send(head + b"\r\n\r\n")
    assert line.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.send(body)
    assert line.reply().status == 200


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_an_upgrade_is_declined_and_the_request_served(fleet: Live, protocol: bytes) -> None:
    offer = b"connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nhttp2-settings: AAMAAABk" % protocol
    raw = chat("Upgrade: this is said in the body").replace(b"host: fleet", b"host: fleet\r\n" + offer)
    line = fleet.line()
    for _ in range(2):
        line.send(raw)
        assert line.reply().json["object"] == "chat.completion"


def test_a_body_in_pieces(fleet: Live) -> None:
    raw = chat("hello " * 20_000)
    line = fleet.line()
    for at in range(0, len(raw), 30_000):
        line.send(raw[at : at + 30_000])
    assert line.reply().status == 200


def test_a_chunked_request(fleet: Live) -> None:
    head, _, body = chat("hello").partition(b"\r\n\r\n")
    length = b"content-length: %d" % len(body)
    assert length in head
    pieces = [body[:10], body[10:]]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    reply = fleet.call(head.replace(length, b"transfer-encoding: chunked") + b"\r\n\r\n" + chunked)
    assert reply.status == 200


def test_a_client_that_leaves_within_its_request_is_no_error(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:half]]")[:-20])
    line.close()
    assert fleet.control("GET", "health")["status"] == "ok"
    assert fleet.control("GET", "journal?case=half")["entries"] == []


@pytest.mark.parametrize("told", [True, False], ids=["announced", "found out"])
def test_a_body_that_is_too_large_is_refused_in_the_wire_s_words(fleet: Live, told: bool) -> None:
    size = (32 << 20) + 1
    line = fleet.line()
    head = b"POST /anthropic/v1/messages HTTP/1.1\r\nhost: fleet\r\n"
    if told:
        line.send(head + b"content-length: %d\r\n\r\n" % size + b"x" * 1_000_000)
    else:
        line.send(head + b"transfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(33):
                line.send(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
        except ConnectionError:
            pytest.fail("the fleet closed before its reply could be read")
    reply = line.reply()
    assert reply.status == 413
    assert reply.json["error"]["type"] == "request_too_large"
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /openai/v1/chat/completions HTTP/1.1\r\ncontent-length: banana\r\n\r\n",
        b"CONNECT fleet:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_400(fleet: Live, garbage: bytes) -> None:
    assert fleet.call(garbage).status == 400
    assert fleet.control("GET", "health")["status"] == "ok"


@pytest.mark.parametrize("value", [b"\xff\xfe\x80", b"Bearer \xc3\xa4", b"a" * 20_000, b""])
def test_odd_header_values_do_no_harm(fleet: Live, value: bytes) -> None:
    for name in (b"authorization", b"x-odd", b"x-api-key", b"anthropic-beta", b"content-type"):
        raw = chat("hello").replace(b"host: fleet", b"host: fleet\r\n" + name + b": " + value)
        assert fleet.call(raw).status < 500
        assert (
            fleet.call(message("hello").replace(b"host: fleet", b"host: fleet\r\n" + name + b": " + value)).status < 500
        )


def test_a_shutdown_does_not_wait_for_a_stalled_stream() -> None:
    with running() as live:
        line = live.line()
        line.send(chat("[[case:hang]] [[fault: hang]]"))
        live.seen("hang")
        live.runtime.stop()
        assert line.rest() == b""
