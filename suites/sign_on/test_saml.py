"""Sign-on by SAML: the response as it must be, and every way in which it is forged, stale or meant for others."""

from __future__ import annotations

from urllib.parse import urlencode

from suites import identity
from suites.case import Case
from suites.forms import FORM, form_of
from suites.identity import Organisation, expect_refused, expect_session
from suites.person import due
from suites.requirement import over, requirement

UNSIGNED = ("unsigned", "foreign_certificate", "bad_signature", "bad_signature_value")
WRAPPINGS = tuple(f"xsw{number}" for number in range(1, 9))
PARTIES = ("wrong_audience", "no_audience", "wrong_recipient", "wrong_destination", "other_issuer", "bearer_missing")
ANSWERS = ("wrong_in_response_to", "no_in_response_to")
TIMES = ("expired_conditions", "expired_confirmation", "clock_skew")
DENIALS = ("request_denied", "authn_failed")
DTDS = ("external_entity", "entity_expansion")


async def refused(case: Case, fault: str, **options: str) -> Organisation:
    """Ann signs on well; then the provider's responses are so, and Bob's sign-on ends without a session."""
    org = await identity.organisation(case)
    provider = await org.provider("saml")
    ann, bob = org.browser("ann"), org.browser("bob")
    expect_session(await identity.sign_on(ann, provider))
    victim = {"victim": ann.email} if options.pop("victim", "") else {}
    await org.hurt("saml", fault, **options, **victim)
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end)
    await met(case, org, fault)
    return org


async def met(case: Case, org: Organisation, fault: str) -> None:
    """Raise unless the provider played the fault."""
    steps = await case.fleet.sign_ons(org.tag)
    assert any(fault in step["faults"] for step in steps), f"no sign-on met {fault}"


@requirement("SSO-010")
@over(how=("url", "pasted"))
async def test_somebody_signs_on(case: Case, how: str) -> None:
    """With metadata from a URL, and pasted ones: a session, and a member of the least role."""
    org = await identity.organisation(case)
    told = org.told("saml")
    if how == "pasted":
        page = await case.request("GET", told.pop("metadataUrl"))
        told["metadataXml"] = page.raw.decode()
    provider = due(await org.owner.post(org.path, told), 201)
    assert (provider["reachable"], provider["problem"]) == (True, None)
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider, return_to="/usage?days=7")
    expect_session(end)
    assert end.headers["location"] == "/usage?days=7"
    assert (await bob.session()).json["user"]["email"] == bob.email
    assert (await org.roles())[bob.email] == "viewer"


@requirement("SSO-010")
async def test_our_metadata(case: Case) -> None:
    """What the provider is given of us: an entity id, and where responses go, which is the documented path."""
    org = await identity.organisation(case)
    provider = await org.provider("saml")
    reply = await case.request("GET", provider["spMetadataUrl"])
    assert reply.status == 200, str(reply)
    assert "xml" in reply.type, reply.type
    assert provider["acsUrl"].endswith(f"/api/auth/sso/{provider['id']}"), provider["acsUrl"]
    for word in (f'entityID="{provider["spEntityId"]}"', f'Location="{provider["acsUrl"]}"'):
        assert word in reply.raw.decode(), f"{word} is not in our metadata"


@requirement("SSO-011")
@over(fault=UNSIGNED)
async def test_unsound_signature_refused(case: Case, fault: str) -> None:
    """Not signed, by a stranger whose certificate comes along, changed afterwards, or a bit off."""
    await refused(case, fault)


@requirement("SSO-011")
async def test_expired_certificate_refused(case: Case) -> None:
    """A certificate that has expired is no green check, and what it signs is no sign-on."""
    org = await identity.organisation(case)
    await org.hurt("saml", "expired_certificate")
    provider = await org.provider("saml")
    assert provider["reachable"] is False, "an expired certificate gets the green check"
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end, 403, 502)
    await met(case, org, "expired_certificate")


@requirement("SSO-009")
async def test_new_certificates_are_fetched(case: Case) -> None:
    """The provider changes its keys between two sign-ons."""
    org = await identity.organisation(case)
    provider = await org.provider("saml")
    expect_session(await identity.sign_on(org.browser("ann"), provider))
    await org.hurt("saml", "keys_rotated")
    expect_session(await identity.sign_on(org.browser("bob"), provider))


