"""How much of a quota is used: one small state machine for each way of counting.

Time is passed in, in whole milliseconds of the fleet's clock, and never steps back. No counter has a timer: its state
is a function of what was taken when. Everything is whole numbers, so nothing is ever rounded but a wait, which is
rounded up: whoever waits exactly so long finds room. Counters are plain values, which pickle.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

Mark = object  # what `take` returns, to correct the amount later


class Counter(Protocol):
    """The state of one quota for one caller."""

    def room(self, now_ms: int) -> float:
        """How much may be taken now; below 0 once more was used than had been taken. Whole, but for a balance."""

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        """How long until so much may be taken, if nobody else comes; 0: now; None: never, or nobody can know."""

    def take(self, now_ms: int, amount: int) -> Mark:
        """Use so much."""

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:
        """What was taken turns out to be more, or (below 0) less."""

    def reset_ms(self, now_ms: int) -> int:
        """How long until nothing counts any more."""


class Fixed:
    """So much in each window of the clock: minutes begin with the minute, days at midnight UTC."""

    __slots__ = ("limit", "per_ms", "used", "window")

    def __init__(self, limit: int, per_ms: int) -> None:
        self.limit, self.per_ms = limit, per_ms
        self.window = self.used = 0

    def _turn(self, now_ms: int) -> None:
        if now_ms // self.per_ms != self.window:
            self.window, self.used = now_ms // self.per_ms, 0

    def room(self, now_ms: int) -> int:
        self._turn(now_ms)
        return self.limit - self.used

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        if amount > self.limit:
            return None
        return 0 if amount <= self.room(now_ms) else (self.window + 1) * self.per_ms - now_ms

    def take(self, now_ms: int, amount: int) -> Mark:
        self._turn(now_ms)
        self.used += amount
        return self.window

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:
        self._turn(now_ms)
        if mark == self.window:
            self.used += by

    def reset_ms(self, now_ms: int) -> int:
        self._turn(now_ms)
        return (self.window + 1) * self.per_ms - now_ms if self.used else 0


class Sliding:
    """So much in any stretch of time: what was taken counts for exactly `per_ms`."""

    __slots__ = ("limit", "per_ms", "taken", "used")

    def __init__(self, limit: int, per_ms: int) -> None:
        self.limit, self.per_ms = limit, per_ms
        self.taken: deque[list[int]] = deque()  # [moment, amount], oldest first
        self.used = 0

    def _forget(self, now_ms: int) -> None:
        taken = self.taken
        while taken and taken[0][0] + self.per_ms <= now_ms:
            self.used -= taken.popleft()[1]

    def room(self, now_ms: int) -> int:
        self._forget(now_ms)
        return self.limit - self.used

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        if amount > self.limit:
            return None
        room = self.room(now_ms)
        if amount <= room:
            return 0
        for moment, freed in self.taken:
            room += freed
            if amount <= room:
                return moment + self.per_ms - now_ms
        raise AssertionError("an empty window holds any amount up to the limit")

    def take(self, now_ms: int, amount: int) -> Mark:
        self._forget(now_ms)
        row = [now_ms, amount]
        self.taken.append(row)
        self.used += amount
        return row

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:
        self._forget(now_ms)
        if isinstance(mark, list) and mark[0] + self.per_ms > now_ms:
            mark[1] += by
            self.used += by

    def reset_ms(self, now_ms: int) -> int:
        self._forget(now_ms)
        return self.taken[-1][0] + self.per_ms - now_ms if self.taken else 0


class TokenBucket:
    """A bucket of `burst` that fills evenly, `limit` in `per_ms`: in any time T no more than `burst` + T × rate."""

    __slots__ = ("at_ms", "burst", "level", "limit", "per_ms")

    def __init__(self, limit: int, per_ms: int, burst: int) -> None:
        self.limit, self.per_ms, self.burst = limit, per_ms, burst
        self.level = burst * per_ms  # in 1/per_ms, so that one millisecond fills `limit` of them
        self.at_ms = 0

    def _fill(self, now_ms: int) -> None:
        self.level = min(self.burst * self.per_ms, self.level + (now_ms - self.at_ms) * self.limit)
        self.at_ms = now_ms

    def room(self, now_ms: int) -> int:
        self._fill(now_ms)
        return self.level // self.per_ms

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        self._fill(now_ms)
        missing = amount * self.per_ms - self.level
        if missing <= 0:
            return 0
        return None if amount > self.burst or not self.limit else -(-missing // self.limit)

    def take(self, now_ms: int, amount: int) -> Mark:
        self._fill(now_ms)
        self.level -= amount * self.per_ms
        return None

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:  # noqa: ARG002 - all that is taken is alike
        self._fill(now_ms)
        self.level = min(self.burst * self.per_ms, self.level - by * self.per_ms)

    def reset_ms(self, now_ms: int) -> int:
        self._fill(now_ms)
        missing = self.burst * self.per_ms - self.level
        return -(-missing // self.limit) if self.limit else 0


class InFlight:
    """So many at a time: what was taken counts until it is given back."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    def room(self, now_ms: int) -> int:  # noqa: ARG002 - time does nothing to it
        return self.limit - self.used

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        return 0 if amount <= self.room(now_ms) else None

    def take(self, now_ms: int, amount: int) -> Mark:  # noqa: ARG002
        self.used += amount
        return None

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:  # noqa: ARG002
        self.used += by

    def reset_ms(self, now_ms: int) -> int:  # noqa: ARG002
        return 0
