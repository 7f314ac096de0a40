"""The benchmark's parts: the client counts what was sent, the yardstick sends what it was told, the figures add up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from loadtests.bench import Run, as_json, lateness, text
from loadtests.bench.client import Connection, Failed, Shot, Stream, Tally, closed_loop
from loadtests.bench.lateness import Lateness
from loadtests.bench.rates import Rate, against, measure
from loadtests.bench.subjects import MODES, SUBJECTS, Cell, Question, bare
from loadtests.bench.wires import WIRES

REPLIES = {
    "/json": {"content_type": "application/json", "pieces": ['{"a":"水"}']},
    "/sse": {"content_type": "text/event-stream", "pieces": ["data: a\n\n", "data: bc\n\n", "data: [DONE]\n\n"]},
}


def test_yardstick_and_client_agree_on_every_byte(tmp_path: Path) -> None:
    async def both() -> tuple[Tally, Tally]:
        with bare(tmp_path, REPLIES) as server:
            url = server.told["base_url"]
            one = await closed_loop(Shot.post(f"{url}/json", {"x": "y"}, b"{}"), 2, 0.5)
            return one, await closed_loop(Shot.post(f"{url}/sse", {"x": "y"}, b"{}"), 1, 0.5)

    json_tally, sse_tally = uvloop.run(both())
    assert json_tally.answers > 0
    assert json_tally.body_bytes == json_tally.answers * len('{"a":"水"}'.encode())
    chunked = sum(len(p) + len(f"{len(p):x}") + 4 for p in REPLIES["/sse"]["pieces"]) + len("0\r\n\r\n")
    assert sse_tally.answers > 0
    assert abs(sse_tally.body_bytes - sse_tally.answers * chunked) <= chunked
    assert json_tally.client_cpu_s > 0


def test_a_server_that_refuses_voids_the_benchmark(tmp_path: Path) -> None:
    async def refused() -> None:
        with bare(tmp_path, REPLIES) as server:
            await closed_loop(Shot.post(f"{server.told['base_url']}/none", {}, b"{}"), 1, 1.0)

    with pytest.raises(Failed, match="500"):
        uvloop.run(refused())


JSON_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SSE_ANSWER = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\na\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer", [JSON_ANSWER, SSE_ANSWER])
def test_the_client_finds_the_end_however_the_bytes_are_cut(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        sent: list[bytes] = []
        tally = Tally()
        connection = Connection(iter([b"first", b"second", b"third"]), tally)
        connection.connection_made(SimpleNamespace(write=sent.append))  # type: ignore[arg-type]
        for part in (answer[:cut], answer[cut:], answer):
            connection.data_received(part)
        assert (tally.answers, sent) == (2, [b"first", b"second", b"third"])
        assert tally.failure == ""


def test_a_marked_shot_never_sends_the_same_twice() -> None:
    same = Shot("h", 1, b"body").requests()
    assert [next(same) for _ in range(3)] == [b"body"] * 3
    other = Shot("h", 1, b"a @@@@@@@@ b").requests()
    assert [next(other) for _ in range(2)] == [b"a 00000000 b", b"a 00000001 b"]


def serve(pace: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> Any:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await pace(writer)
        writer.close()

    return asyncio.start_server(handle, "127.0.0.1", 0)


def test_a_paced_stream_notes_its_events() -> None:
    async def pace(writer: asyncio.StreamWriter) -> None:
        for part in (b"HTTP/1.1 200 OK\r\n\r\n", b"data: a\n\ndata: b\n\n", b"data: c\n\n", b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()

    async def listen() -> Stream:
        async with await serve(pace) as server:
            port = server.sockets[0].getsockname()[1]
            made = await asyncio.get_running_loop().create_connection(
                lambda: Stream(b"POST / HTTP/1.1\r\n\r\n"), "127.0.0.1", port
            )
            stream: Stream = made[1]
            await asyncio.wait_for(stream.done.wait(), 10)
            return stream

    stream = asyncio.run(listen())
    assert stream.events == 3
    assert [events for events, _ in stream.arrivals][-1] == 3


def test_lateness_is_what_departs_from_the_pace() -> None:
    pace_s = lateness.GAP_MS / 1000
    punctual = Stream(b"", arrivals=[(event, 100 + event * pace_s) for event in range(1, 12)])
    late = Stream(b"", arrivals=[(event, 200 + event * pace_s + (0.02 if event == 5 else 0)) for event in range(1, 12)])
    told = lateness.seen([punctual, late], 10)
    assert told["frames"] == 18
    assert told["max_ms"] == pytest.approx(20, rel=0.01)
    assert told["p50_ms"] < 0.1


def test_rates_are_medians_of_ratios_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 2 * len(WIRES)
    answers = {"bare": iter([1000, 100, 400] * turns), "fleet": iter([500, 100, 100] * turns)}
    answers["fleet-new"], answers["gateway"] = iter([100, 10, 40] * turns), iter([50, 20, 40] * turns)
    order: list[str] = []

    async def fake(shot: Any, connections: int, time_s: float, server_cpu_s: Callable[[], float]) -> Tally:
        order.append(shot)
        return Tally(answers=next(answers[shot]), wall_s=1.0, client_cpu_s=0.2, server_cpu_s=server_cpu_s())

    monkeypatch.setattr("loadtests.bench.rates.closed_loop", fake)
    server: Any = SimpleNamespace(cpu_s=lambda: 1.0)
    asked: dict[Cell, Question] = {}
    for wire in WIRES:
        for mode in MODES:
            for subject in SUBJECTS[:4]:  # no peer on this machine
                events = (11 if subject == "gateway" else 10) if mode == "sse" else 0
                shot: Any = subject
                asked[Cell(wire, mode, subject)] = Question(shot, events, server)
    rates = asyncio.run(measure(asked, 3, 1.0, lambda _: None))
    assert order[:4] == list(SUBJECTS[:4])
    assert len(order) == 3 * len(asked)
    [fleet] = [r for r in rates if r.cell == Cell("chat", "json", "fleet")]
    assert len(rates) == len(asked)
    assert (fleet.target, fleet.ratio, fleet.ratio_cpu) == (0.7, 0.5, 0.5)
    bare_rates = [r for r in rates if r.cell.subject == "bare"]
    assert all(r.ratio == pytest.approx(1.0) for r in bare_rates)
    assert against(rates) == []


FIGURES = [
    Rate(Cell("chat", "json", "bare"), 9000.0, 0.0, 1.0, None, 1.0, 0.3, 0.9),
    Rate(Cell("chat", "json", "fleet"), 4500.0, 0.0, 0.5, 0.7, 0.6, 0.95, 0.9),
    Rate(Cell("chat", "sse", "fleet"), 900.0, 9000.0, 3.5, 3.0, 3.3, 0.3, 0.9),
    Rate(Cell("chat", "json", "aimock"), 3000.0, 0.0, 0.3, None, 0.3, 0.3, 0.9),
    Rate(Cell("chat", "sse", "aimock"), 900.0, 2000.0, 1.0, None, 1.0, 0.3, 0.9),
]
ACCOUNT = {"frames": 100, "p50_ms": 0.5, "p99_ms": 2.0, "max_ms": 4.0}
LATE = Lateness("chat", 500, 20.0, ACCOUNT, ACCOUNT, 0.5, 0.1)


def test_the_report_says_what_was_due() -> None:
    printed = text(Run(FIGURES, [LATE], {}, 80.0))
    assert ">= 0.7  MISSED" in printed
    assert ">= 3    ok" in printed
    assert "(client-bound)" in printed
    assert "Lateness of 500 streams at 20 frames/s, chat" in printed
    told = as_json(Run(FIGURES, [], {"aimock": "npm is not installed"}, 1.0))
    assert [row["reached"] for row in told["rates"]] == [None, False, True, None, None]
    assert told["rates"][2]["subject"] == "fleet"
    assert told["lateness"] == []
    assert "aimock was not measured: npm is not installed" in text(Run([], [], {"aimock": "npm is not installed"}))


def test_the_fleet_is_held_to_its_peers_by_answers_and_by_events() -> None:
    run = Run(FIGURES, [LATE], {})
    assert [(one.mode, one.ratio, one.reached) for one in run.against] == [("json", 1.5, False), ("sse", 4.5, True)]
    assert "fleet    aimock   chat       json     1.5   >= 2    MISSED" in text(run)
    assert not run.reached


def test_a_late_fleet_misses_its_target() -> None:
    good = [rate for rate in FIGURES if rate.cell.mode == "sse"]
    assert Run(good, [LATE], {}).reached
    assert not Run(good, [replace(LATE, fleet=ACCOUNT | {"p99_ms": 6.0})], {}).reached
