"""Sign-on by OpenID Connect: the code flow, and every defect of the provider's that a gateway must notice."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from suites import identity
from suites.case import Case
from suites.exchange import Reply
from suites.identity import Organisation, expect_refused, expect_session
from suites.person import Person
from suites.requirement import over, requirement

SIGNATURES = (
    *("bad_signature", "no_signature", "foreign_key", "unknown_kid", "no_kid", "embedded_key", "elsewhere_key"),
    *("alg_none", "hs256_confusion", "critical_header"),
)
PARTIES = ("wrong_audience", "audience_without_azp", "wrong_issuer", "issuer_slash", "no_subject", "at_hash_wrong")
TIMES = ("expired_token", "no_expiry", "not_yet_valid", "clock_skew")
NONCES = ("nonce_missing", "nonce_wrong")
CALLBACKS = ("state_tampered", "state_missing", "callback_other_issuer", "code_invalid", "access_denied")
ADDRESSES = ("email_unverified", "email_missing")
FAILURES = ("token_error", "token_html", "no_id_token", "token_invalid_client", "token_invalid_grant")
BEFORE = ("discovery_error", "discovery_html", "discovery_other_issuer", "jwks_error", "jwks_empty")
SURVIVED = ("jwks_same_kid", "jwks_unknown_kinds", "email_verified_text")


def asked(there: Reply) -> dict[str, str]:
    """What the gateway asks of the provider."""
    assert there.status == 303, f"the way to the provider was due; came {there}"
    return dict(parse_qsl(urlsplit(there.headers["location"]).query))


async def met(case: Case, org: Organisation, fault: str) -> None:
    """Raise unless the provider played the fault: the refusal is for what it claims to be."""
    steps = await case.fleet.sign_ons(org.tag)
    assert any(fault in step["faults"] for step in steps), f"the gateway never came to where {fault} is"


async def refused(case: Case, fault: str, *statuses: int, **more: object) -> Person:
    """Somebody else signs on well; then the provider fails so, and the sign-on ends without a session."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc", **more)
    expect_session(await identity.sign_on(org.browser("ann"), provider))
    await org.hurt("oidc", fault)
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end, *statuses)
    await met(case, org, fault)
    return bob


@requirement("SSO-001")
@over(client=("windtunnel", "windtunnel-es256", "windtunnel-public"))
async def test_somebody_signs_on(case: Case, client: str) -> None:
    """By a client with RS256, one with ES256, and one without a secret: a session, and a member of the least role."""
    org = await identity.organisation(case)
    secret = None if client == "windtunnel-public" else "windtunnel-secret"
    provider = await org.provider("oidc", clientId=client, clientSecret=secret)
    assert (provider["reachable"], provider["problem"]) == (True, None)
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider, return_to="/usage?days=7")
    expect_session(end)
    assert end.headers["location"] == "/usage?days=7"
    view = (await bob.session()).json
    assert (view["user"]["email"], view["user"]["name"]) == (bob.email, "Bob Baker")
    assert [(one["id"], one["role"]) for one in view["orgs"]] == [(org.id, "viewer")]


@requirement("SSO-001")
async def test_comes_again_as_the_same(case: Case) -> None:
    """The second sign-on, from another browser, is the same user's, and both sessions work."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    first, second = org.browser("bob"), org.browser("bob")
    for browser in (first, second):
        expect_session(await identity.sign_on(browser, provider))
    ids = {(await browser.session()).json["user"]["id"] for browser in (first, second)}
    assert len(ids) == 1, f"one person became {len(ids)} users"


@requirement("SSO-002")
async def test_asks_with_pkce_state_and_nonce(case: Case) -> None:
    """Code flow, S256, a state and a nonce; none of them is ever the same, and the code is redeemed by the verifier."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    questions = []
    for _ in range(3):
        bob = org.browser("bob")
        there = await bob.get(provider["loginUrl"])
        questions.append(asked(there))
        expect_session(await identity.back(bob, await identity.consented(bob, there)))
    for question in questions:
        told = {name: question.get(name) for name in ("response_type", "code_challenge_method", "redirect_uri")}
        due = {"response_type": "code", "code_challenge_method": "S256", "redirect_uri": provider["redirectUri"]}
        assert told == due
        assert "openid" in question["scope"].split()
    for name, least in (("state", 22), ("nonce", 22), ("code_challenge", 43)):
        values = {question.get(name, "") for question in questions}
        assert len(values) == 3, f"`{name}` was the same for two sign-ons: {values}"
        assert min(map(len, values)) >= least, f"`{name}` can be guessed: {values}"


@requirement("SSO-003")
@over(fault=SIGNATURES)
async def test_unsound_signature_refused(case: Case, fault: str) -> None:
    """Of the ID token: none, a stranger's, by a key it brings or points to, by the public key as a secret."""
    bob = await refused(case, fault)
    visits = await case.fleet.received(bob.email.partition("@")[2].partition(".")[0], 1, 0)
    assert not visits, f"the gateway went where a token told it to: {visits[0]['path']}"


