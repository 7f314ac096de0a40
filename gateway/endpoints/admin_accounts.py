"""The provisioning API for sign-in and organisations: passwords, organisations, their members, keys and credit.

As `admin`: for operators and test harnesses, with the admin token. Source: docs/decisions.md#provisioning.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import origins
from gateway.accounts import TooManyKeys, User
from gateway.endpoints import account_fields as fields
from gateway.endpoints import admin, api_keys, usage
from gateway.endpoints.orgs import member_view, role_of
from gateway.endpoints.usage import reply
from gateway.errors import Conflict, InvalidRequest, NotFound, shown
from gateway.ledger.transfers import IdempotencyConflict, LedgerError
from gateway.orgs import audit
from gateway.orgs.audit import Actor, Deed
from gateway.orgs.orgs import Org, no_org
from gateway.services import Services


class AdminAccounts:
    """The handlers. Each is reached only with the admin token."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._accounts = services.accounts

    async def set_password(self, request: Request) -> Response:
        told = await fields.read(request, "password", "email")
        password = fields.text(told, "password")
        email = fields.text(told, "email") if told.get("email") is not None else None
        user = self._user(request.path_params["user_id"])
        user = await self._services.people.set_password(user, password, email or user.login or user.email)
        return reply({"id": user.id, "email": user.login})

    async def create_org(self, request: Request) -> Response:
        told = await fields.read(request, "name", "slug", "owner_id", "amount_uc")
        name, slug = fields.title(told, "name", required=True) or "", fields.slug(told)
        amount_uc = admin.amount(told, required=False)
        owner = self._user(fields.text(told, "owner_id"))
        org = await self._services.orgs.create(owner.id, name, slug, self.operator(request))
        if amount_uc:
            await self._services.money.top_up(org.id, amount_uc)
        return reply(await self._view(org), 201)

    async def read_org(self, request: Request) -> Response:
        org = await self.org(request)
        members = [member_view(member) for member in await self._services.members.of(org.id)]
        keys = [api_keys.view(key) for key in self._accounts.keys_of_org(org.id)]
        return reply({**await self._view(org), "members": members, "keys": keys})

    async def top_up(self, request: Request) -> Response:
        told = await fields.read(request, "amount_uc", "idempotency_key")
        amount_uc, key = admin.amount(told, required=True), admin.text(told, "idempotency_key")
        org = await self.org(request)
        try:
            transfer = await self._services.money.top_up(org.id, amount_uc, key)
        except IdempotencyConflict:
            raise Conflict(f"The idempotency key {shown(key)!r} was used for another top-up.") from None
        except LedgerError as error:
            raise InvalidRequest(f"`amount_uc`: {error}.") from None
        deed = Deed("credit.topped_up", f"tr_{transfer.id}", {"amountUc": amount_uc})
        await self._services.orgs.note(org.id, self.operator(request), deed, once=True)
        balance = await self._services.money.balance(org.id)
        return reply({"transfer_id": f"tr_{transfer.id}", "balance_uc": balance.balance_uc}, 201)

    async def add_member(self, request: Request) -> Response:
        told = await fields.read(request, "user_id", "role")
        user, role = self._user(fields.text(told, "user_id")), role_of(told)
        org = await self.org(request)
        await self._services.members.join(org.id, user.id, role, self.operator(request))
        [member] = [each for each in await self._services.members.of(org.id) if each.user_id == user.id]
        return reply(member_view(member), 201)

    async def create_key(self, request: Request) -> Response:
        told = await fields.read(request, *api_keys.CHANGEABLE, "user_id")
        name, expires_at_s = fields.title(told, "name"), fields.expiry_s(told, "expiresAt")
        scope, user = api_keys.scope_of(told), self._user(fields.text(told, "user_id"))
        org = await self.org(request)
        if user.id not in {member.user_id for member in await self._services.members.of(org.id)}:
            raise NotFound(f"There is no member {shown(user.id)!r}.")
        try:
            key, secret = await self._accounts.create_key(user, name, expires_at_s, org_id=org.id, scope=scope)
        except TooManyKeys:
            raise Conflict("There are too many keys already; delete some first.") from None
        deed = Deed("key.created", key.id, {"name": key.name, "prefix": key.prefix})
        await self._services.orgs.note(org.id, self.operator(request), deed)
        return reply({**api_keys.view(key), "key": secret}, 201)

    async def transfers(self, request: Request) -> Response:
        org = await self.org(request)
        limit = usage.number(request.query_params, "limit", admin.TRANSFERS, admin.TRANSFERS_MAX)
        moved = await self._services.money.transfers(org.id, limit)
        return reply({"transfers": [admin._transfer_view(transfer) for transfer in moved]})

    async def usage(self, request: Request) -> Response:
        return await usage.answer(self._services, request, (await self.org(request)).id)

    def _user(self, user_id: str) -> User:
        user = self._accounts.user(user_id)
        if user is None:
            raise NotFound(f"There is no user {shown(user_id)!r}.")
        return user

    async def org(self, request: Request) -> Org:
        org_id = request.path_params["org_id"]
        org = await self._services.orgs.find(org_id)
        if org is None:
            raise no_org(org_id)
        return org

    def operator(self, request: Request) -> Actor:
        address = origins.client(request.scope, origins.trusted(self._services.config.trusted_proxies))
        request_id = request.scope.get("windtunnel.request_id")
        return Actor(audit.OPERATOR, None if address is None else str(address), request_id)

    async def _view(self, org: Org) -> dict[str, Any]:
        balance = await self._services.money.balance(org.id)
        return {
            "id": org.id,
            "name": org.name,
            "slug": org.slug,
            "balance_uc": balance.balance_uc,
            "available_uc": balance.available_uc,
            "held_uc": balance.held_uc,
            "topped_up_uc": balance.topped_up_uc,
        }


def routes(services: Services) -> list[Route]:
    """The routes under /admin/users/{id}/password and /admin/orgs."""
    mine, guarded = AdminAccounts(services), admin.Admin(services).guarded
    org = "/admin/orgs/{org_id}"
    table: list[tuple[str, str, admin.Handler]] = [
        ("PUT", "/admin/users/{user_id}/password", mine.set_password),
        ("POST", "/admin/orgs", mine.create_org),
        ("GET", org, mine.read_org),
        ("POST", org + "/top-ups", mine.top_up),
        ("POST", org + "/members", mine.add_member),
        ("POST", org + "/keys", mine.create_key),
        ("GET", org + "/transfers", mine.transfers),
        ("GET", org + "/usage", mine.usage),
    ]
    return [Route(path, guarded(handler), methods=[method]) for method, path, handler in table]
