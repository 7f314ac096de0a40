"""A gateway of several workers on PostgreSQL and Redis in front of the fleet, for tests that kill workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from tests.gateway.databases import REDIS
from tests.servers import Server, start

TOKEN = "operator"
CREDIT = 1_000_000
CHAT = "/api/v1/chat/completions"
AGAIN_S = 0.02  # before a call whose connection broke is sent again
PATIENCE_S = 60.0


@dataclass
class Crew:
    """The running gateway, and a client."""

    server: Server
    fleet: Server
    http: aiohttp.ClientSession
    base_url: str

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        pid = self.server.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of the admin API, which must be a success; asked again when a worker dies over it."""
        for _ in range(20):
            try:
                headers = {"authorization": f"Bearer {TOKEN}"}
                async with self.http.request(method, self.base_url + "/admin" + path, json=body, headers=headers) as r:
                    raw = await r.read()
                    assert r.status < 300, raw
                    return json.loads(raw) if raw else None
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(AGAIN_S)
        raise AssertionError(f"no answer to {method} {path}")

    async def user(self, credits: int = 100_000, **fields: Any) -> tuple[str, str, str]:
        """(user id, key id, secret) of a new user."""
        user = await self.admin("POST", "/users", {"amount_uc": credits * CREDIT, **fields} if credits else fields)
        key = await self.admin("POST", f"/users/{user['id']}/keys", {})
        return user["id"], key["id"], key["key"]

    async def chat(self, secret: str, text: str = "Say hi.", key: str | None = None, **fields: Any) -> Any:
        """(status, headers, body) of a call."""
        headers = {"authorization": f"Bearer {secret}"} | ({} if key is None else {"idempotency-key": key})
        body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 64, **fields}
        async with self.http.post(self.base_url + CHAT, json=body, headers=headers) as answer:
            told = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, told, await answer.read()


@asynccontextmanager
async def crew(database: str, prefix: str, workers: int, *more: str) -> AsyncIterator[Crew]:
    """Starts fleet and gateway. Every request has a connection of its own, so all workers get some."""
    fleet = await asyncio.to_thread(start, "simulator")
    try:
        words = ("--workers", str(workers), "--database", database, "--admin-token", TOKEN)
        words += ("--fleet", fleet.told["fleet"]["base_url"], "--set", f"redis_url={REDIS}")
        server = await asyncio.to_thread(start, "gateway", *words, "--set", f"redis_prefix={prefix}", *more)
        try:
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
                yield Crew(server, fleet, http, server.told["gateway"]["base_url"])
        finally:
            close(server)
    finally:
        close(fleet)


def close(server: Server) -> None:
    """Stops the process, if it still runs."""
    if server.process.poll() is None:
        server.stop()
    if server.process.stdout is not None:
        server.process.stdout.close()


@dataclass
class Tally:
    """What the clients were told."""

    answered: dict[str, str] = field(default_factory=dict)  # idempotency key -> request id of its 200
    replayed: set[str] = field(default_factory=set)  # keys whose answer came when it was asked for again
    charged: set[str] = field(default_factory=set)  # keys whose answer was lost with its worker, but was charged
    broken: int = 0  # connections that a death broke

    @property
    def ended(self) -> int:
        """Calls whose fate is known."""
        return len(self.answered) + len(self.replayed) + len(self.charged)


class Storm:
    """Clients that call without end, and a hand that kills workers."""

    def __init__(self, crew: Crew, secrets: list[str], seed: int = 20260510) -> None:
        self.crew = crew
        self.secrets = secrets
        self.dice = Random(seed)
        self.tally = Tally()
        self.ended = False
        self.killed = 0
        self.calling: list[asyncio.Task[None]] = []

    async def client(self, number: int) -> None:
        """One call after another, each sent again under its key until its fate is known."""
        dice, calls = Random(number), 0
        while not self.ended:
            calls += 1
            await self.call(f"storm-{number}-{calls}", self.secrets[number % len(self.secrets)], dice.random() < 0.5)

    async def call(self, key: str, secret: str, stream: bool) -> None:
        loop = asyncio.get_running_loop()
        heard: Counter[str] = Counter()
        began_s = loop.time()
        while loop.time() < began_s + PATIENCE_S:
            try:
                status, headers, body = await self.crew.chat(secret, key, key, stream=stream)
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                self.tally.broken += 1
                heard[repr(error)] += 1
                await asyncio.sleep(AGAIN_S)
                continue
            if status == 200 and (not stream or b"[DONE]" in body):
                if "idempotent-replayed" in headers:
                    self.tally.replayed.add(key)
                else:
                    self.tally.answered[key] = headers["x-request-id"]
                return
            if status == 409 and b"was answered and charged" in body:
                self.tally.charged.add(key)
                return
            assert status == 409, (status, body)
            heard[body.decode()] += 1
            await asyncio.sleep(AGAIN_S)
        raise AssertionError(f"nothing became of {key} in {loop.time() - began_s:.0f} s: {heard}")

    async def kill(self, kills: int, pause_s: tuple[float, float]) -> None:
        """Kills so many workers, one after another, each time once the gateway has answered somebody again."""
        while self.killed < kills:
            before = self.tally.ended
            await asyncio.sleep(self.dice.uniform(*pause_s))
            while self.tally.ended == before and not all(task.done() for task in self.calling):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            if workers := self.crew.workers:
                os.kill(self.dice.choice(workers), signal.SIGKILL)
                self.killed += 1

    async def rage(self, clients: int, kills: int, pause_s: tuple[float, float] = (0.05, 0.4)) -> Tally:
        """Calls and kills; returns when the last call's fate is known."""
        self.calling = calling = [asyncio.create_task(self.client(number)) for number in range(clients)]
        try:
            await self.kill(kills, pause_s)
        finally:
            self.ended = True
        await asyncio.gather(*calling)
        return self.tally
