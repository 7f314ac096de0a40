"""Small makers for the gateway's tests: clocks that stand still, stores, usage rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from gateway.edge import Clock
from gateway.ledger.book import HoldRecord
from gateway.ledger.money import Money
from gateway.storage.store import Store
from gateway.usage import UsageRow

T = TypeVar("T")
NOW_MS = 1_778_371_200_000  # 2026-05-10T00:00:00Z
CREDIT = 1_000_000
DATABASE_FILE = "database-url"  # in a folder whose store is not in the folder


class StillClock(Clock):
    """A clock that moves only when told to."""

    __slots__ = ()

    def now_ms(self) -> int:
        return NOW_MS + self.offset_ms


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end on a loop of its own."""
    return asyncio.run(work)


def url_of(folder: Path) -> str:
    """The URL of the folder's store."""
    elsewhere = folder / DATABASE_FILE
    return elsewhere.read_text() if elsewhere.exists() else f"sqlite:///{folder / 'gateway.db'}"


def open_store(folder: Path, **options: Any) -> Store:
    """The store of this folder."""
    return Store(url_of(folder), **options)


def open_money(store: Store, **options: Any) -> Money:
    return Money(store, StillClock(), **options)


def usage_row(user_id: str = "usr_a", **fields: Any) -> UsageRow:
    """A row of an ordinary call; `fields` replace some of it."""
    known: dict[str, Any] = {
        "request_id": "req_1",
        "user_id": user_id,
        "key_id": "key_1",
        "created_at_ms": NOW_MS,
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5-mini",
        "requested_model": "gpt-5-mini",
        "status": "succeeded",
        "status_code": 200,
        "latency_ms": 120,
        "stream": False,
        "upstream": "openai",
        "ttft_ms": 40,
        "input_tokens": 10,
        "output_tokens": 20,
    }
    return UsageRow(**{**known, **fields})


async def take(money: Money, amount_uc: int = CREDIT, user_id: str = "usr_a", **options: Any) -> HoldRecord:
    """A hold with a deadline a minute away."""
    known = {"minimum_uc": 0, "request_id": "req_1", "deadline_ms": NOW_MS + 60_000}
    return await money.hold(user_id=user_id, amount_uc=amount_uc, **{**known, **options})


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds, looking again whenever the loop comes round: what is awaited happens in another thread."""
    while not await condition():  # noqa: ASYNC110
        await asyncio.sleep(0)
