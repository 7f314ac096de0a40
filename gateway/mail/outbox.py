"""The outbox: mails wait in the database until a server has taken them.

A mail is put in by the transaction of what it tells, so it is there exactly once. Handing in is tried again, for two
days. One worker claims a mail for a while and hands it in; should it die, or the server die after it took the mail and
before it said so, the mail goes out again, under the same Message-ID.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from gateway import edge
from gateway.log import Log
from gateway.mail.letter import Deliver, Letter, NotSent, Refused
from gateway.storage.store import Store
from gateway.storage.tables import mails

WAITS_S: Final = (30, 120, 600, 3600, 4 * 3600, 12 * 3600, 24 * 3600)  # between two tries
CLAIM_MS: Final = 180_000  # longer than a try takes
AT_ONCE: Final = 20
KEPT_MS: Final = 30 * 86_400_000  # of mails that are done with


class Outbox:
    """Keeps mails and hands them in."""

    def __init__(self, store: Store, clock: edge.Clock, log: Log, deliver: Deliver | None, domain: str) -> None:
        """`deliver` None: there is no server, and what is put in is dropped. `domain`: of Message-IDs."""
        self._store = store
        self._clock = clock
        self._log = log
        self._deliver = deliver
        self._domain = domain
        self._busy = asyncio.Lock()

    def put(self, connection: Connection, recipient: str, subject: str, text: str) -> None:
        """Puts a mail in, in the caller's transaction."""
        if self._deliver is None:
            return
        now_ms = self._clock.now_ms()
        row = {
            "message_id": f"{edge.new_id('mail')}@{self._domain}",
            "recipient": recipient,
            "subject": " ".join(subject.split()),
            "text": text,
            "created_at_ms": now_ms,
            "state": "due",
            "due_at_ms": now_ms,
            "tries": 0,
        }
        connection.execute(insert(mails).values(row))

    async def round(self) -> int:
        """Hands in what is due. Returns how many were taken."""
        if self._deliver is None or self._busy.locked():
            return 0
        taken = 0
        async with self._busy:
            while due := await self._due():
                done = [await self._try(self._deliver, ident, tries, letter) for ident, tries, letter in due]
                taken += sum(done)
        return taken

    async def tidy(self) -> None:
        """Forgets mails that were done with a month ago."""
        old = (mails.c.state != "due", mails.c.created_at_ms < self._clock.now_ms() - KEPT_MS)
        await self._store.write(lambda c: c.execute(delete(mails).where(*old)))

    async def _due(self) -> list[tuple[int, int, Letter]]:
        """Claims mails that are due: (id, tries so far, letter)."""
        now_ms = self._clock.now_ms()
        due = (mails.c.state == "due", mails.c.due_at_ms <= now_ms)
        if not await self._store.read(lambda c: c.execute(select(mails.c.id).where(*due).limit(1)).first()):
            return []

        def claim(connection: Connection) -> list[tuple[int, int, Letter]]:
            rows = connection.execute(
                select(mails).where(*due).order_by(mails.c.due_at_ms, mails.c.id).limit(AT_ONCE).with_for_update()
            ).all()
            mine = mails.c.id.in_([row.id for row in rows])
            connection.execute(update(mails).where(mine).values(due_at_ms=now_ms + CLAIM_MS))
            return [
                (row.id, row.tries, Letter(row.message_id, row.recipient, row.subject, row.text, row.created_at_ms))
                for row in rows
            ]

        return await self._store.write(claim)

    async def _try(self, deliver: Deliver, ident: int, tries: int, letter: Letter) -> bool:
        """One try, and what became of it."""
        values: dict[str, object] = {"tries": tries + 1}
        try:
            await deliver(letter)
            values |= {"state": "sent", "problem": None}
        except NotSent as problem:
            last = isinstance(problem, Refused) or tries >= len(WAITS_S)
            values |= {"state": "failed" if last else "due", "problem": str(problem)}
            if not last:
                values["due_at_ms"] = self._clock.now_ms() + WAITS_S[tries] * 1000
            self._log.write("error" if last else "warning", "mail", mail=ident, given_up=last, problem=str(problem))
        await self._store.write(lambda c: c.execute(update(mails).where(mails.c.id == ident).values(values)))
        return values["state"] == "sent"
