"""Recording a provider, and playing it back: our own fleet is the provider."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from simulator import edge, providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import Flawed
from simulator.server import bind
from simulator.tape import recording
from simulator.tape.__main__ import record, server_config
from simulator.tape.recorder import Recorder
from tests.servers import start
from tests.simulator.live import Line, Live, Reply, chat, message, request, running

KEY = "sk-fleet-openai"
SLOW = "[[fault: latency ttft_ms=30 gap_ms=10]] [[answer: tokens=5]]"


@contextmanager
def recorder(fleet: Live, folder: Path) -> Iterator[tuple[str, int]]:
    """A recorder in front of the fleet: its address."""
    host, port = fleet.address
    app = Recorder(f"http://{host}:{port}", folder, edge.monotonic_ms, lambda _: None)
    sock = bind("127.0.0.1", 0)
    sock.listen()
    server = uvicorn.Server(server_config(app))

    async def serve() -> None:
        await server.serve([sock])
        await app.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    address = sock.getsockname()
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(20)


def through(address: tuple[str, int], data: bytes) -> Reply:
    line = Line(address)
    try:
        line.send(data)
        return line.reply()
    finally:
        line.close()


def of_tape(folder: Path, pace: str = "instant") -> dict[str, Any]:
    """A fleet file with that tape."""
    return {"providers": [{"name": "tape", "region": "home", "tape": str(folder), "facts": {"pace": pace}}]}


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def played(folder: Path, *asked: bytes) -> list[Reply]:
    """What a tape's provider replies."""
    with running(rows=of_tape(folder)) as live:
        return [live.call(on_tape(ask)) for ask in asked]


def on_tape(ask: bytes) -> bytes:
    """The same request of the tape's provider."""
    return ask.replace(b"POST /", b"POST /tape/", 1)


@pytest.mark.parametrize("ask", [chat("hello", stream=True), message("hello", stream=True)])
def test_a_stream_is_played_back_chunk_for_chunk(fleet: Live, tmp_path: Path, ask: bytes) -> None:
    with recorder(fleet, tmp_path) as address:
        relayed = through(address, ask)
    (again,) = played(tmp_path, ask)
    assert again.status == relayed.status == 200
    assert again.chunks
    assert again.body == relayed.body
    (one,) = recording.load(tmp_path)
    assert [piece.data for piece in one.pieces] == again.chunks
    assert b"".join(again.chunks) == relayed.body


def test_a_relayed_reply_has_the_headers_that_the_provider_sent(fleet: Live, tmp_path: Path) -> None:
    def names(address: tuple[str, int]) -> list[str]:
        line = Line(address)
        line.send(chat("hello"))
        head = line.until(b"\r\n\r\n") or b""
        line.close()
        return [row.partition(b":")[0].decode().lower() for row in head.split(b"\r\n")[1:-2]]

    with recorder(fleet, tmp_path) as address:
        assert names(address) == names(fleet.address)


def test_json_and_refusals_are_played_back(fleet: Live, tmp_path: Path) -> None:
    asked = [chat("hello"), chat("hello", model="gpt-99"), chat("x [[fault: status=503]]")]
    with recorder(fleet, tmp_path) as address:
        relayed = [through(address, ask) for ask in asked]
    again = played(tmp_path, *asked)
    assert [reply.status for reply in relayed[:2]] == [200, 404]
    assert [(reply.status, reply.body) for reply in again[:2]] == [(reply.status, reply.body) for reply in relayed[:2]]
    assert again[0].headers["content-type"] == relayed[0].headers["content-type"]


def test_directives_do_not_make_another_request_and_still_direct(fleet: Live, tmp_path: Path) -> None:
    with recorder(fleet, tmp_path) as address:
        relayed = through(address, chat("hello"))
    plain, refused = played(tmp_path, chat("hello [[case:a1]]"), chat("hello [[fault: status=503]]"))
    assert plain.body == relayed.body
    assert refused.status == 503


def test_repeats_are_played_in_their_order(fleet: Live, tmp_path: Path) -> None:
    with recorder(fleet, tmp_path) as address:
        relayed = [through(address, chat("hello")) for _ in range(2)]
    again = played(tmp_path, *[chat("hello")] * 4)
    bodies = [reply.body for reply in relayed]
    assert bodies[0] != bodies[1], "each reply has an id of its own"
    assert [reply.body for reply in again] == [*bodies, bodies[1], bodies[1]]


