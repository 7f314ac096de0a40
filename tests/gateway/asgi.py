"""Calls an ASGI application without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GatewayError, render


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> tuple[int, str]:
        """(status, type) of an error, whose body has the one documented form."""
        told = self.json()
        assert list(told) == ["error"]
        assert sorted(told["error"]) == ["message", "type"]
        return self.status, told["error"]["type"]


def application(routes: list[Route]) -> Starlette:
    """The routes with the gateway's form of errors."""

    async def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        return Response(render(error), error.status, media_type="application/json")

    return Starlette(routes=routes, exception_handlers={GatewayError: refuse})


async def call(
    app: Starlette,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = None,
    query: Mapping[str, Any] | None = None,
    raw: bytes | None = None,
) -> Reply:
    """One request. `body` goes as JSON, `raw` as it is."""
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query or {}).encode(),
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], got, b"".join(message.get("body", b"") for message in sent[1:]))
