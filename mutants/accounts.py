"""Keys that tell too much, outlive their end, or open from where they should not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete

from gateway import body, origins
from gateway.accounts import ANYTHING, UNSET, Accounts, Key, Scope
from gateway.endpoints import account_fields, api_keys, usage
from gateway.endpoints.api_keys import ApiKeys
from gateway.errors import InvalidRequest, NoAccess, NotFound, Unauthenticated
from gateway.people import door
from gateway.people.door import Caller
from gateway.people.sessions import Session
from gateway.services import Services
from gateway.storage.tables import usage_log
from mutants._patch import around, replace
from mutants.registry import mutant

DAY_S = 86_400


def remember_secrets() -> dict[str, str]:
    """The secret of every key by its id, from now on."""
    secrets: dict[str, str] = {}
    for name in ("create_key", "rotate_key"):

        @around(Accounts, name)
        async def make(old: Any, self: Accounts, *args: Any, **kwargs: Any) -> tuple[Key, str]:
            key, secret = await old(self, *args, **kwargs)
            secrets[key.id] = secret
            return key, secret

    return secrets


@mutant()
def key_secret_shown_again() -> None:
    """The list of keys tells their secrets."""
    secrets = remember_secrets()

    @around(api_keys, "view")
    def view(old: Any, key: Key) -> dict[str, Any]:
        return {**old(key), "key": secrets.get(key.id)}


@mutant()
def usage_tells_key_secret() -> None:
    """The usage export names keys by their secrets."""
    secrets = remember_secrets()
    replace(usage, "key_name", lambda _accounts, key_id: secrets.get(key_id))


@mutant()
def origin_lock_ignored() -> None:
    """A key locked to pages works from every page."""
    replace(origins, "comes_from", lambda _scope, _allowed: True)


@mutant()
def origin_lock_by_prefix() -> None:
    """An origin that begins like one that is allowed is allowed, too."""

    def comes_from(scope: Any, allowed: Any) -> bool:
        told = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"origin"]
        return any(text.startswith(one) for text in told for one in allowed)

    replace(origins, "comes_from", comes_from)


def lock(holds: Any) -> None:
    """A key's locks let through what `holds(page is right, address is right)` says, of those that it has."""

    def check_place(self: Services, key: Key, scope: Any) -> None:
        allowed = key.scope
        address = origins.client(scope, origins.trusted(self.config.trusted_proxies))
        page = origins.comes_from(scope, allowed.origins) if allowed.origins else None
        place = origins.within(address, allowed.ips) if allowed.ips else None
        if not holds(page, place):
            raise NoAccess("The API key is locked.")

    replace(Services, "check_place", check_place)


@mutant()
def address_lock_ignored() -> None:
    """A key locked to addresses works from anywhere."""
    lock(lambda page, _place: page is not False)


@mutant()
def locks_are_alternatives() -> None:
    """Of a key's two locks one that fits is enough."""
    lock(lambda page, place: page or place or (page is None and place is None))


def trust_header(name: bytes) -> None:
    """The client's address is what the first item of a header says."""

    @around(origins, "client")
    def client(old: Any, scope: Any, trusted: Any) -> Any:
        told = [value for header, value in scope["headers"] if header == name]
        found = origins.address(told[0].decode("latin-1").split(",")[0]) if told else None
        return found or old(scope, trusted)


@mutant("GD-144")
def key_ip_lock_spoofed_by_xff() -> None:
    """The leftmost X-Forwarded-For is taken for the client's address."""
    trust_header(b"x-forwarded-for")


@mutant("GD-143")
def key_ip_lock_spoofed_by_cdn_header() -> None:
    """CF-Connecting-IP is taken for the client's address."""
    trust_header(b"cf-connecting-ip")


@mutant()
def misspelled_lock_ignored() -> None:
    """Members of a body that mean nothing are passed over."""

    @around(account_fields, "read")
    async def read(_old: Any, request: Any, *names: str) -> dict[str, Any]:
        raw = await request.body()
        told = body.parse(raw) if raw.strip() else {}
        return {name: value for name, value in told.items() if name in names}


@mutant()
def bad_lock_dropped() -> None:
    """An address that cannot be read is left out of a key's lock."""

    @around(account_fields, "network_list")
    def network_list(old: Any, told: Any, name: str) -> Any:
        try:
            return old(told, name)
        except InvalidRequest:
            return ()