def test_pieces_keep_their_moments(fleet: Live, tmp_path: Path) -> None:
    with recorder(fleet, tmp_path) as address:
        through(address, chat(SLOW, stream=True))
    (one,) = recording.load(tmp_path)
    moments = [piece.at_ms for piece in one.pieces]
    assert moments == sorted(moments)
    assert one.pieces[0].at_ms >= 25, "the fleet waited 30 ms"
    case = "[[case:paced]]"
    with running(rows=of_tape(tmp_path, "recorded"), clock=Clock("manual")) as live:
        line = live.line()
        line.send(on_tape(chat(f"{SLOW} {case}", stream=True)))
        live.seen("paced")
        live.control("POST", "clock", {"advance_ms": moments[-1] + 1000})
        assert line.reply().body == b"".join(piece.data for piece in one.pieces)
        (entry,) = live.journal("paced")
    assert entry["dialect"] == "recorded"
    assert entry["ended_ms"] - entry["arrived_ms"] >= moments[-1] - 1


def test_no_secret_is_kept(fleet: Live, tmp_path: Path) -> None:
    secret = "sk-live-0123456789abcdefghij"
    ask = request(
        "POST",
        "/openai/v1/chat/completions?key=AIzaNotForFiles0123456789",
        {"model": "gpt-4o", "messages": [{"role": "user", "content": f"my key is {secret}"}]},
        {"authorization": f"Bearer {KEY}", "content-type": "application/json", "cookie": "session=abc"},
    )
    with recorder(fleet, tmp_path) as address:
        relayed = through(address, ask)
    (path,) = tmp_path.glob("*.json")
    text = path.read_text()
    for word in (secret, KEY, "AIzaNotForFiles", "session=abc"):
        assert word not in text
    (again,) = played(tmp_path, ask)
    assert again.body == relayed.body, "the request is still known"


def test_what_was_never_recorded_is_told(fleet: Live, tmp_path: Path) -> None:
    with recorder(fleet, tmp_path) as address:
        through(address, chat("hello"))
    other, elsewhere = played(tmp_path, chat("goodbye"), message("hello"))
    assert other.status == elsewhere.status == 404
    assert (
        other.json["error"]["message"]
        == "POST /openai/v1/chat/completions was recorded, but never with this body or query."
    )
    assert "was never recorded; recorded: POST /openai/v1/chat/completions" in elsewhere.json["error"]["message"]


def test_a_cut_reply_is_cut_again(fleet: Live, tmp_path: Path) -> None:
    ask = chat("[[fault: cut_stream after_frames=3]]", stream=True)
    with recorder(fleet, tmp_path) as address:
        through(address, ask)
    (one,) = recording.load(tmp_path)
    assert one.ended == "cut"
    (again,) = played(tmp_path, chat("", stream=True))
    assert again.ended == "end", "FIN where more was due"


@pytest.mark.parametrize("content", ["{", "{}", '{"version": 7}', "[]"])
def test_a_broken_recording_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "0001-x.json").write_text(content)
    with pytest.raises(Flawed, match=r"0001-x\.json: came"):
        providers.read(of_tape(tmp_path), DIALECTS, 1)


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    for folder, due in ((tmp_path, "no recording in it"), (tmp_path / "none", "no such folder")):
        with pytest.raises(Flawed, match=due):
            providers.read(of_tape(folder), DIALECTS, 1)


def test_a_provider_out_of_reach_is_502(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    app = Recorder(f"http://127.0.0.1:{port}", tmp_path, edge.monotonic_ms, lambda _: None)
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/v1", "raw_path": b"/v1", "query_string": b"", "headers": []}
        await app(scope, receive, send)
        await app.close()

    asyncio.run(ask())
    assert sent[0]["status"] == 502
    assert b"cannot reach" in sent[1]["body"]


def test_a_recorder_that_is_told_to_end_keeps_what_it_has(fleet: Live, tmp_path: Path) -> None:
    host, port = fleet.address
    server = start("simulator.tape", "--upstream", f"http://{host}:{port}", "--out", str(tmp_path))
    line = Line((host, int(server.told["recorder"]["base_url"].rpartition(":")[2])))
    line.send(chat("wait for ever [[fault: stall after_frames=2]]", stream=True))
    assert line.until(b"data: ")
    assert server.stop() == 0
    line.close()
    assert [kept.ended for kept in recording.load(tmp_path)] == ["client_gone"]


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        record.main(["--upstream", "openai", "--out", str(tmp_path)], standalone_mode=False)
    assert ended.value.code == 2
    assert "due a URL such as https://api.openai.com" in capsys.readouterr().err
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
