"""/settings/organization: members, invitations, sign-on, budget and audit log, each for whom a role lets see it.

What a role does not allow is neither read nor shown, and its forms are refused where the JSON API refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from gateway.endpoints import account_fields as fields
from gateway.endpoints import sso
from gateway.endpoints.orgs import audit_cursor, billing_view, role_of
from gateway.endpoints.pages_sign_in import base
from gateway.endpoints.pages_usage import visit_may
from gateway.endpoints.spending import budget_view
from gateway.errors import ClientError, InvalidRequest
from gateway.ledger.spending import org_scope, period_of
from gateway.orgs import audit
from gateway.orgs.audit import Deed
from gateway.orgs.orgs import Access
from gateway.pages import forms
from gateway.pages.forms import NONE, Problem
from gateway.pages.visit import Visit
from gateway.people import emails
from gateway.sign_on import settings
from gateway.sign_on.providers import Provider, no_provider

if TYPE_CHECKING:
    from gateway.services import Services

PATH: Final = "/settings/organization"
EVENTS: Final = 30
SSO_FIELDS: Final = ("domain", "defaultRole", "issuer", "clientId", "clientSecret", "metadataXml", "metadataUrl")


def handlers() -> list[tuple[str, str, Any]]:
    """(method, path, handler)."""
    one, member, provider = PATH + "/{org_id}", "/members/{user_id}", "/sso/{provider_id}"
    return [
        ("GET", PATH, show),
        ("GET", PATH + "/new", listed),
        ("POST", PATH, create),
        ("POST", one + "/name", rename),
        ("POST", one + "/delete", delete),
        ("POST", one + "/leave", leave),
        ("POST", one + member + "/role", change_role),
        ("POST", one + member + "/remove", remove),
        ("POST", one + member + "/owner", transfer),
        ("POST", one + "/invitations", invite),
        ("POST", one + "/invitations/{invitation_id}/withdraw", withdraw),
        ("POST", one + "/budget", change_budget),
        ("POST", one + "/sso", create_provider),
        ("POST", one + provider + "/check", check_provider),
        ("POST", one + provider + "/enabled", switch_provider),
        ("POST", one + provider + "/delete", delete_provider),
        ("GET", "/invitations/accept", show_invitation),
        ("POST", "/invitations/accept", accept),
    ]


async def show(visit: Visit) -> Response:
    """The page of the organisation that `org` names, or of the only one; a list where there are more."""
    org_id = visit.request.query_params.get("org", "")
    mine = await visit.orgs()
    if not org_id and len(mine) == 1:
        org_id = mine[0][0].id
    if not org_id:
        return await listed(visit)
    return await shown_with(visit, await visit.services.orgs.access(visit.me.actor, org_id, "org.read"))


async def listed(visit: Visit, problem: Problem = NONE) -> Response:
    """The visitor's organisations, and a form for another."""
    return visit.page("organizations.html", orgs=await visit.orgs(), problem=problem)


async def shown_with(visit: Visit, access: Access, problem: Problem = NONE) -> Response:
    """The page, with what was wrong with one of its forms."""
    services, org, role = visit.services, access.org, access.role
    sections = ("members.read", "members.manage", "billing.read", "sso.read", "audit.read")
    may = {action for action in sections if visit_may(role, action)}
    here = base(visit)
    events, older = await events_of(visit, org.id) if "audit.read" in may else ([], None)
    providers = await services.sign_on.providers.of_org(org.id) if "sso.read" in may else []
    return visit.page(
        "organization.html",
        org=org,
        role=role,
        orgs=await visit.orgs(),
        members=await services.members.of(org.id) if "members.read" in may else None,
        invitations=await services.invitations.of(org.id) if "members.manage" in may else None,
        billing=await billing_view(services, org.id) if "billing.read" in may else None,
        budget=await budget_of(services, org.id) if "billing.read" in may else None,
        providers=[sso.view(provider, here) for provider in providers] if "sso.read" in may else None,
        events=events if "audit.read" in may else None,
        older=older,
        problem=problem,
    )


async def events_of(visit: Visit, org_id: str) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the audit log, and where the next begins."""
    before = audit_cursor(visit.request.query_params.get("before"))
    rows = await visit.services.store.read(lambda c: audit.page(c, org_id, EVENTS + 1, before))
    return rows[:EVENTS], rows[EVENTS - 1]["id"] if len(rows) > EVENTS else None


async def budget_of(services: Services, org_id: str) -> dict[str, Any]:
    """The month's budget and what of it is spent."""
    scope, period = org_scope(org_id), period_of(services.clock.now_ms())
    counter = (await services.money.spending([scope])).get(scope)
    return budget_view(services.budgets.budget_uc(org_id), counter, period)


