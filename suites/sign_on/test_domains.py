"""Whose addresses a provider vouches for, who is led to it, who may set it up, and what becomes of those it lets in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from suites import identity
from suites.case import Case, expect_status
from suites.identity import Organisation, expect_refused, expect_session
from suites.person import Person, due, new_person, sign_up
from suites.requirement import over, requirement

START = "/api/auth/sso/start"
PASSWORD_WAY = {"type": "password", "providerId": None, "url": None}
ELSEWHERE = (
    *("https://evil.example/", "//evil.example/", "/\\evil.example", "\\/evil.example", "evil.example", "javascript:x"),
    *("/%0d%0aset-cookie:x=1/..//evil.example\r\n", "/\t/evil.example"),
)


async def led(person: Person, email: str) -> dict[str, Any]:
    """Where an address is led to sign in."""
    return due(await person.post(START, {"email": email}), 200)


@requirement("SSO-018")
@over(kind=identity.KINDS)
async def test_another_domain_is_refused(case: Case, kind: str) -> None:
    """The provider vouches for an address that is not of the organisation's domain: no session, no user, no member."""
    org, other = await identity.organisation(case), await identity.organisation(case)
    provider = await org.provider(kind)
    stranger = other.browser("bob")
    end = await identity.sign_on(stranger, provider)
    await expect_refused(stranger, org, end)
    assert stranger.email not in await other.roles()


@requirement("SSO-019")
@over(kind=identity.KINDS)
async def test_address_leads_to_its_provider(case: Case, kind: str) -> None:
    """Whatever the case of its letters, known or not; other domains, one above and one below, lead to a password."""
    org = await identity.organisation(case)
    provider = await org.provider(kind)
    nobody = org.browser("bob")
    for email in (org.address("bob"), org.address("nobody-yet"), f"BOB@{org.domain.upper()}"):
        way = await led(nobody, email)
        assert (way["type"], way["providerId"]) == (kind, provider["id"]), f"{email}: {way}"
        there = await nobody.get(way["url"])
        assert there.status == 303, f"{way['url']}: the way to the provider was due; came {there}"
    for domain in (f"below.{org.domain}", f"x{org.domain}", org.domain.partition(".")[2], f"{org.domain}.evil.example"):
        assert await led(nobody, f"bob@{domain}") == PASSWORD_WAY, domain


@requirement("SSO-019")
async def test_address_leads_nowhere_before_and_after(case: Case) -> None:
    """Not before the operator verified the domain, not while the provider is off, and not once it is gone."""
    org = await identity.organisation(case, verified=False)
    provider = await org.provider("oidc")
    path, email, nobody = f"{org.path}/{provider['id']}", org.address("bob"), org.browser("bob")
    assert provider["domainVerified"] is False
    assert await led(nobody, email) == PASSWORD_WAY, "the domain is not verified"
    await identity.hold(case, org.domain, org.id)
    assert (await led(nobody, email))["providerId"] == provider["id"]
    due(await org.owner.patch(path, {"enabled": False}), 200)
    assert await led(nobody, email) == PASSWORD_WAY, "the provider is switched off"
    due(await org.owner.patch(path, {"enabled": True}), 200)
    assert (await led(nobody, email))["providerId"] == provider["id"]
    due(await org.owner.delete(path), 204)
    assert await led(nobody, email) == PASSWORD_WAY, "the provider is deleted"


@requirement("SSO-020")
async def test_held_domain_cannot_be_claimed(case: Case) -> None:
    """Another organisation's provider for a domain that is held: 409; the holder's second one likewise."""
    org, rival = await identity.organisation(case), await identity.organisation(case)
    provider = await org.provider("oidc")
    for each in (rival, org):
        reply = await each.owner.post(each.path, each.told("saml", domain=org.domain))
        expect_status(reply, 409, "conflict_error")
    assert (await led(org.browser("bob"), org.address("bob")))["providerId"] == provider["id"]
    assert due(await rival.owner.get(rival.path), 200) == {"providers": []}


