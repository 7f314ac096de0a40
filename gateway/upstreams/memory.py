"""The transport in memory: replies come from a function, for tests and simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway import edge
from gateway.upstreams.transport import Reply, Request, TransportError

HANG: float = float("inf")

Piece = bytes | float | TransportError


@dataclass(slots=True)
class MemoryReply:
    """A scripted reply: bytes are read as they are, a number is seconds of silence, an error is raised."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[Piece] = ()
    closed: bool = False
    taken: int = 0  # pieces read so far
    _rest_s: float = 0.0  # of the silence that is going on

    async def read(self, timeout_s: float) -> bytes:
        left_s = timeout_s
        while self.taken < len(self.pieces):
            piece = self.pieces[self.taken]
            if isinstance(piece, bytes):
                self.taken += 1
                if piece:
                    return piece
            elif isinstance(piece, TransportError):
                raise piece
            else:
                silence_s = self._rest_s or piece
                if silence_s > left_s:
                    self._rest_s = silence_s - left_s
                    await edge.sleep(left_s)
                    raise TimeoutError
                await edge.sleep(silence_s)
                left_s -= silence_s
                self._rest_s = 0.0
                self.taken += 1
        return b""

    def close(self) -> None:
        self.closed = True


Answer = Callable[[Request], Awaitable[MemoryReply] | MemoryReply]


@dataclass(slots=True)
class MemoryTransport:
    """Asks `answer` for each request and keeps a record of both."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)
    replies: list[MemoryReply] = field(default_factory=list)

    async def send(self, request: Request, _connect_timeout_s: float, first_byte_timeout_s: float) -> Reply:
        self.requests.append(request)
        made = self.answer(request)
        try:
            reply = made if isinstance(made, MemoryReply) else await asyncio.wait_for(made, first_byte_timeout_s)
        except TimeoutError as error:
            message = f"the upstream sent nothing for {first_byte_timeout_s:g} s"
            raise TransportError("timeout", message) from error
        self.replies.append(reply)
        return reply

    async def close(self) -> None:
        for reply in self.replies:
            reply.close()
