"""The desk: a batch of ledger commands against the database, inside one transaction.

Loads the accounts and holds that the commands touch, lets a Book decide, and writes what changed. It knows no locks,
commits or threads: those are the writer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, or_, select

from gateway.edge import Ids
from gateway.ledger.book import Applied, Book, Command, HoldRecord, Refund, Resolution, Settle, TopUp
from gateway.ledger.book import Hold as HoldCommand
from gateway.ledger.transfers import (
    REVENUE,
    WORLD,
    Account,
    LedgerError,
    Transfer,
    TransferId,
    held_account,
    user_account,
)
from gateway.storage.bulk import Delete, Insert, Lookup
from gateway.storage.tables import accounts, holds, transfers, usage_log
from gateway.usage import UsageRow, storable


class Work(NamedTuple):
    """A command, or a row of the usage log, or a Settle with its row: done together or not at all."""

    command: Command | None
    row: UsageRow | None = None


Outcome = Applied | LedgerError | None  # None for a row alone


class Desk:
    """Does batches of Work. `now_ms` dates the transfers."""

    def __init__(self, dialect: Dialect, ids: Ids, now_ms: Callable[[], int]) -> None:
        self._ids = ids
        self._now_ms = now_ms
        self._find_accounts = Lookup(accounts, accounts.c.name, dialect)
        self._find_holds = Lookup(holds, holds.c.id, dialect)
        self._put_accounts = Insert(accounts, dialect, replaces=("balance_uc",))
        self._put_holds = Insert(holds, dialect)
        self._drop_holds = Delete(holds, holds.c.id, dialect)
        self._put_transfers = Insert(transfers, dialect)
        self._put_usage = Insert(usage_log, dialect)

    def apply(self, connection: Connection, works: Sequence[Work]) -> list[Outcome]:
        """The outcome of each piece of work, in order. Raises what the database raises: then nothing counts."""
        book = self._load(connection, [work.command for work in works if work.command is not None])
        balances_before = dict(book.balances)
        open_before = {ident for ident, hold in book.holds.items() if hold.resolution is None}
        now_ms = self._now_ms()
        outcomes: list[Outcome] = []
        made: list[Transfer] = []
        rows: list[tuple[Any, ...]] = []
        for work in works:
            try:
                applied = self._apply_one(book, work, now_ms, rows)
            except LedgerError as error:
                outcomes.append(error)
                continue
            outcomes.append(applied)
            if applied is not None and not applied.replayed:
                made.extend(applied.transfers)
        open_now = {ident for ident, hold in book.holds.items() if hold.resolution is None}
        self._put_transfers(connection, made)
        self._drop_holds(connection, [*(open_before - open_now)])
        self._put_holds(connection, [book.holds[ident][:6] for ident in sorted(open_now - open_before)])
        self._put_accounts(
            connection, [item for item in book.balances.items() if balances_before.get(item[0]) != item[1]]
        )
        self._put_usage(connection, rows)
        return outcomes

    def _apply_one(self, book: Book, work: Work, now_ms: int, rows: list[tuple[Any, ...]]) -> Applied | None:
        command, row = work
        if command is None:
            if row is not None:
                rows.append((book.next_id(), *storable(row), 0, False))
            return None
        if row is not None and row.user_id != command.user_id:
            raise LedgerError(f"the usage row is of {row.user_id}, the money of {command.user_id}")
        applied = book.apply(command, now_ms)
        if row is not None and not applied.replayed and (hold := applied.hold) is not None:
            rows.append((hold.id, *storable(row), hold.charged_uc, applied.capped))
        return applied

    def _load(self, connection: Connection, commands: Sequence[Command]) -> Book:
        """A Book of what the commands touch."""
        users: set[str] = set()
        hold_ids: set[TransferId] = set()
        used: set[tuple[str, str]] = set()
        shared: set[Account] = set()
        for command in commands:
            users.add(command.user_id)
            if not isinstance(command, (TopUp, HoldCommand)):
                hold_ids.add(command.hold_id)
            if isinstance(command, (Settle, Refund)):
                shared.add(REVENUE)
            elif isinstance(command, TopUp):
                shared.add(WORLD)
            if isinstance(command, (TopUp, HoldCommand, Refund)) and command.idempotency_key is not None:
                used.add((command.user_id, command.idempotency_key))
        book = Book(self._ids.rising())
        names = sorted({*shared, *map(user_account, users), *map(held_account, users)})
        book.balances.update(self._find_accounts(connection, names))
        for user_id, key in used:
            where = (transfers.c.user_id == user_id, transfers.c.idempotency_key == key)
            for row in connection.execute(select(transfers).where(*where)):
                book.used_keys[(user_id, key)] = first = Transfer(*row)
                if first.kind == "HOLD":
                    hold_ids.add(first.id)
        for row in self._find_holds(connection, sorted(hold_ids)):
            book.holds[row[0]] = HoldRecord(*row)
        for hold_id in hold_ids - book.holds.keys():
            if (record := find_resolved(connection, hold_id)) is not None:
                book.holds[hold_id] = record
        return book


def find_resolved(connection: Connection, hold_id: TransferId) -> HoldRecord | None:
    """What became of a hold that is no longer open, from its transfers; None if there never was one."""
    where = or_(transfers.c.id == hold_id, transfers.c.closes == hold_id)
    found = [Transfer(*row) for row in connection.execute(select(transfers).where(where).order_by(transfers.c.id))]
    if not found or found[0].id != hold_id or found[0].kind != "HOLD":
        return None
    hold, sums = found[0], dict.fromkeys(("SETTLE", "RELEASE", "EXPIRE", "REFUND"), 0)
    for transfer in found[1:]:
        sums[transfer.kind] += transfer.amount_uc
    resolution: Resolution = "expired" if sums["EXPIRE"] else "settled"
    return HoldRecord(
        hold_id, hold.user_id, hold.request_id or "", hold.amount_uc, 0, "", resolution, sums["SETTLE"], sums["REFUND"]
    )
