"""Stops, crashes and crowds that are not borne."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from sqlalchemy import select

from gateway import app, edge
from gateway.accounts import Accounts
from gateway.config import Config
from gateway.errors import GatewayBug, Unauthenticated
from gateway.exchange import Exchange
from gateway.ledger.book import HoldRecord, Settle
from gateway.ledger.desk import Work
from gateway.ledger.money import Money, Settled
from gateway.relay import StreamAnswer
from gateway.storage.tables import holds, transfers
from gateway.upstreams.http1 import Http1Transport
from gateway.upstreams.transport import Reply, TransportError
from mutants._patch import around, replace
from mutants.registry import mutant

POOL_SIZE = 40  # connections that a leaking pool has
LARGE_BYTES = 1_000_000


@mutant("GD-160")
def sigterm_cuts_streams() -> None:
    """Told to stop, the gateway cuts off whatever is in flight after a second."""

    @around(Config, "__init__")
    def init(old: Any, self: Config, *args: Any, **kwargs: Any) -> None:
        old(self, *args, **{**kwargs, "drain_s": 0.0})


@mutant()
def holds_forgotten_after_crash() -> None:
    """Holds that a crash left open stay open."""

    async def expire_open(_self: Money, _reason: str) -> int:
        return 0

    replace(Money, "expire_open", expire_open)


@mutant()
def recovery_charges_hold() -> None:
    """Holds that a crash left open are charged in full."""

    async def expire_open(self: Money, _reason: str) -> int:
        stale = await self._store.read(lambda c: [HoldRecord(*row) for row in c.execute(select(holds))])
        for hold in stale:
            await self._do(Work(Settle(hold.id, hold.user_id, hold.amount_uc)))
        return len(stale)

    replace(Money, "expire_open", expire_open)


@mutant()
def recovery_repeats() -> None:
    """At every start, what was ever given back after a crash is given back once more."""

    @around(Money, "expire_open")
    async def expire_open(old: Any, self: Money, reason: str) -> int:
        columns = transfers.c
        expired = select(columns.user_id, columns.amount_uc).where(columns.kind == "EXPIRE")
        for user_id, amount_uc in await self._store.read(lambda c: c.execute(expired).all()):
            await self.top_up(user_id, amount_uc)
        return int(await old(self, reason))


@mutant("GD-025")
def spend_lost_on_commit_failure() -> None:
    """Charges are queued, and written a second after the reply."""
    waiting: set[asyncio.Task[Any]] = set()

    @around(Money, "settle")
    async def settle(old: Any, self: Money, hold: Any, *, charge_uc: int, row: Any) -> Settled:
        async def later() -> None:
            await edge.sleep(1.0)
            await old(self, hold, charge_uc=charge_uc, row=row)

        waiting.add(asyncio.ensure_future(later()))
        return Settled(charge_uc, capped=False)


@mutant()
def keys_lost_on_restart() -> None:
    """Keys are not read back at a start."""

    @around(Accounts, "_load")
    def load(old: Any, self: Accounts) -> None:
        old(self)
        self._keys.clear()
        self._digests.clear()


@mutant()
def healthz_needs_key() -> None:
    """The health check asks for a key."""

    @around(app.App, "answer")
    async def answer(old: Any, self: app.App, exchange: Exchange, path: str) -> None:
        if path == "/healthz":
            raise Unauthenticated("No API key.")
        await old(self, exchange, path)


@mutant()
def metrics_missing() -> None:
    """There are no metrics."""
    replace(app, "PUBLIC", {path: methods for path, methods in app.PUBLIC.items() if path != "/metrics"})


@mutant("GD-200")
def error_path_leaks_pool_slot() -> None:
    """The connection of a reply that is an error is never given back, and there are only so many."""
    lost: Counter[str] = Counter()

    @around(Http1Transport, "send")
    async def send(old: Any, self: Http1Transport, request: Any, *timeouts: float) -> Reply:
        if lost[request.url] >= POOL_SIZE:
            raise TransportError("connect", "no free connection")
        reply: Reply = await old(self, request, *timeouts)
        lost[request.url] += reply.status >= 400
        return reply


@mutant("GD-202")
def request_body_memory_multiplier() -> None:
    """When several large bodies come at once, memory runs out."""
    large = 0

    @around(Exchange, "read_body")
    async def read_body(old: Any, self: Exchange, limit: int) -> bytes:
        nonlocal large
        is_large = int(self.headers.get(b"content-length", b"0")) > LARGE_BYTES
        large += is_large
        is_full = is_large and large > 3
        try:
            body: bytes = await old(self, limit)
        finally:
            large -= is_large
        if is_full:
            raise GatewayBug("out of memory")
        return body


@mutant("GD-204")
def slow_client_blocks_others() -> None:
    """Streams are written one at a time: a client that does not read keeps all others waiting."""
    lock = asyncio.Lock()

    @around(StreamAnswer, "write")
    async def write(old: Any, self: StreamAnswer, data: bytes) -> None:
        async with lock:
            await old(self, data)
