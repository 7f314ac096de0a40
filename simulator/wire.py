"""The socket in the application's hands: uvicorn's own protocol, and an ASGI extension that gives a request its `Wire`.

ASGI can say "here is more body"; it cannot say RST, or FIN in the middle of a body, or "this whole reply in one write".
A `Wire` can. Parsing, keep-alive, pipelining and shutdown stay uvicorn's: a reply written here ends uvicorn's cycle as
`send` would have.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

from uvicorn._types import ASGI3Application, ASGIReceiveCallable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from simulator import edge

EXTENSION = "windtunnel.wire"
LINGER_NONE = struct.pack("ii", 1, 0)  # close means RST
REQUEST_HEAD = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*")
UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
LINGER_BODY_MS = 5_000.0  # how long an unread body is read and dropped after an early reply


class Listener(Protocol):
    """Who wants to know what becomes of the connection."""

    def on_writable(self) -> None:
        """The peer has read enough for more to be written."""

    def on_lost(self) -> None:
        """The connection is gone."""


class PeerGone(Exception):
    """The client hung up before its request was whole."""


class TooLarge(Exception):
    """The request body is larger than the fleet takes."""


class WireProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, each request bearing the connection's Wire in `scope["extensions"]`."""

    wire: Wire
    extensions: dict[str, Wire]
    unread: Callable[[], None] | None = None  # cancels the deadline while an early reply waits for the rest of its body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn, with no buffer of our own: `paused` tells at once that the peer reads slowly."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self.wire = Wire(self)
        self.extensions = {EXTENSION: self.wire}

    def data_received(self, data: bytes) -> None:
        """As uvicorn, but an offer to upgrade (h2c, as Java's HTTP client makes) does not cost the request its body."""
        if b"pgrade:" in data:
            data = decline_upgrade(data)
        super().data_received(data)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """As uvicorn: from here on the wire is this exchange's, pipelined or not."""
        scope: Any = cycle.scope
        scope["extensions"] = self.extensions
        self.wire.cycle = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """As uvicorn; ends the wait of an early reply."""
        super().on_message_complete()
        if self.unread is not None:
            self.unread()
            self.unread = None
            self.transport.close()

    def resume_writing(self) -> None:
        """As uvicorn, and wakes who writes."""
        super().resume_writing()
        if self.wire.listener is not None:
            self.wire.listener.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn, and tells who writes; with pipelining that is not the request parsed last."""
        super().connection_lost(exc)
        if self.unread is not None:
            self.unread()
            self.unread = None
        wire = self.wire
        if wire.cycle is not None and not wire.cycle.response_complete:
            wire.cycle.disconnected = True
            wire.cycle.message_event.set()
        if wire.listener is not None:
            wire.listener.on_lost()


def decline_upgrade(data: bytes) -> bytes:
    """The bytes of a request with its Upgrade header renamed; anything else as it came."""
    head = REQUEST_HEAD.match(data)
    if head is None:
        return data
    return UPGRADE.sub(b"\r\nx-declined-upgrade:", head[0]) + data[head.end() :]


class Wire:
    """The exchange under way on one connection; there is one at a time."""

    __slots__ = ("_flow", "_protocol", "cycle", "listener", "transport")

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol
        self._flow = protocol.flow
        self.cycle: RequestResponseCycle = cast(RequestResponseCycle, None)  # set before a request is handed out
        self.transport = protocol.transport
        self.listener: Listener | None = None

    @property
    def gone(self) -> bool:
        """Whether the connection is lost or being closed."""
        return self.cycle.disconnected or self.transport.is_closing()

    @property
    def paused(self) -> bool:
        """Whether bytes already written still wait for the peer to read."""
        return self._flow.write_paused

    @property
    def buffered(self) -> int:
        """How many bytes were written that the system has not taken yet."""
        return self.transport.get_write_buffer_size()

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this reply."""
        return not self.cycle.keep_alive

    @property
    def head_only(self) -> bool:
        """Whether the reply must not have a body (HEAD)."""
        return self.cycle.scope["method"] == "HEAD"

    @property
    def chunks(self) -> bool:
        """Whether the client knows chunked bodies (HTTP/1.1)."""
        return self.cycle.scope["http_version"] == "1.1"

    @property
    def plain(self) -> bool:
        """Whether a ready-made reply fits: HTTP/1.1, the connection stays, and the body is wanted."""
        scope = self.cycle.scope
        stays = self.cycle.keep_alive and not self.transport.is_closing()
        return stays and scope["method"] != "HEAD" and scope["http_version"] == "1.1"

    def body_at_hand(self) -> bytes | None:
        """The request's body, when all of it came and nothing stands before its reply."""
        cycle, flow = self.cycle, self._flow
        if cycle.more_body or cycle.waiting_for_100_continue or flow.write_paused or flow.read_paused:
            return None
        return bytes(cycle.body)

    async def body(self, receive: ASGIReceiveCallable, limit_bytes: int) -> bytes:
        """The request's body. Raises PeerGone, or TooLarge as soon as that is certain."""
        cycle = self.cycle
        if cycle.more_body or cycle.waiting_for_100_continue:
            for name, value in cycle.scope["headers"]:
                if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
                    raise TooLarge
            parts = bytearray()
            while cycle.more_body or cycle.body:
                message = await receive()
                if message["type"] != "http.request":
                    raise PeerGone
                parts += message.get("body", b"")
                if len(parts) > limit_bytes:
                    raise TooLarge
            body = bytes(parts)
        else:
            body = bytes(cycle.body)
        self._flow.resume_reading()  # a hang-up is seen only while we read
        if self._flow.write_paused:  # an earlier reply of the pipeline is still leaving
            await self._flow.drain()
        return body

    def attend(self, listener: Listener) -> None:
        """Tell `listener` of what becomes of the connection while the reply is under way."""
        self.listener = listener
        self.cycle.response_started = True

    def write(self, data: bytes) -> None:
        """Bytes at will: they are offered to the system before this returns."""
        self.transport.write(data)

    def reply(self, data: bytes) -> None:
        """The whole reply in one write, on a connection that stays."""
        self.transport.write(data)
        cycle = self.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.on_response()

    def finish(self) -> None:
        """The reply is whole: the connection is free for the next request, or closes."""
        self._release()
        cycle = self.cycle
        if not cycle.keep_alive:
            self._close_after_body()
        cycle.on_response()

    def cut(self) -> None:
        """FIN, whatever HTTP still expects."""
        self._release()
        self.transport.close()

    def reset(self) -> None:
        """RST."""
        self._release()
        sock: socket.socket | None = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        self.transport.abort()

    @property
    def unread(self) -> bool:
        """Whether the client still sends its request."""
        return self.cycle.more_body

    def refuse_rest(self) -> None:
        """The reply leaves before the request's body was read: the connection closes after it."""
        self.cycle.keep_alive = False

    def _release(self) -> None:
        self.listener = None
        self.cycle.response_started = self.cycle.response_complete = True

    def _close_after_body(self) -> None:
        """Close; while the client still sends, read and drop, or the RST of a full socket would destroy the reply."""
        protocol = self._protocol
        if self.cycle.more_body and not self.transport.is_closing():
            self._flow.resume_reading()
            protocol.unread = edge.alarm(LINGER_BODY_MS, self.transport.close)
        else:
            self.transport.close()
