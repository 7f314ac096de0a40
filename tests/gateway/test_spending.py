"""Spending limits: never overshot under any interleaving, counted as the ledger replays it, told as the wire says."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import select, text

from gateway.edge import Clock
from gateway.ledger.book import Hold, HoldRecord
from gateway.ledger.desk import Work
from gateway.ledger.money import Money
from gateway.ledger.spending import Cap, Spending, SpendingLimitReached, bounds, key_scope, org_scope, period_of
from gateway.ledger.transfers import AlreadyResolved, LedgerError
from gateway.storage.store import Store
from gateway.storage.tables import notices, spending
from tests.gateway.lab import CHAT_UC, Lab, completion, ok, open_lab
from tests.gateway.making import CREDIT, NOW_MS, StillClock, open_money, open_store, run, take, usage_row

T = TypeVar("T")
MONTH = "2026-05"
DAY_MS = 86_400_000
PAYERS = {"k1": "org_o", "k2": "org_o", "k3": "usr_a"}  # key -> who pays
LIMITS = {key_scope("k1"): 100, key_scope("k3"): 80, org_scope("org_o"): 150}
OPENED = tuple[Store, Money, Clock]


def open_both(folder: Path, **options: Any) -> OPENED:
    store, clock = open_store(folder, **options), StillClock()
    return store, Money(store, clock), clock


def caps(key_id: str, *, fresh: bool = False) -> tuple[Cap, ...]:
    scopes = (key_scope(key_id), org_scope(PAYERS[key_id]))
    return tuple(Cap(scope, LIMITS[scope], fresh) for scope in scopes if scope in LIMITS)


def counters(store: Store) -> dict[tuple[str, str], Spending]:
    rows = store.read_now(lambda c: c.execute(select(spending)).all())
    return {(row.scope, row.period): Spending(*row) for row in rows}


@dataclass(slots=True)
class Made:
    """The model's view of one hold."""

    record: HoldRecord
    key_id: str
    period: str
    state: str = "open"
    charged_uc: int = 0
    refunded_uc: int = 0


