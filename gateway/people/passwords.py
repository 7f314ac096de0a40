"""Passwords, kept as scrypt (RFC 7914) with their parameters and salt: `$scrypt$ln=15,r=8,p=3$SALT$HASH`.

The cost is that of OWASP's password storage cheat sheet (N=2^15, r=8, p=3: 32 MiB, a quarter of a second). It is
bounded from every side: how long a password may be, how many are hashed at a time, how many wait, and what parameters a
stored hash may ask for.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import scrypt
from hmac import compare_digest
from typing import Final, TypeVar

from gateway import edge
from gateway.errors import InvalidRequest

T = TypeVar("T")

LENGTH_MIN: Final = 8  # characters
LENGTH_MAX: Final = 256
SALT_LENGTH: Final = 22  # characters of edge.token: 131 bits
HASH_BYTES: Final = 32
LOG_N_MAX: Final = 18  # of a stored hash: 256 MiB with r = 8
P_MAX: Final = 16
THREADS: Final = 2
WAITING_MAX: Final = 32
STORED: Final = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([0-9A-Za-z]{1,64})\$([0-9A-Za-z+/]{43}=)")


class Busy(Exception):
    """More passwords wait than may."""


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's parameters: memory is 128 · r · 2^log_n bytes, and time goes with that times p."""

    log_n: int = 15
    r: int = 8
    p: int = 3

    def __post_init__(self) -> None:
        if not (1 <= self.log_n <= LOG_N_MAX and 1 <= self.r <= 32 and 1 <= self.p <= P_MAX):
            raise ValueError(f"a cost within ln={LOG_N_MAX}, r=32, p={P_MAX} was due, got {self}")


def check(password: str, email: str = "") -> None:
    """Raises InvalidRequest for a new password that is too short or too long, or is the e-mail address."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        due = f"{LENGTH_MIN} to {LENGTH_MAX} were due"
        raise InvalidRequest(f"The password has {len(password)} characters; {due}.")
    if email and password.strip().lower() == email:
        raise InvalidRequest("The password is the e-mail address; another was due.")


def hashed(password: str, salt: str, cost: Cost) -> str:
    """What is kept of a password."""
    return hashed_form(cost, salt, _derive(password, salt, cost))


def hashed_form(cost: Cost, salt: str, made: str) -> str:
    """The text form."""
    return f"$scrypt$ln={cost.log_n},r={cost.r},p={cost.p}${salt}${made}"


def matches(password: str, stored: str) -> bool:
    """Whether it is the password that `stored` was made of. A `stored` that is no hash matches nothing."""
    found = STORED.fullmatch(stored)
    if found is None or len(password) > LENGTH_MAX:
        return False
    log_n, r, p = (int(number) for number in found.groups()[:3])
    try:
        cost = Cost(log_n, r, p)
    except ValueError:
        return False
    return compare_digest(_derive(password, found[4], cost), found[5])


def costs(stored: str) -> Cost | None:
    """The cost that `stored` was made with."""
    found = STORED.fullmatch(stored)
    return None if found is None else Cost(*(int(number) for number in found.groups()[:3]))


def _derive(password: str, salt: str, cost: Cost) -> str:
    data = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    n = 1 << cost.log_n
    most = 128 * cost.r * (n + cost.p + 2) + (1 << 20)
    made = scrypt(data, salt=salt.encode(), n=n, r=cost.r, p=cost.p, maxmem=most, dklen=HASH_BYTES)
    return b64encode(made).decode()


class Passwords:
    """Hashes and compares off the event loop, few at a time."""

    def __init__(self, cost: Cost | None = None) -> None:
        self.cost = cost or Cost()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        # What the password of nobody is compared with, so that it takes as long.
        self._nobody = hashed_form(self.cost, edge.token(SALT_LENGTH), b64encode(bytes(HASH_BYTES)).decode())

    async def hashed(self, password: str) -> str:
        """What to keep of a new password. Raises Busy."""
        salt = edge.token(SALT_LENGTH)
        return await self._run(lambda: hashed(password, salt, self.cost))

    async def match(self, password: str, stored: str | None) -> bool:
        """Whether the password is right. Without `stored` it is not, after the same time. Raises Busy."""
        right = await self._run(lambda: matches(password, stored or self._nobody))
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was made with another cost than today's."""
        return costs(stored) != self.cost

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Busy
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Lets go of the threads."""
        if self._pool is not None:
            self._pool.shutdown()
