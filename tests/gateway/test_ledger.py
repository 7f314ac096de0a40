"""The ledger: the pure Book, and Money on a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from gateway.ledger.book import Book, Expire, Hold, Refund, Settle, TopUp
from gateway.ledger.money import Money, Settled
from gateway.ledger.transfers import (
    AlreadyResolved,
    IdempotencyConflict,
    InsufficientCredits,
    LedgerError,
    RefundAboveCharge,
    Transfer,
    UnknownHold,
    held_account,
    user_account,
)
from gateway.storage.engine import StoreError
from gateway.storage.store import Store
from gateway.storage.writer import CommitFailed
from tests.gateway.making import CREDIT, NOW_MS, StillClock, open_money, open_store, run, take, until, usage_row


def book_with(available_uc: int) -> Book:
    book = Book(count(1).__next__)
    book.apply(TopUp("a", available_uc), NOW_MS)
    return book


def hold_of(amount_uc: int, minimum_uc: int = 0, idempotency_key: str | None = None) -> Hold:
    return Hold("a", amount_uc, "req_1", NOW_MS + 1000, minimum_uc, idempotency_key=idempotency_key)


def kinds(transfers: tuple[Transfer, ...]) -> list[tuple[str, int]]:
    return [(transfer.kind, transfer.amount_uc) for transfer in transfers]


@pytest.mark.parametrize(
    ("charge_uc", "moved", "capped"),
    [
        (0, [("RELEASE", 100)], False),
        (1, [("SETTLE", 1), ("RELEASE", 99)], False),
        (99, [("SETTLE", 99), ("RELEASE", 1)], False),
        (100, [("SETTLE", 100)], False),
        (101, [("SETTLE", 100)], True),
    ],
)
def test_settle_charges_at_most_the_hold_and_gives_back_the_rest(
    charge_uc: int, moved: list[tuple[str, int]], capped: bool
) -> None:
    book = book_with(1000)
    hold = book.apply(hold_of(100), NOW_MS).hold
    assert hold is not None
    settled = book.apply(Settle(hold.id, "a", charge_uc), NOW_MS)
    assert kinds(settled.transfers) == moved
    assert settled.capped is capped
    assert {transfer.closes for transfer in settled.transfers} == {hold.id}
    assert book.balances[user_account("a")] == 1000 - min(charge_uc, 100)
    assert book.balances[held_account("a")] == 0
    assert sum(book.balances.values()) == 0


@pytest.mark.parametrize(
    ("available_uc", "amount_uc", "minimum_uc", "needed_uc"),
    [(99, 100, 0, 100), (199, 1, 200, 200), (0, 1, 0, 1), (500, 501, 200, 501)],
)
def test_a_hold_needs_its_amount_and_the_minimum(
    available_uc: int, amount_uc: int, minimum_uc: int, needed_uc: int
) -> None:
    book = book_with(available_uc) if available_uc else Book(count(1).__next__)
    before = dict(book.balances)
    with pytest.raises(InsufficientCredits) as refused:
        book.apply(hold_of(amount_uc, minimum_uc=minimum_uc), NOW_MS)
    assert (refused.value.available_uc, refused.value.needed_uc) == (available_uc, needed_uc)
    assert book.balances == before
    assert not book.holds


def test_a_hold_may_take_all_there_is() -> None:
    book = book_with(200)
    assert book.apply(hold_of(200, minimum_uc=200), NOW_MS).hold is not None
    assert book.balances[user_account("a")] == 0


def test_a_hold_is_resolved_once() -> None:
    book = book_with(1000)
    first, second = (book.apply(hold_of(100), NOW_MS).hold for _ in range(2))
    assert first is not None
    assert second is not None
    book.apply(Settle(first.id, "a", 40), NOW_MS)
    book.apply(Expire(second.id, "a"), NOW_MS)
    before = dict(book.balances)
    again = book.apply(Settle(first.id, "a", 40), NOW_MS)
    assert (again.replayed, again.transfers) == (True, ())
    assert book.apply(Expire(second.id, "a"), NOW_MS).replayed
    for command in (Settle(first.id, "a", 41), Expire(first.id, "a"), Settle(second.id, "a", 0)):
        with pytest.raises(AlreadyResolved):
            book.apply(command, NOW_MS)
    assert book.balances == before


def test_settling_nothing_is_not_expiring() -> None:
    book = book_with(1000)
    hold = book.apply(hold_of(100), NOW_MS).hold
    assert hold is not None
    book.apply(Settle(hold.id, "a", 0), NOW_MS)
    with pytest.raises(AlreadyResolved):
        book.apply(Expire(hold.id, "a"), NOW_MS)


def test_refunds_add_up_to_the_charge_at_most() -> None:
    book = book_with(1000)
    hold = book.apply(hold_of(100), NOW_MS).hold
    assert hold is not None
    with pytest.raises(LedgerError, match="0 uc of charge left"):
        book.apply(Refund(hold.id, "a", 1), NOW_MS)
    book.apply(Settle(hold.id, "a", 60), NOW_MS)
    book.apply(Refund(hold.id, "a", 50, "k"), NOW_MS)
    assert book.apply(Refund(hold.id, "a", 50, "k"), NOW_MS).replayed
    with pytest.raises(LedgerError, match="10 uc of charge left"):
        book.apply(Refund(hold.id, "a", 11), NOW_MS)
    with pytest.raises(IdempotencyConflict, match="comes again for REFUND of all that is left"):
        book.apply(Refund(hold.id, "a", None, "k"), NOW_MS)
    rest = book.apply(Refund(hold.id, "a", None, "rest"), NOW_MS)
    assert [transfer.amount_uc for transfer in rest.transfers] == [10]
    assert book.apply(Refund(hold.id, "a", None, "rest"), NOW_MS) == rest._replace(replayed=True)
    with pytest.raises(RefundAboveCharge, match="0 uc of charge left"):
        book.apply(Refund(hold.id, "a", None), NOW_MS)
    assert book.balances[user_account("a")] == 1000


def test_nobody_resolves_a_hold_of_another() -> None:
    book = book_with(1000)
    hold = book.apply(hold_of(100), NOW_MS).hold
    assert hold is not None
    for command in (Settle(hold.id, "b", 1), Expire(hold.id, "b"), Refund(hold.id, "b", 1), Settle(999, "a", 1)):
        with pytest.raises(UnknownHold):
            book.apply(command, NOW_MS)


@pytest.mark.parametrize(
    "command", [TopUp("a", 0), TopUp("a", -5), hold_of(0), hold_of(-1), TopUp("a", 2**62), Settle(2, "a", -1)]
)
def test_amounts_that_are_none_are_refused(command: TopUp | Hold | Settle) -> None:
    book = book_with(1000)
    book.apply(hold_of(100), NOW_MS)
    before = dict(book.balances)
    with pytest.raises(LedgerError):
        book.apply(command, NOW_MS)
    assert book.balances == before


@pytest.mark.parametrize("other", [TopUp("a", 6, "k"), hold_of(5, idempotency_key="k"), Refund(2, "a", 5, "k")])
def test_an_idempotency_key_moves_money_once(other: TopUp | Hold | Refund) -> None:
    book = book_with(1000)
    hold = book.apply(hold_of(100), NOW_MS).hold
    assert hold is not None
    assert hold.id == 2
    book.apply(Settle(hold.id, "a", 50), NOW_MS)
    first = book.apply(TopUp("a", 5, "k"), NOW_MS)
    before = dict(book.balances)
    again = book.apply(TopUp("a", 5, "k"), NOW_MS + 9)
    assert (again.transfers, again.replayed) == (first.transfers, True)
    with pytest.raises(IdempotencyConflict):
        book.apply(other, NOW_MS)
    assert book.balances == before
    assert not book.apply(TopUp("b", 7, "k"), NOW_MS).replayed, "keys of different users are different keys"


@pytest.fixture
def store(place: Path) -> Store:
    return open_store(place)


def test_money_survives_reopening(place: Path) -> None:
    async def first() -> None:
        store = open_store(place)
        money = open_money(store)
        await money.top_up("usr_a", 300 * CREDIT, "bought")
        settled = await money.settle(await take(money, 50 * CREDIT), charge_uc=7, row=usage_row())
        assert settled == Settled(7, capped=False)
        await take(money, 20 * CREDIT)
        store.close()

    async def second() -> None:
        store = open_store(place)
        money = open_money(store)
        balance = await money.balance("usr_a")
        assert (balance.available_uc, balance.held_uc) == (280 * CREDIT - 7, 20 * CREDIT)
        assert balance.topped_up_uc == 300 * CREDIT
        assert await money.expire_open("restart") == 1
        assert await money.expire_open("restart") == 0
        assert (await money.balance("usr_a")).available_uc == 300 * CREDIT - 7
        await money.top_up("usr_a", 300 * CREDIT, "bought")
        assert (await money.balance("usr_a")).topped_up_uc == 300 * CREDIT
        moved = await money.transfers("usr_a")
        assert [transfer.kind for transfer in moved] == ["TOP_UP", "HOLD", "SETTLE", "RELEASE", "HOLD", "EXPIRE"]
        assert moved[-1].note == "restart"
        audit = await money.audit()
        assert (audit.problems, audit.open_holds, audit.transfers) == ((), 0, 6)
        store.close()

    run(first())
    run(second())


def test_two_hundred_concurrent_holds_never_overdraw(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 50 * CREDIT)
        taken = await asyncio.gather(*(take(money) for _ in range(200)), return_exceptions=True)
        refused = [hold for hold in taken if isinstance(hold, InsufficientCredits)]
        assert len(refused) == 150
        assert [error.available_uc for error in refused] == [0] * 150
        balance = await money.balance("usr_a")
        assert (balance.available_uc, balance.held_uc) == (0, 50 * CREDIT)
        assert (await money.audit()).ok
        store.close()

    run(work())


def test_one_settle_of_many_at_once_counts(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        hold = await take(money)
        settles = [money.settle(hold, charge_uc=charge_uc, row=usage_row()) for charge_uc in (5, 5, 6, 5, 7)]
        outcomes = await asyncio.gather(*settles, return_exceptions=True)
        assert [outcome for outcome in outcomes if isinstance(outcome, Settled)] == [Settled(5, capped=False)] * 3
        assert sum(isinstance(outcome, AlreadyResolved) for outcome in outcomes) == 2
        assert (await money.balance("usr_a")).available_uc == 10 * CREDIT - 5
        assert (await money.audit()).ok
        store.close()

    run(work())


def test_resolutions_are_remembered_once_the_hold_is_gone(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        settled, expired, free = [await take(money) for _ in range(3)]
        await money.settle(settled, charge_uc=9, row=usage_row())
        await money.settle(free, charge_uc=0, row=usage_row())
        await money.release(expired, "never asked")
        await money.release(expired, "never asked")
        assert await money.settle(settled, charge_uc=9, row=usage_row()) == Settled(9, capped=False)
        for hold, charge_uc in ((settled, 8), (expired, 0), (free, 1)):
            with pytest.raises(AlreadyResolved):
                await money.settle(hold, charge_uc=charge_uc, row=usage_row())
        await money.refund(settled, 4, "sorry")
        await money.refund(settled, 4, "sorry")
        with pytest.raises(LedgerError, match="5 uc of charge left"):
            await money.refund(settled, 6)
        with pytest.raises(UnknownHold):
            await money.settle(settled._replace(id=settled.id + 1), charge_uc=1, row=usage_row())
        assert (await money.balance("usr_a")).available_uc == 10 * CREDIT - 5
        assert (await money.audit()).problems == ()
        store.close()

    run(work())


def test_a_repeated_hold_is_the_same_hold(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        first = await take(money, idempotency_key="again")
        assert await take(money, idempotency_key="again") == first
        with pytest.raises(IdempotencyConflict):
            await take(money, 2 * CREDIT, idempotency_key="again")
        await money.settle(first, charge_uc=3, row=usage_row())
        assert (await take(money, idempotency_key="again")).resolution == "settled"
        assert (await money.balance("usr_a")).held_uc == 0
        store.close()

    run(work())


def test_the_sweeper_expires_what_is_past_its_deadline(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        early = await take(money, deadline_ms=NOW_MS + 10)
        await take(money, deadline_ms=NOW_MS + 20)
        assert await money.sweep(NOW_MS + 9) == 0
        assert await money.sweep(NOW_MS + 10) == 1
        with pytest.raises(AlreadyResolved):
            await money.settle(early, charge_uc=1, row=usage_row())
        assert await money.sweep(NOW_MS + 20) == 1
        assert (await money.balance("usr_a")).available_uc == 10 * CREDIT
        audit = await money.audit()
        assert (audit.ok, audit.open_holds) == (True, 0)
        store.close()

    run(work())


async def has_moved(money: Money, count: int) -> bool:
    """Whether usr_a has so many transfers."""
    return len(await money.transfers("usr_a")) >= count


def test_the_test_clock_ends_no_hold(store: Store) -> None:
    """An hour on the test clock is not an hour for a request in flight."""

    async def work() -> None:
        clock = StillClock()
        money = Money(store, clock)
        await money.top_up("usr_a", 10 * CREDIT)
        await take(money, deadline_ms=clock.now_ms() + 60_000)
        clock.advance(3_600_000)
        await take(money, deadline_ms=clock.now_ms() + 60_000)
        assert await money.sweep(clock.now_ms() + 59_999) == 0
        assert await money.sweep(clock.now_ms() + 60_000) == 2
        store.close()

    run(work())


def test_a_cancelled_caller_leaves_no_hold(place: Path) -> None:
    """Cancelled while the hold is being committed, and again just after: neither hold stays."""

    async def work() -> None:
        store = open_store(place)
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        waiting = asyncio.create_task(take(money))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: has_moved(money, 3))

        submit = store.writer.submit

        def cancel_as_it_comes(
            work: object, orphaned: Callable[[object], None] | None = None
        ) -> asyncio.Future[object]:
            future = submit(work, orphaned)
            if orphaned is not None:
                future.add_done_callback(lambda _: late.cancel())
            return future

        store.writer.submit = cancel_as_it_comes  # type: ignore[method-assign]
        late = asyncio.create_task(take(money))
        with pytest.raises(asyncio.CancelledError):
            await late
        await until(lambda: has_moved(money, 5))
        assert (await money.balance("usr_a")).available_uc == 10 * CREDIT
        assert sorted(t.kind for t in await money.transfers("usr_a")) == ["EXPIRE", "EXPIRE", "HOLD", "HOLD", "TOP_UP"]
        store.close()

    run(work())


def test_a_settle_outlives_a_failing_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.money.SETTLE_RETRY_S", (0.0, 0.0))

    async def work() -> None:
        failures: Iterator[bool] = iter(())

        def disk(point: str) -> None:
            if point == "commit.before" and next(failures, False):
                raise OSError("disk full")

        store = open_store(place, mark=disk)
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        hold = await take(money)
        failures = iter((True, True))
        assert await money.settle(hold, charge_uc=4, row=usage_row()) == Settled(4, capped=False)
        hold = await take(money)
        failures = iter((True, True, True))
        with pytest.raises(CommitFailed):
            await money.settle(hold, charge_uc=4, row=usage_row())
        audit = await money.audit()
        assert (audit.ok, audit.open_holds) == (True, 1)
        store.close()

    run(work())


def test_a_row_of_another_user_is_refused(store: Store) -> None:
    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        with pytest.raises(LedgerError, match="usr_b"):
            await money.settle(await take(money), charge_uc=1, row=usage_row("usr_b"))
        store.close()

    run(work())


def test_one_bad_row_does_not_fail_its_batch(store: Store) -> None:
    """Fifty settles in one batch, one with a status that the table refuses: forty-nine are charged and logged."""

    async def work() -> None:
        money = open_money(store)
        await money.top_up("usr_a", 100 * CREDIT)
        taken = [await take(money) for _ in range(50)]
        rows = [usage_row(status="odd" if n == 17 else "succeeded", model="\0\ud800" * n) for n in range(50)]
        settles = [money._settle_once(h, 3, r) for h, r in zip(taken, rows, strict=True)]
        outcomes = await asyncio.gather(*settles, return_exceptions=True)
        assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, StoreError)] == [17]
        audit = await money.audit()
        assert (audit.problems, audit.open_holds) == ((), 1)
        assert (await money.balance("usr_a")).balance_uc == 100 * CREDIT - 49 * 3
        store.close()

    run(work())
