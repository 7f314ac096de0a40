"""What came to a neighbour, the oldest first: bounded by number and by bytes, found by case, waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Generic, NamedTuple, Protocol, TypeVar

from simulator import edge

RECORDS_MAX = 10_000
BYTES_MAX = 64 << 20
RECORD_BYTES = 1024  # what a record weighs besides what it holds


class Record(Protocol):
    """One thing that came."""

    @property
    def case(self) -> str | None:
        """Whose test it belongs to."""

    @property
    def held_bytes(self) -> int:
        """What it holds of foreign data."""


R = TypeVar("R", bound=Record)


class Wanted(NamedTuple):
    """Which records are asked for. `case` may end in `*`."""

    case: str | None = None
    since: int = 0
    limit: int | None = None


class Records(Generic[R]):
    """Numbered from 1 without gaps."""

    def __init__(self, records_max: int = RECORDS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._kept: deque[R] = deque()
        self._bytes = 0
        self._first = 1
        self._watchers: set[asyncio.Event] = set()
        self.dropped = 0

    @property
    def next_n(self) -> int:
        """The number that the next one gets."""
        return self._first + len(self._kept)

    def add(self, record: R) -> None:
        """Append one; the oldest make room, however large the new one is."""
        self._kept.append(record)
        self._bytes += record.held_bytes + RECORD_BYTES
        while len(self._kept) > self._records_max or (self._bytes > self._bytes_max and len(self._kept) > 1):
            self._bytes -= self._kept.popleft().held_bytes + RECORD_BYTES
            self._first += 1
            self.dropped += 1
        for event in self._watchers:
            event.set()

    def find(self, wanted: Wanted) -> Iterator[tuple[int, R]]:
        """The matching ones with their numbers."""
        left = len(self._kept) if wanted.limit is None else wanted.limit
        for n, record in enumerate(self._kept, self._first):
            if left <= 0:
                return
            if n >= wanted.since and _fits(record.case, wanted.case):
                left -= 1
                yield n, record

    async def arrived(self, wanted: Wanted, count: int, wait_ms: float) -> None:
        """Return once `count` matching ones are there, or after `wait_ms` of real time."""
        event = asyncio.Event()
        self._watchers.add(event)
        deadline_ms = edge.monotonic_ms() + wait_ms
        try:
            while sum(1 for _ in self.find(wanted._replace(limit=count))) < count:
                left_ms = deadline_ms - edge.monotonic_ms()
                if left_ms <= 0 or await edge.within(event.wait(), left_ms) is None:
                    return
                event.clear()
        finally:
            self._watchers.discard(event)

    def clear(self) -> None:
        """Forget all; numbers go on."""
        self._first += len(self._kept)
        self._kept.clear()
        self._bytes = self.dropped = 0


def _fits(case: str | None, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return case is not None and (fnmatchcase(case, wanted) if wanted.endswith("*") else case == wanted)