class SpendingMachine(RuleBasedStateMachine):
    """Capped and uncapped holds, ends of all kinds, months, restarts: against a model that adds up from scratch."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.made: dict[int, Made] = {}
        self.missed: set[str] = set()  # scopes that a hold passed by without a cap
        self.clock = StillClock()
        self.store = open_store(self.folder, threaded=False)
        self.money = Money(self.store, self.clock)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.store.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    @initialize()
    def credit(self) -> None:
        for payer_id in set(PAYERS.values()):
            self.do(self.money.top_up(payer_id, 10_000))

    def total(self, scope: str, period: str) -> tuple[int, int]:
        """(spent, held) of a scope, from every hold there was."""
        mine = [
            made
            for made in self.made.values()
            if made.period == period and scope in (key_scope(made.key_id), org_scope(PAYERS[made.key_id]))
        ]
        spent_uc = sum(made.charged_uc - made.refunded_uc for made in mine)
        return spent_uc, sum(made.record.amount_uc for made in mine if made.state == "open")

    @rule(target=holds, key_id=st.sampled_from(sorted(PAYERS)), amount_uc=st.integers(1, 60))
    def hold(self, key_id: str, amount_uc: int) -> Any:
        period = period_of(self.clock.now_ms())
        due = tuple(cap._replace(fresh=cap.scope in self.missed) for cap in caps(key_id))
        work = take(self.money, amount_uc, PAYERS[key_id], key_id=key_id, caps=due)
        if any(sum(self.total(cap.scope, period)) + amount_uc > cap.limit_uc for cap in due):
            with pytest.raises(SpendingLimitReached) as refused:
                self.do(work)
            counter = refused.value.counter
            assert (counter.spent_uc, counter.held_uc) == self.total(counter.scope, period)
            return multiple()
        record = self.do(work)
        self.missed -= {cap.scope for cap in due}
        self.made[record.id] = Made(record, key_id, period)
        return record

    @rule(target=holds, key_id=st.sampled_from(sorted(PAYERS)), amount_uc=st.integers(1, 60))
    def hold_without_limit(self, key_id: str, amount_uc: int) -> HoldRecord:
        """As while the limits were taken off: what is spent meanwhile counts when they are set again."""
        record = self.do(take(self.money, amount_uc, PAYERS[key_id], key_id=key_id))
        self.missed |= {key_scope(key_id), org_scope(PAYERS[key_id])}
        self.made[record.id] = Made(record, key_id, period_of(self.clock.now_ms()))
        return record

    @rule(record=holds, charge_uc=st.integers(0, 70))
    def settle(self, record: HoldRecord, charge_uc: int) -> None:
        made = self.made[record.id]
        row = usage_row(record.user_id, key_id=made.key_id, created_at_ms=self.clock.now_ms())
        try:
            settled = self.do(self.money.settle(record, charge_uc=charge_uc, row=row))
        except AlreadyResolved:
            assert made.state != "open"
            return
        if made.state == "open":
            made.state, made.charged_uc = "settled", settled.charged_uc

    @rule(record=holds)
    def expire(self, record: HoldRecord) -> None:
        made = self.made[record.id]
        try:
            self.do(self.money.release(record, "test"))
        except AlreadyResolved:
            assert made.state == "settled"
            return
        made.state = "expired"

    @rule(record=holds, amount_uc=st.integers(1, 40))
    def refund(self, record: HoldRecord, amount_uc: int) -> None:
        made = self.made[record.id]
        if amount_uc > made.charged_uc - made.refunded_uc:
            with pytest.raises(LedgerError):
                self.do(self.money.refund(record, amount_uc))
            return
        self.do(self.money.refund(record, amount_uc))
        made.refunded_uc += amount_uc

    @rule(days=st.sampled_from([1, 20]))
    def time_goes_by(self, days: int) -> None:
        self.clock.advance(days * DAY_MS)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.folder, threaded=False)
        self.money = Money(self.store, self.clock)
        self.do(self.money.expire_open("restart"))
        for made in self.made.values():
            made.state = "expired" if made.state == "open" else made.state
        self.missed = set(LIMITS)  # a new process takes no counter on trust

    @invariant()
    def counters_are_the_models(self) -> None:
        for (scope, period), counter in counters(self.store).items():
            assert counter.held_uc >= 0
            assert (counter.spent_uc, counter.held_uc) == self.total(scope, period)
        audit = self.do(self.money.audit())
        assert audit.problems == ()
        assert audit.counters == len(counters(self.store))


TestSpendingMachine = SpendingMachine.TestCase
TestSpendingMachine.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(st.integers(0, 4_000_000_000_000))
def test_a_moment_lies_in_its_month(at_ms: int) -> None:
    begins_ms, ends_ms = bounds(period_of(at_ms))
    assert begins_ms <= at_ms < ends_ms
    begins = datetime.fromtimestamp(begins_ms / 1000, UTC)
    assert (begins.day, begins.hour, begins.minute) == (1, 0, 0)
    assert period_of(ends_ms - 1) == period_of(begins_ms) != period_of(ends_ms)


@given(
    work=st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["settle", "expire", "keep", "refund"])), max_size=30),
    limit_uc=st.integers(0, 150),
)
@settings(max_examples=25, deadline=None)
def test_concurrent_calls_never_overshoot(work: list[tuple[int, str]], limit_uc: int) -> None:
    """All at once through the writer's group commit; whatever the batches, spent and held stay within the limit."""

    async def go(folder: Path) -> None:
        store, money, _ = open_both(folder)
        await money.top_up("usr_a", 10_000)
        due = (Cap(key_scope("k3"), limit_uc),)

        async def call(amount_uc: int, end: str) -> int:
            try:
                hold = await take(money, amount_uc, key_id="k3", caps=due)
            except SpendingLimitReached as refused:
                counter = refused.counter
                assert counter.spent_uc + counter.held_uc <= limit_uc < counter.spent_uc + counter.held_uc + amount_uc
                return 0
            if end == "expire":
                await money.release(hold, "test")
            if end in ("expire", "keep"):
                return amount_uc if end == "keep" else 0
            await money.settle(hold, charge_uc=amount_uc - 1, row=usage_row(key_id="k3"))
            if end == "refund" and amount_uc > 1:
                await money.refund(hold, amount_uc - 1)
                return 0
            return amount_uc - 1

        left = await asyncio.gather(*(call(*each) for each in work))
        for counter in counters(store).values():
            assert counter.spent_uc + counter.held_uc == sum(left) <= limit_uc
        assert (await money.audit()).problems == ()
        store.close()

    folder = Path(tempfile.mkdtemp())
    try:
        run(go(folder))
    finally:
        shutil.rmtree(folder)


def test_the_first_calls_of_a_new_key_are_counted(tmp_path: Path) -> None:
    async def work() -> None:
        store, money, _ = open_both(tmp_path)
        await money.top_up("usr_a", 10_000)
        due = (Cap(key_scope("k3"), 30, fresh=True),)
        holds = await asyncio.gather(
            *(take(money, 10, key_id="k3", caps=due) for _ in range(8)), return_exceptions=True
        )
        assert sum(isinstance(hold, HoldRecord) for hold in holds) == 3
        store.close()

    run(work())


