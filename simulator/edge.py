"""Real time: the only module of the fleet that reads it or waits for it. Everyone else is handed a clock."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import TypeVar

T = TypeVar("T")


def wall_ms() -> float:
    """Milliseconds since 1970, by the machine."""
    return time.time() * 1000


monotonic_s = time.perf_counter  # seconds that never step back; bare, because it is read for every frame


def monotonic_ms() -> float:
    """Milliseconds that never step back."""
    return monotonic_s() * 1000


def alarm(delay_ms: float, action: Callable[[], None]) -> Callable[[], None]:
    """Run `action` on the running loop in `delay_ms`, rounded up to whole milliseconds; returns how to cancel it."""
    return asyncio.get_running_loop().call_later(ceil(max(0.0, delay_ms)) / 1000, action).cancel


async def breathe() -> None:
    """Let everything else run that is due."""
    await asyncio.sleep(0)


async def pause(ms: float) -> None:
    """Wait so long, in real time."""
    await asyncio.sleep(ms / 1000)


def token() -> str:
    """A name that nothing else has: 16 hex digits of true chance."""
    return secrets.token_hex(8)


async def within(awaitable: Awaitable[T], timeout_ms: float) -> T | None:
    """The result of `awaitable`, or None when it took longer than `timeout_ms` of real time."""
    try:
        return await asyncio.wait_for(awaitable, timeout_ms / 1000)
    except TimeoutError:
        return None
