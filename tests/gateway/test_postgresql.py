"""What only a database that processes share can do: two that write at once, deadlocks, connections that break."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from gateway.accounts import Accounts
from gateway.edge import Clock
from gateway.ledger.money import Money
from gateway.ledger.spending import Cap, org_scope
from gateway.ledger.transfers import InsufficientCredits
from gateway.log import Log
from gateway.storage.engine import StoreError
from gateway.storage.store import Store
from gateway.workers.news import News
from tests.gateway.making import CREDIT, StillClock, open_money, run, take, until, usage_row

PATIENCE_S = 30.0


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[tuple[Money, Money]]:
    """Two processes' ledgers on one database; the second one's clock is an hour behind."""
    stores = [await asyncio.to_thread(Store, url) for _ in range(2)]
    behind = StillClock(-3_600_000)
    yield open_money(stores[0]), Money(stores[1], behind)
    for store in stores:
        store.close()


def cut(url: str) -> None:
    """Ends every connection to the database but this one, as a restart of the server does."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(query, (connection.info.backend_pid,))


def test_two_processes_share_one_ledger(server_url: str) -> None:
    """Holds, settles, refunds and top-ups of the same users by both at once: replayed by id they come out the same."""

    async def scene() -> None:
        async with pair(server_url) as both:
            users = [f"usr_{n}" for n in range(4)]
            await asyncio.gather(*(money.top_up(user, CREDIT, "first") for money in both for user in users))

            async def spend(money: Money, user: str, number: int) -> None:
                for n in range(10):
                    hold = await take(money, CREDIT // 20, user)
                    if n % 3 == 0:
                        await money.release(hold, "test")
                        continue
                    await money.settle(hold, charge_uc=n * 7 + number, row=usage_row(user))
                    if n % 3 == 1:
                        await money.refund(hold, 1)

            await asyncio.gather(*(spend(money, user, n) for n in range(3) for money in both for user in users))
            audit = await both[0].audit()
            assert (audit.problems, audit.open_holds) == ((), 0)
            sums = {(await both[n % 2].balance(user)).topped_up_uc for n, user in enumerate(users)}
            assert sums == {CREDIT}, "a first top-up was made twice, or lost"

    run(scene())


def test_ids_rise_whatever_the_clocks_say(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with pair(server_url) as both:
            await both[0].top_up("usr_a", CREDIT)
            hold = await take(both[0], CREDIT)
            monkeypatch.setattr("time.time_ns", lambda: 0)  # the second machine's, let us say
            await both[1].settle(hold, charge_uc=1, row=usage_row())
            await both[1].top_up("usr_a", 1)
            assert (await both[0].audit()).problems == ()

    run(scene())


def test_two_processes_never_overdraw(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as both:
            await both[0].top_up("usr_a", 10 * CREDIT)
            takes = (take(both[n % 2], CREDIT) for n in range(40))
            taken = await asyncio.gather(*takes, return_exceptions=True)
            assert sum(not isinstance(one, BaseException) for one in taken) == 10
            assert all(isinstance(one, InsufficientCredits) for one in taken if isinstance(one, BaseException))
            assert (await both[1].balance("usr_a")).available_uc == 0

    run(scene())


def test_one_idempotency_key_at_two_processes_buys_once(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as both:
            bought = await asyncio.gather(*(both[n % 2].top_up("usr_a", CREDIT, "k") for n in range(20)))
            assert len({transfer.id for transfer in bought}) == 1
            assert (await both[0].balance("usr_a")).available_uc == CREDIT

    run(scene())


def test_who_stands_in_anothers_way_is_done_again(server_url: str) -> None:
    """Two transactions lock two rows in opposite orders: one dies of it (both, on a busy server), unnoticed."""

    async def scene() -> None:
        async with pair(server_url) as both:
            for name in ("a", "b"):
                await both[0].top_up(name, CREDIT)
            met = threading.Barrier(2, timeout=PATIENCE_S)
            runs: list[str] = []

            def cross(first: str, second: str) -> Callable[[Connection], None]:
                def job(connection: Connection) -> None:
                    lock = text("UPDATE accounts SET balance_uc = balance_uc + 1 WHERE name = :name")
                    runs.append(first)
                    connection.execute(lock, {"name": f"user:{first}"})
                    if len(runs) <= 2:
                        met.wait()
                    connection.execute(lock, {"name": f"user:{second}"})

                return job

            one, two = (money._store.write(cross(*names)) for money, names in zip(both, ("ab", "ba"), strict=True))
            await asyncio.gather(one, two)
            assert len(runs) > 2, "there was no deadlock"
            assert [(await both[0].balance(name)).available_uc for name in "ab"] == [CREDIT + 2] * 2

    run(scene())


def test_connections_that_broke_are_replaced(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as (money, _):
            await money.top_up("usr_a", 10 * CREDIT)
            for _ in range(3):
                await asyncio.to_thread(cut, server_url)
                hold = await take(money)
                await asyncio.to_thread(cut, server_url)
                assert (await money.balance("usr_a")).held_uc == CREDIT
                await asyncio.to_thread(cut, server_url)
                await money.settle(hold, charge_uc=7, row=usage_row())
            audit = await money.audit()
            assert (audit.problems, audit.open_holds) == ((), 0)

    run(scene())


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_connection_that_breaks_around_a_commit(server_url: str, point: str) -> None:
    """Before it, the batch fails and nothing was done; a settle is tried again, and charges once."""

    async def scene() -> None:
        due = False

        def mark(here: str) -> None:
            nonlocal due
            if due and here == point:
                due = False
                cut(server_url)

        store = await asyncio.to_thread(Store, server_url, mark=mark)
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        hold = await take(money)
        due = True
        await money.settle(hold, charge_uc=7, row=usage_row())
        due = True
        if point == "commit.before":
            with pytest.raises(StoreError, match="commit failed"):
                await take(money)
        else:
            await money.release(await take(money), "test")
        assert (await money.balance("usr_a")).balance_uc == 10 * CREDIT - 7
        audit = await money.audit()
        assert (audit.problems, audit.open_holds) == ((), 0)
        store.close()

    run(scene())


def test_a_server_that_is_away_is_an_error_and_then_is_back(server_url: str) -> None:
    """No connection can be made for a while: StoreError, at once; afterwards all goes on as if nothing had been."""

    async def scene() -> None:
        async with pair(server_url) as (money, _):
            await money.top_up("usr_a", 10 * CREDIT)
            name = server_url.rpartition("/")[2].partition("?")[0]

            def allow(flag: str) -> None:
                with psycopg.connect(server_url.replace(name, "postgres"), autocommit=True) as connection:
                    connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {flag}')

            await asyncio.to_thread(cut, server_url)
            await asyncio.to_thread(allow, "false")
            await asyncio.to_thread(kick, server_url.replace(name, "postgres"), name)
            with pytest.raises(StoreError):
                await take(money)
            with pytest.raises(StoreError):
                await money.balance("usr_a")
            await asyncio.to_thread(allow, "true")
            hold = await take(money)
            await money.settle(hold, charge_uc=3, row=usage_row())
            assert (await money.balance("usr_a")).balance_uc == 10 * CREDIT - 3

    run(scene())


def kick(url: str, name: str) -> None:
    """Ends every connection to that database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def test_readers_cannot_write(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as (money, _):
            with pytest.raises(StoreError, match="read-only"):
                await money._store.read(lambda c: c.execute(text("INSERT INTO accounts VALUES ('x', 1)")))
            with pytest.raises(StoreError, match="never_negative"):
                await money._store.write(lambda c: c.execute(text("INSERT INTO accounts VALUES ('x', -1)")))

    run(scene())


def test_a_reader_sees_one_moment(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as both:
            await both[0].top_up("usr_a", CREDIT)
            looked, bought = threading.Event(), threading.Event()

            def twice(connection: Connection) -> list[Any]:
                query = text("SELECT balance_uc FROM accounts WHERE name = 'user:usr_a'")
                first = connection.execute(query).scalar()
                looked.set()
                assert bought.wait(PATIENCE_S)
                return [first, connection.execute(query).scalar()]

            reading = asyncio.create_task(both[0]._store.read(twice))
            await asyncio.to_thread(looked.wait, PATIENCE_S)
            await both[1].top_up("usr_a", CREDIT)
            bought.set()
            assert await reading == [CREDIT, CREDIT]

    run(scene())


def test_a_counter_misses_no_hold_of_a_process_that_has_not_heard_of_the_limit(server_url: str) -> None:
    async def scene() -> None:
        async with pair(server_url) as (told, untold):
            await told.top_up("org_o", 10 * CREDIT)
            cap = Cap(org_scope("org_o"), 8 * CREDIT)

            async def counter() -> tuple[int, int]:
                found = (await told.spending([cap.scope]))[cap.scope]
                return found.spent_uc, found.held_uc

            async def charge(money: Money, number: int, *caps: Cap) -> None:
                hold = await take(money, user_id="org_o", key_id="key_1", caps=caps)
                assert await counter() == (number * CREDIT, CREDIT)
                row = usage_row("org_o", request_id=f"req_{number}")
                await money.settle(hold, charge_uc=CREDIT, row=row)

            await charge(told, 0, cap._replace(fresh=True))
            await charge(untold, 1)
            await charge(told, 2, cap)
            assert await counter() == (3 * CREDIT, 0)
            assert (await told.audit()).problems == ()

    run(scene())


def test_what_another_process_changes_is_heard_and_what_went_unheard_is_read(server_url: str) -> None:
    async def scene() -> None:
        stores = [await asyncio.to_thread(Store, server_url) for _ in range(2)]
        mine, others = (Accounts(store, StillClock()) for store in stores)
        heard: Any = mine.reload
        news = News(stores[0], "me", heard, mine.reload_all, Log("error", Clock()))
        await news.begin()
        user = await others.create_user()
        key, secret = await others.create_key(user)

        async def knows(status: str | None) -> bool:
            found = mine.find(secret)
            return (None if found is None else found.status) == status

        async with asyncio.timeout(PATIENCE_S):
            await until(lambda: knows("active"))
            await others.change_key(key, status="disabled")
            await until(lambda: knows("disabled"))
            await asyncio.to_thread(cut, server_url)  # whatever is told now is lost
            await others.change_key(key, status="active")
            await until(lambda: knows("active"))
            await asyncio.to_thread(cut, server_url)
            await others.delete_key(key)
            await until(lambda: knows(None))
        await news.close()
        for store in stores:
            store.close()

    run(scene())