async def create(visit: Visit) -> Response:
    """A new organisation."""
    caller, values = visit.me, await visit.form()
    try:
        name = fields.title(forms.told(values, "name"), "name", required=True) or ""
        org = await visit.services.orgs.create(caller.user.id, name, None, caller.actor)
    except ClientError as error:
        return await listed(visit, forms.problem("create", error, values, "name"))
    return visit.go(path_of(org.id), f"{org.name} is ready. Invite your team next.")


async def rename(visit: Visit) -> Response:
    """Another name."""
    values, access = await visit.form(), await access_to(visit, "org.rename")
    try:
        name = fields.title(forms.told(values, "name"), "name", required=True) or ""
        await visit.services.orgs.rename(access, name)
    except InvalidRequest as error:
        return await shown_with(visit, access, forms.problem("rename", error, values, "name"))
    return visit.go(path_of(access.org.id), "The name was changed.")


async def delete(visit: Visit) -> Response:
    """Ends the organisation, if its name was typed."""
    values, access = await visit.form(), await access_to(visit, "org.delete")
    if " ".join(values.get("name", "").split()) != access.org.name:
        error = InvalidRequest("`name` is another; type the organisation's name to delete it.")
        return await shown_with(visit, access, forms.problem("delete", error, {}, "name"))
    await visit.services.orgs.delete(access)
    return visit.go(PATH, f"{access.org.name} was deleted.")


async def leave(visit: Visit) -> Response:
    """Ends the visitor's own membership."""
    _, access = await visit.form(), await access_to(visit, "org.read")
    try:
        await visit.services.members.remove(access, access.actor.user_id)
    except ClientError as error:
        return await shown_with(visit, access, forms.problem("members", error, {}))
    return visit.go(PATH, f"You have left {access.org.name}.")


async def change_role(visit: Visit) -> Response:
    """Another role for a member."""
    values, access = await visit.form(), await access_to(visit, "members.manage")
    try:
        role = role_of(forms.told(values, "role"))
        await visit.services.members.change_role(access, visit.request.path_params["user_id"], role)
    except ClientError as error:
        return await shown_with(visit, await again(visit, access), forms.problem("members", error, {}))
    return visit.go(path_of(access.org.id, "members"), f"The role is now {role}.")


async def remove(visit: Visit) -> Response:
    """Ends a membership."""
    _, access = await visit.form(), await access_to(visit, "members.manage")
    try:
        await visit.services.members.remove(access, visit.request.path_params["user_id"])
    except ClientError as error:
        return await shown_with(visit, await again(visit, access), forms.problem("members", error, {}))
    return visit.go(path_of(access.org.id, "members"), "The member was removed, and their keys here were disabled.")


async def transfer(visit: Visit) -> Response:
    """Makes another member the owner in the visitor's place."""
    _, access = await visit.form(), await access_to(visit, "org.transfer")
    try:
        await visit.services.members.transfer(access, visit.request.path_params["user_id"])
    except ClientError as error:
        return await shown_with(visit, await again(visit, access), forms.problem("members", error, {}))
    return visit.go(path_of(access.org.id, "members"), "The organisation has a new owner; you are an admin now.")


async def invite(visit: Visit) -> Response:
    """An invitation, whose link is shown once."""
    values, access = await visit.form(), await access_to(visit, "members.manage")
    try:
        email = emails.normal(fields.text(forms.told(values, "email"), "email"))
        if email is None:
            raise InvalidRequest("`email` is no e-mail address.")
        _, token = await visit.services.invitations.invite(access, email, role_of(forms.told(values, "role")))
    except ClientError as error:
        return await shown_with(visit, await again(visit, access), forms.problem("invite", error, values, "email"))
    link = f"{base(visit)}/invitations/accept?token={token}"
    told = f"{email} is invited. Send them this link; it works for seven days, for this address only."
    return visit.go(path_of(access.org.id, "members"), told, secret=link, called="Invitation link")


async def withdraw(visit: Visit) -> Response:
    """Takes an invitation back."""
    _, access = await visit.form(), await access_to(visit, "members.manage")
    await visit.services.invitations.withdraw(access, visit.request.path_params["invitation_id"])
    return visit.go(path_of(access.org.id, "members"), "The invitation was withdrawn.")


async def show_invitation(visit: Visit) -> Response:
    """Asks whether the visitor wants to join. Raises Unauthenticated."""
    return visit.page("invitation.html", orgs=await visit.orgs(), token=visit.request.query_params.get("token", ""))


async def accept(visit: Visit) -> Response:
    """Joins."""
    caller, values = visit.me, await visit.form()
    token = values.get("token", "")
    try:
        told = fields.text({"token": token or None}, "token")
        accepted = await visit.services.invitations.accept(caller.user, told, caller.actor)
    except ClientError as error:
        problem = forms.problem("accept", error, {})
        return visit.page("invitation.html", orgs=await visit.orgs(), token=token, problem=problem)
    said = "You are in." if accepted.joined else "You were a member already."
    return visit.go(path_of(accepted.org_id), said)


