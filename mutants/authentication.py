"""Keys that are taken, or refused, wrongly."""

from __future__ import annotations

from typing import Any

from gateway import admission, auth, body, llm, pricing
from gateway.accounts import Accounts, Key
from gateway.app import App
from gateway.endpoints import models
from gateway.errors import GatewayBug, Unauthenticated
from gateway.limits import DEFAULTS
from gateway.services import Services
from mutants._patch import around, replace
from mutants.registry import mutant

STRANGER = Key("key_stranger", "usr_stranger", None, "active", None, DEFAULTS, 0)  # of an account that nobody opened


@mutant("GD-146")
def native_route_refuses_bearer() -> None:
    """The Messages endpoint takes only x-api-key."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Any) -> Key:
        if exchange.scope["path"].endswith("/messages"):
            return self.check_key(auth.x_api_key(exchange.headers))
        key: Key = old(self, exchange)
        return key


@mutant()
def x_api_key_ignored() -> None:
    """A key in x-api-key is not seen."""
    replace(auth, "HEADER_FORMS", {name: form for name, form in auth.HEADER_FORMS.items() if name != "x-api-key"})


@mutant()
def query_key_ignored() -> None:
    """A key in ?key= is not seen."""
    replace(auth, "query_key", lambda _query: None)


@mutant("GD-139")
def bearer_case_sensitive() -> None:
    """Only `Bearer` with exactly one blank is read."""

    def bearer(headers: auth.Headers) -> str | None:
        value = headers.get(b"authorization")
        if value is None:
            return None
        text = value.decode("latin-1")
        return text[7:] if text.startswith("Bearer ") else ""

    replace(auth, "HEADER_FORMS", {**auth.HEADER_FORMS, "authorization": bearer})


@mutant()
def models_list_open_to_all() -> None:
    """The model list needs no key."""
    old = models.listing

    async def list_models(_services: Services, exchange: Any) -> None:
        await exchange.respond(200, old())

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Any, path: str) -> None:
        if path.endswith("/models") and exchange.scope["method"] == "GET":
            await list_models(self.services, exchange)
        else:
            await old(self, exchange, path)


@mutant()
def malformed_key_is_server_error() -> None:
    """A key without ck_ makes the gateway stumble."""

    @around(Services, "check_key")
    def check_key(old: Any, self: Services, secret: str | None) -> Key:
        if secret and not auth.well_formed(secret):
            raise GatewayBug("unexpected key")
        key: Key = old(self, secret)
        return key


@mutant()
def unknown_key_accepted() -> None:
    """A key that nobody issued is taken for that of a new account."""

    @around(Accounts, "find")
    def find(old: Any, self: Accounts, secret: str) -> Key | None:
        return old(self, secret) or STRANGER


@mutant()
def expired_key_accepted() -> None:
    """The expiry of a key is not looked at."""
    replace(Key, "usable", lambda self, _now_s: self.status == "active")


@mutant("GD-142", "GD-140")
def inactive_key_not_checked() -> None:
    """That a key is disabled is not looked at."""
    replace(Key, "usable", lambda self, now_s: self.expires_at_s is None or now_s < self.expires_at_s)


@mutant("GD-141")
def deleted_key_still_accepted() -> None:
    """A deleted key stays in the cache of keys."""

    @around(Accounts, "delete_key")
    async def delete_key(old: Any, self: Accounts, key: Key) -> None:
        known = dict(self._keys)
        await old(self, key)
        self._keys.update(known)


@mutant()
def disabled_key_stays_dead() -> None:
    """A key that is made active again stays refused."""

    @around(Accounts, "change_key")
    async def change_key(old: Any, self: Accounts, key: Key, **changes: Any) -> Key:
        if changes.get("status") == "active":
            return key
        changed: Key = await old(self, key, **changes)
        return changed


@mutant()
def missing_key_accepted() -> None:
    """A request without a key is taken for that of a new account."""

    @around(Services, "check_key")
    def check_key(old: Any, self: Services, secret: str | None) -> Key:
        return old(self, secret) if secret else STRANGER


@mutant()
def refused_key_is_charged() -> None:
    """A disabled key is refused only after its request was let through to an upstream."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Any) -> Key:
        secret = auth.secret(exchange.headers, exchange.query) or ""
        key = self.accounts.find(secret)
        if key is not None and not key.usable(self.clock.now_s()):
            exchange.scope["mutant.refuse"] = True
            return key
        found: Key = old(self, exchange)
        return found

    @around(llm, "settle")
    async def settle(old: Any, services_: Services, key: Key, call: Any, *rest: Any) -> Any:
        bill = await old(services_, key, call, *rest)
        if call.exchange.scope.get("mutant.refuse") and not call.exchange.begun:
            raise Unauthenticated("The API key is disabled.")
        return bill


@mutant()
def body_judged_before_key() -> None:
    """A bad body is complained of before a bad key."""

    @around(llm, "serve")
    async def serve(old: Any, services_: Services, exchange: Any, wire: Any) -> None:
        raw = await exchange.read_body(services_.config.max_body_bytes)
        body.parse(raw)

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        exchange.receive = again
        await old(services_, exchange, wire)


@mutant()
def refused_key_echoed() -> None:
    """The 401 repeats the key that it refuses."""

    @around(Services, "check_key")
    def check_key(old: Any, self: Services, secret: str | None) -> Key:
        try:
            key: Key = old(self, secret)
        except Unauthenticated as error:
            raise Unauthenticated(f"{error.message} ({secret})") from None
        return key


@mutant("GD-148")
def realtime_ignores_auth_setting() -> None:
    """A path with a slash at its end is served without a key, at the gateway's own cost."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Any) -> Key:
        return STRANGER if exchange.scope["path"].endswith("/") else old(self, exchange)

    @around(admission, "take_hold")
    async def take_hold(old: Any, services_: Services, key: Key, fare: Any) -> Any:
        if key is STRANGER:
            await services_.money.top_up(key.user_id, 10**12)
        return await old(services_, key, fare)


@mutant()
def balance_per_key() -> None:
    """Every key has a balance of its own: what another key of the user left is not there."""

    @around(admission, "take_hold")
    async def take_hold(old: Any, services_: Services, key: Key, fare: Any) -> Any:
        first = services_.accounts.keys_of(key.user_id)[0]
        if key.id != first.id:
            raise admission.no_credit(0, pricing.MINIMUM_BALANCE_UC)
        return await old(services_, key, fare)
