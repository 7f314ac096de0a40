"""kill -9 of the gateway in the middle of 200 concurrent streams: no credit lost, created or stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers import Server, start

STREAMS = 200
TOP_UP_UC = 5_000_000_000  # 5,000 credits
STALLED = "[[fault: stall after_frames=3]] [[answer: tokens=60]]"  # all are in mid-stream, silent, when the kill comes
PATIENCE_S = 60


@pytest.fixture
def fleet() -> Iterator[Server]:
    server = start("simulator")
    yield server
    server.stop()


@pytest.fixture
def gateways() -> Iterator[list[Server]]:
    """Those that were started; none is left when the test ends, however it ends."""
    started: list[Server] = []
    yield started
    for server in started:
        server.kill()


def start_gateway(started: list[Server], fleet: Server, folder: Path) -> Server:
    server = start(
        "gateway",
        "--database",
        f"sqlite:///{folder / 'gateway.sqlite'}",
        "--fleet",
        fleet.told["fleet"]["base_url"],
        "--admin-token",
        "crash-test",
    )
    started.append(server)
    return server


async def admin(session: aiohttp.ClientSession, gateway: Server, method: str, path: str, body: Any = None) -> Any:
    url = gateway.told["gateway"]["admin_url"] + path
    async with session.request(method, url, json=body, headers={"authorization": "Bearer crash-test"}) as reply:
        assert reply.status < 300, await reply.text()
        return await reply.json()


async def make_user(session: aiohttp.ClientSession, gateway: Server) -> tuple[str, str]:
    """(user id, key) of a new user with credit."""
    user = await admin(session, gateway, "POST", "/users", {"amount_uc": TOP_UP_UC})
    key = await admin(session, gateway, "POST", f"/users/{user['id']}/keys", {})
    return user["id"], key["key"]


async def stream(session: aiohttp.ClientSession, gateway: Server, key: str, n: int, begun: asyncio.Semaphore) -> str:
    """Read one stream that stalls; release `begun` at its first content. How it ended: "whole" or "torn"."""
    on_messages = n % 2 == 0
    path = "/api/v1/messages" if on_messages else "/api/v1/chat/completions"
    body = {
        "model": "claude-sonnet-4-6" if on_messages else "gpt-5.5",
        "max_tokens": 500,
        "stream": True,
        "messages": [{"role": "user", "content": f"Story {n}. [[case:crash.{n}]] {STALLED}"}],
    }
    told = False
    try:
        url = gateway.told["gateway"]["base_url"] + path
        async with session.post(url, json=body, headers={"authorization": f"Bearer {key}"}) as reply:
            assert reply.status == 200, await reply.text()
            async for line in reply.content:
                if not told and b'"delta"' in line:
                    told = True
                    begun.release()
    except aiohttp.ClientError:
        return "torn"
    return "whole"


async def run(gateways: list[Server], fleet: Server, folder: Path) -> None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        gateway = start_gateway(gateways, fleet, folder)
        user, key = await make_user(session, gateway)
        url = gateway.told["gateway"]["base_url"] + "/api/v1/chat/completions"
        before = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Paid before the crash. [[case:paid]]"}]}
        async with session.post(url, json=before, headers={"authorization": f"Bearer {key}"}) as reply:
            assert reply.status == 200, await reply.text()
        paid = await admin(session, gateway, "GET", f"/users/{user}")
        assert TOP_UP_UC - paid["balance_uc"] > 0

        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(stream(session, gateway, key, n, begun)) for n in range(STREAMS)]
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(STREAMS):
                await begun.acquire()
        held = await admin(session, gateway, "GET", f"/users/{user}")
        assert held["held_uc"] > 0
        gateway.kill()
        assert await asyncio.gather(*streams) == ["torn"] * STREAMS

        gateway = start_gateway(gateways, fleet, folder)
        audit = await admin(session, gateway, "GET", "/ledger")
        assert audit["ok"], audit["problems"]
        assert (audit["sum_uc"], audit["open_holds"], audit["held_uc"]) == (0, 0, 0)
        after = await admin(session, gateway, "GET", f"/users/{user}")
        assert after["balance_uc"] == after["available_uc"] == paid["balance_uc"]
        transfers = (await admin(session, gateway, "GET", f"/users/{user}/transfers"))["transfers"]
        kinds = [t["kind"] for t in transfers]
        assert kinds.count("HOLD") == STREAMS + 1
        assert kinds.count("EXPIRE") == STREAMS


def test_kill_in_the_middle_of_200_streams(gateways: list[Server], fleet: Server, tmp_path: Path) -> None:
    asyncio.run(run(gateways, fleet, tmp_path))
