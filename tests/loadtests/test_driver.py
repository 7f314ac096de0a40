"""The load generator proves its own numbers: a server stalls in a known way, and the figures are what that gives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.journal import Journal
from loadtests.metrics import Metrics
from loadtests.runner import Options, measure

STALL_S = (1.0, 2.0)  # from the first request
JSON = b'{"choices":[{"message":{"content":"hi"}}],"content":[{"type":"text","text":"hi"}],"usage":{"output_tokens":1}}'
CHAT = b'data: {"choices":[{"delta":{"content":"hi"}}],"usage":{"total_tokens":2}}\n\ndata: [DONE]\n\n'
MESSAGES = (
    b'event: content_block_delta\ndata: {"delta":{"text":"hi"}}\n\n'
    b'event: message_delta\ndata: {"usage":{"output_tokens":1}}\n\nevent: message_stop\ndata: {}\n\n'
)


def reply(head: bytes, body: bytes) -> bytes:
    """A constant answer of the wire and mode that was asked for."""
    if b'"stream":true' not in body:
        kind, content = b"application/json", JSON
    else:
        kind, content = b"text/event-stream", CHAT if b"/chat/" in head else MESSAGES
    return b"HTTP/1.1 200 OK\r\nx-request-id: r\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (
        kind,
        len(content),
        content,
    )


class Stalling:
    """Answers at once, but what comes in during the stall is answered at its end."""

    def __init__(self) -> None:
        self.first: float | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                now = loop.time()
                self.first = self.first or now
                due = self.first + STALL_S[1] if STALL_S[0] <= now - self.first < STALL_S[1] else now
                loop.call_at(due, writer.write, reply(head, body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@contextmanager
def serving() -> Iterator[str]:
    """The stalling server in a thread of its own; its origin."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(Stalling().handle, "127.0.0.1", 0, backlog=500))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class NoJournal(Journal):
    """A fleet that nothing is asked of."""

    def read(self, wait_ms: int = 0) -> None:
        assert wait_ms >= 0


def measured(tmp_path: Path, **options: Any) -> tuple[dict[str, Any], Metrics]:
    with serving() as origin:
        target = {
            "base_urls": {"openai": f"{origin}/api/v1", "anthropic": f"{origin}/api"},
            "models": {"chat": ["m"], "messages": ["m"]},
            "upstreams": {"chat": ["a"], "messages": ["b"]},
            "audit": {"users": [{"tag": "t-u0", "id": "1", "key": "k"}]},
        }
        told = measure(Options("billing", out=tmp_path, **options), target, NoJournal("http://none"))
    metrics = Metrics()
    metrics.merge(told["metrics"])
    return told, metrics


def test_a_stall_shows_in_full(tmp_path: Path) -> None:
    told, metrics = measured(tmp_path, users=300, time_s=4, rate_hz=80, seed=2)
    every = metrics.rows()["all"]
    calls = metrics.counts["calls"]
    assert calls == metrics.counts["arrivals"] == len(told["calls"]) > 250
    assert metrics.counts["dropped"] == 0
    # A quarter of the arrivals meet the stall and wait for its end, evenly from 0 to 1 s: p90 is at 1 - 0.1 / 0.25.
    assert every["effective"]["p90_ms"] == pytest.approx(600, rel=0.25)
    assert every["effective"]["max_ms"] == pytest.approx(1000, rel=0.25)
    assert every["effective"]["p50_ms"] < 100
    assert every["sched_lag"]["p50_ms"] < 50


def test_arrivals_without_a_place_are_dropped_and_counted(tmp_path: Path) -> None:
    _, metrics = measured(tmp_path, users=5, time_s=3, rate_hz=80, seed=2)
    assert metrics.counts["dropped"] > 40  # the five places are taken for most of the stall
    assert metrics.counts["calls"] + metrics.counts["dropped"] == metrics.counts["arrivals"]