@requirement("SSO-020")
@over(kind=identity.KINDS)
async def test_claim_alone_signs_nobody_on(case: Case, kind: str) -> None:
    """A provider for a domain that nobody verified: 403, no session; once it is verified, the same provider works."""
    org = await identity.organisation(case, verified=False)
    provider = await org.provider(kind)
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end)
    await identity.hold(case, org.domain, org.id)
    expect_session(await identity.sign_on(org.browser("bob"), provider))


@requirement("SSO-020")
async def test_domain_is_an_operators_word(case: Case) -> None:
    """Whose a domain is cannot be said by an organisation's owner, nor by who has no token."""
    org = await identity.organisation(case, verified=False)
    provider = await org.provider("oidc")
    url = f"{case.admin.hook.url}/sso/domains/{org.domain}"
    for person in (org.owner, org.browser("bob")):
        reply = await person.put(url, {"org_id": org.id})
        assert reply.status in (401, 403, 404), f"a domain was given away: {reply}"
    shown = due(await org.owner.get(f"{org.path}/{provider['id']}"), 200)
    assert shown["domainVerified"] is False


async def member(org: Organisation, role: str) -> Person:
    """Somebody who signed on and has this role."""
    bob = org.browser("bob")
    (provider,) = due(await org.owner.get(org.path), 200)["providers"]
    due(await org.owner.patch(f"{org.path}/{provider['id']}", {"defaultRole": role}), 200)
    expect_session(await identity.sign_on(bob, provider))
    due(await bob.session(), 200)
    return bob


@requirement("SSO-021")
@over(role=("viewer", "developer", "billing", "admin"))
async def test_managed_by_owners_and_admins(case: Case, role: str) -> None:
    """A member of another role may not add, change or delete a provider: 403, and it is as it was."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    bob = await member(org, role)
    path = f"{org.path}/{provider['id']}"
    changed = await bob.patch(path, {"maxAge": 600})
    if role == "admin":
        expect_status(changed, 200)
        return
    expect_status(changed, 403, "access_denied")
    expect_status(await bob.post(org.path, org.told("saml", domain=f"two.{org.domain}")), 403, "access_denied")
    expect_status(await bob.delete(path), 403, "access_denied")
    shown = due(await org.owner.get(org.path), 200)["providers"]
    assert [(one["id"], one["maxAge"]) for one in shown] == [(provider["id"], None)]


@requirement("SSO-021")
async def test_to_outsiders_there_is_none(case: Case) -> None:
    """404 for who is no member, 401 without a session, and no key of the API opens it."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    outsider, nobody = await sign_up(case), org.browser("bob")
    key = {"authorization": f"Bearer {await case.secret(None)}"}
    for path in (org.path, f"{org.path}/{provider['id']}"):
        expect_status(await outsider.get(path), 404, "not_found_error")
        expect_status(await nobody.get(path), 401, "authentication_error")
        expect_status(await nobody.get(path, headers=key), 401, "authentication_error")
    mine = await identity.organisation(case)
    expect_status(await mine.owner.get(f"{mine.path}/{provider['id']}"), 404, "not_found_error")
    expect_status(await mine.owner.delete(f"{mine.path}/{provider['id']}"), 404, "not_found_error")
    assert (await org.owner.get(f"{org.path}/{provider['id']}")).status == 200


