"""The benchmark's client: asyncio protocols on uvloop that do next to nothing for each answer.

Closed loop over a fixed number of connections. It knows the end of an answer by its content-length or by the
last chunk and parses nothing else, so that on one core it outruns every server it measures; its own CPU share
is told with each figure.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

MARK = b"@@@@@@@@"  # in a request: makes every one that is sent another
END_OF_HEAD = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Failed(Exception):
    """A server answered something else than was measured before."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One request, ready to be sent: where to, and its bytes."""

    host: str
    port: int
    data: bytes

    def requests(self) -> Iterator[bytes]:
        """What to send, without end: always the same, but for a count in the place of the mark, if there is one."""
        before, mark, after = self.data.partition(MARK)
        for n in count():
            yield before + b"%0*d" % (len(MARK), n) + after if mark else before

    @classmethod
    def post(cls, url: str, headers: dict[str, str], body: bytes) -> Shot:
        parts = urlsplit(url)
        head = [
            f"POST {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Content-Length: {len(body)}",
        ]
        head += [f"{name}: {value}" for name, value in headers.items()]
        return cls(parts.hostname or "", parts.port or 80, "\r\n".join(head).encode() + END_OF_HEAD + body)


@dataclass(slots=True)
class Tally:
    """What one round counted."""

    answers: int = 0
    body_bytes: int = 0
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    server_cpu_s: float = 0.0
    failure: str = ""

    @property
    def per_s(self) -> float:
        return self.answers / self.wall_s if self.wall_s else 0.0


class Connection(asyncio.Protocol):
    """Sends one request after another, each when the answer before it has ended."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self._requests, self.tally = requests, tally
        self._head, self._tail = b"", b""
        self._left: int | None = None  # bytes of body still due; None: a chunked body
        self._in_body = False
        self.running = True
        self.transport: Any = None  # uvloop's transports are not asyncio's classes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            data = self._head + data
            end = data.find(END_OF_HEAD)
            if end < 0:
                self._head = data
                return
            self._begin(data[:end])
            data = data[end + len(END_OF_HEAD) :]
        self.tally.body_bytes += len(data)
        if self._left is not None:
            self._left -= len(data)
            ended = self._left <= 0
        else:
            self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
            ended = self._tail == LAST_CHUNK
        if ended:
            self._in_body, self._head, self._tail = False, b"", b""
            self.tally.answers += 1
            if self.running:
                self.transport.write(next(self._requests))

    def _begin(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200"):
            self.tally.failure = head.split(b"\r\n", 1)[0].decode()
            self.running = False
        length = head.lower().find(b"content-length:")
        self._left = int(head[length + 15 :].split(b"\r\n", 1)[0]) if length >= 0 else None
        self._in_body = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.running:
            self.tally.failure = self.tally.failure or f"connection lost: {exc}"


async def closed_loop(
    shot: Shot, connections: int, time_s: float, server_cpu_s: Callable[[], float] = lambda: 0.0
) -> Tally:
    """Keep `connections` requests in flight for `time_s`. Raises Failed on any status but 200, and on silence."""
    loop = asyncio.get_running_loop()
    tally, requests = Tally(), shot.requests()
    made = [
        await loop.create_connection(lambda: Connection(requests, tally), shot.host, shot.port)
        for _ in range(connections)
    ]
    await asyncio.sleep(min(0.2, time_s / 4))  # warm up
    tally.answers, tally.body_bytes = 0, 0
    cpu_s, of_server_s, started = cpu(), server_cpu_s(), time.perf_counter()
    await asyncio.sleep(time_s)
    tally.wall_s, tally.client_cpu_s = time.perf_counter() - started, cpu() - cpu_s
    tally.server_cpu_s = server_cpu_s() - of_server_s
    counted = (tally.answers, tally.body_bytes)
    for transport, connection in made:
        connection.running = False
        transport.close()
    tally.answers, tally.body_bytes = counted
    if tally.failure:
        raise Failed(f"{shot.host}:{shot.port} answered {tally.failure}")
    if not tally.answers:
        raise Failed(f"{shot.host}:{shot.port} answered nothing within {time_s:g} s")
    return tally


@dataclass(slots=True)
class Stream(asyncio.Protocol):
    """Notes when each event of one paced stream came in."""

    data: bytes
    arrivals: list[tuple[int, float]] = field(default_factory=list)  # events so far, when
    events: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self.data)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        events = data.count(b"\n\n")
        if events:
            self.events += events
            self.arrivals.append((self.events, now))
        if data.endswith(LAST_CHUNK):
            self.done.set()
            self.transport.close()


def cpu() -> float:
    """Processor seconds this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
