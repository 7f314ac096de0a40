"""What the workers of one gateway share, put together: by the options `database` and `redis_url`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from gateway.storage.tables import usage_log
from gateway.workers.limits import SharedLimiter
from gateway.workers.remote import Remote
from gateway.workers.replays import SharedReplays
from gateway.workers.responses import SharedResponses
from gateway.workers.throttle import SharedThrottle

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.storage.store import Store
    from gateway.workers.news import News
    from gateway.workers.roll import Roll

ARRIVAL_MS = 60_000  # clocks of two machines may differ by this much


@dataclass(slots=True)
class Shared:
    """The parts in Redis."""

    remote: Remote
    limiter: SharedLimiter
    replays: SharedReplays
    responses: SharedResponses


@dataclass(slots=True)
class Membership:
    """This process among those with the same database."""

    roll: Roll
    news: News

    async def join(self, dead: Iterable[str]) -> None:
        """Begins to listen, and enters the roll. Raises StoreError and what the driver raises."""
        await self.news.begin()
        await self.roll.join(dead)

    async def leave(self) -> None:
        """The reverse, when nothing is in flight any more."""
        await self.news.close()
        await self.roll.leave()


def open_shared(services: Services, workers: int) -> Shared | None:
    """The parts in Redis, where there is one."""
    config = services.config
    if config.redis_url is None:
        return None
    remote = Remote(config.redis_url, config.redis_prefix)
    membership, owner, store = services.membership, services.money.owner, services.store

    async def is_gone(worker: str) -> bool:
        return True if membership is None else await membership.roll.is_gone(worker)

    async def charged(payer_id: str, request_id: str, arrival_ms: int) -> bool:
        return await was_charged(store, payer_id, request_id, arrival_ms)

    services.people.shared_throttle = SharedThrottle(remote, workers)
    replays = SharedReplays(remote, services.clock, owner, is_gone, charged)
    return Shared(remote, SharedLimiter(remote, workers), replays, SharedResponses(remote))


async def was_charged(store: Store, payer_id: str, request_id: str, arrival_ms: int) -> bool:
    """Whether the log has a row of this request that was charged, or answered to the end."""
    log = usage_log.c
    query = select(log.id).where(
        log.user_id == payer_id,
        log.created_at_ms >= arrival_ms - ARRIVAL_MS,
        log.request_id == request_id,
        or_(log.cost_uc > 0, log.status == "succeeded"),
    )
    return await store.read(lambda connection: connection.execute(query).first() is not None)


def open_membership(services: Services) -> Membership | None:
    """The roll and the news, where the database is one that processes share."""
    store = services.store
    if not store.shared:
        return None
    from gateway.workers.news import News
    from gateway.workers.roll import Roll

    async def heard(kind: str, ident: str) -> None:
        if kind == "budget":
            await services.budgets.reload(ours=False)
        elif kind in ("user", "key"):
            await services.accounts.reload("user" if kind == "user" else "key", ident)

    async def missed() -> None:
        await services.accounts.reload_all()
        await services.budgets.reload(ours=False)

    news = News(store, services.money.owner, heard, missed, services.log)
    services.accounts.changed = lambda _kind, _ident: news.note()
    services.budgets.changed = news.note
    return Membership(Roll(store, services.money, services.clock, services.log), news)
