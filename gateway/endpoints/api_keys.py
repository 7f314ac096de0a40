"""/api/api-keys: one's own keys, and those of an organisation. With the dashboard's session only: a key makes no keys.

Source: api-reference#gateway-features (Budget Alerts), #hosting (Lock keys to your subdomain), #teams-rbac-sso.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import body
from gateway.accounts import KEYS_MAX, UNSET, Key, Scope, TooManyKeys
from gateway.endpoints import account_fields as fields
from gateway.endpoints.usage import reply
from gateway.errors import Conflict, InvalidRequest, NotFound, shown
from gateway.orgs.audit import Deed
from gateway.orgs.orgs import Access
from gateway.people import door
from gateway.people.door import Caller
from gateway.services import Services
from gateway.usage import iso_utc

GRACE_MAX_S = 30 * 86_400
CHANGEABLE = ("name", "spendingLimit", "autoDisable", "expiresAt", "origins", "ips")


class ApiKeys:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._accounts = services.accounts
        self._orgs = services.orgs

    async def index(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        org_id = request.query_params.get("orgId")
        if org_id:
            access = await self._orgs.access(caller.actor, org_id, "keys.read")
            found = self._accounts.keys_of_org(access.org.id)
        else:
            found = [key for key in self._accounts.keys_of(caller.user.id) if key.org_id is None]
        return reply({"keys": [view(key) for key in found]})

    async def create(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        told = await fields.read(request, *CHANGEABLE, "orgId")
        name, expires_at_s, scope = fields.title(told, "name"), fields.expiry_s(told, "expiresAt"), scope_of(told)
        access = None
        if told.get("orgId") is not None:
            access = await self._orgs.access(caller.actor, fields.text(told, "orgId"), "keys.create")
        try:
            key, secret = await self._accounts.create_key(
                caller.user,
                name,
                expires_at_s,
                org_id=None if access is None else access.org.id,
                scope=scope,
                also=None if access is None else lambda c, key: self._note(access, "key.created", key)(c),
            )
        except TooManyKeys:
            raise Conflict(f"There are {KEYS_MAX} keys already; delete some first.") from None
        return reply({**view(key), "key": secret}, 201)

    async def read(self, request: Request) -> Response:
        key, _ = await self._key(request, "keys.read")
        return reply(view(key))

    async def change(self, request: Request) -> Response:
        key, access = await self._key(request, "keys.change")
        told = await fields.read(request, *CHANGEABLE, "status")
        status = told.get("status")
        if status not in (None, "active", "disabled"):
            raise InvalidRequest(f"`status` is {shown(status)!r}; 'active' or 'disabled' was due.")
        changed = await self._accounts.change_key(
            key,
            status=status,
            name=fields.title(told, "name") if "name" in told else UNSET,
            expires_at_s=fields.expiry_s(told, "expiresAt") if "expiresAt" in told else UNSET,
            scope=scope_of(told, key.scope),
            reason="user",
            also=self._also(access, "key.changed", key, changes=sorted(told)),
        )
        return reply(view(changed))

    async def rotate(self, request: Request) -> Response:
        key, access = await self._key(request, "keys.rotate")
        told = await fields.read(request, "graceSeconds")
        grace_s = body.whole_number(told, "graceSeconds", 0, GRACE_MAX_S) or 0
        also = self._also(access, "key.rotated", key, graceSeconds=grace_s)
        changed, secret = await self._accounts.rotate_key(key, grace_s, also)
        return reply({**view(changed), "key": secret})

    async def delete(self, request: Request) -> Response:
        key, access = await self._key(request, "keys.delete")
        await self._accounts.delete_key(key, self._also(access, "key.deleted", key))
        return Response(status_code=204)

    async def _key(self, request: Request, action: str) -> tuple[Key, Access | None]:
        """The key of the path if the caller may take the action with it. What they may not see does not exist.

        Raises Unauthenticated, NotFound, NoAccess.
        """
        caller = await door.signed_in(self._services, request)
        key_id = request.path_params["key_id"]
        key = self._accounts.key(key_id)
        missing = NotFound(f"There is no key {shown(key_id)!r}.")
        if key is None or (key.org_id is None and key.user_id != caller.user.id):
            raise missing
        if key.org_id is None:
            return key, None
        return key, await self._access(caller, key.org_id, action, missing)

    async def _access(self, caller: Caller, org_id: str, action: str, missing: NotFound) -> Access:
        try:
            return await self._orgs.access(caller.actor, org_id, action)
        except NotFound:
            raise missing from None

    def _also(self, access: Access | None, action: str, key: Key, **details: Any) -> Any:
        return None if access is None else self._note(access, action, key, **details)

    def _note(self, access: Access, action: str, key: Key, **details: Any) -> Any:
        """The check and the audit row that go with a change of an organisation's key."""
        return self._orgs.recorder(access, Deed(action, key.id, {"name": key.name, "prefix": key.prefix, **details}))


def scope_of(told: dict[str, Any], scope: Scope = Scope()) -> Scope:
    """The scope with what was told of it. Raises InvalidRequest."""
    return Scope(
        fields.credits_uc(told, "spendingLimit") if "spendingLimit" in told else scope.spending_limit_uc,
        fields.flag(told, "autoDisable") if "autoDisable" in told else scope.auto_disable,
        fields.origin_list(told, "origins") if "origins" in told else scope.origins,
        fields.network_list(told, "ips") if "ips" in told else scope.ips,
    )


def view(key: Key) -> dict[str, Any]:
    """A key as its owner sees it. No part of it can be told back to us as the secret."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "status": key.status,
        "statusReason": key.status_reason,
        "spendingLimit": fields.as_credits(key.spending_limit_uc),
        "autoDisable": key.auto_disable,
        "expiresAt": None if key.expires_at_s is None else iso_utc(key.expires_at_s * 1000),
        "origins": list(key.scope.origins),
        "ips": [str(network) for network in key.scope.ips],
        "orgId": key.org_id,
        "userId": key.user_id,
        "createdAt": iso_utc(key.created_at_ms),
        "rotatedAt": None if key.rotated_at_ms is None else iso_utc(key.rotated_at_ms),
    }


def routes(services: Services) -> list[Route]:
    """The routes under /api/api-keys."""
    keys = ApiKeys(services)
    one = "/api/api-keys/{key_id}"
    return [
        Route("/api/api-keys", keys.index, methods=["GET"]),
        Route("/api/api-keys", keys.create, methods=["POST"]),
        Route(one, keys.read, methods=["GET"]),
        Route(one, keys.change, methods=["PATCH"]),
        Route(one, keys.delete, methods=["DELETE"]),
        Route(one + "/rotate", keys.rotate, methods=["POST"]),
    ]
