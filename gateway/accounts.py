"""Users and their keys. What a request needs to know of its key is in memory; every change is in the database first.

A secret is shown once and kept as its SHA-256 only. It is found by that digest, so how long a search takes says nothing
about any secret.

Several processes with one database: `changed(kind, id)` is called after every write ("user" or "key"), and
`reload(kind, id)` reads that user or key again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway import edge
from gateway.limits import DEFAULTS
from gateway.origins import Network, networks
from gateway.storage.store import Store
from gateway.storage.tables import keys, users

Kind = Literal["user", "key"]
KeyStatus = Literal["active", "disabled"]
Also = Callable[[Connection], None]  # what else is done in the transaction of a change; what it raises undoes it
SECRET_PREFIX = "ck_"
SECRET_LENGTH = 40
SHOWN_LENGTH = 9  # characters of a secret that tell keys apart
KEYS_MAX = 1000  # of a user, and of an organisation
UNSET: Any = object()  # "leave it as it is", where None means "never expires"
RELOADS = 10


class SecretTaken(Exception):
    """A key with this secret exists already (the caller's fault)."""


class TooManyKeys(Exception):
    """The owner has as many keys as may be (the caller's fault)."""


class LoginTaken(Exception):
    """The e-mail address signs in somebody else (the caller's fault)."""


@dataclass(frozen=True, slots=True)
class User:
    """Someone who pays. `limits` holds requests an hour, for every class."""

    id: str
    name: str | None
    email: str | None
    limits: Mapping[str, int]
    created_at_ms: int
    login: str | None = None  # the e-mail address that signs in
    email_verified_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key may do, and from where."""

    spending_limit_uc: int | None = None  # a month
    auto_disable: bool = False  # when the limit is passed
    origins: tuple[str, ...] = ()  # empty: any
    ips: tuple[Network, ...] = ()  # empty: any


ANYTHING = Scope()


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
    prefix: str | None = None  # the first characters of the secret
    status_reason: str | None = None  # why it is disabled: "user", "operator", "spending_limit", "member_removed", …
    scope: Scope = ANYTHING
    rotated_at_ms: int | None = None

    @property
    def payer_id(self) -> str:
        """Whose account in the ledger pays, and whose usage log tells."""
        return self.org_id or self.user_id

    @property
    def spending_limit_uc(self) -> int | None:
        """The most that it may spend in a month."""
        return self.scope.spending_limit_uc

    @property
    def auto_disable(self) -> bool:
        """Whether passing the spending limit disables it."""
        return self.scope.auto_disable

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
        self._retired: dict[str, tuple[str, int]] = {}  # digest of a rotated secret -> (key id, until when it works)
        self._owned: dict[str, dict[str, None]] = {}  # user or organisation -> ids of its keys
        self._writes = 0  # how often memory was changed
        self.changed: Callable[[Kind, str], None] = lambda _kind, _id: None
        self._load()

    def _load(self) -> None:
        rows = self._store.read_now(lambda c: (c.execute(select(users)).all(), c.execute(select(keys)).all()))
        for row in rows[0]:
            self._users[row.id] = _user(row)
        for row in rows[1]:
            self._keep_row(row)

    def find(self, secret: str) -> Key | None:
        """The key with this secret, whatever its status."""
        hashed = digest(secret)
        found = self._keys.get(hashed)
        return found if found is not None or not self._retired else self._find_retired(hashed)

    def _find_retired(self, hashed: str) -> Key | None:
        """The key of a secret that was rotated away, while it works on."""
        key_id, until_s = self._retired.get(hashed, ("", 0))
        return self.key(key_id) if self._clock.now_s() < until_s else None

    def user(self, user_id: str) -> User | None:
        """The user of this id."""
        return self._users.get(user_id)

    def key(self, key_id: str) -> Key | None:
        """The key of this id."""
        hashed = self._digests.get(key_id)
        return None if hashed is None else self._keys[hashed]

    def keys_of(self, user_id: str) -> list[Key]:
        """The keys that the user made, oldest first."""
        return self._listed(user_id)

    def keys_of_org(self, org_id: str) -> list[Key]:
        """The organisation's keys, oldest first."""
        return self._listed(org_id)

    def _listed(self, owner_id: str) -> list[Key]:
        found = [self._keys[self._digests[key_id]] for key_id in self._owned.get(owner_id, ())]
        return sorted(found, key=lambda key: key.created_at_ms)  # stable: in the order they came

    async def create_user(
        self,
        name: str | None = None,
        email: str | None = None,
        limits: Mapping[str, int] | None = None,
        *,
        login: str | None = None,
        password: str | None = None,
        verified: bool = False,
    ) -> User:
        """A new user with an empty account. `password` is a hash. Raises LoginTaken."""
        now_ms = self._clock.now_ms()
        verified_at_ms = now_ms if verified else None
        user = User(edge.new_id("usr"), name, email, _limits(limits or {}), now_ms, login, verified_at_ms)
        row = {
            "id": user.id,
            "name": name,
            "email": email,
            "limits": json.dumps(dict(limits or {})),
            "created_at_ms": now_ms,
            "login": login,
            "password": password,
            "email_verified_at_ms": verified_at_ms,
        }
        await self._write_login(lambda c: c.execute(insert(users).values(row)))
        self._put_user(user)
        return user

    async def change_user(self, user: User, values: Mapping[str, Any], also: Also | None = None) -> User:
        """Changes columns of `users` but limits, `also` in the same transaction. Raises LoginTaken."""

        def work(connection: Connection) -> None:
            connection.execute(update(users).where(users.c.id == user.id).values(dict(values)))
            if also is not None:
                also(connection)

        await self._write_login(work)
        shown = {name: value for name, value in values.items() if name != "password"}
        changed = replace(self._users[user.id], **shown)
        self._put_user(changed)
        return changed

    async def _write_login(self, job: Callable[[Connection], Any]) -> None:
        try:
            await self._store.write(job)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError):
                raise LoginTaken from error
            raise

    async def set_limits(self, user: User, limits: Mapping[str, int]) -> User:
        """Changes the named limits and leaves the others. A window that is running goes on with what it counted."""
        user = self._users[user.id]
        changed = replace(user, limits=_limits({**user.limits, **limits}))
        text = json.dumps({cls: limit for cls, limit in changed.limits.items() if limit != DEFAULTS.get(cls)})
        await self._store.write(lambda c: c.execute(update(users).where(users.c.id == user.id).values(limits=text)))
        self._put_user(changed)
        return changed

    async def create_key(
        self,
        user: User,
        name: str | None = None,
        expires_at_s: int | None = None,
        secret: str | None = None,
        *,
        org_id: str | None = None,
        scope: Scope = ANYTHING,
        also: Callable[[Connection, Key], None] | None = None,
    ) -> tuple[Key, str]:
        """A new active key and its secret, which is never shown again. Raises SecretTaken for a `secret` in use,
        TooManyKeys, and what `also` raises.
        """
        if len(self._owned.get(org_id or user.id, ())) >= KEYS_MAX:
            raise TooManyKeys
        secret = secret if secret is not None else SECRET_PREFIX + edge.token(SECRET_LENGTH)
        hashed, now_ms = digest(secret), self._clock.now_ms()
        if hashed in self._keys or hashed in self._retired:
            raise SecretTaken
        prefix = secret[:SHOWN_LENGTH]
        key = Key(
            *(edge.new_id("key"), user.id, name, "active", expires_at_s, user.limits, now_ms),
            org_id=org_id,
            prefix=prefix,
            scope=scope,
        )
        row = {"id": key.id, "user_id": user.id, "digest": hashed, "created_at_ms": now_ms, "org_id": org_id}
        row |= {"prefix": prefix, **_values(key)}

        def work(connection: Connection) -> None:
            connection.execute(insert(keys).values(row))
            if also is not None:
                also(connection, key)

        await self._write_secret(work)
        self._keep(replace(key, limits=self._users[user.id].limits), hashed)
        return key, secret

    async def change_key(
        self,
        key: Key,
        *,
        status: KeyStatus | None = None,
        expires_at_s: int | None = UNSET,
        name: str | None = UNSET,
        scope: Scope | None = None,
        reason: str | None = None,
        also: Also | None = None,
    ) -> Key:
        """Changes what is given. What the key may do changes with the return, not later. `reason`: why disabled."""
        fields: dict[str, Any] = {}
        if status is not None:
            fields |= {"status": status, "status_reason": reason if status == "disabled" else None}
        if expires_at_s is not UNSET:
            fields["expires_at_s"] = expires_at_s
        if name is not UNSET:
            fields["name"] = name
        rules = {} if scope is None else _difference(key.scope, scope)
        columns = _values(_changed(key, fields, rules))
        values = {name: columns[name] for name in {*fields, *rules}}

        def work(connection: Connection) -> None:
            if values:  # and nothing else: what others change at the same time stays
                connection.execute(update(keys).where(keys.c.id == key.id).values(values))
            if also is not None:
                also(connection)

        await self._store.write(work)
        now = self.key(key.id)
        if now is None:  # deleted meanwhile
            return _changed(key, fields, rules)
        changed = _changed(now, fields, rules)
        self._keep(changed, self._digests[key.id])
        return changed

    async def rotate_key(self, key: Key, grace_s: int = 0, also: Also | None = None) -> tuple[Key, str]:
        """A new secret for the key. The old one works on for `grace_s`; the one before it no longer."""
        secret = SECRET_PREFIX + edge.token(SECRET_LENGTH)
        hashed, now_ms = digest(secret), self._clock.now_ms()
        until_s = now_ms // 1000 + grace_s if grace_s else None
        prefix = secret[:SHOWN_LENGTH]

        def work(connection: Connection) -> str | None:
            mine = keys.c.id == key.id
            old = connection.execute(select(keys.c.digest).where(mine).with_for_update()).scalar()
            values = {"digest": hashed, "prefix": prefix, "rotated_at_ms": now_ms, "old_until_s": until_s}
            values["old_digest"] = old if until_s is not None else None
            connection.execute(update(keys).where(mine).values(values))
            if also is not None:
                also(connection)
            return old

        old = await self._store.write(work)
        changed = replace(self.key(key.id) or key, prefix=prefix, rotated_at_ms=now_ms)
        self._drop(key.id)
        if old is not None:  # not deleted meanwhile
            self._keep(changed, hashed, None if until_s is None else (old, until_s))
        return changed, secret

    async def delete_key(self, key: Key, also: Also | None = None) -> None:
        """Forgets the key; log rows keep its id."""
        await self._delete_keys(keys.c.id == key.id, [key.id], also)

    async def delete_keys_of_org(self, org_id: str, also: Also) -> None:
        """Forgets all keys of an organisation."""
        await self._delete_keys(keys.c.org_id == org_id, self._owned.get(org_id, {}), also)

    async def disable_keys_of_member(self, org_id: str, user_id: str, reason: str, also: Also) -> None:
        """Disables the organisation's keys that a user made."""
        await self._disable_keys([keys.c.org_id == org_id, keys.c.user_id == user_id], org_id, user_id, reason, also)

    async def disable_own_keys(self, user_id: str, reason: str, also: Also) -> None:
        """Disables the user's own keys."""
        await self._disable_keys([keys.c.org_id.is_(None), keys.c.user_id == user_id], None, user_id, reason, also)

    async def reload(self, kind: Kind, ident: str) -> None:
        """Reads a user or a key again: another process changed it."""
        table = users if kind == "user" else keys
        query = select(table).where(table.c.id == ident)
        for _ in range(RELOADS):  # what is written here meanwhile is newer than what was read
            before = self._writes
            row = await self._store.read(lambda c: c.execute(query).first())
            if before == self._writes:
                break
        if kind == "user":
            if row is not None:
                self._put_user(_user(row), tell=False)
            return
        if row is not None and row.user_id not in self._users:
            await self.reload("user", row.user_id)
        self._drop(ident, tell=False)
        if row is not None:
            self._keep_row(row)

    async def reload_all(self) -> None:
        """Reads everything again: what other processes changed may have gone unheard."""
        rows = await self._store.read(lambda c: (c.execute(select(users)).all(), c.execute(select(keys)).all()))
        known = {row.id for row in rows[0]}
        for row in rows[0]:
            if self._users.get(row.id) != _user(row):
                await self.reload("user", row.id)
        there: dict[str, Any] = {row.id: row for row in rows[1] if row.user_id in known}
        for key_id in {*self._digests, *there}:
            now, key = there.get(key_id), self.key(key_id)
            if now is None or key is None or self._digests[key_id] != now.digest or _key(now, key.limits) != key:
                await self.reload("key", key_id)

    async def _delete_keys(self, which: Any, known: Iterable[str], also: Also | None) -> None:
        def work(connection: Connection) -> list[str]:
            if also is not None:
                also(connection)
            ids = list(connection.execute(select(keys.c.id).where(which)).scalars())
            connection.execute(delete(keys).where(which))
            return ids

        for key_id in {*await self._store.write(work), *known}:
            self._drop(key_id)

    async def _disable_keys(self, which: list[Any], org_id: str | None, user_id: str, reason: str, also: Also) -> None:
        values = {"status": "disabled", "status_reason": reason}

        def work(connection: Connection) -> None:
            also(connection)
            connection.execute(update(keys).where(*which, keys.c.status == "active").values(values))

        await self._store.write(work)
        for key in self.keys_of(user_id):
            if key.org_id == org_id and key.status == "active":
                self._keep(replace(key, status="disabled", status_reason=reason), self._digests[key.id])

    async def _write_secret(self, job: Callable[[Connection], None]) -> None:
        try:
            await self._store.write(job)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError):
                raise SecretTaken from error
            raise

    def _put_user(self, user: User, *, tell: bool = True) -> None:
        self._writes += 1
        self._users[user.id] = user
        for key in self.keys_of(user.id):
            if key.limits != user.limits:
                self._keys[self._digests[key.id]] = replace(key, limits=user.limits)
        if tell:
            self.changed("user", user.id)

    def _keep_row(self, row: Any) -> None:
        old = (row.old_digest, row.old_until_s) if row.old_digest is not None and row.old_until_s is not None else None
        self._keep(_key(row, self._users[row.user_id].limits), row.digest, old, tell=False)

    def _keep(self, key: Key, hashed: str, old: tuple[str, int] | None = None, *, tell: bool = True) -> None:
        """Puts a key into memory; `old` is the digest of its secret before, and until when that works."""
        self._writes += 1
        self._keys[hashed] = key
        self._digests[key.id] = hashed
        for owner_id in {key.user_id, key.payer_id}:
            self._owned.setdefault(owner_id, {})[key.id] = None
        if old is not None:
            self._retired[old[0]] = (key.id, old[1])
        if tell:
            self.changed("key", key.id)

    def _drop(self, key_id: str, *, tell: bool = True) -> None:
        """Takes a key out of memory."""
        self._writes += 1
        key = self._keys.pop(self._digests.pop(key_id, ""), None)
        if key is not None:
            for owner_id in {key.user_id, key.payer_id}:
                self._owned[owner_id].pop(key_id, None)
        if self._retired:
            self._retired = {hashed: old for hashed, old in self._retired.items() if old[0] != key_id}
        if tell:
            self.changed("key", key_id)


