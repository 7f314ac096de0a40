"""/api/auth: signing up, in and out, who is signed in, another password. Source: docs/decisions.md#sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import origins
from gateway.accounts import User
from gateway.endpoints import account_fields as fields
from gateway.endpoints.usage import NO_STORE, reply
from gateway.orgs.orgs import Org
from gateway.people import door
from gateway.people.sessions import PASSWORD, Session
from gateway.services import Services
from gateway.usage import iso_utc

PASSWORD_MAX = 1000  # what is read at all


class Auth:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def sign_up(self, request: Request) -> Response:
        email, password, name = await self._credentials(request, "name")
        user = await self._services.people.sign_up(email, password, name, self._address(request))
        return await self._begun(request, user, 201)

    async def sign_in(self, request: Request) -> Response:
        email, password, _ = await self._credentials(request)
        user = await self._services.people.sign_in(email, password, self._address(request))
        return await self._begun(request, user, 200)

    async def sign_out(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        told = await fields.read(request, "everywhere")
        if fields.flag(told, "everywhere"):
            await self._services.sessions.end_all(caller.user.id)
        else:
            await self._services.sessions.end(caller.session.token)
        return Response(status_code=204, headers={"set-cookie": self._services.sessions.no_cookie(), **NO_STORE})

    async def session(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        return reply(await self._view(caller.user, caller.session))

    async def password(self, request: Request) -> Response:
        caller = await door.signed_in(self._services, request)
        told = await fields.read(request, "currentPassword", "newPassword")
        old = fields.text(told, "currentPassword", PASSWORD_MAX)
        new = fields.text(told, "newPassword", PASSWORD_MAX)
        await self._services.people.change_password(caller.user, old, new, self._address(request))
        return await self._begun(request, caller.user, 200)

    async def _credentials(self, request: Request, *more: str) -> tuple[str, str, str | None]:
        """E-mail address, password and name. Raises InvalidRequest; NoAccess for a page of another origin."""
        door.check_origin(self._services, request)
        told = await fields.read(request, "email", "password", *more)
        email, password = fields.text(told, "email"), fields.text(told, "password", PASSWORD_MAX)
        return email, password, fields.title(told, "name")

    async def _begun(self, request: Request, user: User, status: int) -> Response:
        """A new session in place of the browser's last one, so that nobody can have known its cookie before."""
        sessions = self._services.sessions
        old = sessions.token_of("; ".join(request.headers.getlist("cookie")))
        if old is not None:
            await sessions.end(old)
        session = await sessions.begin(user, PASSWORD)
        response = reply(await self._view(user, session), status)
        response.headers.append("set-cookie", sessions.cookie(session))
        return response

    async def _view(self, user: User, session: Session) -> dict[str, Any]:
        return {
            "user": user_view(user),
            "orgs": [org_view(org, role) for org, role in await self._services.orgs.of(user.id)],
            "via": session.via,
            "csrfToken": session.csrf_token,
            "expiresAt": iso_utc(session.expires_at_ms),
        }

    def _address(self, request: Request) -> str:
        return origins.same_network(door.address_of(self._services, request))


def user_view(user: User) -> dict[str, Any]:
    """A user as they see themselves."""
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "emailVerified": user.email_verified_at_ms is not None,
        "createdAt": iso_utc(user.created_at_ms),
    }


def org_view(org: Org, role: str) -> Mapping[str, Any]:
    """An organisation as its member sees it."""
    return {"id": org.id, "slug": org.slug, "role": role, "name": org.name, "createdAt": iso_utc(org.created_at_ms)}


def routes(services: Services) -> list[Route]:
    """The routes under /api/auth."""
    auth = Auth(services)
    return [
        Route("/api/auth/sign-up", auth.sign_up, methods=["POST"]),
        Route("/api/auth/sign-in", auth.sign_in, methods=["POST"]),
        Route("/api/auth/sign-out", auth.sign_out, methods=["POST"]),
        Route("/api/auth/session", auth.session, methods=["GET"]),
        Route("/api/auth/password", auth.password, methods=["POST"]),
    ]