@requirement("SSO-022")
@over(role=("viewer", "developer", "billing", "admin"))
async def test_first_role_is_the_default(case: Case, role: str) -> None:
    """Whoever signs on first has it; a member whose role was changed keeps theirs at the next sign-on."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc", defaultRole=role)
    bob = org.browser("bob")
    expect_session(await identity.sign_on(bob, provider))
    assert (await org.roles())[bob.email] == role
    other = "viewer" if role != "viewer" else "developer"
    user = (await bob.session()).json["user"]["id"]
    due(await org.owner.patch(f"/api/orgs/{org.id}/members/{user}", {"role": other}), 200)
    expect_session(await identity.sign_on(org.browser("bob"), provider))
    assert (await org.roles())[bob.email] == other, "the next sign-on gave the default role again"


@requirement("SSO-022")
@over(role=("owner", "root", ""))
async def test_default_role_is_never_the_owners(case: Case, role: str) -> None:
    """400 for the owner's, and for one that there is not."""
    org = await identity.organisation(case)
    expect_status(await org.owner.post(org.path, org.told("oidc", defaultRole=role)), 400, "invalid_request_error")
    assert due(await org.owner.get(org.path), 200) == {"providers": []}


@requirement("SSO-023")
async def test_secret_is_not_shown_and_not_lost(case: Case) -> None:
    """Nothing that is answered holds it; what was answered, sent back as it is, leaves it good."""
    org = await identity.organisation(case)
    told = org.told("oidc")
    made = await org.owner.post(org.path, told)
    provider = due(made, 201)
    path = f"{org.path}/{provider['id']}"
    seen = await org.owner.get(path)
    changed = await org.owner.patch(path, {**seen.json, "maxAge": 86_400})
    audit = await org.owner.get(f"/api/orgs/{org.id}/audit-log")
    for reply in (made, seen, changed, await org.owner.get(org.path), audit):
        assert reply.status in (200, 201), str(reply)
        assert told["clientSecret"] not in reply.raw.decode(), f"the client's secret is shown: {reply.sent.url}"
    assert (seen.json["hasClientSecret"], changed.json["maxAge"]) == (True, 86_400)
    expect_session(await identity.sign_on(org.browser("bob"), provider))


@requirement("SSO-024")
@over(how=("deleted", "off"))
async def test_sessions_end_with_their_provider(case: Case, how: str) -> None:
    """Bob's session, which the provider opened, is over; the owner's, opened by a password, is not."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    bob, path = org.browser("bob"), f"{org.path}/{provider['id']}"
    expect_session(await identity.sign_on(bob, provider))
    assert await identity.who(bob) == bob.email
    if how == "deleted":
        due(await org.owner.delete(path), 204)
    else:
        due(await org.owner.patch(path, {"enabled": False}), 200)
    assert await identity.who(bob) is None, f"the provider is {how}, and its session works on"
    assert await identity.who(org.owner) == org.owner.email
    end = await identity.sign_on(org.browser("zoe"), provider)
    assert end.status in (403, 404), f"the provider is {how}: 403 or 404 was due; came {end}"


@requirement("SSO-025")
@over(number=range(len(ELSEWHERE)))
async def test_returns_to_its_own_pages(case: Case, number: int) -> None:
    """A sign-on that was begun with another site's address ends on the start page."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    end = await identity.sign_on(org.browser("bob"), provider, return_to=ELSEWHERE[number])
    expect_session(end)
    assert end.headers["location"] == "/", f"{ELSEWHERE[number]!r} leads to {end.headers['location']!r}"


@requirement("SSO-026")
@over(kind=identity.KINDS)
async def test_whoever_had_the_address_before_is_out(case: Case, kind: str) -> None:
    """A squatter signed up with Bob's address: Bob's first sign-on ends the password, its session and its key."""
    org = await identity.organisation(case)
    provider = await org.provider(kind)
    squatter = replace(new_person(case), email=org.address("bob"))
    due(await squatter.sign_up(), 201)
    user = squatter.id
    key = due(await squatter.post("/api/api-keys", {"name": "mine"}), 201)["key"]
    expect_status(await case.get("models", key=key), 200)
    bob = org.browser("bob")
    expect_session(await identity.sign_on(bob, provider))
    assert (await bob.session()).json["user"]["id"] == user, "one address became two users"
    assert await identity.who(squatter) is None, "the squatter's session works on"
    expect_status(await case.get("models", key=key), 401, "authentication_error")
    again = await squatter.elsewhere().sign_in()
    expect_status(again, 401, "authentication_error")
