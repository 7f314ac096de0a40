"""The server around the application: uvicorn, with what it does not offer by itself.

- The application is told at once when a client hangs up, and may hang up itself (an ASGI extension).
- What is no HTTP at all is answered in the gateway's error shape.
- On SIGTERM no new connection is taken, requests in flight finish (within `drain_s`), and only then the parts close.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway import edge
from gateway.errors import body
from gateway.exchange import CONNECTION
from gateway.gpu import background
from gateway.services import Services

HEAD_BYTES_MAX: Final = 64 * 1024  # of a request; the read that goes beyond is still taken
KEEP_ALIVE_S: Final = 75
SWEEP_S: Final = 5.0  # between two rounds of expiring holds past their deadline
BACKLOG: Final = 4096
PIPE_BYTES: Final = 65536  # read at once: what is told is shorter, and comes whole
COLLECT_EVERY: Final = 20_000  # objects made and not freed


class PortInUse(OSError):
    """The address cannot be listened on (the operator's fault)."""


class Corked:
    """A transport that sends what was written during one turn of the event loop in one piece.

    uvicorn writes head and body apart; each write is a system call, and a packet.
    """

    __slots__ = ("_loop", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data`, soon."""
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)

    def flush(self) -> None:
        """Sends what was written, now."""
        if self._pieces:
            if not self._transport.is_closing():
                self._transport.write(b"".join(self._pieces))
            self._pieces.clear()

    def close(self) -> None:
        """Sends what was written, then closes."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Hangs up."""
        self._pieces.clear()
        self._transport.abort()


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    hangup: Callable[[], None] | None = None
    in_head = False
    head_bytes = 0  # of the head being received, without the read that completes it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, Corked(cast(asyncio.Transport, transport), self.loop)))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.hangup is not None:
            self.hangup()

    @property
    def gone(self) -> bool:
        """Whether the client has hung up already."""
        return self.transport.is_closing()

    def abort(self) -> None:
        """Hangs up at once, whatever is still to be sent."""
        self.transport.abort()

    def close(self) -> None:
        """Hangs up once everything written is sent."""
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        self.in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self.in_head and self.head_bytes > HEAD_BYTES_MAX:
            self.send_400_response("The head of the request is too large.")
            return
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP in our error shape."""
        content = orjson.dumps(body("invalid_request_error", msg))
        head = (
            b"%bcontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\nconnection: close\r\n\r\n"
            % (STATUS_LINE[400], len(content), edge.new_id("req").encode())
        )
        self.transport.write(head + content)
        self.transport.close()


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        raise PortInUse(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}") from None
    sock.setblocking(False)
    return sock


async def serve(
    services: Services,
    app: Any,
    sock: socket.socket,
    ready: Callable[[], None],
    dead: Sequence[str] = (),
    lifeline: int | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; returns when everything in flight has ended and the parts are closed.

    A worker of several is told which others are `dead`, and of more by `lifeline` (a pipe); when that ends it drains.
    SIGINT is its supervisor's to pass on.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(services.config.drain_s)),
        backlog=BACKLOG,
    )
    server = Server(config)

    def stop() -> None:
        services.draining = True
        if server.should_exit:
            server.force_exit = True
        server.should_exit = True

    def told() -> None:
        names = os.read(cast(int, lifeline), PIPE_BYTES).decode().split()
        if names:
            services.errands.begin(bury(services, names))
        else:  # it ended: so has the supervisor
            loop.remove_reader(cast(int, lifeline))
            stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT) if lifeline is None else (signal.SIGTERM,):
        loop.add_signal_handler(number, stop)
    if lifeline is not None:
        loop.add_reader(lifeline, told)
    if services.membership is None:
        await services.money.expire_open("crash")
    else:
        await services.membership.join(dead)
    sweeper = asyncio.create_task(sweep(services))
    jobs = asyncio.create_task(background.run(services))
    serving = asyncio.create_task(server.serve([sock]))
    try:
        while not server.started and not serving.done():
            await edge.sleep(0.001)
        if server.started:
            spare_the_collector()
            ready()
        await serving
    finally:
        sweeper.cancel()
        jobs.cancel()
        await asyncio.gather(sweeper, jobs, *server.server_state.tasks, return_exceptions=True)
        await services.close()


def spare_the_collector() -> None:
    """Takes what was made at start out of the garbage collector's rounds, and makes them rarer.

    Measured: a tenth of the processor time of a call went into them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 50)


async def sweep(services: Services) -> None:
    """Expires holds past their deadline, for ever."""
    while True:
        await edge.sleep(SWEEP_S)
        try:
            await services.money.sweep(services.clock.now_ms())
            await services.budgets.reload(ours=False)
            services.errands.begin(remind(services))
            services.errands.begin(tidy(services))
        except Exception as error:
            services.log.write("error", "sweep", error=repr(error))


async def bury(services: Services, dead: Sequence[str]) -> None:
    """Gives back the holds of workers that just died."""
    try:
        if services.membership is not None:
            await services.membership.roll.bury(*dead)
    except Exception as error:
        services.log.write("error", "roll", error=repr(error))


async def tidy(services: Services) -> None:
    """Drops files whose time is over, and mails that were done with long ago."""
    try:
        await services.objects.sweep()
        await services.outbox.tidy()
    except Exception as error:
        services.log.write("error", "tidy", error=repr(error))


async def remind(services: Services) -> None:
    """Sees to marks of limits that nobody was told of, and to mails that are due."""
    try:
        await services.notices.round()
    except Exception as error:
        services.log.write("error", "notices", error=repr(error))
