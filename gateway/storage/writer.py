"""The one writer: a thread that gathers what came in meanwhile into one transaction, and answers once it is durable.

While a commit waits for the disk new work queues up, so batches grow with the load and an idle writer answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway import edge
from gateway.storage.engine import StoreError, passing

BATCH_MAX = 512
AGAIN_S: Final = (0.0, 0.01, 0.05, 0.2)  # before a transaction that stood in another's way is done again

Apply = Callable[[Connection, Sequence[Any]], list[Any]]  # an outcome (a result or an exception) for each piece of work
Job = Callable[[Connection], Any]
Mark = Callable[[str], None]


class CommitFailed(StoreError):
    """The database could not keep the batch; nothing of it was done."""


class Entry(NamedTuple):
    """A piece of work, who waits for it, and what to do with a result that nobody waits for any more."""

    work: Any
    future: asyncio.Future[Any]
    orphaned: Callable[[Any], None] | None


class Writer:
    """Serialises everything that changes the database.

    A batch of work is done inside one transaction. If the database refuses it, it is tried again piece by piece, so
    that a bad piece fails alone. A failed commit fails the whole batch. `mark` is told the named points of a round
    ("commit.before", "commit.after"): tests stop or kill the process there.

    Where several processes write, a deadlock or a serialization failure is nobody's fault: the transaction is done
    again. So it is, once, when its connection turns out to be broken before the commit. When it breaks during the
    commit nobody knows what became of the batch: it fails, and what must be sure asks again (a Settle is idempotent).
    """

    def __init__(self, engine: Engine, *, threaded: bool = True, mark: Mark | None = None) -> None:
        self._engine = engine
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._applies: dict[type, Apply] = {}
        self._mark = mark
        self._connection: Connection | None = None
        self._closed = False
        self._thread = Thread(target=self._run, name="writer", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def handle(self, kind: type, apply: Apply) -> None:
        """Work of this type goes through `apply`, many in one transaction. Other work is a Job, with one of its own."""
        self._applies[kind] = apply

    def submit(self, work: Any, orphaned: Callable[[Any], None] | None = None) -> asyncio.Future[Any]:
        """Queues the work. The future gets the outcome once it is durable; `orphaned` does if nobody waits any more."""
        if self._closed:
            raise StoreError("the store is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = Entry(work, future, orphaned)
        if self._thread is None:
            _deliver(self._round([entry]))
        else:
            self._queue.put(entry)
        return future

    @property
    def closed(self) -> bool:
        """Whether it takes no more work."""
        return self._closed

    def close(self) -> None:
        """Finishes what is queued and gives the connection back."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        elif self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        get, get_nowait = self._queue.get, self._queue.get_nowait
        stopping = False
        while not stopping:
            batch: list[Entry] = []
            entry = get()
            try:
                while entry is not None:
                    batch.append(entry)
                    if len(batch) >= BATCH_MAX:
                        break
                    entry = get_nowait()
            except Empty:
                entry = batch[0]
            stopping = entry is None
            if batch:
                _hand_over(self._round_or_fail(batch))
        if self._connection is not None:
            self._connection.close()

    def _round_or_fail(self, batch: list[Entry]) -> list[tuple[Entry, Any]]:
        """Whatever goes wrong, everybody gets an answer and the thread goes on."""
        try:
            return self._round(batch)
        except Exception as error:
            self._drop()
            failure = StoreError(f"the writer failed: {error}")
            failure.__cause__ = error
            return [(entry, failure) for entry in batch]

    def _round(self, batch: list[Entry]) -> list[tuple[Entry, Any]]:
        grouped: dict[type, list[Entry]] = {}
        outcomes: list[tuple[Entry, Any]] = []
        for entry in batch:
            kind = type(entry.work)
            if kind in self._applies:
                grouped.setdefault(kind, []).append(entry)
            else:
                outcomes.append((entry, self._alone(entry.work)))
        for kind, entries in grouped.items():
            outcomes += zip(entries, self._together(self._applies[kind], [e.work for e in entries]), strict=True)
        return outcomes

    def _together(self, apply: Apply, works: list[Any]) -> list[Any]:
        try:
            return list(self._transaction(lambda connection: apply(connection, works)))
        except StoreError as error:
            return [error] * len(works)
        except Exception as error:
            if len(works) == 1:
                return [self._as_store_error(error)]
            return [outcome for work in works for outcome in self._together(apply, [work])]

    def _alone(self, job: Job) -> Any:
        try:
            return self._transaction(job)
        except Exception as error:
            return self._as_store_error(error)

    def _transaction(self, job: Job) -> Any:
        """Runs the job in a transaction. Raises StoreError when none begins, CommitFailed, or what the job raises."""
        delays = iter(AGAIN_S)
        is_fresh = self._connection is None
        while True:
            try:
                return self._attempt(job)
            except StoreError:
                raise
            except Exception as error:
                if passing(error) and (delay_s := next(delays, None)) is not None:
                    edge.pause(delay_s * (1 + edge.jitter()))
                elif self._connection is None and not is_fresh:
                    is_fresh = True
                else:
                    raise

    def _attempt(self, job: Job) -> Any:
        connection = self._begin()
        try:
            result = job(connection)
        except BaseException:
            self._roll_back(connection)
            raise
        try:
            if self._mark is not None:
                self._mark("commit.before")
            self._commit(connection)
        except Exception as error:
            self._roll_back(connection)
            if passing(error):
                raise
            raise CommitFailed(f"the commit failed: {error}") from error
        if self._mark is not None:
            self._mark("commit.after")
        return result

    def _begin(self) -> Connection:
        """The connection, in a new transaction. Raises StoreError."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            self._connection.begin()
        except SQLAlchemyError as error:
            self._drop()
            raise StoreError(f"no transaction: {error}") from error
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        """Undoes the transaction. A connection that cannot even do that is dropped: the next round opens another."""
        driver = connection.connection.driver_connection if not connection.invalidated else None
        try:
            connection.rollback()
        except Exception:
            self._drop()
        if connection.invalidated or getattr(driver, "closed", False) is True:
            self._drop()

    def _drop(self) -> None:
        """Forgets the connection, and gives its place in the pool back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.invalidate()
            with suppress(Exception):
                connection.close()

    def _commit(self, connection: Connection) -> None:
        connection.commit()

    def _as_store_error(self, error: Exception) -> Exception:
        """The database's own errors in our words; any other error as it is."""
        if not isinstance(error, (SQLAlchemyError, OverflowError, self._engine.dialect.loaded_dbapi.Error)):
            return error
        wrapped = StoreError(f"the database refused: {error}")
        wrapped.__cause__ = error
        return wrapped


def _hand_over(outcomes: list[tuple[Entry, Any]]) -> None:
    """Delivers the outcomes on the loops that wait for them."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Entry, Any]]] = {}
    for pair in outcomes:
        by_loop.setdefault(pair[0].future.get_loop(), []).append(pair)
    for loop, pairs in by_loop.items():
        if not loop.is_closed():  # a closed loop waits for nothing; what it asked for is durable all the same
            loop.call_soon_threadsafe(_deliver, pairs)


def _deliver(outcomes: list[tuple[Entry, Any]]) -> None:
    for entry, outcome in outcomes:
        future = entry.future
        if future.done():
            if entry.orphaned is not None and not isinstance(outcome, BaseException):
                entry.orphaned(outcome)
        elif isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
