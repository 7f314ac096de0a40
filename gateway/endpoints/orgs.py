"""/api/orgs: organisations, their members, invitations, money, usage and audit log.

Every route of one organisation names the action it takes, and is reached through `member`, which asks
`Orgs.access`: there is no other way in. Source: api-reference#teams-rbac-sso.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.endpoints import account_fields as fields
from gateway.endpoints import usage
from gateway.endpoints.auth import org_view
from gateway.endpoints.usage import reply
from gateway.errors import InvalidRequest, shown
from gateway.orgs import audit, permissions
from gateway.orgs.invitations import Invitation
from gateway.orgs.members import Member
from gateway.orgs.orgs import Access
from gateway.people import door, emails
from gateway.services import Services
from gateway.storage.tables import transfers
from gateway.usage import credits, iso_utc

AUDIT, AUDIT_MAX = 100, 1000  # rows
TOP_UPS = 100

Handler = Callable[[Request, Access], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class OrgRoute:
    """A route of one organisation and the action that it takes."""

    method: str
    path: str  # below /api/orgs/{org_id}
    action: str
    handler: Handler


class OrgApi:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._orgs = services.orgs
        self._members = services.members
        self._invitations = services.invitations

    async def create(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        told = await fields.read(request, "name", "slug")
        name, slug = fields.title(told, "name", required=True) or "", fields.slug(told)
        org = await self._orgs.create(caller.user.id, name, slug, caller.actor)
        return reply(org_view(org, permissions.OWNER), 201)

    async def index(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        return reply({"orgs": [org_view(org, role) for org, role in await self._orgs.of(caller.user.id)]})

    async def accept(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        told = await fields.read(request, "token")
        accepted = await self._invitations.accept(caller.user, fields.text(told, "token"), caller.actor)
        access = await self._orgs.access(caller.actor, accepted.org_id, "org.read")
        return reply(org_view(access.org, access.role))

    async def read(self, _request: Request, access: Access) -> Response:
        may = permissions.table().of(access.role)
        return reply({**org_view(access.org, access.role), "permissions": may})

    async def rename(self, request: Request, access: Access) -> Response:
        told = await fields.read(request, "name")
        org = await self._orgs.rename(access, fields.title(told, "name", required=True) or "")
        return reply(org_view(org, access.role))

    async def delete(self, _request: Request, access: Access) -> Response:
        await self._orgs.delete(access)
        return Response(status_code=204)

    async def members(self, _request: Request, access: Access) -> Response:
        return reply({"members": [member_view(member) for member in await self._members.of(access.org.id)]})

    async def change_member(self, request: Request, access: Access) -> Response:
        told = await fields.read(request, "role")
        role = role_of(told)
        user_id = request.path_params["user_id"]
        await self._members.change_role(access, user_id, role)
        return reply({"userId": user_id, "role": role})

    async def remove_member(self, request: Request, access: Access) -> Response:
        await self._members.remove(access, request.path_params["user_id"])
        return Response(status_code=204)

    async def leave(self, request: Request, access: Access) -> Response:
        await fields.read(request)
        await self._members.remove(access, access.actor.user_id)
        return Response(status_code=204)

    async def transfer(self, request: Request, access: Access) -> Response:
        told = await fields.read(request, "userId")
        await self._members.transfer(access, fields.text(told, "userId"))
        return reply(org_view(access.org, "admin"))

    async def invitations(self, _request: Request, access: Access) -> Response:
        return reply({"invitations": [invitation_view(each) for each in await self._invitations.of(access.org.id)]})

    async def invite(self, request: Request, access: Access) -> Response:
        told = await fields.read(request, "email", "role")
        email, role = emails.normal(fields.text(told, "email")), role_of(told)
        if email is None:
            raise InvalidRequest("`email` is no e-mail address.")
        made, token = await self._invitations.invite(access, email, role)
        return reply({**invitation_view(made), "token": token}, 201)

    async def withdraw(self, request: Request, access: Access) -> Response:
        await self._invitations.withdraw(access, request.path_params["invitation_id"])
        return Response(status_code=204)

    async def audit_log(self, request: Request, access: Access) -> Response:
        limit = usage.number(request.query_params, "limit", AUDIT, AUDIT_MAX)
        before = audit_cursor(request.query_params.get("cursor"))
        rows = await self._services.store.read(lambda c: audit.page(c, access.org.id, limit + 1, before))
        more = rows[limit - 1]["id"] if len(rows) > limit else None
        return reply({"events": rows[:limit], "nextCursor": more})

    async def usage(self, request: Request, access: Access) -> Response:
        return await usage.answer(self._services, request, access.org.id)

    async def export(self, request: Request, access: Access) -> Response:
        return await usage.download(self._services, request, access.org.id)

    async def billing(self, _request: Request, access: Access) -> Response:
        return reply(await billing_view(self._services, access.org.id))

    def member(self, action: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind the one check: a session, a membership, and a role that allows the action."""

        async def guarded(request: Request) -> Response:
            caller = await door.signed_in(self._services, request)
            access = await self._orgs.access(caller.actor, request.path_params["org_id"], action)
            return await handler(request, access)

        return guarded

    def table(self) -> list[OrgRoute]:
        """Every route of one organisation."""
        member, invitation = "/members/{user_id}", "/invitations/{invitation_id}"
        return [
            OrgRoute("GET", "", "org.read", self.read),
            OrgRoute("PATCH", "", "org.rename", self.rename),
            OrgRoute("DELETE", "", "org.delete", self.delete),
            OrgRoute("POST", "/leave", "org.read", self.leave),
            OrgRoute("POST", "/transfer", "org.transfer", self.transfer),
            OrgRoute("GET", "/members", "members.read", self.members),
            OrgRoute("PATCH", member, "members.manage", self.change_member),
            OrgRoute("DELETE", member, "members.manage", self.remove_member),
            OrgRoute("GET", "/invitations", "members.manage", self.invitations),
            OrgRoute("POST", "/invitations", "members.manage", self.invite),
            OrgRoute("DELETE", invitation, "members.manage", self.withdraw),
            OrgRoute("GET", "/audit-log", "audit.read", self.audit_log),
            OrgRoute("GET", "/usage", "usage.read", self.usage),
            OrgRoute("GET", "/usage/export", "usage.read", self.export),
            OrgRoute("GET", "/billing", "billing.read", self.billing),
        ]


