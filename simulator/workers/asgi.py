"""An ASGI application called from within: one request in, one reply out, no socket."""

from __future__ import annotations

from typing import Any, NamedTuple

from uvicorn._types import ASGI3Application


class Asked(NamedTuple):
    """A request as values that JSON can hold."""

    method: str
    path: str
    query: str
    body: str


class Told(NamedTuple):
    """Its reply."""

    status: int
    content_type: str
    body: str


async def call(app: ASGI3Application, asked: Asked) -> Told:
    """The reply of `app`."""
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query.encode("latin-1"),
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
    }
    inbox = [asked.body.encode()]
    status, content_type = 500, "application/json"
    parts: list[bytes] = []

    async def receive() -> Any:
        body = inbox.pop() if inbox else b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, content_type
        if message["type"] == "http.response.start":
            status = message["status"]
            content_type = dict(message["headers"]).get(b"content-type", b"application/json").decode()
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Told(status, content_type, b"".join(parts).decode())
