"""How bytes get to an upstream and back: over HTTP, or from memory for tests and simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

BODY_BYTES_MAX = 256 * 1024 * 1024  # of a reply that is not a stream


class TransportError(Exception):
    """The exchange failed below HTTP's level (the upstream's fault)."""

    def __init__(self, kind: Literal["connect", "timeout", "broken"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """One request to an upstream."""

    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    method: str = "POST"
    once: bool = False  # the URL is about one thing and not worth remembering
    address: str | None = None  # connect to this one and nowhere else: a stranger's server (gateway/guard.py)


class Reply(Protocol):
    """A reply whose head has come."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case."""

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes of the body, b"" at its end.

        Raises TimeoutError when none came in time (reading may go on afterwards), TransportError when it is broken.
        """

    def close(self) -> None:
        """Ends the exchange at once; what was not read is lost, and the upstream sees the connection close."""


class Transport(Protocol):
    """A way to upstreams."""

    async def send(self, request: Request, connect_timeout_s: float, first_byte_timeout_s: float) -> Reply:
        """Sends the request and waits for the reply's head. Raises TransportError."""

    async def close(self) -> None:
        """Closes every connection."""


async def read_all(reply: Reply, idle_timeout_s: float, limit: int = BODY_BYTES_MAX) -> bytes:
    """The whole body. Raises TransportError when it breaks off, stalls or is over the limit."""
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            piece = await reply.read(idle_timeout_s)
        except TimeoutError:
            raise TransportError("timeout", f"the upstream sent nothing for {idle_timeout_s:g} s") from None
        if not piece:
            return b"".join(pieces) if len(pieces) != 1 else pieces[0]
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise TransportError("broken", f"the reply is over {limit} bytes")
