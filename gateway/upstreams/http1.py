"""The transport over HTTP/1.1, written for this one use: send a body, read a reply as it comes.

Measured: a chat call takes the gateway two thirds of the processor time that it took over aiohttp's client. It also
hands over what came before a connection broke, and lets a read time out and go on. No redirects, cookies, proxies or
silent retries; the number of connections is not limited.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import httptools

from gateway import edge
from gateway.upstreams.transport import Reply, Request, TransportError

BUFFER_HIGH: Final = 256 * 1024  # bytes read ahead of the reader before the upstream is made to wait
BUFFER_LOW: Final = 64 * 1024
HEAD_BYTES_MAX: Final = 64 * 1024  # of a reply; the read that goes beyond is still taken
IDLE_S: Final = 15.0  # after which a kept connection is not used again
ENCODING_LENGTH: Final = len("content-encoding")
JOIN_MAX: Final = 64 * 1024  # a body up to this size is sent in one piece with its head


@dataclass(slots=True)
class Http1Reply:
    """A reply being received."""

    connection: Connection
    status: int = 0
    head: list[tuple[bytes, bytes]] = field(default_factory=list)
    error: TransportError | None = None
    complete: bool = False
    waiter: asyncio.Future[None] | None = None
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0  # of the pieces
    paused: bool = False
    inflater: Any = None  # zlib's, for a compressed body

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.head}

    async def read(self, timeout_s: float) -> bytes:
        if not self.pieces and not self.complete and self.error is None:
            await self.wait(timeout_s)
        if self.pieces:
            pieces = self.pieces
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.size = 0
            if self.paused:
                self.paused = False
                self.connection.resume()
            return data
        if self.error is not None:
            raise self.error
        if not self.complete:
            raise TimeoutError
        return b""

    async def wait(self, timeout_s: float) -> None:
        """Returns when something has come, or after this time."""
        loop = self.connection.loop
        waiter = self.waiter = loop.create_future()
        timer = loop.call_later(timeout_s, wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self.waiter = None

    def close(self) -> None:
        if not self.complete:
            self.complete = True
            self.connection.drop()

    def woken(self) -> None:
        """Something has come."""
        if self.waiter is not None:
            wake(self.waiter)

    def take(self, data: bytes) -> None:
        """A piece of the body."""
        if self.inflater is not None:
            data = self.inflater.decompress(data)
        if not data:
            return
        self.pieces.append(data)
        self.size += len(data)
        if self.size > BUFFER_HIGH and not self.paused:
            self.paused = True
            self.connection.pause()
        self.woken()

    def fail(self, message: str) -> None:
        """The exchange is broken; what came before can still be read."""
        if not self.complete and self.error is None:
            self.error = TransportError("broken", message)
        self.woken()


def wake(waiter: asyncio.Future[None]) -> None:
    """Ends a wait, if it has not ended."""
    if not waiter.done():
        waiter.set_result(None)


def inflater(head: list[tuple[bytes, bytes]]) -> Any:
    """What undoes the reply's content-encoding, None where there is none. Raises ValueError for one we do not know."""
    for name, value in head:
        if len(name) == ENCODING_LENGTH and name.lower() == b"content-encoding":
            encoding = value.strip().lower()
            if encoding in (b"gzip", b"x-gzip", b"deflate"):
                return zlib.decompressobj(zlib.MAX_WBITS | 32)
            if encoding not in (b"identity", b""):
                raise ValueError(f"content-encoding {encoding!r}")
    return None


def until_close(reply: Http1Reply) -> bool:
    """Whether the reply's body ends where the connection does."""
    headers = reply.headers
    return "content-length" not in headers and "transfer-encoding" not in headers


