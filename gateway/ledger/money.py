"""Money: the ledger as the gateway uses it. Every method returns when what it did is durable.

All of them may be called from any number of tasks; the one writer gathers what comes together into one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, bindparam, func, literal, literal_column, select, union_all

from gateway import edge
from gateway.ledger.audit import Audit, audit
from gateway.ledger.book import Applied, Expire, Hold, HoldRecord, Refund, Settle, TopUp
from gateway.ledger.desk import Desk, Outcome, Work, find_charged
from gateway.ledger.spending import Cap, Passed, Spending, SpendingLimitReached, period_of
from gateway.ledger.transfers import AlreadyResolved, Transfer, held_account, user_account
from gateway.storage.engine import StoreError
from gateway.storage.store import Store
from gateway.storage.tables import accounts, holds, spending, transfers
from gateway.usage import UsageRow

T = TypeVar("T")
Apply = Callable[[Work], Outcome]  # does a piece of work, in the transaction that is under way

DURABLE: Final = "job:"  # so begin the owners of holds that a row of the database answers for, not a process
SETTLE_RETRY_S = (0.02, 0.1, 0.5, 2.0)  # a charge is not given up because the disk was full for a moment

# (account, balance) of one user, and ("bought", the sum of all top-ups)
BALANCE = union_all(
    select(accounts.c.name, accounts.c.balance_uc).where(accounts.c.name.in_((bindparam("user"), bindparam("held")))),
    select(literal("bought"), func.coalesce(func.sum(transfers.c.amount_uc), 0)).where(
        transfers.c.kind == literal_column("'TOP_UP'"), transfers.c.user_id == bindparam("user_id")
    ),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settle charged; `capped` when the hold was less than the charge asked for."""

    charged_uc: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund, and what is left of the charge after all of its refunds."""

    transfer: Transfer
    left_uc: int


@dataclass(frozen=True, slots=True)
class Balance:
    """A user's credit: what can be spent, what open holds have set aside, and all that was ever bought."""

    available_uc: int
    held_uc: int
    topped_up_uc: int

    @property
    def balance_uc(self) -> int:
        """What is the user's, spent or not yet settled."""
        return self.available_uc + self.held_uc


