"""Time, ids and waiting: the only place of the suites that asks the machine for them."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time


def now_ms() -> float:
    """Milliseconds of a clock that never goes back; only differences mean something."""
    return time.monotonic() * 1000


def unix_s() -> float:
    """Seconds since 1970 by the machine's clock."""
    return time.time()


def utc_now() -> datetime.datetime:
    """The time of day, in UTC."""
    return datetime.datetime.now(datetime.UTC)


async def sleep_ms(duration_ms: float) -> None:
    """Wait in an event loop."""
    await asyncio.sleep(duration_ms / 1000)


def token(length: int = 10) -> str:
    """`length` hexadecimal digits nobody used before."""
    return secrets.token_hex((length + 1) // 2)[:length]