@requirement("SSO-012")
@over(fault=WRAPPINGS)
async def test_wrapped_response_refused(case: Case, fault: str) -> None:
    """The signed part is somebody else's, and what is shown to a careless reader is Ann's: no session of either."""
    await refused(case, fault, victim="ann")


@requirement("SSO-012")
async def test_comment_in_a_name_refused(case: Case) -> None:
    """A name that reads as Ann's up to the comment, which was put in after it was signed."""
    await refused(case, "comment_injection", victim="ann")


@requirement("SSO-013")
async def test_replayed_response_refused(case: Case) -> None:
    """The response of the sign-on before, byte for byte."""
    await refused(case, "replayed_assertion")


@requirement("SSO-013")
@over(fault=ANSWERS)
async def test_of_another_request_refused(case: Case, fault: str) -> None:
    """A response to a request that nobody made, or to none."""
    await refused(case, fault)


@requirement("SSO-013")
@over(kind=identity.KINDS)
async def test_counts_once_in_one_browser(case: Case, kind: str) -> None:
    """The answer for Bob's browser is refused from another, good in his, and refused a second time there."""
    org = await identity.organisation(case)
    provider = await org.provider(kind)
    bob, thief = org.browser("bob"), org.browser("bob")
    answer = await identity.consented(bob, await bob.get(provider["loginUrl"]))
    began = dict(bob.cookies)
    stolen = await identity.back(thief, answer)
    assert stolen.status == 403, f"an answer that another browser asked for: 403 was due; came {stolen}"
    assert await identity.who(thief) is None
    expect_session(await identity.back(bob, answer))
    bob.cookies = began
    again = await identity.back(bob, answer)
    assert again.status == 403, f"the same answer again: 403 was due; came {again}"
    assert await identity.who(bob) is None


@requirement("SSO-014")
@over(fault=PARTIES)
async def test_for_others_refused(case: Case, fault: str) -> None:
    """For another service, another address, from another provider, or not for whoever bears it."""
    await refused(case, fault)


@requirement("SSO-015")
@over(fault=TIMES)
async def test_at_another_time_refused(case: Case, fault: str) -> None:
    """A response that has expired, whose confirmation has, or that comes from the future."""
    await refused(case, fault)


@requirement("SSO-015")
async def test_little_skew_is_borne(case: Case) -> None:
    """A clock that is half a minute ahead is no attack."""
    org = await identity.organisation(case)
    provider = await org.provider("saml")
    await org.hurt("saml", "clock_skew", seconds=30)
    expect_session(await identity.sign_on(org.browser("bob"), provider))
    await met(case, org, "clock_skew")


@requirement("SSO-008")
@over(fault=DENIALS)
async def test_denial_is_no_sign_on(case: Case, fault: str) -> None:
    """The provider says no, in words that SAML has for it."""
    await refused(case, fault)


@requirement("SSO-016")
@over(fault=DTDS)
async def test_document_with_a_dtd_refused(case: Case, fault: str) -> None:
    """An entity that points outside is not fetched; one that grows is not expanded."""
    org = await refused(case, fault)
    visits = await case.fleet.received(org.tag, 1, 0)
    assert not visits, f"the gateway went where the document told it to: {visits[0]['path']}"


@requirement("SSO-017")
@over(allowed=(False, True))
async def test_begun_by_the_provider(case: Case, allowed: bool) -> None:
    """Refused, or where it is allowed a session, and on to the start page whatever RelayState says."""
    org = await identity.organisation(case)
    provider = await org.provider("saml", allowIdpInitiated=allowed)
    bob = org.browser("bob")
    start = provider_start(case, org, provider)
    form = form_of(await bob.get(start))
    filled = form.body(username=bob.email, password=identity.PASSWORD)
    end = await identity.back(bob, await bob.request("POST", form.action, body=filled, headers=FORM))
    if not allowed:
        await expect_refused(bob, org, end)
        return
    expect_session(end)
    assert end.headers["location"] == "/", f"the provider sends the browser to {end.headers['location']}"
    assert await identity.who(bob) == bob.email


def provider_start(case: Case, org: Organisation, provider: dict[str, str]) -> str:
    """Where the fleet's provider begins a sign-on by itself."""
    asked = {"sp": provider["spEntityId"], "acs": provider["acsUrl"], "relay_state": "https://evil.example/"}
    return f"{case.fleet.site}/__saml/{identity.TENANT}~{org.tag}/start?{urlencode(asked)}"
