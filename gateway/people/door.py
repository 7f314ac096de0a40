"""Who is at a route of the dashboard: the session of the request's cookie, and whether it may change something.

A route that changes something needs, with the cookie, the session's CSRF token in `x-csrf-token` and, if the browser
tells one, an `Origin` of our own. Routes without a session that set a cookie need the Origin, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import Request

from gateway import origins
from gateway.accounts import Accounts, User
from gateway.config import Config
from gateway.errors import NoAccess, Unauthenticated
from gateway.orgs.audit import Actor
from gateway.people.sessions import Session, Sessions

CSRF_HEADER: Final = "x-csrf-token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Services(Protocol):
    """What the door needs of the gateway."""

    @property
    def config(self) -> Config: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def sessions(self) -> Sessions: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody signed in."""

    user: User
    session: Session
    actor: Actor


async def signed_in(services: Services, request: Request) -> Caller:
    """The caller, who must be signed in. Raises Unauthenticated; NoAccess for a change that another site may have
    made the browser ask for.
    """
    caller = await session_of(services, request)
    if caller is None:
        raise Unauthenticated("This needs a session: sign in first.")
    if request.method not in SAFE:
        check_origin(services, request)
        if not caller.session.allows(request.headers.get(CSRF_HEADER, "")):
            raise NoAccess(f"The header {CSRF_HEADER} is missing or is not that of the session.")
    return caller


async def session_of(services: Services, request: Request) -> Caller | None:
    """The caller if they are signed in."""
    token = services.sessions.token_of("; ".join(request.headers.getlist("cookie")))
    session = None if token is None else await services.sessions.find(token)
    if session is None:
        return None
    if services.accounts.user(session.user_id) is None:
        await services.accounts.reload("user", session.user_id)
    user = services.accounts.user(session.user_id)
    return None if user is None else Caller(user, session, actor_of(services, request, user.id))


def check_origin(services: Services, request: Request) -> None:
    """Raises NoAccess when a browser says that another site's page asks."""
    told = request.headers.getlist("origin")
    if not told:
        return
    came = origins.origin(told[0]) if len(told) == 1 else None
    if came is None or came not in own_origins(services, request):
        raise NoAccess("The request comes from a page of another origin.")


def own_origins(services: Services, request: Request) -> set[str]:
    """Ours: that of `public_url`, and the host that the request was sent to."""
    host = request.headers.get("host", "")
    texts = [f"http://{host}", f"https://{host}"] if host else []
    if services.config.public_url:
        scheme, _, rest = services.config.public_url.partition("://")
        texts.append(f"{scheme}://{rest.partition('/')[0]}")
    return {origin for origin in map(origins.origin, texts) if origin is not None}


def address_of(services: Services, request: Request) -> origins.Address | None:
    """Where the request comes from."""
    return origins.client(request.scope, origins.trusted(services.config.trusted_proxies))


def actor_of(services: Services, request: Request, user_id: str) -> Actor:
    """Who acts, for the audit log."""
    address = address_of(services, request)
    return Actor(user_id, None if address is None else str(address), request.scope.get("windtunnel.request_id"))