async def change_budget(visit: Visit) -> Response:
    """What the organisation may spend in a month; nothing: as much as it has."""
    values, access = await visit.form(), await access_to(visit, "billing.manage")
    budgets, org_id = visit.services.budgets, access.org.id
    try:
        limit_uc = fields.credits_uc({"monthlyLimit": forms.amount(values, "monthlyLimit")}, "monthlyLimit")
    except InvalidRequest as error:
        return await shown_with(visit, access, forms.problem("budget", error, values, "monthlyLimit"))
    deed = Deed("budget.changed", org_id, {"monthlyLimit": fields.as_credits(limit_uc)})
    await visit.services.orgs.write(access, lambda c, _now: budgets.change(c, org_id, limit_uc), deed)
    await budgets.reload()
    return visit.go(path_of(org_id, "budget"), "The budget was changed." if limit_uc is not None else "No budget now.")


async def create_provider(visit: Visit) -> Response:
    """Reads, looks at and keeps an identity provider."""
    values, access = await visit.form(), await access_to(visit, "sso.manage")
    services, sign_on = visit.services, visit.services.sign_on
    kind = "saml" if values.get("type") == "saml" else "oidc"
    try:
        told = provider_told(values, kind)
        made = settings.created(services, sign_on.sealer, access.org.id, told)
        made = await settings.looked_at(services, sign_on.issuers, made)
        kept = await sign_on.providers.create(access, made, trusted=services.config.sso_trust_domains)
    except ClientError as error:
        return await shown_with(visit, await again(visit, access), forms.problem(kind, error, values, *SSO_FIELDS))
    return visit.go(path_of(access.org.id, "sso"), provider_says(kept))


async def check_provider(visit: Visit) -> Response:
    """Looks at an identity provider again."""
    _, access = await visit.form(), await access_to(visit, "sso.manage")
    before = await provider_of(visit, access)
    after = await settings.looked_at(visit.services, visit.services.sign_on.issuers, before)
    return await changed_provider(visit, access, before, after)


async def switch_provider(visit: Visit) -> Response:
    """Switches an identity provider off or on."""
    values, access = await visit.form(), await access_to(visit, "sso.manage")
    before = await provider_of(visit, access)
    sealer = visit.services.sign_on.sealer
    after = settings.changed(visit.services, sealer, before, {"enabled": values.get("enabled") == "true"})
    return await changed_provider(visit, access, before, after)


async def changed_provider(visit: Visit, access: Access, before: Provider, after: Provider) -> Response:
    """Keeps the change."""
    providers, trusted = visit.services.sign_on.providers, visit.services.config.sso_trust_domains
    kept = await providers.change(access, before, after, trusted=trusted)
    return visit.go(path_of(access.org.id, "sso"), provider_says(kept))


async def delete_provider(visit: Visit) -> Response:
    """Ends an identity provider."""
    _, access = await visit.form(), await access_to(visit, "sso.manage")
    await visit.services.sign_on.providers.delete(access, await provider_of(visit, access))
    return visit.go(path_of(access.org.id, "sso"), "The identity provider was deleted.")


async def provider_of(visit: Visit, access: Access) -> Provider:
    """The provider of the path, which must be the organisation's. Raises NotFound."""
    provider_id = visit.request.path_params["provider_id"]
    found = await visit.services.sign_on.providers.find(provider_id)
    if found is None or found.org_id != access.org.id:
        raise no_provider(provider_id)
    return found


def provider_told(values: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The form as the JSON API has it."""
    names = ("issuer", "clientId", "clientSecret") if kind == "oidc" else ("metadataUrl", "metadataXml")
    return {"type": kind, **forms.told(values, "domain", "defaultRole", *names)}


def provider_says(provider: Provider) -> str:
    """What to say of a provider that was kept."""
    if not provider.enabled:
        return f"The identity provider of {provider.domain} is switched off."
    if provider.problem is not None:
        return f"The identity provider of {provider.domain} was kept, but cannot be reached."
    return f"The identity provider of {provider.domain} is reachable."


async def access_to(visit: Visit, action: str) -> Access:
    """What lets the visitor in to the organisation of the path. Raises NotFound, NoAccess."""
    return await visit.services.orgs.access(visit.me.actor, visit.request.path_params["org_id"], action)


async def again(visit: Visit, access: Access) -> Access:
    """The access for showing the page, with the role as it is now. Raises NotFound for who is no longer a member."""
    return await visit.services.orgs.access(access.actor, access.org.id, "org.read")


def path_of(org_id: str, part: str = "") -> str:
    """The organisation's page."""
    return f"{PATH}?org={org_id}" + (f"#{part}" if part else "")