def test_a_new_limit_counts_what_was_spent_and_is_held_in_the_month(tmp_path: Path) -> None:
    async def work() -> None:
        store, money, clock = open_both(tmp_path)
        await money.top_up("usr_a", 10_000)
        for key_id, charge_uc in (("k3", 30), ("k2", 500)):
            hold = await take(money, 500, key_id=key_id)
            await money.settle(hold, charge_uc=charge_uc, row=usage_row(key_id=key_id))
        given_back = await take(money, 20, key_id="k3")
        await money.settle(given_back, charge_uc=20, row=usage_row(key_id="k3"))
        await money.refund(given_back, 5)
        still_open = await take(money, 25, key_id="k3")
        with pytest.raises(SpendingLimitReached) as refused:
            await take(money, 31, key_id="k3", caps=caps("k3"))
        assert refused.value.counter[2:5] == (45, 25, 80)
        await money.settle(still_open, charge_uc=10, row=usage_row(key_id="k3"))
        assert counters(store)[key_scope("k3"), MONTH][2:4] == (55, 0)
        assert (await money.audit()).problems == ()
        clock.advance(31 * DAY_MS)
        await take(money, 80, key_id="k3", caps=caps("k3"))
        store.close()

    run(work())


def test_a_hold_counts_for_the_month_it_was_made_in(tmp_path: Path) -> None:
    async def work() -> None:
        store, money, clock = open_both(tmp_path)
        await money.top_up("usr_a", 10_000)
        clock.advance(31 * DAY_MS - 1 - NOW_MS % DAY_MS - 9 * DAY_MS)
        hold = await take(money, 80, key_id="k3", caps=caps("k3"))
        clock.advance(2)
        later = await take(money, 70, key_id="k3", caps=caps("k3"))
        await money.settle(hold, charge_uc=60, row=usage_row(key_id="k3"))
        await money.refund(hold, 15)
        await money.release(later, "test")
        found = {period: counter[2:4] for (_, period), counter in counters(store).items()}
        assert found == {MONTH: (45, 0), "2026-06": (0, 0)}
        assert (await money.audit()).problems == ()
        store.close()

    run(work())


def test_a_hold_in_the_batch_that_first_counts_is_counted(tmp_path: Path) -> None:
    """Two requests around the moment in which the limit is set, in one transaction."""

    async def work() -> None:
        store, money, _ = open_both(tmp_path)
        await money.top_up("usr_a", 10_000)
        plain = Hold("usr_a", 50, "req_1", NOW_MS, key_id="k3")
        capped = plain._replace(caps=caps("k3"))
        outcomes = await store.write(lambda c: money.desk.apply(c, [Work(plain), Work(capped), Work(capped)]))
        assert [isinstance(outcome, LedgerError) for outcome in outcomes] == [False, True, True]
        assert counters(store)[key_scope("k3"), MONTH][2:4] == (0, 50)
        assert (await money.audit()).problems == ()
        store.close()

    run(work())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE spending SET spent_uc = spent_uc + 1",
        "UPDATE spending SET held_uc = held_uc - 1",
        "UPDATE usage_log SET key_id = 'k9'",
        "UPDATE holds SET key_id = 'k9'",
    ],
)
def test_the_audit_notices_a_wrong_counter(tmp_path: Path, statement: str) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        money = open_money(store)
        await money.top_up("usr_a", 10_000)
        await money.settle(await take(money, 40, key_id="k3", caps=caps("k3")), charge_uc=7, row=usage_row(key_id="k3"))
        await take(money, 40, key_id="k3", caps=caps("k3"))
        assert (await money.audit()).ok
        await store.write(lambda c: c.execute(text(statement)))
        (problem,) = (await money.audit()).problems
        assert problem.startswith("key:k3 in 2026-05: ")
        store.close()

    run(work())


