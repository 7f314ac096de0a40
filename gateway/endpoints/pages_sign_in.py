"""/sign-in, /sign-up, /sign-out: the e-mail address first, then the password or an identity provider."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from gateway import origins
from gateway.accounts import User
from gateway.endpoints import account_fields as fields
from gateway.endpoints import auth, sso
from gateway.errors import Conflict, InvalidRequest, TooManyRequests, Unauthenticated
from gateway.pages import forms
from gateway.pages.visit import Visit
from gateway.people import door, emails
from gateway.people.door import Caller
from gateway.people.sessions import PASSWORD


def handlers() -> list[tuple[str, str, Any]]:
    """(method, path, handler)."""
    return [
        ("GET", "/sign-in", show_sign_in),
        ("POST", "/sign-in", sign_in),
        ("GET", "/sign-up", show_sign_up),
        ("POST", "/sign-up", sign_up),
        ("POST", "/sign-out", sign_out),
    ]


async def show_sign_in(visit: Visit) -> Response:
    """The first step."""
    target = visit.next(visit.request.query_params.get("next", ""))
    return visit.go(target) if visit.caller else visit.page("sign_in.html", target=target, email="", step="email")


async def sign_in(visit: Visit) -> Response:
    """A step further: with an address alone to the password or the identity provider, with both in."""
    values = await visit.form()
    target, email = visit.next(values.get("next", "")), values.get("email", "").strip()
    step = "email"
    try:
        login = emails.normal(fields.text({"email": email or None}, "email"))
        if login is None:
            raise InvalidRequest("`email` is no e-mail address.")
        provider = await visit.services.sign_on.providers.of_domain(emails.domain_of(login))
        if provider is not None:
            asked = {"login_hint": login, "return_to": target}
            url = f"{sso.ROOT}/{provider.id}/login?{urlencode(asked)}"
            return visit.page("elsewhere.html", url=url, domain=provider.domain)
        if "password" not in values:
            return visit.page("sign_in.html", target=target, email=login, step="password")
        step = "password"
        password = fields.text({"password": values["password"] or None}, "password", auth.PASSWORD_MAX)
        user = await visit.services.people.sign_in(login, password, address(visit))
    except (InvalidRequest, TooManyRequests, Unauthenticated) as error:
        problem = forms.problem("sign-in", error, values, "email", "password")
        response = visit.page("sign_in.html", target=target, email=email, step=step, problem=problem)
        response.headers.update({name.decode(): value.decode() for name, value in error.headers})
        return response
    await begin(visit, user)
    return visit.go(target)


async def show_sign_up(visit: Visit) -> Response:
    """The form."""
    target = visit.next(visit.request.query_params.get("next", ""))
    return visit.go(target) if visit.caller else visit.page("sign_up.html", target=target)


async def sign_up(visit: Visit) -> Response:
    """A new user, signed in."""
    values = await visit.form()
    target = visit.next(values.get("next", ""))
    try:
        told = forms.told(values, "email", "name")
        email, name = fields.text(told, "email"), fields.title(told, "name")
        password = fields.text({"password": values.get("password") or None}, "password", auth.PASSWORD_MAX)
        user = await visit.services.people.sign_up(email, password, name, address(visit))
    except (InvalidRequest, Conflict, TooManyRequests) as error:
        problem = forms.problem("sign-up", error, values, "email", "name", "password")
        return visit.page("sign_up.html", target=target, problem=problem)
    await begin(visit, user)
    return visit.go(target, "Welcome. Your account is ready: make an API key next.")


async def sign_out(visit: Visit) -> Response:
    """Here, or everywhere."""
    caller, values = visit.me, await visit.form()
    sessions = visit.services.sessions
    if values.get("everywhere"):
        await sessions.end_all(caller.user.id)
    else:
        await sessions.end(caller.session.token)
    visit.add_cookie(sessions.no_cookie())
    return visit.go("/")


async def begin(visit: Visit, user: User) -> None:
    """A new session in place of the browser's last one, so that nobody can have known its cookie before."""
    sessions = visit.services.sessions
    old = sessions.token_of("; ".join(visit.request.headers.getlist("cookie")))
    if old is not None:
        await sessions.end(old)
    session = await sessions.begin(user, PASSWORD)
    visit.add_cookie(sessions.cookie(session))
    visit.caller = Caller(user, session, door.actor_of(visit.services, visit.request, user.id))


def address(visit: Visit) -> str:
    """What attempts are counted by."""
    return origins.same_network(visit.address)


def base(visit: Visit) -> str:
    """How callers reach this gateway."""
    return sso.base_url(visit.services, visit.request)
