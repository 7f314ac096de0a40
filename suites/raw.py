"""Bytes to the gateway and back, without an HTTP client in between."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from suites.edge import sleep_ms

FIRST_BYTE_S = 10.0
LATER_BYTES_S = 1.0
SMALLEST_BUFFER = 2048
HEAD_START_MS = 150  # for the server to read what comes before the last byte
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


def is_whole(received: bytes) -> bool:
    """Whether these bytes are a head with the body that its content-length promises."""
    head, blank, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(blank) and length is not None and len(body) >= int(length[1])


async def send_and_never_read(root_url: str, sent: bytes) -> socket.socket:
    """A connection with the smallest receive buffer, on which a request was sent and nothing is ever read. Close it."""
    parts = urlsplit(root_url)
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
    connection.setblocking(False)
    await loop.sock_connect(connection, (parts.hostname or "127.0.0.1", parts.port or 80))
    await loop.sock_sendall(connection, sent)
    return connection


def request_bytes(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it travels."""
    parts = urlsplit(url)
    lines = {**headers, "host": parts.netloc, "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {parts.path or '/'} HTTP/1.1\r\n{head}\r\n".encode() + body


async def at_once(root_url: str, sent: bytes, count: int) -> list[bytes]:
    """The replies to `count` identical requests that are complete in the same moment: the last bytes leave together."""
    parts = urlsplit(root_url)
    streams = await asyncio.gather(*(asyncio.open_connection(parts.hostname, parts.port or 80) for _ in range(count)))
    try:
        for _, writer in streams:
            writer.write(sent[:-1])
        await asyncio.gather(*(writer.drain() for _, writer in streams))
        await sleep_ms(HEAD_START_MS)
        for _, writer in streams:
            writer.write(sent[-1:])
        return list(await asyncio.gather(*(_whole_reply(reader) for reader, _ in streams)))
    finally:
        for _, writer in streams:
            writer.close()


async def _whole_reply(reader: asyncio.StreamReader) -> bytes:
    received = b""
    while not is_whole(received):
        piece = await asyncio.wait_for(reader.read(65536), FIRST_BYTE_S)
        if not piece:
            break
        received += piece
    return received


async def exchange(root_url: str, sent: bytes) -> bytes:
    """What comes back for these bytes, until the server closes, a whole reply came, or it falls silent."""
    parts = urlsplit(root_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    received = b""
    try:
        writer.write(sent)
        await asyncio.wait_for(writer.drain(), FIRST_BYTE_S)
        while not is_whole(received):
            piece = await asyncio.wait_for(reader.read(65536), LATER_BYTES_S if received else FIRST_BYTE_S)
            if not piece:
                break
            received += piece
    except (TimeoutError, ConnectionError):
        pass  # a reset or silence is an answer too
    finally:
        writer.close()
    return received
