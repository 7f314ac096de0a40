"""What the fleet keeps of exchanges that can be asked for again (`Ask.keep`), by provider and nonce.

An exchange is kept as what it was learned from, and its reply is written again when somebody asks: keeping costs the
hot path one entry in a table. Bounded by number and by bytes of their requests: the oldest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from simulator.jobs.job import Job

if TYPE_CHECKING:
    from simulator.memory import Known

EXCHANGES = 20_000
BYTES = 64 << 20


class Held(NamedTuple):
    """One exchange."""

    known: Known
    now_s: int
    cancelled_s: int | None = None
    job: Job | None = None  # that it began (simulator/jobs)


class Shelf:
    """The exchanges of one fleet."""

    def __init__(self, exchanges: int = EXCHANGES, bytes_max: int = BYTES) -> None:
        self._held: OrderedDict[tuple[str, str], Held] = OrderedDict()
        self._exchanges = exchanges
        self._bytes_max = bytes_max
        self._bytes = 0

    def put(self, provider: str, nonce: str, held: Held) -> None:
        """Keep an exchange, in place of what was there."""
        self.drop(provider, nonce)
        self._held[(provider, nonce)] = held
        self._bytes += len(held.known.body)
        while len(self._held) > self._exchanges or self._bytes > self._bytes_max:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= len(oldest.known.body)

    def get(self, provider: str, nonce: str) -> Held | None:
        """The exchange of that nonce."""
        return self._held.get((provider, nonce))

    def of(self, provider: str) -> Iterator[tuple[str, Held]]:
        """The exchanges of a provider with their nonces, the oldest change first."""
        for (name, nonce), held in tuple(self._held.items()):
            if name == provider:
                yield nonce, held

    def drop(self, provider: str, nonce: str) -> None:
        """Forget an exchange."""
        held = self._held.pop((provider, nonce), None)
        if held is not None:
            self._bytes -= len(held.known.body)

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
        self._bytes = 0