def edit_changes(edit: Any) -> None:
    """What the owner changes of a key goes through `edit`."""

    @around(Accounts, "change_key")
    async def change_key(old: Any, self: Accounts, key: Key, **told: Any) -> Key:
        made: Key = await old(self, key, **(edit(told) if told.get("reason") == "user" else told))
        return made


@mutant()
def expiry_change_ignored() -> None:
    """A key's end cannot be changed once it is made."""
    edit_changes(lambda told: {**told, "expires_at_s": UNSET})


@mutant()
def expired_key_has_a_day() -> None:
    """A key works on for a day after its end."""

    @around(Key, "usable")
    def usable(old: Any, self: Key, now_s: int) -> bool:
        return bool(old(self, now_s - DAY_S))


@mutant()
def dashboard_status_ignored() -> None:
    """Disabling a key at the dashboard does nothing."""
    edit_changes(lambda told: {**told, "status": None})


@mutant()
def rotated_secret_works_on() -> None:
    """Without a grace period the old secret of a rotated key works for a day."""

    @around(Accounts, "rotate_key")
    async def rotate_key(old: Any, self: Accounts, key: Key, grace_s: int = 0, also: Any = None) -> Any:
        return await old(self, key, grace_s or DAY_S, also)


@mutant()
def rotation_loses_locks() -> None:
    """A rotated key has no locks and no limit any more."""

    @around(Accounts, "rotate_key")
    async def rotate_key(old: Any, self: Accounts, *args: Any) -> Any:
        key, secret = await old(self, *args)
        return await self.change_key(key, scope=ANYTHING), secret


@mutant()
def rotation_without_grace() -> None:
    """The old secret of a rotated key is refused at once, whatever grace was asked for."""

    @around(Accounts, "rotate_key")
    async def rotate_key(old: Any, self: Accounts, key: Key, _grace_s: int = 0, also: Any = None) -> Any:
        return await old(self, key, 0, also)


@mutant()
def grace_never_ends() -> None:
    """The old secret of a rotated key works for a hundred times the grace period."""

    @around(Accounts, "rotate_key")
    async def rotate_key(old: Any, self: Accounts, key: Key, grace_s: int = 0, also: Any = None) -> Any:
        return await old(self, key, grace_s * 100, also)


@mutant("GD-145")
def key_edit_drops_locks() -> None:
    """Changing one field of a key sets its locks and its limit back."""

    @around(api_keys, "scope_of")
    def scope_of(old: Any, told: dict[str, Any], _scope: Scope = ANYTHING) -> Scope:
        made: Scope = old(told)
        return made


@mutant("GD-141")
def dashboard_delete_disables_only() -> None:
    """A key that its owner deletes is disabled and still listed."""

    @around(Accounts, "delete_key")
    async def delete_key(_old: Any, self: Accounts, key: Key, also: Any = None) -> None:
        await self.change_key(key, status="disabled", reason="user", also=also)


@mutant()
def log_of_deleted_keys_lost() -> None:
    """The usage log loses the rows of a key that is deleted."""

    @around(Accounts, "delete_key")
    async def delete_key(old: Any, self: Accounts, key: Key, also: Any = None) -> None:
        await old(self, key, also)
        await self._store.write(lambda c: c.execute(delete(usage_log).where(usage_log.c.key_id == key.id)))


@mutant("GD-176")
def cross_user_key_update() -> None:
    """Whoever names a person's key may change it."""

    @around(ApiKeys, "_key")
    async def find(old: Any, self: ApiKeys, request: Any, action: str) -> Any:
        key = self._accounts.key(request.path_params["key_id"])
        return (key, None) if key is not None and key.org_id is None else await old(self, request, action)


@mutant()
def foreign_key_told_apart() -> None:
    """Another person's key is refused in other words than one that does not exist."""

    @around(ApiKeys, "_key")
    async def find(old: Any, self: ApiKeys, request: Any, action: str) -> Any:
        try:
            return await old(self, request, action)
        except NotFound:
            if self._accounts.key(request.path_params["key_id"]) is None:
                raise
            raise NoAccess("This key is somebody else's.") from None


@mutant()
def api_key_makes_keys() -> None:
    """An API key is as good as its user's session."""

    @around(door, "signed_in")
    async def signed_in(old: Any, services: Any, request: Any) -> Caller:
        try:
            caller: Caller = await old(services, request)
            return caller
        except Unauthenticated:
            user = services.accounts.user(services.authenticate(request).user_id)
            session = Session("", user.id, "key", 0, 0, 0)
            return Caller(user, session, door.actor_of(services, request, user.id))