def _limits(own: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType({**DEFAULTS, **own})


def _user(row: Any) -> User:
    limits = _limits(json.loads(row.limits))
    return User(row.id, row.name, row.email, limits, row.created_at_ms, row.login, row.email_verified_at_ms)


def _key(row: Any, limits: Mapping[str, int]) -> Key:
    scope = Scope(
        row.spending_limit_uc,
        bool(row.auto_disable),
        tuple(json.loads(row.origins or "[]")),
        networks(json.loads(row.ips or "[]")),
    )
    return Key(
        *(row.id, row.user_id, row.name, row.status, row.expires_at_s, limits, row.created_at_ms),
        org_id=row.org_id,
        prefix=row.prefix,
        status_reason=row.status_reason,
        scope=scope,
        rotated_at_ms=row.rotated_at_ms,
    )


def _difference(before: Scope, after: Scope) -> dict[str, Any]:
    """The members of `after` that are not those of `before`."""
    found = {field.name: getattr(after, field.name) for field in dataclass_fields(Scope)}
    return {name: value for name, value in found.items() if value != getattr(before, name)}


def _changed(key: Key, fields: Mapping[str, Any], rules: Mapping[str, Any]) -> Key:
    return replace(key, scope=replace(key.scope, **rules), **fields)


def _values(key: Key) -> dict[str, Any]:
    """The columns that may change."""
    scope = key.scope
    return {
        "name": key.name,
        "status": key.status,
        "status_reason": key.status_reason,
        "expires_at_s": key.expires_at_s,
        "spending_limit_uc": scope.spending_limit_uc,
        "auto_disable": scope.auto_disable,
        "origins": json.dumps(list(scope.origins)) if scope.origins else None,
        "ips": json.dumps([str(network) for network in scope.ips]) if scope.ips else None,
    }