def role_of(told: dict[str, Any]) -> str:
    """`role`, one of the table's. Raises InvalidRequest."""
    role, roles = fields.text(told, "role"), permissions.table().roles
    if role not in roles:
        raise InvalidRequest(f"`role` is {shown(role)!r}; one of {', '.join(roles)} was due.")
    return role


def audit_cursor(text: str | None) -> int | None:
    """The id before which a page begins. Raises InvalidRequest."""
    if not text:
        return None
    digits = text.removeprefix("aud_")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidRequest("`cursor` is none of ours; the `nextCursor` of a page was due.")
    return int(digits)


def member_view(member: Member) -> dict[str, Any]:
    """A member as other members see them."""
    return {
        "userId": member.user_id,
        "name": member.name,
        "email": member.email,
        "role": member.role,
        "joinedAt": iso_utc(member.joined_at_ms),
    }


def invitation_view(invitation: Invitation) -> dict[str, Any]:
    """An open invitation, without its token."""
    return {
        "id": invitation.id,
        "email": invitation.email,
        "role": invitation.role,
        "invitedBy": invitation.invited_by,
        "createdAt": iso_utc(invitation.created_at_ms),
        "expiresAt": iso_utc(invitation.expires_at_ms),
    }


async def billing_view(services: Services, payer_id: str) -> dict[str, Any]:
    """What an organisation has, and the newest top-ups."""
    balance = await services.money.balance(payer_id)
    mine = (transfers.c.user_id == payer_id, transfers.c.kind == "TOP_UP")
    query = select(transfers).where(*mine).order_by(transfers.c.id.desc()).limit(TOP_UPS)
    bought = [
        {
            "id": f"tr_{row.id}",
            "amountUc": row.amount_uc,
            "amountCredits": credits(row.amount_uc),
            "createdAt": iso_utc(row.created_at_ms),
        }
        for row in await services.store.read(lambda c: c.execute(query).all())
    ]
    amounts = {
        "balance": balance.balance_uc,
        "available": balance.available_uc,
        "held": balance.held_uc,
        "toppedUp": balance.topped_up_uc,
    }
    told: dict[str, Any] = {f"{name}Uc": amount_uc for name, amount_uc in amounts.items()}
    told |= {f"{name}Credits": credits(amount_uc) for name, amount_uc in amounts.items()}
    return {**told, "topUps": bought}


def routes(services: Services) -> list[Route]:
    """The routes under /api/orgs."""
    api = OrgApi(services)

    one = [
        Route("/api/orgs/{org_id}" + route.path, api.member(route.action, route.handler), methods=[route.method])
        for route in api.table()
    ]
    return [
        Route("/api/orgs", api.index, methods=["GET"]),
        Route("/api/orgs", api.create, methods=["POST"]),
        Route("/api/orgs/invitations/accept", api.accept, methods=["POST"]),
        *one,
    ]
