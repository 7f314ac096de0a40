"""The desk: a batch of ledger commands against the database, inside one transaction.

Loads the accounts and holds that the commands touch, lets a Book decide, and writes what changed. It knows no locks,
commits or threads: those are the writer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, or_, select

from gateway.ledger.book import Applied, Book, Command, Expire, HoldRecord, Resolution, Settle, TopUp
from gateway.ledger.book import Hold as HoldCommand
from gateway.ledger.recount import counts_of_resolved, recount
from gateway.ledger.spending import (
    Passed,
    Spending,
    SpendingLimitReached,
    counters,
    key_scope,
    org_scope,
    period_of,
)
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
from gateway.storage.tables import accounts, holds, notices, spending, transfers, usage_log
from gateway.usage import UsageRow, storable


class Work(NamedTuple):
    """A command, or a row of the usage log, or a Settle with its row: done together or not at all."""

    command: Command | None
    row: UsageRow | None = None


Outcome = Applied | LedgerError | None  # None for a row alone
Rising = Callable[[Connection], Callable[[], TransferId]]  # a maker of ids for a transaction


class Desk:
    """Does batches of Work. `now_ms` dates the transfers."""

    def __init__(self, dialect: Dialect, rising: Rising, now_ms: Callable[[], int]) -> None:
        self._rising = rising
        self._now_ms = now_ms
        self._find_accounts = Lookup(accounts, accounts.c.name, dialect)
        self._new_accounts = Insert(accounts, dialect, replaces=None)
        self._locks_rows = dialect.name != "sqlite"  # which lets one process write at a time
        self._find_holds = Lookup(holds, holds.c.id, dialect)
        self._put_accounts = Insert(accounts, dialect, replaces=("balance_uc",))
        self._put_holds = Insert(holds, dialect)
        self._drop_holds = Delete(holds, holds.c.id, dialect)
        self._put_transfers = Insert(transfers, dialect)
        self._put_usage = Insert(usage_log, dialect)
        self._find_spending = Lookup(spending, spending.c.scope, dialect)
        self._put_spending = Insert(spending, dialect, replaces=("spent_uc", "held_uc", "limit_uc", "told"))
        self._counted: set[str] | None = None  # scopes with a counter, where this process alone makes them
        self._put_notices = Insert(notices, dialect, replaces=("scope",))  # of those there are, nothing changes

    def apply(self, connection: Connection, works: Sequence[Work]) -> list[Outcome]:
        """The outcome of each piece of work, in order. Raises what the database raises: then nothing counts."""
        now_ms = self._now_ms()
        book = self._load(connection, [work.command for work in works if work.command is not None], now_ms)
        balances_before = dict(book.balances)
        spending_before = dict(book.spending)
        outcomes: list[Outcome] = []
        made: list[Transfer] = []
        opened: list[tuple[Any, ...]] = []
        closed: list[TransferId] = []
        passed: list[Passed] = []
        rows: list[tuple[Any, ...]] = []
        for work in works:
            try:
                applied = self._apply_one(book, work, now_ms, rows)
            except LedgerError as error:
                outcomes.append(error)
                if isinstance(error, SpendingLimitReached):
                    error.passed = book.refused(error, now_ms)
                    passed.extend(error.passed)
                continue
            outcomes.append(applied)
            if applied is not None and not applied.replayed:
                made.extend(applied.transfers)
                if (hold := applied.hold) is not None:
                    if hold.resolution is None:
                        opened.append(hold[:8])
                    else:
                        closed.append(hold.id)
                if applied.passed:
                    passed.extend(applied.passed)
        self._put_transfers(connection, made)
        self._drop_holds(connection, closed)
        self._put_holds(connection, opened)
        self._put_accounts(
            connection, [item for item in book.balances.items() if balances_before.get(item[0]) != item[1]]
        )
        self._put_usage(connection, rows)
        if book.spending:
            changed = [row for name, row in book.spending.items() if spending_before.get(name) != row]
            self._put_spending(connection, changed)
            self._put_notices(connection, [(*mark, None) for mark in passed])
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

    def _load(self, connection: Connection, commands: Sequence[Command], now_ms: int) -> Book:
        """A Book of what the commands touch."""
        users: set[str] = set()
        hold_ids: set[TransferId] = set()
        used: set[tuple[str, str]] = set()
        shared: set[Account] = set()
        capped: list[HoldCommand] = []
        kept: set[str] = set()  # scopes that are counted if they have a counter, be there a limit now or not
        for command in commands:
            users.add(command.user_id)
            if isinstance(command, HoldCommand):
                if command.caps:
                    capped.append(command)
                kept |= {key_scope(command.key_id or ""), org_scope(command.user_id)}
            elif isinstance(command, TopUp):
                shared.add(WORLD)
            else:
                hold_ids.add(command.hold_id)
                if not isinstance(command, Expire):
                    shared.add(REVENUE)
            if not isinstance(command, (Settle, Expire)) and command.idempotency_key is not None:
                used.add((command.user_id, command.idempotency_key))
        book = Book(self._rising(connection))
        names = sorted({*shared, *map(user_account, users), *map(held_account, users)})
        book.balances.update(self._find_accounts(connection, names))
        if self._locks_rows and len(book.balances) < len(names):
            missing = [name for name in names if name not in book.balances]
            self._new_accounts(connection, [(name, 0) for name in missing])
            book.balances.update(self._find_accounts(connection, missing))
        for user_id, key in used:
            where = (transfers.c.user_id == user_id, transfers.c.idempotency_key == key)
            for row in connection.execute(select(transfers).where(*where)):
                book.used_keys[(user_id, key)] = first = Transfer(*row)
                if first.kind == "HOLD":
                    hold_ids.add(first.id)
        wheres: set[str] = set()
        for row in self._find_holds(connection, sorted(hold_ids)):
            book.holds[row[0]] = record = HoldRecord(*row)
            if record.counts is not None:
                wheres.add(record.counts)
        for hold_id in hold_ids - book.holds.keys():
            if (resolved := find_resolved(connection, hold_id)) is not None:
                book.holds[hold_id] = resolved
                wheres.add(resolved.counts or "")
        if not self._locks_rows:  # nobody else makes counters
            kept &= self._scopes_counted(connection)
        if capped or wheres or kept:
            self._load_spending(connection, book, capped, wheres, kept, period_of(now_ms))
        return book

    def _scopes_counted(self, connection: Connection) -> set[str]:
        """The scopes that have a counter, read once."""
        if self._counted is None:
            self._counted = set(connection.execute(select(spending.c.scope).distinct()).scalars())
        return self._counted

    def _load_spending(
        self,
        connection: Connection,
        book: Book,
        capped: Sequence[HoldCommand],
        wheres: set[str],
        kept: set[str],
        period: str,
    ) -> None:
        """The counters that the commands touch. After the accounts, whose locks order who counts."""
        names = {name for where in wheres for name in counters(where)} | {(scope, period) for scope in kept}
        due: dict[str, tuple[str, int]] = {}  # scope -> who pays, and the limit
        for command in capped:
            for scope, limit_uc, fresh in command.caps:
                names.add((scope, period))
                if fresh:
                    due[scope] = (command.user_id, limit_uc)
        for row in self._find_spending(connection, sorted({scope for scope, _ in names})):
            if (counter := Spending(*row))[:2] in names:
                book.spending[counter[:2]] = counter
        for command in capped:
            new = [cap for cap in command.caps if (cap.scope, period) not in book.spending]
            due.update((cap.scope, (command.user_id, cap.limit_uc)) for cap in new)
        for scope, (payer_id, limit_uc) in due.items():
            book.spending[(scope, period)], marked = recount(connection, payer_id, scope, period, limit_uc)
            self._put_spending(connection, [book.spending[(scope, period)]])
            if self._counted is not None:
                self._counted.add(scope)
            for ident in marked.keys() & book.holds.keys():
                book.holds[ident] = book.holds[ident]._replace(counts=marked[ident])


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
        *(hold_id, hold.user_id, hold.request_id or "", hold.amount_uc, 0, "", None),
        counts_of_resolved(connection, hold_id, hold.user_id, hold.created_at_ms),
        *(resolution, sums["SETTLE"], sums["REFUND"]),
    )


def find_charged(connection: Connection, payer_id: str, request_id: str) -> HoldRecord | None:
    """The hold by which the payer was charged for the request, if there is one. A request makes one hold at most."""
    column = transfers.c
    made = select(column.id).where(column.user_id == payer_id, column.closes.is_(None), column.request_id == request_id)
    found = (find_resolved(connection, ident) for ident in connection.execute(made.order_by(column.id)).scalars().all())
    return next((hold for hold in found if hold is not None and hold.charged_uc), None)
