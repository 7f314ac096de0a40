"""The ledger as a pure state machine: a Book of balances and holds, and the five commands that change it.

No I/O, clock or ids of its own: time and ids are passed in. `apply` either changes the Book and returns the transfers
made, or raises a LedgerError and leaves the Book as it was. Everything on the way of a request is a NamedTuple: they go
to and from the database as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, assert_never

from gateway.ledger.spending import (
    MARKS,
    Cap,
    Passed,
    Spending,
    SpendingLimitReached,
    counters,
    counts,
    key_scope,
    org_scope,
    period_of,
)
from gateway.ledger.transfers import (
    WORLD,
    Account,
    AlreadyResolved,
    IdempotencyConflict,
    InsufficientCredits,
    Kind,
    LedgerError,
    RefundAboveCharge,
    Transfer,
    TransferId,
    UnknownHold,
    held_account,
    route,
    user_account,
)

Resolution = Literal["settled", "expired"]
BALANCE_MAX_UC = 2**62  # fits the database's integers with room to spare


class TopUp(NamedTuple):
    """Credit bought."""

    user_id: str
    amount_uc: int
    idempotency_key: str | None = None


class Hold(NamedTuple):
    """Set credit aside for a request, if the user has it and at least `minimum_uc`, and if it fits every cap."""

    user_id: str
    amount_uc: int
    request_id: str
    deadline_ms: int  # from then on the sweeper may expire it
    minimum_uc: int = 0
    owner: str = ""  # the process that holds
    idempotency_key: str | None = None
    key_id: str | None = None  # on whose behalf
    caps: tuple[Cap, ...] = ()


class Settle(NamedTuple):
    """Charge `charge_uc` (never more than the hold) and give the rest back."""

    hold_id: TransferId
    user_id: str
    charge_uc: int


class Expire(NamedTuple):
    """Give the whole hold back."""

    hold_id: TransferId
    user_id: str
    reason: str = "deadline"


class Refund(NamedTuple):
    """Give back (a part of) what a hold was settled for."""

    hold_id: TransferId
    user_id: str
    amount_uc: int | None  # None: all that is left of the charge
    idempotency_key: str | None = None


Command = TopUp | Hold | Settle | Expire | Refund


class HoldRecord(NamedTuple):
    """A hold, and what became of it. The first eight fields are the columns of `holds`, which keeps the open ones."""

    id: TransferId  # of the HOLD transfer
    user_id: str
    request_id: str
    amount_uc: int
    deadline_ms: int
    owner: str
    key_id: str | None = None
    counts: str | None = None  # in which counters of spending; None: in none
    resolution: Resolution | None = None
    charged_uc: int = 0
    refunded_uc: int = 0

    @property
    def open(self) -> bool:
        return self.resolution is None


class Applied(NamedTuple):
    """What a command did. A repeated command does nothing again: `replayed`, with the outcome of the first."""

    transfers: tuple[Transfer, ...]
    hold: HoldRecord | None = None
    capped: bool = False
    replayed: bool = False
    passed: tuple[Passed, ...] = ()  # marks of spending


@dataclass(slots=True)
class Book:
    """Balances, holds and used idempotency keys, or that part of them which the commands to come touch."""

    next_id: Callable[[], TransferId]  # each greater than the one before
    balances: dict[Account, int] = field(default_factory=dict)
    holds: dict[TransferId, HoldRecord] = field(default_factory=dict)
    used_keys: dict[tuple[str, str], Transfer] = field(default_factory=dict)  # (user id, key) -> its transfer
    spending: dict[tuple[str, str], Spending] = field(default_factory=dict)  # (scope, period) -> its counter

    def apply(self, command: Command, now_ms: int) -> Applied:
        """Does what the command asks, wholly or (raising LedgerError) not at all."""
        match command:
            case Hold():
                return self._hold(command, now_ms)
            case Settle():
                return self._settle(command, now_ms)
            case TopUp():
                return self._top_up(command, now_ms)
            case Expire():
                return self._expire(command, now_ms)
            case Refund():
                return self._refund(command, now_ms)
            case _:
                assert_never(command)

    def _top_up(self, command: TopUp, now_ms: int) -> Applied:
        user_id, amount_uc, key = command
        if key is not None and (first := self.used_keys.get((user_id, key))) is not None:
            if (first.kind, first.amount_uc) != ("TOP_UP", amount_uc):
                raise _conflict(first, "TOP_UP", amount_uc)
            return Applied((first,), replayed=True)
        source, destination = route("TOP_UP", user_id)
        if amount_uc + max(self.balances.get(destination, 0), -self.balances.get(source, 0)) > BALANCE_MAX_UC:
            raise LedgerError(f"a top-up of {amount_uc} uc is more than the ledger can count")
        return Applied((self._move("TOP_UP", source, destination, amount_uc, user_id, None, None, now_ms, key),))

    def _hold(self, command: Hold, now_ms: int) -> Applied:
        user_id, amount_uc, request_id, deadline_ms, minimum_uc, owner, key, key_id, caps = command
        if key is not None and (first := self.used_keys.get((user_id, key))) is not None:
            if (first.kind, first.amount_uc, first.request_id) != ("HOLD", amount_uc, request_id):
                raise _conflict(first, "HOLD", amount_uc)
            return Applied((first,), self._known(first.id, user_id), replayed=True)
        user = user_account(user_id)
        available_uc = self.balances.get(user, 0)
        if available_uc < amount_uc or available_uc < minimum_uc:
            raise InsufficientCredits(available_uc, max(amount_uc, minimum_uc))
        claimed = self._claimed(command, period_of(now_ms)) if caps or self.spending else None
        move = self._move("HOLD", user, held_account(user_id), amount_uc, user_id, request_id, None, now_ms, key)
        where = None
        if claimed:
            where = counts(claimed[0].period, [counter.scope for counter in claimed])
            self.spending.update(((counter.scope, counter.period), counter) for counter in claimed)
        record = HoldRecord(move.id, user_id, request_id, amount_uc, deadline_ms, owner, key_id, where)
        self.holds[move.id] = record
        return Applied((move,), record)

    def _settle(self, command: Settle, now_ms: int) -> Applied:
        hold_id, user_id, charge_uc = command
        hold = self._known(hold_id, user_id)
        if charge_uc < 0:
            raise LedgerError(f"charge_uc must be >= 0, got {charge_uc}")
        amount_uc, request_id = hold.amount_uc, hold.request_id
        capped = charge_uc > amount_uc
        charged_uc = amount_uc if capped else charge_uc
        if hold.resolution is not None:
            if (hold.resolution, hold.charged_uc) != ("settled", charged_uc):
                raise AlreadyResolved(
                    f"hold {hold_id} was {hold.resolution} for {hold.charged_uc} uc, not {charged_uc}"
                )
            return Applied((), hold, capped, replayed=True)
        held, revenue = route("SETTLE", user_id)
        if self.balances.get(held, 0) < amount_uc:
            raise LedgerError(f"{held} holds less than its open hold {hold_id} of {amount_uc} uc")
        moves: tuple[Transfer, ...] = ()
        if charged_uc:
            moves = (self._move("SETTLE", held, revenue, charged_uc, user_id, request_id, hold_id, now_ms),)
        if rest_uc := amount_uc - charged_uc:
            user = user_account(user_id)
            moves = (*moves, self._move("RELEASE", held, user, rest_uc, user_id, request_id, hold_id, now_ms))
        record = self._resolve(hold, "settled", charged_uc)
        passed = () if hold.counts is None else self._count(hold.counts, charged_uc, -amount_uc, now_ms)
        return Applied(moves, record, capped, False, passed)

    def _expire(self, command: Expire, now_ms: int) -> Applied:
        hold_id, user_id, reason = command
        hold = self._known(hold_id, user_id)
        if hold.resolution == "settled":
            raise AlreadyResolved(f"hold {hold_id} was settled for {hold.charged_uc} uc and cannot expire")
        if hold.resolution == "expired":
            return Applied((), hold, replayed=True)
        held, user = route("EXPIRE", user_id)
        amount_uc, request_id = hold.amount_uc, hold.request_id
        move = self._move("EXPIRE", held, user, amount_uc, user_id, request_id, hold_id, now_ms, note=reason)
        if hold.counts is not None:
            self._count(hold.counts, 0, -amount_uc, now_ms)
        return Applied((move,), self._resolve(hold, "expired", 0))

    def _refund(self, command: Refund, now_ms: int) -> Applied:
        hold_id, user_id, amount_uc, key = command
        hold = self._known(hold_id, user_id)
        if key is not None and (first := self.used_keys.get((user_id, key))) is not None:
            took_all = amount_uc is None and hold.refunded_uc == hold.charged_uc
            due_uc = first.amount_uc if took_all else amount_uc
            if (first.kind, first.amount_uc, first.closes) != ("REFUND", due_uc, hold_id):
                raise _conflict(first, "REFUND", due_uc)
            return Applied((first,), hold, replayed=True)
        left_uc = hold.charged_uc - hold.refunded_uc
        if amount_uc is None:
            amount_uc = max(left_uc, 1)  # of nothing there is no refund
        if amount_uc > left_uc:
            raise RefundAboveCharge(f"hold {hold_id} has {left_uc} uc of charge left to refund, not {amount_uc}")
        revenue, user = route("REFUND", user_id)
        move = self._move("REFUND", revenue, user, amount_uc, user_id, hold.request_id, hold_id, now_ms, key)
        record = hold._replace(refunded_uc=hold.refunded_uc + amount_uc)
        self.holds[hold_id] = record
        if hold.counts is not None:
            self._count(hold.counts, -amount_uc, 0, now_ms)
        return Applied((move,), record)

    def _claimed(self, command: Hold, period: str) -> list[Spending]:
        """The counters that the hold counts in, as they are with it. Raises SpendingLimitReached."""
        amount_uc, claimed = command.amount_uc, []
        caps = {cap.scope: cap.limit_uc for cap in command.caps}
        scopes = dict.fromkeys(caps)
        for scope in (key_scope(command.key_id or ""), org_scope(command.user_id)):  # counted by others of the batch
            if (scope, period) in self.spending:
                scopes[scope] = None
        for scope in scopes:
            limit_uc = caps.get(scope, BALANCE_MAX_UC)
            counter = self.spending.get((scope, period), Spending(scope, period))
            if scope in caps:
                counter = counter._replace(limit_uc=limit_uc)
            if counter.spent_uc + counter.held_uc + amount_uc > limit_uc:
                raise SpendingLimitReached(counter, amount_uc)
            claimed.append(counter._replace(held_uc=counter.held_uc + amount_uc))
        return claimed

    def _count(self, where: str, spent_uc: int, held_uc: int, now_ms: int) -> tuple[Passed, ...]:
        """Adds to the counters of a hold; the marks that they pass by it. A counter that nobody keeps is left out."""
        passed: list[Passed] = []
        for name in counters(where):
            if (counter := self.spending.get(name)) is None:
                continue
            counter = counter._replace(spent_uc=counter.spent_uc + spent_uc, held_uc=counter.held_uc + held_uc)
            passed += self._tell(counter, counter.passes() if spent_uc > 0 else (), now_ms)
        return tuple(passed)

    def refused(self, error: SpendingLimitReached, now_ms: int) -> tuple[Passed, ...]:
        """The marks that a refusal shows to be passed: a limit is reached when a call no longer fits what is left of
        its last fifth. Moves no money.
        """
        counter = error.counter
        marks = tuple(mark for mark in MARKS if mark > counter.told) if counter.near else ()
        return self._tell(counter, marks, now_ms) if marks else ()

    def _tell(self, counter: Spending, marks: tuple[int, ...], now_ms: int) -> tuple[Passed, ...]:
        """Keeps the counter, with these marks told."""
        scope, period, spent_uc, limit_uc = counter.scope, counter.period, counter.spent_uc, counter.limit_uc
        self.spending[(scope, period)] = counter if not marks else counter._replace(told=max(marks))
        return tuple(Passed(scope, period, mark, limit_uc, spent_uc, now_ms) for mark in marks)

    def _known(self, hold_id: TransferId, user_id: str) -> HoldRecord:
        hold = self.holds.get(hold_id)
        if hold is None or hold.user_id != user_id:
            raise UnknownHold(f"user {user_id} has no hold {hold_id}")
        return hold

    def _resolve(self, hold: HoldRecord, resolution: Resolution, charged_uc: int) -> HoldRecord:
        record = HoldRecord(*hold[:8], resolution, charged_uc)
        self.holds[hold.id] = record
        return record

    def _move(
        self,
        kind: Kind,
        source: Account,
        destination: Account,
        amount_uc: int,
        user_id: str,
        request_id: str | None,
        closes: TransferId | None,
        now_ms: int,
        key: str | None = None,
        note: str | None = None,
    ) -> Transfer:
        """The only place where a balance changes."""
        if amount_uc <= 0:
            raise LedgerError(f"amount_uc must be > 0, got {amount_uc} ({kind})")
        balances = self.balances
        left_uc = balances.get(source, 0) - amount_uc
        if left_uc < 0 and source != WORLD:
            raise LedgerError(f"{kind} of {amount_uc} uc would take {source} to {left_uc} uc")
        made = Transfer(
            self.next_id(), kind, source, destination, amount_uc, user_id, request_id, closes, now_ms, key, note
        )
        balances[source] = left_uc
        balances[destination] = balances.get(destination, 0) + amount_uc
        if key is not None:
            self.used_keys[(user_id, key)] = made
        return made


def _conflict(first: Transfer, kind: Kind, amount_uc: int | None) -> IdempotencyConflict:
    asked = "all that is left" if amount_uc is None else f"{amount_uc} uc"
    return IdempotencyConflict(
        f"idempotency key {first.idempotency_key!r} was used for {first.kind} of {first.amount_uc} uc, "
        f"and comes again for {kind} of {asked}"
    )
