"""Limits of a calendar month: those of keys and of organisations, as the caps of a hold.

A key's limit is the account's (`Key.spending_limit_uc`), an organisation's budget is kept here. What never had
a limit is not counted; a scope that gets one is counted anew from the ledger at its first hold, and from then on also
while it has none. Source: docs/decisions.md#budgets.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, select

from gateway import edge
from gateway.accounts import Key
from gateway.errors import Header, SpendingLimit
from gateway.ledger.spending import Cap, SpendingLimitReached, bounds, key_scope, org_scope
from gateway.storage.store import Store
from gateway.storage.tables import budgets
from gateway.usage import iso_utc
from schemas.catalogue import UC_PER_CREDIT

Also = Callable[[Connection], None]


class Budgets:
    """The limits in force. Organisations' are loaded at start, written through, and read again by `reload`."""

    def __init__(self, store: Store, clock: edge.Clock) -> None:
        self._store = store
        self._clock = clock
        self._orgs: dict[str, int] = store.read_now(_budgets)
        self.changed: Callable[[], None] = lambda: None  # told of every change made here
        self._counted: set[str] = set()  # scopes whose counters have missed no hold of this process

    def caps(self, key: Key) -> tuple[Cap, ...]:
        """What a hold of this key must fit."""
        limit_uc, org_id = key.scope.spending_limit_uc, key.org_id
        if limit_uc is None and org_id is None:
            if self._counted:
                self._counted.discard(key_scope(key.id))
            return ()
        limits = [(key_scope(key.id), limit_uc)]
        if org_id is not None:
            limits.append((org_scope(org_id), self._orgs.get(org_id)))
        caps = []
        for scope, most_uc in limits:
            if most_uc is None:
                self._counted.discard(scope)
            else:
                caps.append(Cap(scope, most_uc, scope not in self._counted))
        return tuple(caps)

    def counted(self, caps: tuple[Cap, ...]) -> None:
        """A hold under these caps is durable: their counters are right from now on."""
        self._counted.update(cap.scope for cap in caps)

    def budget_uc(self, org_id: str) -> int | None:
        """What an organisation may spend a month; None: as much as it has."""
        return self._orgs.get(org_id)

    def change(self, connection: Connection, org_id: str, limit_uc: int | None) -> None:
        """Writes a budget, in a transaction of the caller's; `reload` when it is durable. What was spent stays."""
        connection.execute(delete(budgets).where(budgets.c.org_id == org_id))
        if limit_uc is not None:
            row = {"org_id": org_id, "limit_uc": limit_uc, "changed_at_ms": self._clock.now_ms()}
            connection.execute(budgets.insert().values(row))

    async def set_budget(self, org_id: str, limit_uc: int | None) -> None:
        """As `change`, in a transaction of its own."""
        await self._store.write(lambda connection: self.change(connection, org_id, limit_uc))
        await self.reload()

    async def reload(self, *, ours: bool = True) -> None:
        """Reads the budgets again: they were changed here (`ours`), or another worker may have changed one."""
        self._orgs = await self._store.read(_budgets)
        if ours:
            self.changed()


def _budgets(connection: Connection) -> dict[str, int]:
    return {row.org_id: row.limit_uc for row in connection.execute(select(budgets))}


def refusal(error: SpendingLimitReached, now_ms: int) -> SpendingLimit:
    """The 429. The headers count credits, rounded down; `Retry-After` is told only where waiting for the next month
    helps and nothing sooner would.
    """
    counter, needed_uc = error.counter, error.needed_uc
    left_uc = max(0, counter.limit_uc - counter.spent_uc - counter.held_uc)
    resets_ms = bounds(counter.period)[1]
    whose = "This API key" if counter.scope.startswith("key:") else "The organisation"
    message = (
        f"{whose} may spend {told(counter.limit_uc)} credits in {counter.period}: {told(counter.spent_uc)} are spent, "
        f"{told(counter.held_uc)} are held for calls in flight, and this request needs up to {told(needed_uc)}. "
        f"The next month begins at {iso_utc(resets_ms)[:19]}Z."
    )
    headers: list[Header] = [
        (b"x-ratelimit-limit", b"%d" % (counter.limit_uc // UC_PER_CREDIT)),
        (b"x-ratelimit-remaining", b"%d" % (left_uc // UC_PER_CREDIT)),
        (b"x-ratelimit-reset", b"%d" % (resets_ms // 1000)),
    ]
    if needed_uc <= counter.limit_uc < counter.spent_uc + needed_uc:
        headers.append((b"retry-after", b"%d" % max(1, -((now_ms - resets_ms) // 1000))))
    return SpendingLimit(message, headers)


def told(amount_uc: int) -> str:
    """Microcredits as credits, exactly, without needless zeros."""
    whole, part = divmod(amount_uc, UC_PER_CREDIT)
    return f"{whole:,}" + (f".{part:06d}".rstrip("0") if part else "")