@requirement("SSO-004")
@over(fault=PARTIES)
async def test_of_others_refused(case: Case, fault: str) -> None:
    """An ID token for another client, of another issuer, about nobody, or of another access token."""
    await refused(case, fault)


@requirement("SSO-005")
@over(fault=TIMES)
async def test_at_another_time_refused(case: Case, fault: str) -> None:
    """An ID token that has expired, never does, holds later, or comes from the future."""
    await refused(case, fault)


@requirement("SSO-005")
async def test_little_skew_is_borne(case: Case) -> None:
    """A clock that is half a minute ahead is no attack."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    await org.hurt("oidc", "clock_skew", seconds=30)
    expect_session(await identity.sign_on(org.browser("bob"), provider))
    await met(case, org, "clock_skew")


@requirement("SSO-006")
@over(fault=NONCES)
async def test_of_another_sign_on_refused(case: Case, fault: str) -> None:
    """An ID token without the nonce of this sign-on."""
    await refused(case, fault)


@requirement("SSO-006")
@over(fault=CALLBACKS)
async def test_unsound_callback_refused(case: Case, fault: str) -> None:
    """Another state or none, another issuer's answer, a code that nobody issued, a user who says no."""
    await refused(case, fault)


@requirement("SSO-006")
async def test_code_of_the_sign_on_before_refused(case: Case) -> None:
    """A code that was redeemed is no sign-on."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    expect_session(await identity.sign_on(org.browser("bob"), provider))
    await org.hurt("oidc", "replayed_code")
    again = org.browser("bob")
    end = await identity.sign_on(again, provider)
    assert end.status == 403, f"403 was due; came {end}"
    assert await identity.who(again) is None
    await met(case, org, "replayed_code")


@requirement("SSO-007")
@over(fault=ADDRESSES)
async def test_unproven_address_refused(case: Case, fault: str) -> None:
    """An address that the provider has not verified, or does not tell."""
    await refused(case, fault)


@requirement("SSO-007")
async def test_address_of_another_refused(case: Case) -> None:
    """Bob's subject with Ann's verified address is neither Bob nor Ann."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    ann, bob = org.browser("ann"), org.browser("bob")
    expect_session(await identity.sign_on(ann, provider))
    await org.hurt("oidc", "email_of_another", victim=ann.email)
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end)
    await met(case, org, "email_of_another")


@requirement("SSO-007")
async def test_stale_proof_refused_where_asked(case: Case) -> None:
    """Who proved themselves a week ago is refused where an hour is the most, and let in where nothing is said."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc", maxAge=3600)
    await org.hurt("oidc", "stale_sign_on")
    bob = org.browser("bob")
    there = await bob.get(provider["loginUrl"])
    assert asked(there).get("max_age") == "3600"
    end = await identity.back(bob, await identity.consented(bob, there))
    await expect_refused(bob, org, end)
    await met(case, org, "stale_sign_on")
    path = f"{org.path}/{provider['id']}"
    assert (await org.owner.patch(path, {"maxAge": None})).status == 200
    expect_session(await identity.sign_on(org.browser("zoe"), provider))


@requirement("SSO-008")
@over(fault=FAILURES)
async def test_provider_that_fails(case: Case, fault: str) -> None:
    """502 where the provider is at fault, 403 where it takes no code: no session, and no page of the provider's."""
    await refused(case, fault, 403, 502)


@requirement("SSO-008")
@over(fault=BEFORE)
async def test_provider_that_cannot_be_used(case: Case, fault: str) -> None:
    """It is saved all the same, without the green check and with the reason; nobody signs on; later all is well."""
    org = await identity.organisation(case)
    await org.hurt("oidc", fault, times=2)
    provider = await org.provider("oidc")
    assert provider["reachable"] is False
    assert provider["problem"], "a provider that cannot be used, and no reason"
    bob = org.browser("bob")
    end = await identity.sign_on(bob, provider)
    await expect_refused(bob, org, end, 502)
    again = await org.owner.patch(f"{org.path}/{provider['id']}", {})
    assert (again.json["reachable"], again.json["problem"]) == (True, None)
    expect_session(await identity.sign_on(org.browser("zoe"), provider))


@requirement("SSO-009")
@over(fault=SURVIVED)
async def test_oddities_are_borne(case: Case, fault: str) -> None:
    """Two keys of one id, keys of unknown kinds, a verified address told in words."""
    org = await identity.organisation(case)
    await org.hurt("oidc", fault)
    provider = await org.provider("oidc")
    expect_session(await identity.sign_on(org.browser("bob"), provider))
    await met(case, org, fault)


@requirement("SSO-009")
async def test_new_keys_are_fetched(case: Case) -> None:
    """The provider changes its keys between two sign-ons."""
    org = await identity.organisation(case)
    provider = await org.provider("oidc")
    expect_session(await identity.sign_on(org.browser("ann"), provider))
    await org.hurt("oidc", "keys_rotated")
    expect_session(await identity.sign_on(org.browser("bob"), provider))
