"""The provisioning API under /admin: users, keys, top-ups, the ledger's audit, the test clock, the upstreams' state.

For operators and test harnesses, with `Authorization: Bearer ADMIN_TOKEN`. Source: docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from hmac import compare_digest
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import body
from gateway.accounts import ANYTHING, SECRET_PREFIX, UNSET, Key, Scope, SecretTaken, User
from gateway.auth import KEY_LENGTH_MAX, bearer
from gateway.endpoints import usage
from gateway.endpoints.usage import reply
from gateway.errors import Conflict, InvalidRequest, NoAccess, NotFound, Unauthenticated, shown
from gateway.ledger.transfers import IdempotencyConflict, LedgerError, Transfer
from gateway.limits import DEFAULTS
from gateway.services import Services
from gateway.usage import clean_text, report

AMOUNT_MAX_UC = 10**15  # ten million dollars
LIMIT_MAX = 10**9
TEXT_MAX = 200  # characters of a name, an address or an idempotency key
SECRET_LENGTH_MIN = 16
TRANSFERS, TRANSFERS_MAX = 1000, 1_000_000  # newest top-ups and holds, each with what closed it
ADVANCE_MAX_MS = 10**12  # thirty years
EXPIRY_MAX_S = 10**11

Handler = Callable[[Request], Awaitable[Response]]


class Admin:
    """The handlers. Each is reached only with the admin token."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._accounts = services.accounts
        self._money = services.money

    async def create_user(self, request: Request) -> Response:
        fields = await _fields(request, "name", "email", "amount_uc", "limits")
        name, email = text(fields, "name"), text(fields, "email")
        limits, amount_uc = _limits(fields), amount(fields, required=False)
        user = await self._accounts.create_user(name, email, limits)
        if amount_uc:
            await self._money.top_up(user.id, amount_uc)
        return reply(await self._user_view(user), 201)

    async def read_user(self, request: Request) -> Response:
        user = self.user(request)
        keys = [_key_view(key) for key in self._accounts.keys_of(user.id)]
        return reply({**await self._user_view(user), "keys": keys})

    async def change_user(self, request: Request) -> Response:
        user = self.user(request)
        fields = await _fields(request, "limits")
        return reply(await self._user_view(await self._accounts.set_limits(user, _limits(fields))))

    async def top_up(self, request: Request) -> Response:
        user = self.user(request)
        fields = await _fields(request, "amount_uc", "idempotency_key")
        amount_uc, key = amount(fields, required=True), text(fields, "idempotency_key")
        try:
            transfer = await self._money.top_up(user.id, amount_uc, key)
        except IdempotencyConflict:
            raise Conflict(f"The idempotency key {shown(key)!r} was used for another top-up.") from None
        except LedgerError as error:
            raise InvalidRequest(f"`amount_uc`: {error}.") from None
        balance = await self._money.balance(user.id)
        return reply({"transfer_id": f"tr_{transfer.id}", "balance_uc": balance.balance_uc}, 201)

    async def create_key(self, request: Request) -> Response:
        user = self.user(request)
        fields = await _fields(request, "name", "expires_at", "key", "spending_limit_uc", "auto_disable")
        name, expires_at_s, secret = text(fields, "name"), _expiry(fields), _secret(fields)
        try:
            scope = _scope(fields, ANYTHING)
            key, secret = await self._accounts.create_key(user, name, expires_at_s, secret, scope=scope)
        except SecretTaken:
            raise Conflict("`key` is in use; another was due.") from None
        return reply({**_key_view(key), "key": secret}, 201)

    async def change_key(self, request: Request) -> Response:
        key = self._key(request)
        fields = await _fields(request, "status", "expires_at", "spending_limit_uc", "auto_disable")
        status = fields.get("status")
        if status not in (None, "active", "disabled"):
            raise InvalidRequest(f"`status` is {shown(status)!r}; 'active' or 'disabled' was due.")
        expires_at_s = _expiry(fields) if "expires_at" in fields else UNSET
        scope = _scope(fields, key.scope)
        changed = await self._accounts.change_key(
            key, status=status, expires_at_s=expires_at_s, scope=scope, reason="operator"
        )
        return reply(_key_view(changed))

    async def delete_key(self, request: Request) -> Response:
        await self._accounts.delete_key(self._key(request))
        return Response(status_code=204)

    async def transfers(self, request: Request) -> Response:
        user = self.user(request)
        limit = usage.number(request.query_params, "limit", TRANSFERS, TRANSFERS_MAX)
        moved = await self._money.transfers(user.id, limit)
        return reply({"transfers": [_transfer_view(transfer) for transfer in moved]})

    async def usage(self, request: Request) -> Response:
        user = self.user(request)
        query = usage.parse(request.query_params, user.id, self._services.clock.now_ms())
        return reply(await self._services.store.read(lambda connection: report(connection, query)))

    async def ledger(self, _request: Request) -> Response:
        return reply(asdict(await self._money.audit()))

    async def advance_clock(self, request: Request) -> Response:
        if not self._services.config.test_clock:
            raise NoAccess("The clock can be moved only when the gateway runs with `test_clock`.")
        fields = await _fields(request, "advance_ms")
        clock = self._services.clock
        advance_ms = body.whole_number(fields, "advance_ms", 0, ADVANCE_MAX_MS - min(clock.offset_ms, ADVANCE_MAX_MS))
        if advance_ms is None:
            raise InvalidRequest("`advance_ms` is missing.")
        return reply({"offset_ms": clock.advance(advance_ms)})

    async def upstreams(self, _request: Request) -> Response:
        config, states = self._services.config, self._services.breaker_states()
        upstreams = {
            name: {"dialects": list(upstream.dialects), "base_url": upstream.base_url, "breaker": states[name]}
            for name, upstream in config.upstreams.items()
        }
        return reply(
            {"chains": {pattern: list(names) for pattern, names in config.chains.items()}, "upstreams": upstreams}
        )

    def guarded(self, handler: Handler) -> Handler:
        """The handler behind the admin token, compared in constant time."""
        due = self._services.admin_token.encode()

        async def guard(request: Request) -> Response:
            came = bearer(dict(request.scope["headers"])) or ""
            if not due or not compare_digest(came.encode(), due):
                raise Unauthenticated("The admin token is missing or wrong; `Authorization: Bearer TOKEN` was due.")
            return await handler(request)

        return guard

    def user(self, request: Request) -> User:
        user_id = request.path_params["user_id"]
        user = self._accounts.user(user_id)
        if user is None:
            raise NotFound(f"There is no user {shown(user_id)!r}.")
        return user

    def _key(self, request: Request) -> Key:
        key_id = request.path_params["key_id"]
        key = self._accounts.key(key_id)
        if key is None:
            raise NotFound(f"There is no key {shown(key_id)!r}.")
        return key

    async def _user_view(self, user: User) -> dict[str, Any]:
        balance = await self._money.balance(user.id)
        return {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "limits": dict(user.limits),
            "balance_uc": balance.balance_uc,
            "available_uc": balance.available_uc,
            "held_uc": balance.held_uc,
            "topped_up_uc": balance.topped_up_uc,
        }