def test_marks_are_passed_once_and_not_too_early(tmp_path: Path) -> None:
    async def work() -> None:
        store, money, clock = open_both(tmp_path)
        told: list[tuple[str, int]] = []
        money.passed = lambda marks: told.extend((mark.period, mark.mark) for mark in marks)
        await money.top_up("usr_a", 10_000)
        due = (Cap(key_scope("k3"), 100),)

        async def spend(charge_uc: int) -> None:
            hold = await take(money, charge_uc, key_id="k3", caps=due)
            await money.settle(hold, charge_uc=charge_uc, row=usage_row(key_id="k3"))

        for _ in range(79):
            await spend(1)
        with pytest.raises(SpendingLimitReached):
            await take(money, 22, key_id="k3", caps=due)  # too dear, but the limit is not spent
        assert told == []
        await spend(1)
        assert told == [(MONTH, 80)]
        await asyncio.gather(*(spend(1) for _ in range(19)))
        assert told == [(MONTH, 80)]
        refused = await asyncio.gather(
            *(take(money, 2, key_id="k3", caps=due) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(each, SpendingLimitReached) for each in refused)
        assert told == [(MONTH, 80), (MONTH, 100)]
        await spend(1)
        clock.advance(31 * DAY_MS)
        await spend(100)
        assert told[2:] == [("2026-06", 80), ("2026-06", 100)]
        rows = store.read_now(lambda c: c.execute(select(notices.c.period, notices.c.mark)).all())
        assert sorted(map(tuple, rows)) == sorted(told)
        store.close()

    run(work())


async def limited(limit_uc: int | None, **options: Any) -> Lab:
    """A lab whose key has a limit."""
    lab = await open_lab(lambda _request: ok(completion()), clock=StillClock(), test_clock=True, **options)
    await limit(lab, limit_uc)
    return lab


async def limit(lab: Lab, limit_uc: int | None, **more: Any) -> None:
    body = {"spending_limit_uc": limit_uc, **more}
    headers = {"authorization": "Bearer admin"}
    answer = await lab.ask(f"/admin/keys/{lab.key.id}", body, method="PATCH", headers=headers)
    assert answer.status == 200


def test_a_call_that_does_not_fit_is_told_all_about_it() -> None:
    async def work() -> None:
        lab = await limited(100 * CREDIT)
        refused = await lab.chat(max_tokens=1_000_000)
        kind, message = refused.error
        assert (refused.status, kind) == (429, "spending_limit_error")
        assert "100 credits in 2026-05: 0 are spent, 0 are held" in message
        assert "2026-06-01T00:00:00Z" in message
        headers = {name: refused.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
        reset_s = bounds(MONTH)[1] // 1000
        assert headers == {"limit": "100", "remaining": "100", "reset": str(reset_s)}
        assert "retry-after" not in refused.headers  # it would not fit next month either
        assert lab.upstreams == []
        assert (await lab.chat(max_tokens=10)).status == 200
        await limit(lab, CHAT_UC + 500)
        full = await lab.chat(max_tokens=1)
        assert (full.status, full.headers["x-ratelimit-remaining"]) == (429, "0")
        assert await lab.spent_uc() == CHAT_UC

    run(work())


def test_retry_after_leads_to_a_call_that_succeeds() -> None:
    async def work() -> None:
        lab = await limited(20_000)
        calls = [await lab.chat(max_tokens=5) for _ in range(20)]
        refused = calls[-1]
        assert {call.status for call in calls} == {200, 429}
        assert refused.status == 429
        lab.services.clock.advance(int(refused.headers["retry-after"]) * 1000)
        assert (await lab.chat(max_tokens=5)).status == 200

    run(work())


def test_no_credit_is_told_before_the_limit() -> None:
    async def work() -> None:
        lab = await limited(0, credits=100)
        assert (await lab.chat()).error[0] == "insufficient_credits"
        lab = await limited(0)
        assert (await lab.chat()).error[0] == "spending_limit_error"

    run(work())


def test_a_changed_limit_keeps_what_was_spent() -> None:
    async def work() -> None:
        lab = await limited(100 * CREDIT)
        assert (await lab.chat(max_tokens=10)).status == 200
        for changed in (120 * CREDIT, 5 * CREDIT, None, 120 * CREDIT):
            await limit(lab, changed)
            assert (await lab.chat(max_tokens=10)).status == 200
            await lab.spent_uc()  # the audit finds every counter right, be there a limit now or not
        (counter,) = (await lab.services.money.spending([key_scope(lab.key.id)])).values()
        assert (counter.spent_uc, counter.held_uc) == (5 * CHAT_UC, 0)
        assert await lab.spent_uc() == 5 * CHAT_UC

    run(work())


def test_an_organisations_budget_is_shared_by_its_keys() -> None:
    async def work() -> None:
        lab = await open_lab(lambda _request: ok(completion()), clock=StillClock())
        services = lab.services
        user = services.accounts.user(lab.user_id)
        assert user is not None
        await services.money.top_up("org_o", 10_000 * CREDIT)
        secrets = [(await services.accounts.create_key(user, org_id="org_o"))[1] for _ in range(2)]
        await services.budgets.set_budget("org_o", 20_000)
        statuses: list[int] = []
        for turn in range(30):
            lab.secret = secrets[turn % 2]
            statuses.append((await lab.chat(max_tokens=5)).status)
        assert set(statuses) == {200, 429}
        (counter,) = (await services.money.spending([org_scope("org_o")])).values()
        assert counter.spent_uc == statuses.count(200) * CHAT_UC <= 20_000
        await services.budgets.set_budget("org_o", None)
        assert (await lab.chat(max_tokens=5)).status == 200
        assert (await services.money.audit()).problems == ()
        await services.budgets.set_budget("org_o", 10 * CREDIT)
        assert (await lab.chat(max_tokens=5)).status == 200
        (counter,) = (await services.money.spending([org_scope("org_o")])).values()
        assert counter.spent_uc == (statuses.count(200) + 2) * CHAT_UC
        assert (await services.money.audit()).problems == ()

    run(work())
