"""/settings/account: password, sessions, credits and tier."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from gateway import pricing
from gateway.endpoints import account_fields as fields
from gateway.endpoints import auth
from gateway.endpoints.orgs import billing_view
from gateway.endpoints.pages_sign_in import address, begin
from gateway.errors import InvalidRequest, TooManyRequests
from gateway.pages import forms
from gateway.pages.forms import NONE, Problem
from gateway.pages.visit import Visit
from schemas.catalogue.tiers import next_tier, tier_of, tiers

PATH: Final = "/settings/account"


def handlers() -> list[tuple[str, str, Any]]:
    """(method, path, handler)."""
    return [
        ("GET", PATH, show),
        ("POST", PATH + "/password", change_password),
        ("POST", PATH + "/sessions", end_session),
    ]


async def show(visit: Visit) -> Response:
    """The page."""
    return await shown_with(visit)


async def shown_with(visit: Visit, problem: Problem = NONE) -> Response:
    """The page, with what was wrong with its form."""
    services, user = visit.services, visit.me.user
    billing = await billing_view(services, user.id)
    stored = await services.people.find(user.login or "")
    sessions = await services.sessions.of(user.id)
    return visit.page(
        "account.html",
        user=user,
        orgs=await visit.orgs(),
        billing=billing,
        tier=tier_of(billing["toppedUpUc"]),
        tiers=tiers(),
        after=next_tier(billing["toppedUpUc"]),
        minimum_uc=pricing.MINIMUM_BALANCE_UC,
        has_password=stored is not None and stored.password is not None,
        sessions=sessions,
        mine=services.sessions.ident(visit.me.session.token),
        problem=problem,
    )


async def change_password(visit: Visit) -> Response:
    """Another password; all sessions but a new one of this browser end."""
    user, values = visit.me.user, await visit.form()
    try:
        told = {name: values.get(name) or None for name in ("currentPassword", "newPassword")}
        old = fields.text(told, "currentPassword", auth.PASSWORD_MAX)
        new = fields.text(told, "newPassword", auth.PASSWORD_MAX)
        await visit.services.people.change_password(user, old, new, address(visit))
    except (InvalidRequest, TooManyRequests) as error:
        problem = forms.problem("password", error, values, "currentPassword", "newPassword")
        return await shown_with(visit, problem)
    await begin(visit, user)
    return visit.go(PATH, "Your password was changed, and all other sessions ended.")


async def end_session(visit: Visit) -> Response:
    """Ends one session, or all but this."""
    caller, values = visit.me, await visit.form()
    sessions = visit.services.sessions
    which = values.get("session", "")
    mine = sessions.ident(caller.session.token)
    others = [session.ident for session in await sessions.of(caller.user.id) if session.ident != mine]
    await sessions.end_some(caller.user.id, others if which == "others" else [which] if which in others else [])
    return visit.go(PATH, "All other sessions ended." if which == "others" else "The session ended.")
