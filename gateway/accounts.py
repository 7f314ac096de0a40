"""Users and their keys. What a request needs to know of its key is in memory; every change is in the database first.

A secret is shown once and kept as its SHA-256 only. It is found by that digest, so how long a search takes says nothing
about any secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway import edge
from gateway.limits import DEFAULTS
from gateway.storage.store import Store
from gateway.storage.tables import keys, users

KeyStatus = Literal["active", "disabled"]
SECRET_PREFIX = "ck_"
SECRET_LENGTH = 40
UNSET: Any = object()  # "leave it as it is", where None means "never expires"


class SecretTaken(Exception):
    """A key with this secret exists already (the caller's fault)."""


@dataclass(frozen=True, slots=True)
class User:
    """Someone who pays. `limits` holds requests an hour, for every class."""

    id: str
    name: str | None
    email: str | None
    limits: Mapping[str, int]
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. `limits` are its user's: keys of one user share them."""

    id: str
    user_id: str
    name: str | None
    status: KeyStatus
    expires_at_s: int | None
    limits: Mapping[str, int]
    created_at_ms: int
    org_id: str | None = None  # whose key it is, where it is not its user's own

    @property
    def payer_id(self) -> str:
        """Whose account in the ledger pays, and whose usage log tells."""
        return self.org_id or self.user_id

    def usable(self, now_s: int) -> bool:
        """Active and not expired."""
        return self.status == "active" and (self.expires_at_s is None or now_s < self.expires_at_s)


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Accounts:
    """All users and keys, loaded at start and written through."""

    def __init__(self, store: Store, clock: edge.Clock) -> None:
        self._store = store
        self._clock = clock
        self._users: dict[str, User] = {}
        self._keys: dict[str, Key] = {}  # by digest
        self._digests: dict[str, str] = {}  # by key id
        self._load()

    def _load(self) -> None:
        rows = self._store.read_now(lambda c: (c.execute(select(users)).all(), c.execute(select(keys)).all()))
        for ident, name, email, limits, created_at_ms in rows[0]:
            self._users[ident] = User(ident, name, email, _limits(json.loads(limits)), created_at_ms)
        for ident, user_id, name, hashed, status, expires_at_s, created_at_ms in rows[1]:
            limits = self._users[user_id].limits
            self._keep(Key(ident, user_id, name, status, expires_at_s, limits, created_at_ms), hashed)

    def find(self, secret: str) -> Key | None:
        """The key with this secret, whatever its status."""
        return self._keys.get(digest(secret))

    def user(self, user_id: str) -> User | None:
        """The user of this id."""
        return self._users.get(user_id)

    def key(self, key_id: str) -> Key | None:
        """The key of this id."""
        hashed = self._digests.get(key_id)
        return None if hashed is None else self._keys[hashed]

    def keys_of(self, user_id: str) -> list[Key]:
        """The user's keys, oldest first."""
        return [key for key in self._keys.values() if key.user_id == user_id]

    async def create_user(
        self, name: str | None = None, email: str | None = None, limits: Mapping[str, int] | None = None
    ) -> User:
        """A new user with an empty account."""
        user = User(edge.new_id("usr"), name, email, _limits(limits or {}), self._clock.now_ms())
        row = {
            "id": user.id,
            "name": name,
            "email": email,
            "limits": json.dumps(dict(limits or {})),
            "created_at_ms": user.created_at_ms,
        }
        await self._store.write(lambda c: c.execute(insert(users).values(row)))
        self._users[user.id] = user
        return user

    async def set_limits(self, user: User, limits: Mapping[str, int]) -> User:
        """Changes the named limits and leaves the others. A window that is running goes on with what it counted."""
        changed = replace(user, limits=_limits({**user.limits, **limits}))
        text = json.dumps({cls: limit for cls, limit in changed.limits.items() if limit != DEFAULTS.get(cls)})
        await self._store.write(lambda c: c.execute(update(users).where(users.c.id == user.id).values(limits=text)))
        self._users[user.id] = changed
        for key in self.keys_of(user.id):
            self._keys[self._digests[key.id]] = replace(key, limits=changed.limits)
        return changed

    async def create_key(
        self, user: User, name: str | None = None, expires_at_s: int | None = None, secret: str | None = None
    ) -> tuple[Key, str]:
        """A new active key and its secret, which is never shown again. Raises SecretTaken for a `secret` in use."""
        secret = secret if secret is not None else SECRET_PREFIX + edge.token(SECRET_LENGTH)
        hashed = digest(secret)
        if hashed in self._keys:
            raise SecretTaken
        key = Key(edge.new_id("key"), user.id, name, "active", expires_at_s, user.limits, self._clock.now_ms())
        row = {
            "id": key.id,
            "user_id": user.id,
            "name": name,
            "digest": hashed,
            "status": key.status,
            "expires_at_s": expires_at_s,
            "created_at_ms": key.created_at_ms,
        }
        try:
            await self._store.write(lambda c: c.execute(insert(keys).values(row)))
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError):
                raise SecretTaken from error
            raise
        self._keep(replace(key, limits=self._users[user.id].limits), hashed)
        return key, secret

    async def change_key(self, key: Key, *, status: KeyStatus | None = None, expires_at_s: int | None = UNSET) -> Key:
        """Changes what is given. What the key may do changes with the return, not later."""
        changed = replace(
            key,
            status=key.status if status is None else status,
            expires_at_s=key.expires_at_s if expires_at_s is UNSET else expires_at_s,
        )
        values = {"status": changed.status, "expires_at_s": changed.expires_at_s}
        await self._store.write(lambda c: c.execute(update(keys).where(keys.c.id == key.id).values(values)))
        self._keys[self._digests[key.id]] = changed
        return changed

    async def delete_key(self, key: Key) -> None:
        """Forgets the key; log rows keep its id."""
        await self._store.write(lambda c: c.execute(delete(keys).where(keys.c.id == key.id)))
        self._keys.pop(self._digests.pop(key.id, ""), None)

    def _keep(self, key: Key, hashed: str) -> None:
        self._keys[hashed] = key
        self._digests[key.id] = hashed


def _limits(own: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType({**DEFAULTS, **own})
