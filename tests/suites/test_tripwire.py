"""The tripwire tells of whoever comes, with or without a request, and of nobody else."""

from __future__ import annotations

import asyncio

import pytest

from suites import tripwire
from suites.outcomes import Untestable


async def called(host: str, port: int, sent: bytes) -> bytes:
    """What the tripwire answers."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(sent)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_it_tells_of_whoever_comes() -> None:
    async def scene() -> list[str]:
        async with tripwire.stretched("127.0.0.1") as wire:
            assert wire.touched == []
            assert (await called("127.0.0.1", wire.port, b"GET /a HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            await called("127.0.0.1", wire.port, b"")
            return list(wire.touched)

    assert asyncio.run(scene()) == ["GET /a HTTP/1.1", "a connection without a request"]


def test_an_address_that_is_not_ours_is_untestable() -> None:
    async def scene() -> None:
        async with tripwire.stretched("192.0.2.1"):
            pass

    with pytest.raises(Untestable, match=r"nothing can listen on 192\.0\.2\.1"):
        asyncio.run(scene())