class Money:
    """The commands of the ledger, durable and idempotent."""

    def __init__(self, store: Store, clock: edge.Clock, *, owner: str | None = None) -> None:
        """`owner` names this process in the holds it makes; two runs never share it."""
        self._store = store
        self._clock = clock
        self.owner = owner if owner is not None else edge.new_id("proc")
        self.desk = Desk(store.dialect, store.rising, clock.now_ms)
        self.passed: Callable[[Sequence[Passed]], None] = lambda _marks: None  # told of marks, once they are durable
        self.refused: Callable[[Spending], None] = lambda _counter: None  # told of the cap that refused a hold
        store.writer.handle(Work, self.desk.apply)

    async def top_up(self, user_id: str, amount_uc: int, idempotency_key: str | None = None) -> Transfer:
        """Credit bought. The same key again returns the first transfer, or raises IdempotencyConflict if it differs."""
        applied = await self._do(Work(TopUp(user_id, amount_uc, idempotency_key)))
        return applied.transfers[0]

    async def hold(
        self,
        *,
        user_id: str,
        amount_uc: int,
        minimum_uc: int,
        request_id: str,
        deadline_ms: int,
        idempotency_key: str | None = None,
        key_id: str | None = None,
        caps: tuple[Cap, ...] = (),
    ) -> HoldRecord:
        """Sets `amount_uc` (> 0) aside. Raises InsufficientCredits when less than it, or than `minimum_uc`, is there,
        and SpendingLimitReached when it does not fit a cap.

        A caller that is cancelled while it waits owns no hold: one that was made all the same is given back.
        Deadlines are kept in real time: the test clock must not end holds whose requests are still running.
        """
        real_deadline_ms = deadline_ms - self._clock.offset_ms
        command = Hold(
            user_id, amount_uc, request_id, real_deadline_ms, minimum_uc, self.owner, idempotency_key, key_id, caps
        )
        future = self._store.writer.submit(Work(command), self._give_back)
        try:
            applied = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result())
            raise
        except SpendingLimitReached as error:
            self._tell(error)
            raise
        return cast(HoldRecord, applied.hold)

    async def settle(self, hold: HoldRecord, *, charge_uc: int, row: UsageRow) -> Settled:
        """Charges min(`charge_uc`, the hold), gives back the rest and logs `row`, all in one transaction.

        Again with the same charge it answers the same and moves nothing. Raises AlreadyResolved when the hold expired
        or was settled for another charge; StoreError when the database refuses it for seconds (the hold then stays open
        until its deadline).
        """
        for delay_s in SETTLE_RETRY_S:
            try:
                return await self._settle_once(hold, charge_uc, row)
            except StoreError:
                await edge.sleep(delay_s)
        return await self._settle_once(hold, charge_uc, row)

    async def refund(
        self, hold: HoldRecord, amount_uc: int | None = None, idempotency_key: str | None = None
    ) -> Refunded:
        """Gives back `amount_uc` (> 0; None: all that is left) of what the hold was settled for.

        Raises RefundAboveCharge when less is left, and IdempotencyConflict when the key was used for something else.
        """
        applied = await self._do(Work(Refund(hold.id, hold.user_id, amount_uc, idempotency_key)))
        record = cast(HoldRecord, applied.hold)
        return Refunded(applied.transfers[0], record.charged_uc - record.refunded_uc)

    async def find_charge(self, payer_id: str, request_id: str) -> HoldRecord | None:
        """The hold by which the payer was charged for the request; None if the payer was not."""
        return await self._store.read(lambda connection: find_charged(connection, payer_id, request_id))

    async def record(self, row: UsageRow) -> None:
        """A row of the usage log that moved no money."""
        await self._store.writer.submit(Work(None, row))

    async def expire_open(self, reason: str) -> int:
        """Gives back every hold that another process left open, but those that a row of the database answers for.

        Call once, at start. Returns how many.
        """
        stale = select(holds).where(holds.c.owner != self.owner, ~holds.c.owner.startswith(DURABLE))
        return await self._expire(
            await self._store.read(lambda c: [HoldRecord(*row) for row in c.execute(stale)]), reason
        )

    async def expire_of(self, owner: str, reason: str) -> int:
        """Gives back every hold that this process left open; it must be dead. Returns how many."""
        theirs = select(holds).where(holds.c.owner == owner)
        return await self._expire(
            await self._store.read(lambda c: [HoldRecord(*row) for row in c.execute(theirs)]), reason
        )

    async def sweep(self, now_ms: int) -> int:
        """Gives back the holds whose deadline has come. Returns how many. Call every few seconds."""
        late = select(holds).where(holds.c.deadline_ms <= now_ms - self._clock.offset_ms)
        return await self._expire(
            await self._store.read(lambda c: [HoldRecord(*row) for row in c.execute(late)]), "deadline"
        )

    async def release(self, hold: HoldRecord, reason: str) -> None:
        """Gives the whole hold back and logs nothing: for a request that ended before any upstream was asked."""
        await self._do(Work(Expire(hold.id, hold.user_id, reason)))

    async def together(self, job: Callable[[Connection, Apply], T]) -> T:
        """Runs `job` in one transaction, together with the pieces of work that it does by its second argument.

        Their outcomes are returned, LedgerErrors too: what `job` raises undoes everything, what it returns is durable.
        """

        outcomes: list[Outcome] = []

        def run(connection: Connection) -> tuple[T]:  # not bare: a result that is an error would be raised
            outcomes.clear()  # of a try that the database undid

            def apply(work: Work) -> Outcome:
                outcomes.append(outcome := self.desk.apply(connection, [work])[0])
                return outcome

            return (job(connection, apply),)

        (result,) = await self._store.write(run)
        for outcome in outcomes:
            self._tell(outcome)
        return result

    def _tell(self, outcome: Outcome) -> None:
        """What a piece of work did to limits, to those who want to know."""
        if isinstance(outcome, SpendingLimitReached):
            self.passed(outcome.passed)
            self.refused(outcome.counter)
        elif isinstance(outcome, Applied) and outcome.passed:
            self.passed(outcome.passed)

    async def balance(self, user_id: str) -> Balance:
        """What the user has, as of everything acknowledged so far."""
        return await self._store.read(lambda connection: _balance(connection, user_id))

    async def spending(self, scopes: Sequence[str]) -> dict[str, Spending]:
        """What these scopes spend this month, as far as it is counted: those that had a limit at a call."""
        period = period_of(self._clock.now_ms())
        counted = select(spending).where(spending.c.scope.in_(scopes), spending.c.period == period)
        return await self._store.read(lambda c: {row.scope: Spending(*row) for row in c.execute(counted)})

    async def transfers(self, user_id: str, limit: int = 1000) -> list[Transfer]:
        """The user's `limit` newest top-ups and holds and whatever closed those, in order."""
        return await self._store.read(lambda connection: _transfers(connection, user_id, limit))

    async def audit(self) -> Audit:
        """Replays the whole ledger and compares it with every table. Reads a consistent view; writers go on."""
        return await self._store.read(audit)

    async def _settle_once(self, hold: HoldRecord, charge_uc: int, row: UsageRow) -> Settled:
        applied = await self._do(Work(Settle(hold.id, hold.user_id, charge_uc), row))
        if applied.passed:
            self.passed(applied.passed)
        return Settled(cast(HoldRecord, applied.hold).charged_uc, applied.capped)

    async def _expire(self, records: list[HoldRecord], reason: str) -> int:
        waiting = [self._do(Work(Expire(record.id, record.user_id, reason))) for record in records]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, AlreadyResolved):
                raise outcome
        return sum(isinstance(outcome, Applied) and not outcome.replayed for outcome in outcomes)

    async def _do(self, work: Work) -> Applied:
        applied: Applied = await self._store.writer.submit(work)
        return applied

    def _give_back(self, applied: Applied) -> None:
        """Nobody waits for this hold any more: let it go. If even that fails it expires at its deadline."""
        if applied.hold is None or applied.replayed:
            return
        work = Work(Expire(applied.hold.id, applied.hold.user_id, "cancelled"))
        self._store.writer.submit(work).add_done_callback(_look_at)


def _look_at(future: asyncio.Future[Applied]) -> None:
    if not future.cancelled():
        future.exception()


def _balance(connection: Connection, user_id: str) -> Balance:
    names = {"user": user_account(user_id), "held": held_account(user_id)}
    by_name = {name: int(amount) for name, amount in connection.execute(BALANCE, {**names, "user_id": user_id})}
    return Balance(by_name.get(names["user"], 0), by_name.get(names["held"], 0), by_name["bought"])


def _transfers(connection: Connection, user_id: str, limit: int) -> list[Transfer]:
    columns = transfers.c
    openings = select(columns.id).where(columns.user_id == user_id, columns.closes.is_(None))
    newest = openings.order_by(columns.id.desc()).limit(limit).subquery()
    wanted = select(newest.c.id)
    either = union_all(
        select(transfers).where(columns.id.in_(wanted)),
        select(transfers).where(columns.closes.in_(wanted)),
    )
    return sorted(Transfer(*row) for row in connection.execute(either))
