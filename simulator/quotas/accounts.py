"""What an account has: so many jobs in flight, and so much money. Both are used up by jobs, not by requests.

As the counters of `counters.py`: state machines without timers, whose time is passed in and never steps back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from simulator.quotas.counters import Mark

UNKNOWN: Final = 1 << 53  # milliseconds: when a job that has no plan yet ends


class Slot:
    """A job that is in flight, or about to be."""

    __slots__ = ("amount", "begin_ms", "came_ms", "is_counted", "name", "until_ms")

    def __init__(self, amount: int, came_ms: int, begin_ms: int) -> None:
        self.amount = amount
        self.came_ms = came_ms
        self.begin_ms = begin_ms  # when there is room for it: at once, or after it waited in the queue
        self.until_ms = UNKNOWN
        self.is_counted = True
        self.name = ""  # the nonce of the job

    @property
    def held_ms(self) -> int:
        """How long it waits for room."""
        return self.begin_ms - self.came_ms


class Held(NamedTuple):
    """A job that waits for room, and now waits another time."""

    name: str
    held_ms: int


class JobSlots:
    """So many jobs at a time: each counts from its submission until it ends.

    Those for which there is no room are refused; or, with `queues`, wait until earlier ones end, in the order in which
    they came.
    """

    __slots__ = ("_ends", "_order", "limit", "queues", "slots", "used")

    def __init__(self, limit: int, *, queues: bool) -> None:
        self.limit = limit
        self.queues = queues
        self.used = 0
        self.slots: list[Slot] = []  # in the order in which they came; some have ended
        self._ends: list[tuple[int, int, Slot]] = []
        self._order = count()

    def room(self, now_ms: int) -> int:
        self._forget(now_ms)
        return self.limit - self.used

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        """0 or None: a job may take any time."""
        return 0 if amount <= self.room(now_ms) or (self.queues and amount <= self.limit) else None

    def take(self, now_ms: int, amount: int) -> Slot:
        self._forget(now_ms)
        slot = Slot(amount, now_ms, self._begin_ms(now_ms, amount))
        self.slots.append(slot)
        self.used += amount
        return slot

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:  # noqa: ARG002
        """The request began no job: its place is free again."""
        if isinstance(mark, Slot) and not mark.name:
            self._leave(mark)

    def reset_ms(self, now_ms: int) -> int:
        """How long until none is in flight; 0 as well where one never ends."""
        self._forget(now_ms)
        last_ms = max((slot.until_ms for slot in self._counted()), default=now_ms)
        return last_ms - now_ms if last_ms < UNKNOWN >> 1 else 0

    @property
    def unplanned(self) -> int:
        """How many of them nobody knows the end of yet."""
        return sum(1 for slot in self._counted() if not slot.name)

    def ends(self, slot: Slot, name: str, until_ms: int, now_ms: int) -> list[Held]:
        """The job of this name ends then: told when it begins, and whenever that changes. Returns who waits anew."""
        self._forget(now_ms)
        slot.name, slot.until_ms = name, until_ms
        if until_ms <= now_ms:
            self._leave(slot)
        else:
            if not slot.is_counted:  # it was begun again
                slot.is_counted = True
                self.used += slot.amount
                self.slots.append(slot)
            heappush(self._ends, (until_ms, next(self._order), slot))
        return list(self._moved(now_ms)) if self.queues else []

    def _leave(self, slot: Slot) -> None:
        if slot.is_counted:
            slot.is_counted = False
            self.used -= slot.amount
            if len(self.slots) > 64 and self.used * 2 < len(self.slots):
                self.slots = list(self._counted())

    def _forget(self, now_ms: int) -> None:
        ends = self._ends
        while ends and ends[0][0] <= now_ms:
            until_ms, _, slot = heappop(ends)
            if slot.until_ms == until_ms:  # it may end at another time by now
                self._leave(slot)

    def _counted(self) -> Iterator[Slot]:
        return (slot for slot in self.slots if slot.is_counted)

    def _begin_ms(self, now_ms: int, amount: int, before: list[Slot] | None = None) -> int:
        """From when on there is room for so much, after all that came before."""
        slots = list(self._counted()) if before is None else before
        used = sum(slot.amount for slot in slots)
        begin_ms = now_ms
        for slot in sorted(slots, key=lambda each: each.until_ms):
            if used + amount <= self.limit:
                break
            used -= slot.amount
            begin_ms = max(now_ms, slot.until_ms)
        return begin_ms

    def _moved(self, now_ms: int) -> Iterator[Held]:
        """Those that wait, and now begin at another time: an earlier job ends at another one than was known."""
        before: list[Slot] = []
        for slot in sorted(self._counted(), key=lambda each: each.came_ms):
            if slot.begin_ms > now_ms and slot.name:
                begin_ms = self._begin_ms(now_ms, slot.amount, before)
                if begin_ms != slot.begin_ms:
                    slot.until_ms += begin_ms - slot.begin_ms
                    slot.begin_ms = begin_ms
                    heappush(self._ends, (slot.until_ms, next(self._order), slot))
                    yield Held(slot.name, slot.held_ms)
            before.append(slot)


class Charge:
    """What one request is charged: all of it at once; less, if its job turns out to cost less."""

    __slots__ = ("amount",)

    def __init__(self) -> None:
        self.amount = 0.0


class Balance:
    """So much money, in the provider's unit, until somebody puts it anew."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.used = 0.0

    def room(self, now_ms: int) -> float:  # noqa: ARG002 - time does nothing to it
        return self.limit - self.used

    def wait_ms(self, now_ms: int, amount: int) -> int | None:
        """0 or None: only who wants nothing is let in once it is spent."""
        return 0 if not amount or self.room(now_ms) > 0 else None

    def take(self, now_ms: int, amount: int) -> Charge:  # noqa: ARG002
        """Nothing yet: `charge` tells how much."""
        return Charge()

    def correct(self, mark: Mark, now_ms: int, by: int) -> None:
        """What a request used of other quotas is nothing to this one."""

    def reset_ms(self, now_ms: int) -> int:  # noqa: ARG002
        return 0

    def charge(self, charge: Charge, amount: float) -> None:
        """A request is charged so much, in place of what it was charged before."""
        self.used += amount - charge.amount
        charge.amount = amount


def lacking(funds: tuple[tuple[str, float], ...], costs: Mapping[str, float]) -> bool:
    """Whether one of the balances, (unit, what is left), is too small for these costs by unit."""
    return any(costs.get(unit, 0.0) > max(0.0, left) for unit, left in funds)
