"""A listener where no gateway has any business: whoever connects to it was led astray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from suites.outcomes import Untestable

HOST = "127.0.0.2"  # of this machine, and not the address that a target may allow for the sake of its fleet
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n"


class Tripwire:
    """Counts who connects, and answers them all alike."""

    def __init__(self) -> None:
        self.port = 0
        self.body = b"{}"
        self.touched: list[str] = []  # the first line of what each sent

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note a visitor, who gets an answer, so as to go on to whatever comes next."""
        self.touched.append("a connection")
        line = await reader.readline()
        self.touched[-1] = line.decode("utf-8", "replace").strip() or "a connection without a request"
        writer.write(HEAD.format(len(self.body)).encode() + self.body)
        writer.close()


@asynccontextmanager
async def stretched(host: str = HOST) -> AsyncIterator[Tripwire]:
    """A tripwire on a free port. Raises Untestable where the machine has no such address."""
    wire = Tripwire()
    try:
        server = await asyncio.start_server(wire.greet, host, 0)
    except OSError as error:
        raise Untestable(f"nothing can listen on {host}: {error}") from error
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
