"""The gateway's edge: the only module with real time, randomness and new ids.

Everything else is given a `Clock` or an `Ids`, or calls the few makers below, so that a test can drive what decides.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from itertools import count
from os import urandom
from random import Random, SystemRandom

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
COUNTER_BITS = 12  # ids within one millisecond before the counter borrows from the next
NODE_BITS = 10  # tells apart processes that write to the same database
EPOCH_MS = 1_767_225_600_000  # 2026-01-01; 41 bits of milliseconds from there end in 2095

_DICE: Random = SystemRandom()


def monotonic() -> float:
    """Seconds of real time since some moment: for measuring how long something took, which no test clock moves."""
    return time.monotonic()


async def sleep(delay_s: float) -> None:
    """Real waiting, for back-offs and background rounds."""
    await asyncio.sleep(delay_s)


def pause(delay_s: float) -> None:
    """As `sleep`, for a thread of its own."""
    time.sleep(delay_s)


def jitter() -> float:
    """A draw from [0, 1)."""
    return _DICE.random()


def token(length: int) -> str:
    """`length` characters of [0-9A-Za-z] nobody can guess (5.95 bits each)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def random_bytes(count: int) -> bytes:
    """Bytes nobody can guess: keys, and nonces of ciphers."""
    return urandom(count)


def new_id(prefix: str) -> str:
    """`{prefix}_` and 22 of [0-9A-Za-z] made of 128 random bits: ids of users, keys and requests."""
    return f"{prefix}_{b64encode(urandom(16), b'0Z')[:22].decode()}"


class Clock:
    """What time it is: the real one plus an offset, which the test clock moves forward.

    Windows, expiries, cooldowns and log rows read this clock; the length of a request is measured with `monotonic()`.
    """

    __slots__ = ("offset_ms",)

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    def now_s(self) -> int:
        """Unix seconds, UTC, rounded down."""
        return self.now_ms() // 1000

    def monotonic(self) -> float:
        """Seconds that never go back and that `advance` moves too: for cooldowns."""
        return time.monotonic() + self.offset_ms / 1000

    def advance(self, ms: int) -> int:
        """Moves the clock forward by `ms` (>= 0) and returns the whole offset."""
        if ms < 0:
            raise ValueError(f"the clock only moves forward: advance_ms must be >= 0, got {ms}")
        self.offset_ms += ms
        return self.offset_ms


class Ids:
    """Rising 63-bit ids: real milliseconds, a counter, and a number that is this process's own.

    Later ids are greater, also after a restart and whatever the wall clock does, if `start_after` was told the greatest
    one stored. For one thread (the writer's).
    """

    def __init__(self, node: int | None = None) -> None:
        self._node = (secrets.randbits(NODE_BITS) if node is None else node) & ((1 << NODE_BITS) - 1)
        self._step = 1 << NODE_BITS
        self._ids = count(self._node, self._step)

    def start_after(self, greatest_id: int) -> None:
        """Makes every id from now on greater than `greatest_id`."""
        least = max(next(self._ids), (greatest_id | (self._step - 1)) + 1 | self._node)
        self._ids = count(least, self._step)

    def rising(self) -> Callable[[], int]:
        """A maker of ids, each greater than all before, starting at the present time."""
        least = max(next(self._ids), (time.time_ns() // 1_000_000 - EPOCH_MS << COUNTER_BITS + NODE_BITS) | self._node)
        self._ids = count(least, self._step)
        return self._ids.__next__
