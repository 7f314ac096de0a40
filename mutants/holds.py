"""Holds, balances and a ledger that do not add up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, update

from gateway import admission, edge, estimate, pricing
from gateway.accounts import Key
from gateway.errors import NoCredit
from gateway.ledger import book, money
from gateway.ledger.book import Applied, Book, Hold, Settle
from gateway.ledger.desk import Desk
from gateway.ledger.money import Balance, Money
from gateway.ledger.transfers import REVENUE, WORLD, held_account, user_account
from gateway.storage.tables import transfers
from gateway.usage import UsageRow
from mutants._patch import around, replace
from mutants.registry import mutant


@mutant()
def settles_twice() -> None:
    """Every call is charged a second time, with a hold of its own."""

    @around(Money, "settle")
    async def settle(old: Any, self: Money, hold: Any, *, charge_uc: int, row: UsageRow) -> Any:
        settled = await old(self, hold, charge_uc=charge_uc, row=row)
        if settled.charged_uc:
            again = await self.hold(
                user_id=row.user_id, amount_uc=charge_uc, minimum_uc=0, request_id=row.request_id, deadline_ms=2**53
            )
            await old(self, again, charge_uc=charge_uc, row=row)
        return settled


@mutant()
def release_forgotten() -> None:
    """What a call did not use of its hold stays held."""

    @around(Book, "_settle")
    def settle(old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        applied: Applied = old(self, command, now_ms)
        for move in applied.transfers:
            if move.kind == "RELEASE":
                self.balances[move.source] += move.amount_uc
                self.balances[move.destination] -= move.amount_uc
        return applied._replace(transfers=tuple(move for move in applied.transfers if move.kind != "RELEASE"))


@mutant()
def settle_without_hold() -> None:
    """The hold is given back, and the charge is then taken from the balance directly."""

    @around(Book, "_settle")
    def settle(_old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        hold = self._known(command.hold_id, command.user_id)
        charge_uc = min(command.charge_uc, hold.amount_uc)
        user, held, who = user_account(hold.user_id), held_account(hold.user_id), hold.user_id
        moves = [self._move("RELEASE", held, user, hold.amount_uc, who, hold.request_id, hold.id, now_ms)]
        if charge_uc:
            moves.append(self._move("SETTLE", user, REVENUE, charge_uc, who, hold.request_id, None, now_ms))
        return Applied(tuple(moves), self._resolve(hold, "settled", charge_uc), command.charge_uc > charge_uc)


@mutant("GD-021")
def balance_not_from_ledger() -> None:
    """The balance shown is remembered from the first look, and only a top-up makes it anew."""
    seen: dict[str, Balance] = {}

    @around(money, "_balance")
    def balance(old: Any, connection: Connection, user_id: str) -> Balance:
        now: Balance = old(connection, user_id)
        if user_id not in seen or seen[user_id].topped_up_uc != now.topped_up_uc:
            seen[user_id] = now
        return seen[user_id]


@mutant("GD-031")
def zero_only_balance_gate() -> None:
    """Only a balance that does not cover the estimate is refused, however little is left."""
    replace(pricing, "MINIMUM_BALANCE_UC", 0)


@mutant()
def minimum_balance_off_by_one() -> None:
    """A balance of exactly the minimum is refused."""
    replace(pricing, "MINIMUM_BALANCE_UC", pricing.MINIMUM_BALANCE_UC + 1)


@mutant("GD-010")
def exhausted_token_still_usable() -> None:
    """Who was served once is served on with whatever is left."""
    served: set[str] = set()

    @around(admission, "take_hold")
    async def take_hold(old: Any, services: Any, key: Key, fare: Any) -> Any:
        try:
            hold = await old(services, key, fare)
        except NoCredit:
            left_uc = (await services.money.balance(key.user_id)).available_uc
            if key.user_id not in served or not left_uc:
                raise
            lot = {"user_id": key.user_id, "amount_uc": min(left_uc, fare.bound_uc), "minimum_uc": 0}
            return await services.money.hold(**lot, request_id=fare.request_id, deadline_ms=2**53)
        served.add(key.user_id)
        return hold


@mutant("GD-018")
def negative_balance_large_last_call() -> None:
    """The estimate looks at the input alone."""
    replace(estimate, "output_bound", lambda *_args: 0)


@mutant()
def hold_ignores_output_limit() -> None:
    """The hold is for the most that the model can say, whatever limit the caller set."""

    @around(estimate, "output_bound")
    def output_bound(old: Any, _limit: int | None, answers: int, model: Any) -> int:
        return int(old(None, answers, model))


@mutant()
def n_ignored_in_estimate() -> None:
    """The estimate is for one answer, however many are asked for."""

    @around(estimate, "output_bound")
    def output_bound(old: Any, limit: int | None, _answers: int, model: Any) -> int:
        return int(old(limit, 1, model))


@mutant()
def estimate_ignores_input() -> None:
    """The estimate looks at the output alone."""
    replace(estimate, "input_bound", lambda *_args: 0)


def overdraw(spare_uc: Any) -> None:
    """Lets holds take balances below zero: up to `spare_uc(book, user_id)` more than there is."""

    @around(Desk, "apply")
    def apply(old: Any, self: Desk, connection: Connection, works: Any) -> Any:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        return old(self, connection, works)

    @around(Book, "_hold")
    def hold(old: Any, self: Book, command: Hold, now_ms: int) -> Applied:
        user, extra = user_account(command.user_id), spare_uc(self, command.user_id)
        self.balances[user] = self.balances.get(user, 0) + extra
        try:
            applied: Applied = old(self, command, now_ms)
        finally:
            self.balances[user] -= extra
        return applied


@mutant()
def check_then_hold_race() -> None:
    """The balance is looked at first, and the hold taken later without another look."""
    overdraw(lambda _book, _user_id: 10**15)

    @around(admission, "take_hold")
    async def take_hold(old: Any, services: Any, key: Key, fare: Any) -> Any:
        available_uc = (await services.money.balance(key.user_id)).available_uc
        if available_uc < (due_uc := max(fare.bound_uc, pricing.MINIMUM_BALANCE_UC)):
            raise admission.no_credit(available_uc, due_uc)
        await edge.sleep(0.02)
        return await old(services, key, fare)


@mutant("GD-034")
def open_holds_ignored() -> None:
    """The balance that is looked at includes what is held for other requests."""
    overdraw(lambda book_, user_id: book_.balances.get(held_account(user_id), 0))


@mutant("GD-022")
def refund_repeated_on_retry() -> None:
    """A hold that was not charged is given back twice."""

    @around(Book, "_settle")
    def settle(old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        applied: Applied = old(self, command, now_ms)
        if applied.replayed or command.charge_uc:
            return applied
        again = [self._move(move.kind, WORLD, *move[3:8], now_ms) for move in applied.transfers]
        return applied._replace(transfers=(*applied.transfers, *again))


@mutant()
def top_up_repeated() -> None:
    """The idempotency key of a top-up is not looked at."""

    @around(Book, "_top_up")
    def top_up(old: Any, self: Book, command: book.TopUp, now_ms: int) -> Applied:
        applied: Applied = old(self, command._replace(idempotency_key=None), now_ms)
        return applied


@mutant()
def top_up_idempotency_race() -> None:
    """An idempotency key is looked up before the top-up and noted after it: repetitions at the same time pass."""
    noted: dict[str, Any] = {}

    @around(Money, "top_up")
    async def top_up(old: Any, self: Money, user_id: str, amount_uc: int, idempotency_key: str | None = None) -> Any:
        if idempotency_key in noted:
            return noted[idempotency_key]
        transfer = await old(self, user_id, amount_uc)
        if idempotency_key is not None:
            noted[idempotency_key] = transfer
        return transfer


@mutant()
def settle_above_hold() -> None:
    """What a call costs beyond its hold is taken from the balance."""

    @around(Book, "_settle")
    def settle(old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        applied: Applied = old(self, command, now_ms)
        user = user_account(command.user_id)
        hold = self._known(command.hold_id, command.user_id)
        extra_uc = min(command.charge_uc - hold.amount_uc, self.balances.get(user, 0))
        if applied.replayed or extra_uc <= 0:
            return applied
        move = self._move("SETTLE", user, REVENUE, extra_uc, hold.user_id, hold.request_id, hold.id, now_ms)
        return applied._replace(transfers=(*applied.transfers, move))


@mutant()
def cap_unmarked() -> None:
    """That a charge was capped at its hold is not told."""

    @around(Book, "_settle")
    def settle(old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        applied: Applied = old(self, command, now_ms)
        return applied._replace(capped=False)


@mutant()
def settle_credits_nobody() -> None:
    """What a user is charged arrives nowhere."""

    @around(Book, "_settle")
    def settle(old: Any, self: Book, command: Settle, now_ms: int) -> Applied:
        applied: Applied = old(self, command, now_ms)
        for move in applied.transfers:
            if move.kind == "SETTLE":
                self.balances[move.destination] -= move.amount_uc
        return applied


@mutant()
def ledger_rows_rewritten() -> None:
    """When a call is settled, its hold is written over with what was charged."""

    @around(Desk, "apply")
    def apply(old: Any, self: Desk, connection: Connection, works: Any) -> Any:
        outcomes = old(self, connection, works)
        for work in works:
            if isinstance(work.command, Settle) and work.command.charge_uc:
                hold = transfers.c.id == work.command.hold_id
                connection.execute(update(transfers).where(hold).values(amount_uc=work.command.charge_uc))
        return outcomes