class Connection(asyncio.Protocol):
    """One connection to an upstream: one exchange at a time, then back to the pool.

    Without a pool it is a stranger's server: one exchange, and nothing is inflated, which it could make a bomb.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: list[Connection] | None) -> None:
        self.loop = loop
        self.pool = pool
        self.idle_since = 0.0
        self.lost = False
        self.reply: Http1Reply | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._head: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._has_head = False

    def begin(self, head: bytes, body: bytes) -> Http1Reply:
        """Sends a request; the reply is to be waited for."""
        assert self._transport is not None, "a connection is used once it is made"
        self.reply = Http1Reply(self)
        self._has_head = False
        self._head_bytes = 0
        if len(body) <= JOIN_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return self.reply

    def drop(self) -> None:
        """Hangs up, whatever is on the way."""
        self.reply = None
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Makes the upstream wait."""
        if self._transport is not None and not self.lost:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Takes more."""
        if self._transport is not None and not self.lost:
            self._transport.resume_reading()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.reply is None:
            self.drop()  # nobody asked
            return
        try:
            if not self._has_head:
                if self._head_bytes > HEAD_BYTES_MAX:
                    raise ValueError("the head of the reply is too large")
                self._head_bytes += len(data)
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, zlib.error, ValueError) as error:
            reply = self.reply
            self.drop()
            if reply is not None:
                reply.fail(f"the upstream's reply is not HTTP ({type(error).__name__})")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.pool is not None and self in self.pool:
            self.pool.remove(self)
        reply, self.reply = self.reply, None
        if reply is None:
            return
        if self._has_head and exc is None and until_close(reply):
            reply.complete = True
            reply.woken()
        elif self._has_head:
            reply.fail("the upstream's connection broke off in mid-reply")
        else:
            reply.fail("the upstream closed the connection without a reply")

    # the parser's side

    def on_message_begin(self) -> None:
        self._head = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        reply = self.reply
        if reply is None or 100 <= status < 200:
            return
        reply.inflater = None if self.pool is None else inflater(self._head)
        self._has_head = True
        reply.status = status
        reply.head = self._head
        reply.woken()

    def on_body(self, body: bytes) -> None:
        if self.reply is not None:
            self.reply.take(body)

    def on_message_complete(self) -> None:
        reply = self.reply
        if reply is None or not self._has_head:
            return  # nobody waits any more, or an interim reply
        reply.complete = True
        self.reply = None
        transport = self._transport
        assert transport is not None, "a message came over it"
        if reply.paused:
            reply.paused = False
            transport.resume_reading()
        if self.pool is not None and self._parser.should_keep_alive() and not transport.get_write_buffer_size():
            self.idle_since = edge.monotonic()
            self.pool.append(self)
        else:
            self.lost = True
            transport.close()
        reply.woken()


@dataclass(slots=True)
class Address:
    """Where a URL leads: what connects, what the request line and the Host header say, and the kept connections."""

    host: str  # that is connected to
    port: int
    server_name: str | None  # whose certificate is due; None without TLS
    line: bytes  # request line and Host header
    pool: list[Connection] | None


class Http1Transport:
    """Real HTTP/1.1."""

    def __init__(self) -> None:
        self._addresses: dict[str, Address] = {}
        self._pools: dict[tuple[str, int, bool], list[Connection]] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def send(self, request: Request, connect_timeout_s: float, first_byte_timeout_s: float) -> Reply:
        address = (None if request.once or request.address else self._addresses.get(request.url)) or self._find(request)
        connection = take_idle(address.pool or []) or await self._connect(address, connect_timeout_s)
        lines = [address.line]
        for name, value in request.headers:
            lines.append(f"{name}: {value}\r\n".encode("latin-1"))
        lines.append(b"content-length: %d\r\n\r\n" % len(request.body))
        reply = connection.begin(b"".join(lines), request.body)
        try:
            if not reply.status and reply.error is None:
                await reply.wait(first_byte_timeout_s)
        except asyncio.CancelledError:
            reply.close()
            raise
        if reply.error is not None and not reply.status:
            raise reply.error
        if not reply.status:
            reply.close()
            raise TransportError("timeout", f"the upstream sent nothing for {first_byte_timeout_s:g} s")
        return reply

    async def close(self) -> None:
        for pool in self._pools.values():
            for connection in list(pool):
                connection.drop()
            pool.clear()

    def _find(self, request: Request) -> Address:
        parts = urlsplit(request.url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        server_name, line = host if secure else None, request_line(parts, request.method)
        if request.address is not None:
            return Address(request.address, port, server_name, line, None)
        pool = self._pools.setdefault((host, port, secure), [])
        address = Address(host, port, server_name, line, pool)
        if not request.once:
            self._addresses[request.url] = address
        return address

    async def _connect(self, address: Address, timeout_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, address.pool),
                    address.host,
                    address.port,
                    ssl=None if address.server_name is None else self._tls,
                    server_hostname=address.server_name,
                )
        except TimeoutError:
            raise TransportError("connect", f"no connection within {timeout_s:g} s") from None
        except OSError as error:
            raise TransportError("connect", f"no connection ({type(error).__name__})") from error
        return connection


def take_idle(pool: list[Connection]) -> Connection | None:
    """The connection used last, if it is still good."""
    while pool:
        connection = pool.pop()
        if not connection.lost and edge.monotonic() - connection.idle_since < IDLE_S:
            return connection
        connection.drop()
    return None


def request_line(url: SplitResult, method: str = "POST") -> bytes:
    """The request line and the Host header for a URL."""
    target = url.path or "/"
    if url.query:
        target += f"?{url.query}"
    return f"{method} {target} HTTP/1.1\r\nhost: {url.netloc.rpartition('@')[2]}\r\n".encode("ascii")
