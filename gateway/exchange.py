"""One HTTP request and its response, straight on ASGI: no framework stands on the path that every call takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Literal, Protocol

import orjson

from gateway import edge
from gateway.errors import BodyTooLarge, GatewayError, Header, InvalidRequest, render

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
CONNECTION: Final = "windtunnel.connection"  # our server's ASGI extension
FAREWELL_S: Final = 5.0  # what a client that does not read may hold up the last words

HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")

Reason = Literal["client_closed", "timeout"]


class Connection(Protocol):
    """What our server offers beside ASGI: to be told when the client hangs up, and to hang up, at once (`abort`)
    or after what was written (`close`).
    """

    hangup: Callable[[], None] | None

    @property
    def gone(self) -> bool: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...


class Stopped(Exception):
    """The call cannot go on: the client hung up, or the whole time is over."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Stop:
    """Cuts the current task's work short when a reason comes up: only inside `with`, and as Stopped.

    What is outside (a settle, the last words) always runs to its end.
    """

    __slots__ = ("_armed", "_task", "_timer", "reason")

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._task: asyncio.Task[Any] | None = None
        self._armed = False
        self._timer: asyncio.TimerHandle | None = None

    def fire(self, reason: Reason) -> None:
        """A reason came up; the first one counts."""
        if self.reason is None:
            self.reason = reason
            if self._armed and self._task is not None:
                self._task.cancel()

    def after(self, delay_s: float) -> None:
        """Fires "timeout" after this time."""
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.fire, "timeout")

    def disarm(self) -> None:
        """No timer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        if self.reason is not None:
            raise Stopped(self.reason)
        self._task = asyncio.current_task()
        self._armed = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._armed = False
        if self.reason is not None and isinstance(error, asyncio.CancelledError) and self._task is not None:
            if self._task.uncancel() > 0:
                return  # the server ends the task, too
            raise Stopped(self.reason) from None


class Exchange:
    """A request being answered."""

    __slots__ = (
        "_connection", "_watcher", "begun", "content_type", "created_at_ms", "ended", "extra_headers", "headers",
        "receive", "record", "render", "request_id", "scope", "send", "started", "status", "stop",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str, created_at_ms: int) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.created_at_ms = created_at_ms
        self.started = edge.monotonic()
        self.headers = first_values(scope["headers"])
        self.extra_headers: list[Header] = []  # of every response from now on
        self.stop = Stop()
        self.status = 0  # of the response, once it has begun
        self.begun = False
        self.ended = False
        self.content_type = b""
        self.render: Callable[[GatewayError], bytes] = render  # the form of an error response
        self.record: list[bytes] | None = None  # of the body, where it may have to be sent again
        self._connection: Connection | None = (scope.get("extensions") or {}).get(CONNECTION)
        self._watcher: asyncio.Task[None] | None = None

    @property
    def site(self) -> str:
        """Where the caller found us: scheme and host, for links to ourselves."""
        return site_of(self.scope, self.headers.get(b"host", b""))

    @property
    def query(self) -> bytes:
        query: bytes = self.scope.get("query_string", b"")
        return query

    def elapsed_ms(self) -> int:
        """Since the request arrived."""
        return round((edge.monotonic() - self.started) * 1000)

    async def read_body(self, limit: int) -> bytes:
        """The whole request body. Raises BodyTooLarge, InvalidRequest; Stopped when the client hangs up meanwhile."""
        if b"content-encoding" in self.headers and self.headers[b"content-encoding"].strip().lower() != b"identity":
            raise InvalidRequest("The request body is compressed; send it without Content-Encoding.")
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise too_large(limit)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise Stopped("client_closed")
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise too_large(limit)
            return body
        pieces = [body]
        size = len(body)
        while message.get("more_body", False):
            if size > limit:
                raise too_large(limit)
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Stopped("client_closed")
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        if size > limit:
            raise too_large(limit)
        return b"".join(pieces)

    def watch(self) -> None:
        """From now on a hang-up fires `stop`. Call when the body has been read."""
        if self._connection is not None:
            self._connection.hangup = self._hung_up
            if self._connection.gone:
                self._hung_up()
        else:
            self._watcher = asyncio.create_task(self._wait_for_hangup())

    def unwatch(self) -> None:
        """No longer."""
        self.stop.disarm()
        if self._connection is not None:
            self._connection.hangup = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def _hung_up(self) -> None:
        self.stop.fire("client_closed")

    async def _wait_for_hangup(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._hung_up()

    async def begin(self, status: int, content_type: bytes, length: int | None = None) -> None:
        """Sends the head."""
        self.begun = True
        self.status = status
        self.content_type = content_type
        headers = [(b"content-type", content_type), (b"x-request-id", self.request_id.encode()), *self.extra_headers]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Sends a part of the body; waits while the client does not read."""
        if self.record is not None:
            self.record.append(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Sends the last part; waits while the client does not read."""
        if self.record is not None:
            self.record.append(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": False})
        self.ended = True

    async def leave(self, data: bytes) -> None:
        """Sends the last part if the client takes it soon, and hangs up if not."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self.end(data)
        except TimeoutError:
            self.abort()

    async def break_off(self, data: bytes) -> None:
        """Sends a part if the client takes it soon, then closes the connection without an end of the body."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self.write(data)
        except TimeoutError:
            self.abort()
        else:
            if self._connection is not None:
                self._connection.close()

    async def respond(self, status: int, body: bytes, content_type: bytes = JSON) -> None:
        """Sends a whole response."""
        await self.begin(status, content_type, len(body))
        await self.end(body)

    async def respond_json(self, value: Any, status: int = 200) -> None:
        """Sends a value as JSON."""
        await self.respond(status, orjson.dumps(value))

    async def refuse(self, error: GatewayError) -> None:
        """Sends an error with the status of its row."""
        self.extra_headers += error.headers
        await self.respond(error.status, self.render(error))

    def abort(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            self._connection.abort()


def first_values(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name. Of a repeated one the first counts; `anthropic-beta`, a list, is joined."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in found:
            found[name] = value
        elif name == b"anthropic-beta":
            found[name] += b"," + value
    return found


def site_of(scope: Scope, host: bytes) -> str:
    """`http://host:port` by the Host header where it is a host's name or address, else by the address we listen on."""
    name = host.decode("latin-1")
    if HOST.fullmatch(name) is None:
        where, port = scope.get("server") or ("127.0.0.1", 80)
        name = (f"[{where}]" if ":" in where else where) + f":{port}"
    return f"{scope.get('scheme', 'http')}://{name}"


def too_large(limit: int) -> BodyTooLarge:
    """The request body is over the limit."""
    return BodyTooLarge(f"The request body is over {limit} bytes.")
