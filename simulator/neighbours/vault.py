"""Secrets that were handed out and what they stand for: sessions, codes, tokens. They expire by the fleet's clock.

Bounded: the oldest go first. A secret is drawn from the seed and its number, so that a run can be repeated.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from simulator import draws

T = TypeVar("T")
KEPT_MAX = 20_000


class Vault(Generic[T]):
    """Secrets of one kind."""

    def __init__(self, seed: int, kind: str, life_s: int, length: int = 43) -> None:
        self._key = ("vault", seed, kind)
        self._prefix = f"{kind}_"
        self._life_s = life_s
        self._length = length
        self._count = 0
        self._kept: OrderedDict[str, tuple[int, T]] = OrderedDict()

    def put(self, value: T, now_s: int) -> str:
        """A new secret that stands for `value`."""
        self._count += 1
        secret = self._prefix + draws.word(self._length, *self._key, self._count)
        self._kept[secret] = (now_s + self._life_s, value)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return secret

    def get(self, secret: str | None, now_s: int) -> T | None:
        """What it stands for; None when it is unknown or has expired."""
        until_s, value = self._kept.get(secret or "", (0, None))
        return value if until_s > now_s else None

    def drop(self, secret: str) -> None:
        """It stands for nothing any more."""
        self._kept.pop(secret, None)

    def drop_if(self, fits: Callable[[T], bool]) -> None:
        """Those for what `fits` stand for nothing any more."""
        for secret in [secret for secret, (_, value) in self._kept.items() if fits(value)]:
            del self._kept[secret]

    def clear(self) -> None:
        """None of them does."""
        self._kept.clear()
