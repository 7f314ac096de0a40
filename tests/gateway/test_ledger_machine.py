"""The ledger on a real database against a model of plain dicts: all commands, repeats, failed commits, crashes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from gateway.ledger.book import HoldRecord
from gateway.ledger.transfers import AlreadyResolved, IdempotencyConflict, InsufficientCredits, LedgerError
from gateway.storage.engine import StoreError
from tests.gateway.databases import database_in, missing_postgresql
from tests.gateway.making import NOW_MS, open_money, open_store, take, usage_row

T = TypeVar("T")
USERS = ("usr_a", "usr_b", "usr_c")
MINIMUM_UC = 20
amounts = st.integers(1, 150)


@dataclass(slots=True)
class Held:
    """The model's view of one hold."""

    record: HoldRecord
    state: str = "open"  # | "settled" | "expired"
    charged_uc: int = 0
    refunded_uc: int = 0


class LedgerMachine(RuleBasedStateMachine):
    """Every rule does the same to the ledger and to the model, and expects the same answer."""

    holds = Bundle("holds")
    bought = Bundle("bought")
    database = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.ending = ExitStack()
        folder = Path(self.ending.enter_context(tempfile.TemporaryDirectory()))
        self.folder = self.ending.enter_context(database_in(folder, self.database))
        self.disk_full = False
        self.available = dict.fromkeys(USERS, 0)
        self.bought_uc = dict.fromkeys(USERS, 0)
        self.held: dict[int, Held] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self.open()

    def open(self) -> None:
        self.since_start = 0
        self.store = open_store(self.folder, threaded=False, mark=self.disk)
        self.ending.callback(self.store.close)  # also of those that crashed
        self.money = open_money(self.store)

    def disk(self, point: str) -> None:
        if self.disk_full and point == "commit.before":
            raise OSError("disk full")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        assert self.do(self.money.audit()).problems == ()
        for user_id in USERS:
            balance = self.do(self.money.balance(user_id))
            assert (balance.available_uc, balance.held_uc) == (self.available[user_id], self.open_uc(user_id))
            assert balance.topped_up_uc == self.bought_uc[user_id]
        self.ending.close()
        self.loop.close()

    @initialize()
    def start_with_something(self) -> None:
        self.top_up("usr_a", 100, "first")

    @rule(target=bought, user_id=st.sampled_from(USERS), amount_uc=amounts, key=st.none() | st.sampled_from("kl"))
    def top_up(self, user_id: str, amount_uc: int, key: str | None) -> tuple[str, int, str | None]:
        first = self.keys.get((user_id, key)) if key is not None else None
        if first is not None and first != amount_uc:
            with pytest.raises(IdempotencyConflict):
                self.do(self.money.top_up(user_id, amount_uc, key))
            return user_id, first, key
        self.do(self.money.top_up(user_id, amount_uc, key))
        if first is None:
            self.available[user_id] += amount_uc
            self.bought_uc[user_id] += amount_uc
            if key is not None:
                self.keys[(user_id, key)] = amount_uc
        return user_id, amount_uc, key

    @rule(purchase=bought)
    def repeat_top_up(self, purchase: tuple[str, int, str | None]) -> None:
        user_id, amount_uc, key = purchase
        if key is not None:
            transfer = self.do(self.money.top_up(user_id, amount_uc, key))
            assert transfer.amount_uc == amount_uc

    @rule(target=holds, user_id=st.sampled_from(USERS), amount_uc=amounts, seconds=st.integers(0, 3))
    def hold(self, user_id: str, amount_uc: int, seconds: int) -> Any:
        work = take(self.money, amount_uc, user_id, minimum_uc=MINIMUM_UC, deadline_ms=NOW_MS + 1000 * seconds)
        if self.available[user_id] < max(amount_uc, MINIMUM_UC):
            with pytest.raises(InsufficientCredits) as refused:
                self.do(work)
            assert refused.value.available_uc == self.available[user_id]
            return multiple()
        record = self.do(work)
        self.available[user_id] -= amount_uc
        self.held[record.id] = Held(record)
        return record

    @rule(record=holds, charge_uc=st.integers(0, 200))
    def settle(self, record: HoldRecord, charge_uc: int) -> None:
        held = self.held[record.id]
        charged_uc = min(charge_uc, record.amount_uc)
        work = self.money.settle(record, charge_uc=charge_uc, row=usage_row(record.user_id))
        if held.state == "expired" or (held.state == "settled" and held.charged_uc != charged_uc):
            with pytest.raises(AlreadyResolved):
                self.do(work)
            return
        settled = self.do(work)
        assert (settled.charged_uc, settled.capped) == (charged_uc, charge_uc > record.amount_uc)
        if held.state == "open":
            held.state, held.charged_uc = "settled", charged_uc
            self.available[record.user_id] += record.amount_uc - charged_uc

    @rule(record=holds)
    def repeat_settle(self, record: HoldRecord) -> None:
        held = self.held[record.id]
        if held.state == "settled":
            self.settle(record, held.charged_uc)

    @rule(record=holds)
    def release(self, record: HoldRecord) -> None:
        held = self.held[record.id]
        if held.state == "settled":
            with pytest.raises(AlreadyResolved):
                self.do(self.money.release(record, "test"))
            return
        self.do(self.money.release(record, "test"))
        self.expired(held)

    @rule(record=holds, amount_uc=amounts)
    def refund(self, record: HoldRecord, amount_uc: int) -> None:
        held = self.held[record.id]
        if amount_uc > held.charged_uc - held.refunded_uc:
            with pytest.raises(LedgerError):
                self.do(self.money.refund(record, amount_uc))
            return
        self.do(self.money.refund(record, amount_uc))
        held.refunded_uc += amount_uc
        self.available[record.user_id] += amount_uc

    @rule(seconds=st.integers(0, 3))
    def sweep(self, seconds: int) -> None:
        now_ms = NOW_MS + 1000 * seconds
        due = [held for held in self.held.values() if held.state == "open" and held.record.deadline_ms <= now_ms]
        assert self.do(self.money.sweep(now_ms)) == len(due)
        for held in due:
            self.expired(held)

    @rule(record=consumes(holds), charge_uc=amounts)
    def settle_while_the_disk_is_full(self, record: HoldRecord, charge_uc: int) -> None:
        self.disk_full = True
        with pytest.raises(StoreError):
            self.do(self.money._settle_once(record, charge_uc, usage_row(record.user_id)))
        self.disk_full = False

    @precondition(lambda self: self.since_start > 6)
    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """Closed in order, or dropped as a crash would; what is open then expires once."""
        if clean:
            self.store.close()
        self.open()
        still_open = [held for held in self.held.values() if held.state == "open"]
        assert self.do(self.money.expire_open("restart")) == len(still_open)
        assert self.do(self.money.expire_open("restart")) == 0
        for held in still_open:
            self.expired(held)

    def expired(self, held: Held) -> None:
        if held.state == "open":
            held.state = "expired"
            self.available[held.record.user_id] += held.record.amount_uc

    @invariant()
    def accounts_are_the_models(self) -> None:
        self.since_start += 1
        query = "SELECT name, balance_uc FROM accounts"
        rows = self.store.read_now(lambda connection: connection.exec_driver_sql(query).all())
        stored: dict[str, int] = {name: balance_uc for name, balance_uc in rows}  # noqa: C416
        for user_id in USERS:
            assert stored.get(f"user:{user_id}", 0) == self.available[user_id] >= 0
            assert stored.get(f"held:{user_id}", 0) == self.open_uc(user_id)
        assert stored.get("revenue", 0) == sum(held.charged_uc - held.refunded_uc for held in self.held.values())
        assert stored["world"] == -sum(self.bought_uc.values())
        assert sum(stored.values()) == 0

    def open_uc(self, user_id: str) -> int:
        mine = (held for held in self.held.values() if held.record.user_id == user_id)
        return sum(held.record.amount_uc for held in mine if held.state == "open")


class OnPostgresql(LedgerMachine):
    """The same on PostgreSQL."""

    database = "postgresql"


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=16, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLedgerMachineOnPostgresql = pytest.mark.skipif(bool(missing_postgresql()), reason=str(missing_postgresql()))(
    OnPostgresql.TestCase
)
TestLedgerMachineOnPostgresql.settings = settings(TestLedgerMachine.settings, max_examples=6)
