"""Sessions that begin, last or let through what they should not."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from gateway.endpoints.auth import Auth
from gateway.endpoints.usage import reply
from gateway.errors import Unauthenticated
from gateway.people import door, emails, people, sessions
from gateway.people.people import People
from gateway.people.sessions import PASSWORD, Session, Sessions
from gateway.people.throttle import ACCOUNT, Rule, Throttle
from mutants._patch import around, replace
from mutants.registry import mutant

YEAR_MS = 365 * 86_400_000


@mutant()
def session_cookie_readable() -> None:
    """Scripts can read the session's cookie."""

    @around(Sessions, "cookie")
    def cookie(old: Any, self: Sessions, session: Session) -> str:
        return str(old(self, session)).replace("; HttpOnly", "")


@mutant()
def old_session_survives_sign_in() -> None:
    """Signing in leaves the session that the browser had."""

    @around(Auth, "_begun")
    async def begun(_old: Any, self: Auth, _request: Any, user: Any, status: int) -> Any:
        session = await self._services.sessions.begin(user, PASSWORD)
        response = reply(await self._view(user, session), status)
        response.headers.append("set-cookie", self._services.sessions.cookie(session))
        return response


@mutant()
def csrf_token_not_checked() -> None:
    """A change needs no CSRF token."""
    replace(Session, "allows", lambda _self, _token: True)


@mutant()
def csrf_token_of_the_user() -> None:
    """All sessions of a user have the same CSRF token."""
    made = property(lambda self: sha256(self.user_id.encode()).hexdigest())
    setattr(Session, "csrf_token", made)  # noqa: B010 - mypy knows it as read-only


@mutant()
def foreign_origin_accepted() -> None:
    """Pages of other origins may make changes and sign people in."""
    replace(door, "check_origin", lambda _services, _request: None)


@mutant()
def sign_out_clears_cookie_only() -> None:
    """Signing out takes the cookie away and leaves the session."""

    async def end(_self: Sessions, _token: str) -> None:
        return None

    replace(Sessions, "end", end)


@mutant()
def new_password_keeps_sessions() -> None:
    """Other sessions go on after a new password."""
    replace(people, "end_all", lambda _connection, _user_id: None)


@mutant()
def sign_in_tells_who_exists() -> None:
    """Who signs in with an unknown address is told that it is unknown."""

    @around(People, "sign_in")
    async def sign_in(old: Any, self: People, email: str, *rest: Any) -> Any:
        try:
            return await old(self, email, *rest)
        except Unauthenticated:
            if await self.find(emails.normal(email) or "") is None:
                raise Unauthenticated("Nobody has this e-mail address.") from None
            raise


@mutant()
def sign_in_unthrottled() -> None:
    """Passwords may be tried without end."""
    replace(Throttle, "attempt", lambda _self, _rule, _whose, _now_s: 0)


@mutant()
def attempts_counted_when_judged() -> None:
    """Attempts to sign in count once they have failed, so that many at once are not bounded."""
    count = Throttle.attempt

    def look(self: Throttle, rule: Rule, whose: str, now_s: int) -> int:
        tally = self._tallies.get((rule.name, whose))
        if rule != ACCOUNT:
            return count(self, rule, whose, now_s)
        return 0 if tally is None or tally.count < rule.most else max(1, tally.ends_s - now_s)

    replace(Throttle, "attempt", look)

    @around(People, "sign_in")
    async def sign_in(old: Any, self: People, email: str, *rest: Any) -> Any:
        try:
            return await old(self, email, *rest)
        except Unauthenticated:
            count(self.throttle, ACCOUNT, emails.normal(email) or "", self._clock.now_s())
            raise


@mutant()
def good_sign_in_not_forgotten() -> None:
    """Attempts before a right password count on after it."""
    replace(Throttle, "forget", lambda _self, _rule, _whose: None)


@mutant()
def sessions_never_end() -> None:
    """A session lasts for years without a request."""
    replace(sessions, "IDLE_MS", 10 * YEAR_MS)
    replace(sessions, "WHOLE_MS", 10 * YEAR_MS)


@mutant()
def sessions_not_prolonged() -> None:
    """A session ends two weeks after it began, in use or not."""
    replace(sessions, "TOUCH_MS", YEAR_MS)
