"""The store: one writer with group commit, what fails alone and what fails together, and statements for many rows."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from gateway.edge import Ids
from gateway.storage.bulk import Delete, Insert, Lookup
from gateway.storage.engine import CannotOpen, StoreError
from gateway.storage.store import Store
from gateway.storage.tables import accounts, metadata
from gateway.storage.writer import BATCH_MAX, CommitFailed
from tests.gateway.making import open_store, run, until

FOREIGN = "INSERT INTO keys (id, user_id, digest, status, created_at_ms) VALUES ('k', 'nobody', 'd', 'active', 0)"


class Put(str):
    """Work for the tests: puts an account of this name; `apply` notes how many came together."""


def put_all(batches: list[int]) -> Callable[[Connection, Sequence[Any]], list[Any]]:
    def apply(connection: Connection, works: Sequence[Any]) -> list[Any]:
        batches.append(len(works))
        for work in works:
            connection.execute(text("INSERT INTO accounts VALUES (:name, 1)"), {"name": str(work)})
        return [f"put {work}" for work in works]

    return apply


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(text("SELECT name FROM accounts ORDER BY name"))]


def held_up(place: Path, **options: Any) -> tuple[Store, list[int], threading.Event]:
    """A store whose writer waits, at its first job, for the event."""
    batches: list[int] = []
    store, go = open_store(place, **options), threading.Event()
    store.writer.handle(Put, put_all(batches))
    return store, batches, go


async def taken_up(store: Store) -> bool:
    """Whether the writer has begun whatever was queued."""
    return not store.writer._queue.qsize()


async def came(things: list[Any]) -> bool:
    return bool(things)


def test_what_comes_during_a_commit_is_committed_together(place: Path) -> None:
    commits: list[str] = []

    async def work() -> None:
        store, batches, go = held_up(place, mark=commits.append)
        first = store.writer.submit(lambda _: go.wait(10))
        await until(lambda: taken_up(store))
        others = [store.writer.submit(Put(n)) for n in range(100)]
        go.set()
        assert await first is True
        assert await asyncio.gather(*others) == [f"put {n}" for n in range(100)]
        assert batches == [100]
        assert commits == ["commit.before", "commit.after"] * 2
        assert len(await store.read(names)) == 100
        store.close()

    run(work())


def test_a_batch_has_a_bound(place: Path) -> None:
    async def work() -> None:
        store, batches, go = held_up(place)
        first = store.writer.submit(lambda _: go.wait(10))
        others = [store.writer.submit(Put(n)) for n in range(BATCH_MAX * 2 + 5)]
        go.set()
        await asyncio.gather(first, *others)
        assert sum(batches) == BATCH_MAX * 2 + 5
        assert max(batches) <= BATCH_MAX
        store.close()

    run(work())


def test_a_refused_piece_fails_alone(place: Path) -> None:
    async def work() -> None:
        store, batches, go = held_up(place)
        first = store.writer.submit(lambda _: go.wait(10))
        await until(lambda: taken_up(store))
        others = [store.writer.submit(Put(name)) for name in ("a", "b", "a", "c")]
        go.set()
        await first
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, False, True, False]
        assert batches == [4, 1, 1, 1, 1]
        assert await store.read(names) == ["a", "b", "c"]
        store.close()

    run(work())


def test_a_failed_commit_fails_the_whole_batch_and_leaves_nothing(place: Path) -> None:
    async def work() -> None:
        full = False

        def disk(point: str) -> None:
            if full and point == "commit.before":
                raise OSError("no space left on device")

        store, batches, go = held_up(place, mark=disk)
        await store.writer.submit(Put("before"))
        first = store.writer.submit(lambda _: go.wait(10))
        await until(lambda: taken_up(store))
        others = [store.writer.submit(Put(n)) for n in range(20)]
        full = True
        go.set()
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert all(isinstance(outcome, CommitFailed) for outcome in outcomes)
        assert "no space left on device" in str(outcomes[1])
        full = False
        assert await store.read(names) == ["before"]
        assert await store.writer.submit(Put("after")) == "put after"
        assert batches == [1, 20, 1]
        store.close()

    run(work())


def test_a_job_that_raises_is_rolled_back(place: Path) -> None:
    def job(connection: Connection) -> None:
        connection.execute(text("INSERT INTO accounts VALUES ('half', 1)"))
        raise KeyError("half way")

    async def work() -> None:
        store = open_store(place)
        with pytest.raises(KeyError, match="half way"):
            await store.write(job)
        assert await store.read(names) == []
        store.close()

    run(work())


def test_a_broken_writer_answers_and_recovers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        store = open_store(place)
        with monkeypatch.context() as patch:
            patch.setattr(store.writer, "_round", lambda _batch: 1 / 0)
            with pytest.raises(StoreError, match="division by zero"):
                await store.write(names)
        assert await store.write(names) == []
        store.close()

    run(work())


def test_closing_finishes_what_is_queued(place: Path) -> None:
    async def work() -> None:
        store, _, go = held_up(place)
        store.writer.submit(lambda _: go.wait(10))
        waiting = [store.writer.submit(Put(n)) for n in range(10)]
        go.set()
        store.close()
        assert len(await asyncio.gather(*waiting)) == 10
        with pytest.raises(StoreError, match="closed"):
            await store.write(names)
        store.close()

    run(work())
    store = open_store(place)
    assert len(store.read_now(names)) == 10
    store.close()


def test_a_result_nobody_waits_for_goes_to_its_orphanage(place: Path) -> None:
    async def work() -> None:
        store, _, go = held_up(place)
        first = store.writer.submit(lambda _: go.wait(10))
        orphans: list[Any] = []
        store.writer.submit(Put("a"), orphans.append).cancel()
        store.writer.submit(Put("b")).cancel()
        go.set()
        await first
        assert await store.read(names) == ["a", "b"]
        await until(lambda: came(orphans))
        assert orphans == ["put a"]
        store.close()

    run(work())


def test_sqlite_is_set_up_to_survive_power_loss(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = await store.write(lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas])
        assert found == ["wal", 2, 1]
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            await store.write(lambda c: c.execute(text(FOREIGN)))
        with pytest.raises(Exception, match="readonly"):
            await store.read(lambda c: c.execute(text("INSERT INTO accounts VALUES ('x', 1)")))
        store.close()

    run(work())


def test_a_locked_database_is_an_error_not_a_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.storage.engine.BUSY_TIMEOUT_S", 0.01)

    async def work() -> None:
        store = open_store(tmp_path)
        other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.write(names)
        other.execute("ROLLBACK")
        other.close()
        assert await store.write(names) == []
        store.close()

    run(work())


def test_readers_do_not_wait_for_the_writer(place: Path) -> None:
    async def work() -> None:
        store, _, go = held_up(place)
        await store.writer.submit(Put("a"))
        slow = store.writer.submit(lambda _: go.wait(10))
        assert await store.read(names) == ["a"]
        go.set()
        assert await slow is True
        store.close()

    run(work())


@pytest.mark.parametrize("threaded", [True, False])
def test_a_store_in_memory_works_alike(threaded: bool) -> None:
    async def work() -> None:
        store = Store("sqlite://", threaded=threaded)
        store.writer.handle(Put, put_all([]))
        await asyncio.gather(*(store.writer.submit(Put(n)) for n in range(5)))
        assert await store.read(names) == ["0", "1", "2", "3", "4"]
        store.close()

    run(work())


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db", "martian://x", "sqlite:///{tmp}"])
def test_a_database_that_cannot_be_opened_is_told_in_a_line(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(CannotOpen) as told:
        Store(url.format(tmp=tmp_path / "file"))
    assert "\n" not in str(told.value)


def test_threads_of_several_loops_share_a_store(place: Path) -> None:
    store = open_store(place)
    store.writer.handle(Put, put_all([]))

    async def put(prefix: str) -> None:
        await asyncio.gather(*(store.writer.submit(Put(f"{prefix}{n}")) for n in range(20)))

    threads = [threading.Thread(target=run, args=(put(prefix),)) for prefix in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert len(open_names(place)) == 60


def open_names(place: Path) -> list[str]:
    store = open_store(place)
    found = store.read_now(names)
    store.close()
    return found


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 300))
def test_many_rows_in_few_statements(count: int) -> None:
    engine = create_engine("sqlite://")
    put, find = (
        Insert(accounts, engine.dialect, replaces=("balance_uc",)),
        Lookup(accounts, accounts.c.name, engine.dialect),
    )
    drop = Delete(accounts, accounts.c.name, engine.dialect)
    rows = [(f"user:{n:03}", n) for n in range(count)]
    with engine.begin() as connection:
        metadata.create_all(connection)
        put(connection, rows)
        assert sorted(find(connection, [name for name, _ in rows] + ["nobody"])) == rows
        put(connection, [(name, n + 1) for name, n in rows[::2]])
        expected = [(name, n + (at % 2 == 0)) for at, (name, n) in enumerate(rows)]
        assert sorted(find(connection, [name for name, _ in rows])) == expected
        drop(connection, [name for name, _ in rows[1:]])
        assert [*find(connection, [name for name, _ in rows])] == expected[:1]
    engine.dispose()


def test_ids_rise_also_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ids(node=1023)
    taken = [first.rising()() for _ in range(3)] + [make() for make in [first.rising()] for _ in range(5000)]
    monkeypatch.setattr("time.time_ns", lambda: 0)
    second = Ids(node=0)
    second.start_after(taken[-1])
    taken += [second.rising()() for _ in range(3)]
    assert taken == sorted(set(taken))
    assert taken[-1] < 2**63
