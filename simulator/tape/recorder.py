"""A proxy in front of a real provider that records it: relays every byte first, and keeps it second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from yarl import URL

from simulator.tape.recording import Piece, Recording

HOP_BY_HOP = frozenset(
    {
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
CONNECT_S, READ_S = 10, 600
BODY_BYTES_MAX = 64 << 20
TELLS_NOTHING = frozenset({"content-length"})


class Recorder:
    """The ASGI application. One file an exchange, numbered in the order in which they began."""

    def __init__(self, upstream: str, folder: Path, now_ms: Callable[[], float], told: Callable[[str], None]) -> None:
        """`now_ms` never steps back; `told` gets a line for each exchange."""
        self._upstream = upstream.rstrip("/")
        self._folder = folder
        self._now_ms = now_ms
        self._told = told
        self._numbers = count(
            1 + max((int(path.name[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]-*.json")), default=0)
        )
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        if len(body) > BODY_BYTES_MAX:
            await PlainTextResponse(f"The body is larger than {BODY_BYTES_MAX} bytes.\n", 413)(scope, receive, send)
            return
        try:
            reply = await self._relayed(request, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._told(f"{request.method} {request.url.path}: {type(error).__name__}: {error}")
            message = f"The recorder cannot reach {self._upstream}: {type(error).__name__}.\n"
            await PlainTextResponse(message, 502)(scope, receive, send)
            return
        await reply(scope, receive, send)

    async def close(self) -> None:
        """Let go of the provider."""
        if self._session is not None:
            await self._session.close()

    async def _relayed(self, request: Request, body: bytes) -> StreamingResponse:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=READ_S)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        number = next(self._numbers)
        began_ms = self._now_ms()
        query = request.scope["query_string"].decode("latin-1")
        raw = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        url = URL(f"{self._upstream}{raw}" + (f"?{query}" if query else ""), encoded=True)
        asked = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP]
        sent = [(name, value) for name, value in asked if name not in TELLS_NOTHING]
        reply = await self._session.request(
            request.method,
            url,
            headers=sent,
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept"),
        )
        head_at_ms = self._now_ms() - began_ms
        headers = tuple(
            (name.lower(), value) for name, value in reply.headers.items() if name.lower() not in HOP_BY_HOP
        )
        tee = _Tee(reply, lambda: self._now_ms() - began_ms)

        def keep() -> None:
            name = f"{number:04}-{request.method.lower()}-{_slug(raw)}.json"
            recording = Recording(
                request.method,
                raw,
                query,
                tuple(asked),
                body,
                reply.status,
                headers,
                head_at_ms,
                tuple(tee.pieces),
                chunked="content-length" not in reply.headers,
                ended=tee.ended,
            )
            recording.save(self._folder / name)
            size = sum(len(piece.data) for piece in tee.pieces)
            self._told(f"{reply.status} {request.method} {raw}: {size} bytes in {len(tee.pieces)} pieces -> {name}")

        told = StreamingResponse(tee.relay(keep), reply.status)
        told.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return told


class _Tee:
    """Relays a reply and keeps its pieces, a chunk a piece."""

    def __init__(self, reply: aiohttp.ClientResponse, at_ms: Callable[[], float]) -> None:
        self._reply = reply
        self._at_ms = at_ms
        self.pieces: list[Piece] = []
        self.ended = "client_gone"

    async def relay(self, keep: Callable[[], None]) -> AsyncIterator[bytes]:
        part = bytearray()
        try:
            async for data, complete in self._reply.content.iter_chunks():
                at_ms = self._at_ms()
                if data:
                    yield data
                part += data
                if part and (complete or not self._reply.headers.get("transfer-encoding")):
                    self.pieces.append(Piece(at_ms, bytes(part)))
                    part.clear()
            self.ended = "end"
        except (aiohttp.ClientError, OSError):
            self.ended = "cut"
            raise
        finally:
            if part:
                self.pieces.append(Piece(self._at_ms(), bytes(part)))
            self._reply.close()
            keep()


def _slug(path: str) -> str:
    """A path as part of a file's name."""
    return "-".join(part for part in "".join(c if c.isalnum() else " " for c in path).split())[:80] or "root"
