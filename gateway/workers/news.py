"""What other processes changed: users, keys and budgets, told by the database with the commit of the change.

PostgreSQL's LISTEN and NOTIFY: a trigger tells, so nothing that was committed is left untold, even if whoever changed
it died at once. What is told while the connection is down is lost; so the connection is tried every PING_S, and when
another one is made everything is read again. A change is thus known everywhere within PING_S + ANSWER_S of a connection
that failed silently, and within milliseconds otherwise.

Who changes an account is answered when all have heard of it (`settled`): each says so, by the same way. Who changes
something while others wait for that waits with them, or asks anew. A worker that is struck off the roll is not waited
for, and one that says nothing no longer than SETTLE_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, func, make_url, select

from gateway import edge
from gateway.log import Log
from gateway.storage.engine import CONNECT_TIMEOUT_S, KEEPALIVES, StoreError
from gateway.storage.store import Store
from gateway.storage.tables.workers import CHANNEL, workers

PING_S: Final = 2.0
ANSWER_S: Final = 2.0
AGAIN_S: Final = 0.5  # before another connection is tried
SETTLE_S: Final = 3.0
ROLL_S: Final = 0.25  # between two looks who is still there to answer
ANSWERS_MAX: Final = 200  # in one notice, which may have 8000 bytes

Heard = Callable[[str, str], Awaitable[None]]  # (kind, id): reads that user, key or budget again


class News:
    """Listens, on a connection of its own."""

    def __init__(self, store: Store, owner: str, heard: Heard, missed: Callable[[], Awaitable[None]], log: Log) -> None:
        """`missed` reads everything again."""
        self._store = store
        self._owner = owner
        self._unsettled = False  # whether something was changed here that not all may have heard of
        self._asking: asyncio.Task[None] | None = None  # the latest question
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
        for task in (self._task, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def note(self) -> None:
        """Something was changed here."""
        self._unsettled = True

    async def settled(self) -> None:
        """Returns when all have heard of what was changed here, or after SETTLE_S."""
        if self._unsettled:
            self._unsettled = False
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        ident, everybody = edge.new_id("ask"), asyncio.Event()
        try:
            async with asyncio.timeout(SETTLE_S):
                if waited_for := await self._others():
                    self._asked[ident] = (waited_for, everybody)
                    await self._tell("ask", ident)
                    while not everybody.is_set():
                        with suppress(TimeoutError):
                            await asyncio.wait_for(everybody.wait(), ROLL_S)
                            return
                        waited_for &= await self._others()
                        if not waited_for:
                            return
        except (TimeoutError, StoreError) as error:
            self._log.write("warning", "unsettled", error=repr(error))
        finally:
            self._asked.pop(ident, None)

    async def _others(self) -> set[str]:
        members = await self._store.read(lambda c: set(c.execute(select(workers.c.id)).scalars()))
        return members - {self._owner}

    async def _tell(self, *words: str) -> None:
        await self._store.write(lambda c: _notify(c, " ".join(words)))

    async def _take(self, told: Sequence[str]) -> None:
        """Takes notice of all that was told; what was asked before the end of it is answered together."""
        asked = []
        for text in dict.fromkeys(told):
            kind, *words = text.split(" ")
            if kind == "ask":
                asked.append(words[0])
            elif kind == "answer":
                self._answered(*words)
            else:
                await self._heard(kind, words[0])
        theirs = [ident for ident in asked if ident not in self._asked]
        for at in range(0, len(theirs), ANSWERS_MAX):
            await self._tell("answer", self._owner, *theirs[at : at + ANSWERS_MAX])

    def _answered(self, who: str, *idents: str) -> None:
        for ident in idents:
            waited_for, everybody = self._asked.get(ident, (set(), asyncio.Event()))
            waited_for.discard(who)
            if not waited_for:
                everybody.set()

    async def _connect(self) -> Any:
        from psycopg import AsyncConnection

        options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": self._owner, **KEEPALIVES}
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
            await self._take(told)
            if not told:
                await asyncio.wait_for(connection.execute("SELECT 1"), ANSWER_S)


def _notify(connection: Connection, text: str) -> None:
    """Tells it with the commit, which need not wait for the disk: whoever could have heard is gone if it is lost."""
    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
    connection.execute(select(func.pg_notify(CHANNEL, text)))
