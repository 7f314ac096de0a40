"""What the fleet saw and what it sent: the only witness of what a gateway did upstream.

An entry is kept as references to what the request left behind anyway; its JSON is made when somebody asks. Bounded by
entries and by bytes: the oldest go first, and how many went is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from simulator import edge
from simulator.answers.answer import Usage
from simulator.rules.selectors import Subject

ENTRIES = 100_000
BYTES = 256 << 20
ENTRY_BYTES = 2048  # what an entry weighs besides its body
PENDING = "pending"

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Outcome:
    """What became of one reply; replies served ready-made share theirs."""

    faults: tuple[str, ...] = ()
    fixture: str | None = None  # the canned answer that was given
    status: int | None = None
    frames_planned: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    head_sent_ms: float | None = None
    first_token_ms: float | None = None  # when the first frame that delivers output tokens left
    ended_ms: float | None = None
    ended: str = PENDING
    usage_told: Usage | None = None
    usage_true: Usage | None = None
    billed: tuple[tuple[str, float], ...] = ()  # besides tokens and jobs, by unit
    tokens: int = 0
    text_bytes: int = 0
    lateness_ms_max: float | None = None


class Entry:
    """One request and its reply."""

    __slots__ = ("arrived_ms", "attempt", "body", "call", "headers", "outcome", "sent_ms", "subject")

    def __init__(
        self,
        subject: Subject,
        headers: Headers,
        body: bytes,
        attempt: int,
        call: int,
        arrived_ms: float,
        outcome: Outcome,
        sent_ms: float | None = None,
    ) -> None:
        self.subject = subject
        self.headers = headers
        self.body = body
        self.attempt = attempt
        self.call = call
        self.arrived_ms = arrived_ms
        self.outcome = outcome
        self.sent_ms = sent_ms  # of a ready-made reply: when all of it left

    def as_json(self, n: int) -> dict[str, Any]:
        """The entry as the control API tells it; `n` is its number."""
        subject, outcome = self.subject, self.outcome
        return {
            "n": n,
            "case": subject.case,
            "provider": subject.provider,
            "region": subject.region,
            "dialect": subject.dialect,
            "operation": subject.operation,
            "model": subject.model,
            "stream": subject.stream,
            "method": subject.method,
            "path": subject.path,
            "query": subject.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body": self.body.decode("utf-8", "replace"),
            "body_bytes": len(self.body),
            "attempt": self.attempt,
            "call": self.call,
            "arrived_ms": _ms(self.arrived_ms),
            "faults": list(outcome.faults),
            "fixture": outcome.fixture,
            "status": outcome.status,
            "frames_planned": outcome.frames_planned,
            "frames_sent": outcome.frames_sent,
            "bytes_sent": outcome.bytes_sent,
            "head_sent_ms": _ms(outcome.head_sent_ms if self.sent_ms is None else self.sent_ms),
            "first_token_ms": _ms(self.first_token_ms),
            "ended_ms": _ms(outcome.ended_ms if self.sent_ms is None else self.sent_ms),
            "ended": outcome.ended,
            "usage_told": _usage(outcome.usage_told),
            "usage_true": _usage(outcome.usage_true),
            "billed": dict(outcome.billed),
            "delivered": {"tokens": outcome.tokens, "text_bytes": outcome.text_bytes},
            "lateness_ms_max": _ms(outcome.lateness_ms_max),
        }

    @property
    def first_token_ms(self) -> float | None:
        """When the first output token left; a ready-made reply leaves at once, its first token with it."""
        return self.outcome.first_token_ms if self.sent_ms is None or not self.outcome.tokens else self.sent_ms


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries are asked for. `case` may end in `*`."""

    case: str | None = None
    provider: str | None = None
    since: int = 0
    limit: int | None = None


class Journal:
    """The entries, oldest first, numbered from 1 without gaps."""

    def __init__(self, entries: int = ENTRIES, bytes_max: int = BYTES) -> None:
        self._limit = entries
        self._bytes_max = bytes_max
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._first = 1  # the number of the oldest entry
        self._cases: dict[str, deque[int]] = {}
        self._watchers: set[asyncio.Event] = set()
        self.dropped = 0
        self.on_leave: Callable[[int, Entry], None] | None = None  # told of each entry that is forgotten

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_n(self) -> int:
        """The number that the next entry gets."""
        return self._first + len(self._entries)

    def add(self, entry: Entry) -> None:
        """Append an entry; the oldest ones make room."""
        case = entry.subject.case
        if case is not None:
            numbers = self._cases.get(case)
            if numbers is None:
                self._cases[case] = deque((self._first + len(self._entries),))
            else:
                numbers.append(self._first + len(self._entries))
        self._entries.append(entry)
        self._bytes += len(entry.body) + ENTRY_BYTES
        while self._bytes > self._bytes_max or len(self._entries) > self._limit:
            self._drop()

    def _drop(self) -> None:
        entry = self._entries.popleft()
        if self.on_leave is not None:
            self.on_leave(self._first, entry)
        self._bytes -= len(entry.body) + ENTRY_BYTES
        self._first += 1
        self.dropped += 1
        case = entry.subject.case
        if case is not None:
            numbers = self._cases[case]
            numbers.popleft()
            if not numbers:
                del self._cases[case]

    def clear(self) -> None:
        """Forget every entry; numbers go on."""
        if self.on_leave is not None:
            for n, entry in enumerate(self._entries, self._first):
                self.on_leave(n, entry)
        self._first += len(self._entries)
        self._entries.clear()
        self._cases.clear()
        self._bytes = 0
        self.dropped = 0

    def changed(self) -> None:
        """A reply ended: whoever waits for that looks again."""
        for event in self._watchers:
            event.set()

    def find(self, query: Query) -> Iterator[tuple[int, Entry]]:
        """The matching entries with their numbers."""
        found = self._candidates(query)
        if query.provider is not None:
            found = ((n, entry) for n, entry in found if entry.subject.provider == query.provider)
        return islice(found, query.limit)

    def _candidates(self, query: Query) -> Iterator[tuple[int, Entry]]:
        if query.case is None:
            skip = max(0, query.since - self._first)
            for n, entry in enumerate(islice(self._entries, skip, None), self._first + skip):
                yield n, entry
            return
        if query.case.endswith("*"):
            groups = [list(ns) for case, ns in self._cases.items() if fnmatchcase(case, query.case)]
            numbers = sorted(n for group in groups for n in group)
        else:
            numbers = list(self._cases.get(query.case, ()))
        for n in numbers:
            if n >= query.since:
                yield n, self._entries[n - self._first]

    async def settled(self, query: Query, wait_ms: float) -> None:
        """Return once no matching entry is pending, or after `wait_ms` of real time."""
        event = asyncio.Event()
        self._watchers.add(event)
        deadline_ms = edge.monotonic_ms() + wait_ms
        try:
            while any(entry.outcome.ended == PENDING for _, entry in self.find(query)):
                left_ms = deadline_ms - edge.monotonic_ms()
                if left_ms <= 0 or await edge.within(event.wait(), left_ms) is None:
                    return
                event.clear()
        finally:
            self._watchers.discard(event)