def routes(services: Services) -> list[Route]:
    """The routes under /admin."""
    admin = Admin(services)
    table: list[tuple[str, str, Handler]] = [
        ("POST", "/admin/users", admin.create_user),
        ("GET", "/admin/users/{user_id}", admin.read_user),
        ("PATCH", "/admin/users/{user_id}", admin.change_user),
        ("POST", "/admin/users/{user_id}/top-ups", admin.top_up),
        ("POST", "/admin/users/{user_id}/keys", admin.create_key),
        ("GET", "/admin/users/{user_id}/transfers", admin.transfers),
        ("GET", "/admin/users/{user_id}/usage", admin.usage),
        ("PATCH", "/admin/keys/{key_id}", admin.change_key),
        ("DELETE", "/admin/keys/{key_id}", admin.delete_key),
        ("GET", "/admin/ledger", admin.ledger),
        ("POST", "/admin/clock", admin.advance_clock),
        ("GET", "/admin/upstreams", admin.upstreams),
    ]
    return [Route(path, admin.guarded(handler), methods=[method]) for method, path, handler in table]


async def _fields(request: Request, *names: str) -> dict[str, Any]:
    """The body's members, none but these. An empty body has none. Raises InvalidRequest."""
    raw = await request.body()
    fields = body.parse(raw) if raw.strip() else {}
    for name in fields:
        if name not in names:
            raise InvalidRequest(f"{shown(name)!r} means nothing here; any of {', '.join(names)} was due.")
    return fields


