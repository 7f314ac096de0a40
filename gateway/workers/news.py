"""What other processes changed: users, keys and budgets, told by the database with the commit of the change.

PostgreSQL's LISTEN and NOTIFY: a trigger tells, so nothing that was committed is left untold, even if whoever changed
it died at once. What is told while the connection is down is lost; so the connection is tried every PING_S, and when
another one is made everything is read again. A change is thus known everywhere within PING_S + ANSWER_S of a connection
that failed silently, and within milliseconds otherwise.

Who changes an account is answered when all have heard of it (`settled`): each says so, by the same way. A worker that
says nothing is waited for no longer than SETTLE_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import func, make_url, select

from gateway import edge
from gateway.log import Log
from gateway.storage.engine import CONNECT_TIMEOUT_S, KEEPALIVES, StoreError
from gateway.storage.store import Store
from gateway.storage.tables.workers import CHANNEL, workers

PING_S: Final = 2.0
ANSWER_S: Final = 2.0
AGAIN_S: Final = 0.5  # before another connection is tried
SETTLE_S: Final = 1.0

Heard = Callable[[str, str], Awaitable[None]]  # (kind, id): reads that user, key or budget again


class News:
    """Listens, on a connection of its own."""

    def __init__(self, store: Store, owner: str, heard: Heard, missed: Callable[[], Awaitable[None]], log: Log) -> None:
        """`missed` reads everything again."""
        self._store = store
        self._owner = owner
        self._unsettled = False  # whether something was changed here that not all may have heard of
        self._asked: dict[str, tuple[set[str], asyncio.Event]] = {}  # by the id of the question: who is yet to answer
        self._url = make_url(store.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard = heard
        self._missed = missed
        self._log = log
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Returns when it listens, and what was told before was read."""
        connection = await self._connect()
        self._task = asyncio.create_task(self._go_on(connection))

    async def close(self) -> None:
        """Ends listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def note(self) -> None:
        """Something was changed here."""
        self._unsettled = True

    async def settled(self) -> None:
        """Returns when all have heard of what was changed here, or after SETTLE_S."""
        if not self._unsettled:
            return
        self._unsettled = False
        ident, everybody = edge.new_id("ask"), asyncio.Event()
        try:
            async with asyncio.timeout(SETTLE_S):
                members = await self._store.read(lambda c: set(c.execute(select(workers.c.id)).scalars()))
                if waited_for := members - {self._owner}:
                    self._asked[ident] = (waited_for, everybody)
                    await self._tell("ask", ident)
                    await everybody.wait()
        except (TimeoutError, StoreError) as error:
            self._log.write("warning", "unsettled", error=repr(error))
        finally:
            self._asked.pop(ident, None)

    async def _tell(self, *words: str) -> None:
        text = " ".join(words)
        await self._store.write(lambda c: c.execute(select(func.pg_notify(CHANNEL, text))))

    async def _take(self, text: str) -> None:
        kind, *words = text.split(" ")
        if kind == "ask":
            if words[0] not in self._asked:
                await self._tell("answer", words[0], self._owner)
        elif kind == "answer":
            waited_for, everybody = self._asked.get(words[0], (set(), asyncio.Event()))
            waited_for.discard(words[1])
            if not waited_for:
                everybody.set()
        else:
            await self._heard(kind, words[0])

    async def _connect(self) -> Any:
        from psycopg import AsyncConnection

        options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVES}
        connection = await AsyncConnection.connect(self._url, autocommit=True, **options)
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            await self._missed()
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _go_on(self, connection: Any) -> None:
        while True:
            try:
                if connection is None:
                    connection = await self._connect()
                await self._listen(connection)
            except Exception as error:
                self._log.write("error", "news", error=repr(error))
                if connection is not None:
                    with suppress(Exception):
                        await connection.close()
                    connection = None
                await edge.sleep(AGAIN_S)
            except BaseException:
                if connection is not None:
                    await connection.close()
                raise

    async def _listen(self, connection: Any) -> None:
        while True:
            told = [notice.payload async for notice in connection.notifies(timeout=PING_S, stop_after=1)]
            for text in dict.fromkeys(told):
                await self._take(text)
            if not told:
                await asyncio.wait_for(connection.execute("SELECT 1"), ANSWER_S)
