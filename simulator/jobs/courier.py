"""How a webhook leaves the fleet: one POST over the network, bounded in time, redirects not followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, StreamReader, TCPConnector

CONNECTIONS = 64
ANSWER_BYTES = 64 << 10  # of an answer's body, that are read


class Undelivered(Exception):
    """Nobody answered: the connection failed, or it took too long."""


class Answer(NamedTuple):
    """What a receiver says."""

    status: int
    body: bytes  # as far as it is read


class Courier(Protocol):
    """Whoever delivers."""

    async def post(self, url: str, headers: Iterable[tuple[str, str]], body: bytes, timeout_ms: float) -> Answer:
        """The answer. Raises Undelivered."""

    async def close(self) -> None:
        """Deliver nothing more."""


class HttpCourier:
    """Delivers over HTTP; begins at the first delivery, on the loop that runs then."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    async def post(self, url: str, headers: Iterable[tuple[str, str]], body: bytes, timeout_ms: float) -> Answer:
        """The answer. Raises Undelivered."""
        if self._session is None:
            self._session = ClientSession(connector=TCPConnector(limit=CONNECTIONS), cookie_jar=DummyCookieJar())
        timeout = ClientTimeout(total=timeout_ms / 1000)
        try:
            async with self._session.post(
                url, data=body, headers=list(headers), timeout=timeout, allow_redirects=False
            ) as answer:
                return Answer(answer.status, await _read(answer.content))
        except TimeoutError:
            raise Undelivered(f"no answer within {timeout_ms:g} ms") from None
        except (ClientError, OSError, ValueError) as error:
            raise Undelivered(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(content: StreamReader) -> bytes:
    """The body, as far as it is read: one read may give less than there is."""
    found = bytearray()
    while len(found) < ANSWER_BYTES and (piece := await content.read(ANSWER_BYTES - len(found))):
        found += piece
    return bytes(found)
