"""Sessions: who is signed in, by an opaque cookie of which the database keeps the digest only.

A session ends after two weeks without a request, after ninety days in any case, at sign-out, and with a new password.
Every request looks into the database, so an ended session is ended for all workers at once.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from hmac import compare_digest, new
from http.cookies import SimpleCookie
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from gateway import edge
from gateway.accounts import User, digest
from gateway.storage.store import Store
from gateway.storage.tables import sessions

TOKEN_LENGTH: Final = 43  # characters of edge.token: 256 bits
IDLE_MS: Final = 14 * 86_400_000
WHOLE_MS: Final = 90 * 86_400_000
TOUCH_MS: Final = 3_600_000  # a session seen within this time is not written again
PER_USER_MAX: Final = 100  # the longest unseen ends when another begins
COOKIE: Final = "windtunnel_session"
PASSWORD: Final = "password"


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in. `token` is the cookie's value, known only while a request bears it."""

    token: str = field(repr=False)
    user_id: str
    via: str  # "password", or what vouched for the user: "sso:PROVIDER"
    created_at_ms: int
    seen_at_ms: int
    expires_at_ms: int

    @property
    def csrf_token(self) -> str:
        """What the header x-csrf-token must say: of this session, and no way back to the cookie."""
        made = new(self.token.encode(), b"windtunnel csrf token", sha256).digest()
        return urlsafe_b64encode(made).decode().rstrip("=")

    def allows(self, csrf_token: str) -> bool:
        """Whether it is this session's CSRF token, in constant time."""
        return compare_digest(self.csrf_token.encode(), csrf_token.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as its user sees it: `ident` names it and is no way back to the cookie."""

    ident: str
    via: str
    created_at_ms: int
    seen_at_ms: int


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, store: Store, clock: edge.Clock, *, secure: bool = False) -> None:
        """`secure`: the gateway is reached by https, so the cookie goes nowhere else."""
        self._store = store
        self._clock = clock
        self.secure = secure

    @property
    def cookie_name(self) -> str:
        """With https a name that browsers take from this host alone (RFC 6265bis, cookie name prefixes)."""
        return f"__Host-{COOKIE}" if self.secure else COOKIE

    async def begin(self, user: User, via: str = PASSWORD) -> Session:
        """A new session of the user. Its token has never been anybody's."""
        now_ms = self._clock.now_ms()
        made = Session(edge.token(TOKEN_LENGTH), user.id, via, now_ms, now_ms, now_ms + IDLE_MS)
        row = {
            "digest": digest(made.token),
            "user_id": made.user_id,
            "via": via,
            "created_at_ms": now_ms,
            "seen_at_ms": now_ms,
            "expires_at_ms": made.expires_at_ms,
        }

        def write(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.expires_at_ms <= now_ms))
            mine = select(sessions.c.digest).where(sessions.c.user_id == user.id)
            kept = mine.order_by(sessions.c.seen_at_ms.desc()).limit(PER_USER_MAX - 1)
            old = delete(sessions).where(sessions.c.user_id == user.id, sessions.c.digest.not_in(kept))
            connection.execute(old)
            connection.execute(insert(sessions).values(row))

        await self._store.write(write)
        return made

    async def find(self, token: str) -> Session | None:
        """The session of a cookie, if it lasts. It lasts longer for having been seen."""
        hashed, now_ms = digest(token), self._clock.now_ms()
        query = select(sessions).where(sessions.c.digest == hashed, sessions.c.expires_at_ms > now_ms)
        row = await self._store.read(lambda c: c.execute(query).first())
        if row is None:
            return None
        found = Session(token, row.user_id, row.via, row.created_at_ms, row.seen_at_ms, row.expires_at_ms)
        if now_ms - found.seen_at_ms < TOUCH_MS:
            return found
        expires_at_ms = min(now_ms + IDLE_MS, found.created_at_ms + WHOLE_MS)
        touch = (
            update(sessions).where(sessions.c.digest == hashed).values(seen_at_ms=now_ms, expires_at_ms=expires_at_ms)
        )
        touched = await self._store.write(lambda c: c.execute(touch).rowcount)
        return replace(found, seen_at_ms=now_ms, expires_at_ms=expires_at_ms) if touched else None

    async def of(self, user_id: str) -> list[Listed]:
        """The user's sessions that last, the last seen first."""
        mine = (sessions.c.user_id == user_id, sessions.c.expires_at_ms > self._clock.now_ms())
        query = select(sessions).where(*mine).order_by(sessions.c.seen_at_ms.desc(), sessions.c.digest)
        rows = await self._store.read(lambda c: c.execute(query).all())
        return [Listed(row.digest, row.via, row.created_at_ms, row.seen_at_ms) for row in rows]

    def ident(self, token: str) -> str:
        """What `of` calls the session of a cookie."""
        return digest(token)

    async def end_some(self, user_id: str, idents: Sequence[str]) -> None:
        """Ends those of the user's sessions."""
        theirs = delete(sessions).where(sessions.c.user_id == user_id, sessions.c.digest.in_(idents))
        await self._store.write(lambda c: c.execute(theirs))

    async def end(self, token: str) -> None:
        """Ends the session of a cookie, if there is one."""
        await self._store.write(lambda c: c.execute(delete(sessions).where(sessions.c.digest == digest(token))))

    async def end_all(self, user_id: str) -> None:
        """Ends every session of the user."""
        await self._store.write(lambda c: end_all(c, user_id))

    def token_of(self, cookie_header: str) -> str | None:
        """The token in a `Cookie` header. Of several of the name none counts: somebody else may have set one."""
        start = self.cookie_name + "="
        found = [part.strip() for part in cookie_header.split(";")]
        tokens = [part.removeprefix(start) for part in found if part.startswith(start)]
        return tokens[0] if len(tokens) == 1 and tokens[0] else None

    def cookie(self, session: Session) -> str:
        """The `Set-Cookie` that gives the browser its session, for as long as it may last at most."""
        return self._cookie(session.token, (session.created_at_ms + WHOLE_MS - self._clock.now_ms()) // 1000)

    def no_cookie(self) -> str:
        """The `Set-Cookie` that takes it away."""
        return self._cookie("", 0)

    def _cookie(self, value: str, max_age_s: int) -> str:
        made: SimpleCookie = SimpleCookie({self.cookie_name: value})
        morsel = made[self.cookie_name]
        morsel["path"], morsel["samesite"], morsel["max-age"] = "/", "Lax", str(max_age_s)
        morsel["httponly"] = True
        if self.secure:
            morsel["secure"] = True
        return morsel.OutputString()


def end_all(connection: Connection, user_id: str) -> None:
    """Ends every session of the user, in a transaction that does more."""
    connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
