"""The HTTP/1.1 transport against servers that say exactly these bytes."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.upstreams.http1 import BUFFER_HIGH, Http1Transport
from gateway.upstreams.transport import Request, TransportError, read_all
from tests.gateway.lab import run

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def upstream(serve: Serve) -> AsyncIterator[tuple[Http1Transport, Request, list[bytes]]]:
    """A server, the transport, a request to it, and the heads of the requests it got."""
    heads: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                length = next(
                    int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                await serve(reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Http1Transport()
    try:
        yield transport, Request(f"http://127.0.0.1:{port}/v1/x", [("x-a", "1")], b'{"a":1}'), heads
    finally:
        await transport.close()
        server.close()
        await settled()


async def settled() -> None:
    """Waits until the handlers of all connections have ended."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=1)
    await asyncio.sleep(0.001)


def says(*pieces: bytes, close: bool = False) -> Serve:
    """Writes the pieces one after another."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return serve


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
GOOD: dict[str, tuple[list[bytes], bool]] = {
    "length": ([OK + b"content-length: 5\r\n\r\nhello"], False),
    "length, in pieces": ([OK[:9], OK[9:] + b"content-length: 5\r\n", b"\r\nhe", b"llo"], False),
    "chunked": ([OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"he", b"llo")], False),
    "byte by byte": ([bytes([b]) for b in OK + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"hello")], False),
    "until the close": ([OK + b"\r\nhello"], True),
    "connection: close": ([OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello"], True),
    "gzip": ([OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello")], True),
    "after interim replies": ([b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"content-length: 5\r\n\r\nhello"], False),
    "an error": ([b"HTTP/1.1 503 No\r\nRetry-After: 2\r\ncontent-length: 5\r\n\r\nhello"], False),
}


@pytest.mark.parametrize("case", GOOD)
def test_replies(case: str) -> None:
    async def scene() -> None:
        pieces, close = GOOD[case]
        async with upstream(says(*pieces, close=close)) as (transport, request, heads):
            for _ in range(2):
                reply = await transport.send(request, 1, 1)
                assert reply.status == (503 if case == "an error" else 200)
                assert await read_all(reply, 1) == b"hello"
                assert await reply.read(1) == b""
                reply.close()
                if case == "an error":
                    assert reply.headers["retry-after"] == "2"
            assert heads[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
            assert b"\r\nx-a: 1\r\ncontent-length: 7\r\n\r\n" in heads[0]

    run(scene())


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "nothing": ([], "closed the connection without a reply"),
    "not http": ([b"SSH-2.0-OpenSSH\r\n"], "is not HTTP"),
    "half a head": ([OK], "closed the connection without a reply"),
    "endless head": ([OK + b"x: " + b"a" * 400_000], "is not HTTP"),
    "unknown coding": ([OK + b"content-encoding: br\r\ncontent-length: 1\r\n\r\nx"], "is not HTTP"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_reply(case: str) -> None:
    async def scene() -> None:
        pieces, said = BROKEN[case]
        async with upstream(says(*pieces, close=True)) as (transport, request, _):
            with pytest.raises(TransportError, match=said) as raised:
                await transport.send(request, 1, 1)
            assert raised.value.kind == "broken"

    run(scene())


@pytest.mark.parametrize(
    "piece",
    [
        OK + b"content-length: 10\r\n\r\nhello",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ],
)
def test_what_came_before_a_break_is_read_first(piece: bytes) -> None:
    async def scene() -> None:
        async with upstream(says(piece, close=True)) as (transport, request, _):
            reply = await transport.send(request, 1, 1)
            await asyncio.sleep(0.02)
            assert await reply.read(1) == b"hello"
            with pytest.raises(TransportError):
                await reply.read(1)

    run(scene())


def test_a_reset() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        sock: Any = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def scene() -> None:
        async with upstream(reset) as (transport, request, _):
            reply = await transport.send(request, 1, 1)
            assert await reply.read(1) == b"hello"
            with pytest.raises(TransportError, match="broke off in mid-reply"):
                await reply.read(1)

    run(scene())


def test_connections_are_kept_and_used_again() -> None:
    async def scene() -> None:
        ports: list[Any] = []

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ports.append(writer.get_extra_info("peername"))
            writer.write(OK + b"content-length: 2\r\n\r\nok")

        async with upstream(serve) as (transport, request, _):
            for _ in range(3):
                await read_all(await transport.send(request, 1, 1), 1)
            assert len(set(ports)) == 1
            replies = await asyncio.gather(*(transport.send(request, 1, 1) for _ in range(20)))
            assert [await read_all(reply, 1) for reply in replies] == [b"ok"] * 20
            for _ in range(20):
                await read_all(await transport.send(request, 1, 1), 1)
            assert len(set(ports)) == 20

    run(scene())


def test_other_methods_and_addresses_that_are_asked_once() -> None:
    async def scene() -> None:
        async with upstream(says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) as (transport, request, heads):
            once = replace(request, body=b"", method="DELETE", once=True)
            for number in range(3):
                asked = replace(once, url=f"{request.url}/{number}?a=b")
                assert await read_all(await transport.send(asked, 1, 1), 1) == b"ok"
            assert [head.split(b"\r\n")[0] for head in heads] == [
                b"DELETE /v1/x/%d?a=b HTTP/1.1" % number for number in range(3)
            ]
            assert not transport._addresses
            assert await read_all(await transport.send(request, 1, 1), 1) == b"ok"
            assert heads[-1].startswith(b"POST /v1/x HTTP/1.1")
            assert list(transport._addresses) == [request.url]

    run(scene())


def test_a_connection_that_the_upstream_closed_is_not_used_again() -> None:
    async def scene() -> None:
        async with upstream(says(OK + b"content-length: 2\r\n\r\nok", close=True)) as (transport, request, heads):
            for _ in range(5):
                assert await read_all(await transport.send(request, 1, 1), 1) == b"ok"
                await asyncio.sleep(0.01)
            assert len(heads) == 5

    run(scene())


def test_closing_early_hangs_up() -> None:
    async def scene() -> None:
        gone = asyncio.Event()

        async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            assert await reader.read() == b""
            gone.set()
            writer.close()

        async with upstream(stream) as (transport, request, _):
            reply = await transport.send(request, 1, 1)
            assert await reply.read(1) == b"hello"
            reply.close()
            await asyncio.wait_for(gone.wait(), 1)

    run(scene())


def test_a_cancelled_request_hangs_up() -> None:
    async def scene() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()
            gone.set()
            writer.close()

        async with upstream(silent) as (transport, request, _):
            task = asyncio.create_task(transport.send(request, 1, 10))
            await asked.wait()
            task.cancel()
            await asyncio.wait_for(gone.wait(), 1)

    run(scene())


def test_timeouts_and_reading_on() -> None:
    async def scene() -> None:
        go = asyncio.Event()

        async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK + b"transfer-encoding: chunked\r\n\r\n")
            await go.wait()
            writer.write(chunked(b"late"))

        async with upstream(slow) as (transport, request, _):
            reply = await transport.send(request, 1, 1)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await reply.read(0.01)
            go.set()
            assert await read_all(reply, 1) == b"late"

    run(scene())


def test_no_reply_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scene() -> None:
        async with upstream(silent) as (transport, request, _):
            with pytest.raises(TransportError, match=r"nothing for 0\.02 s") as raised:
                await transport.send(request, 1, 0.02)
            assert raised.value.kind == "timeout"

    run(scene())


def test_nobody_listens() -> None:
    async def scene() -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        with pytest.raises(TransportError) as raised:
            await Http1Transport().send(Request(f"http://127.0.0.1:{port}/", [], b""), 1, 1)
        assert raised.value.kind == "connect"

    run(scene())


def test_a_reader_that_stops_makes_the_upstream_wait() -> None:
    async def scene() -> None:
        sent = 0

        async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(OK + b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(640):
                writer.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                sent += 65536
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        async with upstream(flood) as (transport, request, _):
            reply = await transport.send(request, 1, 1)
            first = await reply.read(1)
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.05)
            assert sent < 16 * 1024 * 1024
            piece = await reply.read(1)
            assert len(piece) <= BUFFER_HIGH + 2**18
            assert len(first) + len(piece) + len(await read_all(reply, 1)) == 640 * 65536

    run(scene())


def test_a_reply_before_the_request_was_read_ends_the_connection() -> None:
    async def scene() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = Http1Transport()
        for _ in range(2):
            reply = await transport.send(Request(f"http://127.0.0.1:{port}/", [], b"x" * 30_000_000), 1, 5)
            assert (reply.status, await read_all(reply, 1)) == (413, b"no")
        await transport.close()
        server.close()
        await settled()

    run(scene())
