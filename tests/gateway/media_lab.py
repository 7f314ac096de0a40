"""Labs for pictures, sound and files: a gateway on scripted vendors, or on a fleet; its files are in a folder."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from gateway.app import App
from gateway.services import open_services
from gateway.upstreams.http1 import Http1Transport
from gateway.upstreams.memory import MemoryTransport
from tests.gateway.ground import opened as opened_on
from tests.gateway.lab import CREDIT, Answer, Lab, Script
from tests.simulator.live import Live

IMAGES = "/api/v1/images/generations"
AUDIO = "/api/v1/audio/generations"
STORAGE = "/api/v1/storage"
HOST = "gateway.test:8100"


async def open_media_lab(transport: Any, folder: Path, credits: int = 1_000_000, **options: Any) -> Lab:
    """A gateway that keeps its files in this folder."""
    providers = options.pop("providers", None)
    clock = options.pop("clock", None)
    flags = {"backoff_ms": 0, "poll_factor": 0, "objects": str(folder / "objects"), **options}
    settings, store = opened_on(flags, providers)
    parts = {} if clock is None else {"clock": clock}
    services = open_services(settings, store, transport, "admin", **parts)
    user = await services.accounts.create_user()
    if credits:
        await services.money.top_up(user.id, credits * CREDIT)
    key, secret = await services.accounts.create_key(user)
    return Lab(services, App(services), transport, key, secret, user.id)


async def scripted(script: Script, folder: Path, **options: Any) -> Lab:
    """A gateway whose vendors answer as told, and whose users' URLs lead to a public address."""
    lab = await open_media_lab(MemoryTransport(script), folder, **options)

    async def public(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14"]

    lab.services.resolve = public
    return lab


@asynccontextmanager
async def on_fleet(live: Live, folder: Path, **options: Any) -> AsyncIterator[Lab]:
    """A gateway in front of a running fleet, to which users' URLs may lead as well."""
    told = live.control("GET", "providers")["providers"]
    base = f"http://127.0.0.1:{live.address[1]}"
    providers = {name: {"base_url": f"{base}/{name}", "key": row["key"]} for name, row in told.items()}
    flags = {"providers": providers, "allow_private_hosts": ["127.0.0.1"], **options}
    lab = await open_media_lab(Http1Transport(), folder, **flags)
    try:
        yield lab
    finally:
        await lab.services.close()


async def draw(lab: Lab, model: str = "gpt-image-2", **fields: Any) -> Answer:
    """Asks for pictures."""
    return await lab.ask(IMAGES, {"model": model, "prompt": "a teapot", **fields}, headers=headers(lab))


async def speak(lab: Lab, model: str = "audio-tts", **fields: Any) -> Answer:
    """Asks for sound or for what is said."""
    return await lab.ask(AUDIO, {"model": model, **fields}, headers=headers(lab))


def headers(lab: Lab, **more: str) -> dict[str, str]:
    """The headers of a caller."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"authorization": f"Bearer {lab.secret}", "host": HOST, **named}


async def file_of(lab: Lab, url: str, **more: str) -> Answer:
    """What a link to the gateway itself leads to, without a key."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == f"http://{HOST}", url
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return await lab.ask(parts.path, method="GET", headers={"host": HOST, **named}, query=parts.query)


def opened(data: bytes) -> Image.Image:
    """A picture that can be decoded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def inlined(entry: Mapping[str, str]) -> Image.Image:
    """The picture of an entry in base64."""
    return opened(b64decode(entry["b64_json"], validate=True))