def text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {body.json_type(value)}; a string was due.")
    if not 1 <= len(value) <= TEXT_MAX:
        raise InvalidRequest(f"`{name}` has {len(value)} characters; 1 to {TEXT_MAX} were due.")
    return clean_text(value)


def amount(fields: dict[str, Any], *, required: bool) -> int:
    amount_uc = body.whole_number(fields, "amount_uc", 1 if required else 0, AMOUNT_MAX_UC)
    if amount_uc is None and required:
        raise InvalidRequest("`amount_uc` is missing; microcredits were due (1 credit = 1000000).")
    return amount_uc or 0


def _expiry(fields: dict[str, Any]) -> int | None:
    return body.whole_number(fields, "expires_at", 0, EXPIRY_MAX_S)


def _scope(fields: dict[str, Any], before: Scope) -> Scope:
    """What the key may spend a month, and whether that disables it. Raises InvalidRequest."""
    limit_uc, auto_disable = before.spending_limit_uc, before.auto_disable
    if "spending_limit_uc" in fields:
        limit_uc = body.whole_number(fields, "spending_limit_uc", 0, AMOUNT_MAX_UC)
    if "auto_disable" in fields:
        auto_disable = body.flag(fields, "auto_disable")
    return replace(before, spending_limit_uc=limit_uc, auto_disable=auto_disable)


def _secret(fields: dict[str, Any]) -> str | None:
    secret = fields.get("key")
    if secret is None:
        return None
    if (
        not isinstance(secret, str)
        or not secret.startswith(SECRET_PREFIX)
        or not SECRET_LENGTH_MIN <= len(secret) <= KEY_LENGTH_MAX
        or not (secret.isascii() and secret.isprintable() and " " not in secret)
    ):
        raise InvalidRequest(
            f"`key` is no key; {SECRET_LENGTH_MIN} to {KEY_LENGTH_MAX} printable ASCII characters "
            f"that start with {SECRET_PREFIX} were due."
        )
    return secret


def _limits(fields: dict[str, Any]) -> dict[str, int]:
    """`limits`: class -> requests an hour. Raises InvalidRequest."""
    body.check_object(fields, "limits")
    limits = fields.get("limits") or {}
    for cls in limits:
        if cls not in DEFAULTS:
            raise InvalidRequest(f"`limits` names {shown(cls)!r}; any of {', '.join(DEFAULTS)} was due.")
        if body.whole_number(limits, cls, 0, LIMIT_MAX) is None:
            raise InvalidRequest(f"`limits.{cls}` is null; an integer was due.")
    return dict(limits)


def _key_view(key: Key) -> dict[str, Any]:
    """A key as it is shown, without its secret."""
    return {
        "id": key.id,
        "user_id": key.user_id,
        "name": key.name,
        "status": key.status,
        "expires_at": key.expires_at_s,
        "created_at_ms": key.created_at_ms,
        "spending_limit_uc": key.spending_limit_uc,
        "auto_disable": key.auto_disable,
    }


def _transfer_view(transfer: Transfer) -> dict[str, Any]:
    return {
        "id": f"tr_{transfer.id}",
        "kind": transfer.kind,
        "source": transfer.source,
        "destination": transfer.destination,
        "amount_uc": transfer.amount_uc,
        "request_id": transfer.request_id,
        "closes": None if transfer.closes is None else f"tr_{transfer.closes}",
        "created_at_ms": transfer.created_at_ms,
        "note": transfer.note,
    }
