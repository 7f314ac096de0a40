"""Signing up and in, and passwords.

What is said to somebody who cannot sign in, and how long it takes, does not depend on whether there is such a user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from gateway import edge
from gateway.accounts import Accounts, LoginTaken, User
from gateway.errors import Conflict, InvalidRequest, TooManyRequests, Unauthenticated
from gateway.people import emails, passwords
from gateway.people.passwords import WAITING_MAX, Busy, Passwords
from gateway.people.sessions import end_all
from gateway.people.throttle import ACCOUNT, ADDRESS, SIGN_UP, Rule, Throttle
from gateway.storage.store import Store
from gateway.storage.tables import users

if TYPE_CHECKING:
    from gateway.workers.throttle import SharedThrottle


@dataclass(frozen=True, slots=True)
class Stored:
    """Whose login it is, and the hash of the password if there is one."""

    user_id: str
    password: str | None


class People:
    """Those who sign in."""

    def __init__(self, store: Store, clock: edge.Clock, accounts: Accounts) -> None:
        self._store = store
        self._clock = clock
        self._accounts = accounts
        self.passwords = Passwords()
        self.throttle = Throttle()
        self.shared_throttle: SharedThrottle | None = None  # where workers share one, in its place

    async def sign_up(self, email: str, password: str, name: str | None, address: str) -> User:
        """A new user. Raises InvalidRequest, Conflict for an address that is taken, TooManyRequests."""
        login = emails.normal(email)
        if login is None:
            raise InvalidRequest("`email` is no e-mail address.")
        passwords.check(password, login)
        await self._count(SIGN_UP, address)
        hashed = await self._hashed(password)
        try:
            return await self._accounts.create_user(name, login, login=login, password=hashed)
        except LoginTaken:
            raise Conflict("There is a user with this e-mail address already.") from None

    async def sign_in(self, email: str, password: str, address: str) -> User:
        """The user of an e-mail address and its password. Raises Unauthenticated, TooManyRequests."""
        login = emails.normal(email)
        account = login or email[: emails.LENGTH_MAX].lower()
        await self._count(ADDRESS, address)
        await self._count(ACCOUNT, account)
        stored = await self.find(login or "")
        hashed = None if stored is None else stored.password
        if not await self._match(password, hashed) or stored is None or hashed is None:
            raise Unauthenticated("The e-mail address or the password is wrong.")
        user = await self._user(stored.user_id)
        await self._forget(ACCOUNT, account)
        if self.passwords.outdated(hashed):
            await self._accounts.change_user(user, {"password": await self._hashed(password)})
        return user

    async def change_password(self, user: User, old: str, new: str, address: str) -> None:
        """Another password; every session of the user ends. Raises InvalidRequest, TooManyRequests."""
        await self._count(ADDRESS, address)
        await self._count(ACCOUNT, user.login or user.id)
        passwords.check(new, user.login or "")
        stored = await self.find(user.login or "")
        hashed = None if stored is None else stored.password
        if not await self._match(old, hashed):
            raise InvalidRequest("`currentPassword` is wrong.")
        await self._forget(ACCOUNT, user.login or user.id)
        await self.set_password(user, new)

    async def set_password(self, user: User, password: str, email: str | None = None) -> User:
        """Gives a user a password, and the e-mail address to sign in with if they have none; every session ends.

        For the operator. Raises InvalidRequest, Conflict.
        """
        login = user.login if email is None else emails.normal(email)
        if login is None:
            raise InvalidRequest("`email` is no e-mail address, and the user signs in with none so far.")
        passwords.check(password, login)
        values: dict[str, Any] = {"login": login, "password": await self._hashed(password)}
        if login != user.login:
            values |= {"email": login, "email_verified_at_ms": None}
        try:
            return await self._accounts.change_user(user, values, lambda c: end_all(c, user.id))
        except LoginTaken:
            raise Conflict("There is a user with this e-mail address already.") from None

    async def vouched(self, email: str, name: str | None) -> User:
        """The user of an e-mail address that somebody whom we trust vouches for (single sign-on); made if need be.

        Whoever signed up with the address before may not have been its owner: unless the address was vouched for then,
        their password, their sessions and their own keys work no longer. Raises InvalidRequest.
        """
        login = emails.normal(email)
        if login is None:
            raise InvalidRequest("The e-mail address is none.")
        stored = await self.find(login)
        if stored is None:
            try:
                return await self._accounts.create_user(name, login, login=login, verified=True)
            except LoginTaken:  # in this moment
                return await self.vouched(email, name)
        user = await self._user(stored.user_id)
        if user.email_verified_at_ms is not None:
            return user
        await self._accounts.disable_own_keys(user.id, "sign_in_changed", lambda c: end_all(c, user.id))
        values = {"password": None, "email_verified_at_ms": self._clock.now_ms()}
        return await self._accounts.change_user(user, values, lambda c: end_all(c, user.id))

    async def find(self, login: str) -> Stored | None:
        """Whose login it is."""
        query = select(users.c.id, users.c.password).where(users.c.login == login)

        def read(connection: Connection) -> Stored | None:
            row = connection.execute(query).first()
            return None if row is None else Stored(row.id, row.password)

        return await self._store.read(read)

    async def _user(self, user_id: str) -> User:
        """The user, known to this process now if not before."""
        if self._accounts.user(user_id) is None:
            await self._accounts.reload("user", user_id)
        user = self._accounts.user(user_id)
        if user is None:
            raise Unauthenticated("The e-mail address or the password is wrong.")
        return user

    async def _count(self, rule: Rule, whose: str) -> None:
        now_s, shared = self._clock.now_s(), self.shared_throttle
        alone = self.throttle.attempt
        wait_s = alone(rule, whose, now_s) if shared is None else await shared.attempt(rule, whose, now_s)
        if wait_s:
            raise self._too_many(rule.most, wait_s)

    async def _forget(self, rule: Rule, whose: str) -> None:
        if self.shared_throttle is None:
            self.throttle.forget(rule, whose)
        else:
            await self.shared_throttle.forget(rule, whose)

    async def _hashed(self, password: str) -> str:
        try:
            return await self.passwords.hashed(password)
        except Busy:
            raise self._too_many(WAITING_MAX, 1) from None

    async def _match(self, password: str, stored: str | None) -> bool:
        try:
            return await self.passwords.match(password, stored)
        except Busy:
            raise self._too_many(WAITING_MAX, 1) from None

    def _too_many(self, most: int, wait_s: int) -> TooManyRequests:
        told = {"x-ratelimit-limit": most, "x-ratelimit-remaining": 0}
        told |= {"x-ratelimit-reset": self._clock.now_s() + wait_s, "retry-after": wait_s}
        headers = [(name.encode(), b"%d" % number) for name, number in told.items()]
        return TooManyRequests(f"Too many attempts. Try again in {wait_s} s.", headers)

    def close(self) -> None:
        """Lets go of the threads."""
        self.passwords.close()
