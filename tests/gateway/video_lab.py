"""Labs for clips: a gateway on scripted vendors, or on a fleet; and a store of files in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.app import App
from gateway.services import open_services
from gateway.upstreams.http1 import Http1Transport
from tests.gateway.ground import opened
from tests.gateway.lab import CREDIT, Answer, Lab
from tests.simulator.live import Live

VIDEO = "/api/v1/video/generations"


@dataclass
class MemoryObjects:
    """Files in memory, by their link."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def publish(self, data: bytes, mime: str, request_id: str, **_: Any) -> str:
        url = f"https://files.test/{len(self.files)}-{request_id}.{mime.rpartition('/')[2]}"
        self.files[url] = data
        return url

    async def close(self) -> None:
        """Nothing is open."""


async def open_video_lab(transport: Any, credits: int = 1_000_000, **options: Any) -> Lab:
    """A gateway that keeps files in memory."""
    providers = options.pop("providers", None)
    settings, store = opened({"backoff_ms": 0, "poll_factor": 0, **options}, providers)
    objects: Any = MemoryObjects()
    services = open_services(settings, store, transport, "admin", objects=objects)
    user = await services.accounts.create_user()
    await services.money.top_up(user.id, credits * CREDIT)
    key, secret = await services.accounts.create_key(user)
    return Lab(services, App(services), transport, key, secret, user.id)


async def make(lab: Lab, **fields: Any) -> Answer:
    """Asks for a clip."""
    return await lab.ask(VIDEO, {"model": "kling-v3", "prompt": "a teapot", **fields})


def files_of(lab: Lab) -> dict[str, bytes]:
    """What the gateway has kept."""
    objects: Any = lab.services.objects
    found: dict[str, bytes] = objects.files
    return found


@asynccontextmanager
async def on_fleet(live: Live, keys: Mapping[str, str] | None = None, **options: Any) -> AsyncIterator[Lab]:
    """A gateway in front of a running fleet, with other keys for some providers."""
    told = live.control("GET", "providers")["providers"]
    base = f"http://127.0.0.1:{live.address[1]}"
    given = {name: row["key"] for name, row in told.items()} | dict(keys or {})
    providers = {name: {"base_url": f"{base}/{name}", "key": given[name]} for name in told}
    transport = Http1Transport()
    lab = await open_video_lab(transport, providers=providers, **options)
    try:
        yield lab
    finally:
        await lab.services.close()


async def ask_and_leave(lab: Lab, body: Any, left: asyncio.Event, **headers: str) -> list[Any]:
    """Asks for a clip and hangs up once `left` is set; what came until then."""
    raw = json.dumps(body).encode()
    pairs = {"authorization": f"Bearer {lab.secret}", "content-length": str(len(raw)), **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": VIDEO,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in pairs.items()],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    unread = [{"type": "http.request", "body": raw, "more_body": False}]
    came: list[Any] = []

    async def receive() -> Any:
        if unread:
            return unread.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        came.append(message)

    await lab.app(scope, receive, send)
    return came


async def settled(lab: Lab) -> None:
    """Returns once no errand is under way."""
    await asyncio.gather(*lab.services.errands._tasks)
