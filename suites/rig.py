"""What all cases of a run share: the target, its hooks and the connections to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from suites.edge import token, utc_now
from suites.fleet import Fleet
from suites.provisioning import Admin
from suites.target import Target

IDLE_S = 1.5  # shorter than any server's keep-alive: a connection that is about to close is never used again


@dataclass(frozen=True, slots=True)
class Rig:
    """The wind tunnel around one gateway."""

    target: Target
    session: aiohttp.ClientSession
    fleet: Fleet | None = None
    admin: Admin | None = None
    run: str = field(default_factory=lambda: token(6))  # begins every case token of this run
    started_at: str = field(default_factory=lambda: utc_now().isoformat())
    common: dict[str, Any] = field(default_factory=dict)  # what checks make once and share, by who made it


def new_session(address: str = "") -> aiohttp.ClientSession:
    """A client without limits, proxies, cookies, compression or redirects of its own; bound to an address if told."""
    source = (address, 0) if address else None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, local_addr=source),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
        read_bufsize=2**20,
    )


@asynccontextmanager
async def open_rig(target: Target) -> AsyncIterator[Rig]:
    """The rig of a target. Raises HarnessError when its fleet does not answer."""
    async with new_session() as session:
        fleet = await Fleet.connect(session, target.fleet_url) if target.fleet_url else None
        admin = Admin(session, target.provisioning) if target.provisioning else None
        yield Rig(target, session, fleet, admin)
