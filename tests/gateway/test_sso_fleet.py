"""Sign-on through a gateway and the fleet's identity providers, each a process; and every defect that the fleet has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.neighbours.faults import kinds
from tests.gateway.sso_stack import DOMAIN, SESSION, Stack, back, cookies, path_of, running, who
from tests.simulator.neighbours import PASSWORD, browser, submit

# What a sound gateway survives: why, and where to look.
OIDC_SURVIVED = {
    "jwks_same_kid": "of two keys with one id the true one fits",
    "jwks_unknown_kinds": "keys of unknown kinds are passed over",
    "keys_rotated": "the keys are fetched again, once",
    "email_verified_text": "some providers write it as a text",
    "userinfo_other_subject": "the ID token tells all, so userinfo is not asked",
    "userinfo_error": "the ID token tells all, so userinfo is not asked",
}
SAML_SURVIVED = {
    "keys_rotated": "the metadata are fetched again, once",
    "email_missing": "the NameID is an e-mail address",
}
# What is said of some of the others: they are refused for what is wrong with them, and not for something else.
NO_KEY = "no key of the provider's made the signature"
LATE = "did not answer within 2 s"
OIDC_REASONS = {
    **dict.fromkeys(("slow_discovery", "slow_jwks", "slow_token", "token_hang"), LATE),
    **dict.fromkeys(("bad_signature", "no_signature", "foreign_key", "unknown_kid", "no_kid"), NO_KEY),
    **dict.fromkeys(("embedded_key", "elsewhere_key"), NO_KEY),
    **dict.fromkeys(("alg_none", "hs256_confusion"), "by no algorithm that is accepted"),
    **dict.fromkeys(("wrong_audience", "audience_without_azp"), "for another client"),
    **dict.fromkeys(("wrong_issuer", "issuer_slash"), "from another issuer"),
    **dict.fromkeys(("expired_token", "no_expiry"), "has expired"),
    **dict.fromkeys(("nonce_missing", "nonce_wrong"), "(nonce)"),
    **dict.fromkeys(("state_tampered", "state_missing"), "(state)"),
    **dict.fromkeys(("code_invalid", "replayed_code"), "does not take the code"),
    "callback_other_issuer": "(iss)",
    "huge_jwks": "too large",
    "clock_skew": "from the future",
    "not_yet_valid": "does not hold yet",
    "no_subject": "(sub)",
    "at_hash_wrong": "(at_hash)",
    "stale_sign_on": "too long ago",
    "critical_header": "an extension that is not known",
    "email_unverified": "has not verified",
    "email_missing": "no e-mail address",
    "email_of_another": "known under another subject",
}
SAML_REASONS = {
    **{f"xsw{number}": "not exactly one assertion" for number in range(1, 9)},
    **dict.fromkeys(("foreign_certificate", "bad_signature", "bad_signature_value"), NO_KEY),
    **dict.fromkeys(("wrong_in_response_to", "no_in_response_to", "replayed_assertion"), "(InResponseTo)"),
    **dict.fromkeys(("wrong_audience", "no_audience"), "(Audience)"),
    **dict.fromkeys(("external_entity", "entity_expansion"), "a DTD"),
    "expired_certificate": "certificate of the provider has expired",
    "unsigned": "neither response nor assertion is signed",
    "wrong_recipient": "(Recipient)",
    "wrong_destination": "(Destination)",
    "expired_conditions": "has expired",
    "expired_confirmation": "confirmation of the subject has expired",
    "clock_skew": "from the future",
    "other_issuer": "(Issuer)",
    "bearer_missing": "not confirmed as a bearer",
    "comment_injection": "has comments",
}
BEFORE = {"discovery", "jwks", "metadata", "certificate"}  # where a fault must be in force before the provider is put
VISITED = {"elsewhere_key": "jku", "external_entity": "external-entity"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("sso"), "--set", "sso_timeout_s=2") as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(stack: Stack) -> None:
    for name in ("oidc", "saml"):
        stack.steer("DELETE", f"/neighbours/{name}")


def test_somebody_signs_on_by_openid_connect(stack: Stack) -> None:
    with stack.provider(stack.oidc("happy")) as provider, browser() as session:
        assert (provider["reachable"], provider["problem"], provider["domainVerified"]) == (True, None, True)
        asked = {"email": "Bob+happy@acme.example", "returnTo": "/settings?tab=keys"}
        told = session.post(f"{stack.gateway}/api/auth/sso/start", json=asked).json()
        assert (told["type"], told["providerId"]) == ("oidc", provider["id"])
        there = session.get(f"{stack.gateway}{told['url']}", allow_redirects=False)
        assert "login_hint=bob%2Bhappy%40acme.example" in there.headers["location"]
        end = session.get(
            stack.consented(session, there, "bob+happy@acme.example").headers["location"], allow_redirects=False
        )
        assert (end.status_code, end.headers["location"]) == (303, "/settings?tab=keys")
        assert who(stack, session) == "bob+happy@acme.example"
        view = session.get(f"{stack.gateway}/api/auth/session").json()
        assert (view["via"], view["user"]["name"], view["user"]["emailVerified"]) == (
            f"sso:{provider['id']}",
            "Bob Baker",
            True,
        )
        assert [(org["id"], org["role"]) for org in view["orgs"]] == [(stack.org_id, "viewer")]
    assert who(stack, session) is None, "sessions end with their provider"


@pytest.mark.parametrize("signed", ["response", "assertion", "both"])
def test_somebody_signs_on_by_saml(stack: Stack, signed: str) -> None:
    stack.steer("PUT", "/neighbours/saml", {"sign": signed})
    login = f"zoe+{signed}@acme.example"
    with stack.provider(stack.saml(signed, defaultRole="developer")) as provider, browser() as session:
        assert (provider["reachable"], provider["problem"]) == (True, None)
        end = stack.signed_on(session, provider, login, return_to="/there")
        assert (end.status_code, end.headers.get("location")) == (303, "/there"), end.text
        assert who(stack, session) == login
        again = stack.signed_on(session, provider, login)
        assert again.status_code == 303
        (org,) = session.get(f"{stack.gateway}/api/auth/session").json()["orgs"]
        assert org["role"] == "developer"


def test_metadata_can_be_pasted(stack: Stack) -> None:
    xml = browser().get(f"{stack.fleet}/__saml/acme~pasted/metadata").text
    with stack.provider({"type": "saml", "metadataXml": xml}) as provider, browser() as session:
        assert provider["metadataXml"] == xml.strip()
        assert stack.signed_on(session, provider, "bob+pasted@acme.example").status_code == 303
        assert who(stack, session) == "bob+pasted@acme.example"


def test_a_client_with_es256_and_one_without_a_secret(stack: Stack) -> None:
    for client, secret in (("windtunnel-es256", "windtunnel-secret"), ("windtunnel-public", None)):
        case = client.rpartition("-")[2]
        with stack.provider(stack.oidc(case, clientId=client, clientSecret=secret)) as provider, browser() as session:
            assert provider["hasClientSecret"] is (secret is not None)
            assert stack.signed_on(session, provider, f"bob+{case}@acme.example").status_code == 303
            assert who(stack, session) == f"bob+{case}@acme.example"


def test_another_domain_is_refused(stack: Stack) -> None:
    """A provider vouches for the addresses of its own domain only."""
    issuer = f"{stack.fleet}/__oidc/globex~other"
    with stack.provider(stack.oidc("x", issuer=issuer)) as provider, browser() as session:
        end = stack.signed_on(session, provider, "ida+other@globex.example")
        assert end.status_code == 403
        assert "addresses of acme.example only" in end.json()["error"]["message"]
        assert who(stack, session) is None
    assert "ida+other@globex.example" not in stack.members()


def test_an_unverified_domain_signs_nobody_on(stack: Stack) -> None:
    made = stack.ask("POST", f"/api/orgs/{stack.org_id}/sso", stack.oidc("unverified", domain="globex.example"), 201)
    assert made["domainVerified"] is False
    with browser() as session:
        assert stack.went(session, made).status_code == 403
        told = session.post(f"{stack.gateway}/api/auth/sso/start", json={"email": "ida@globex.example"}).json()
        assert told == {"type": "password", "providerId": None, "url": None}
    stack.ask("DELETE", f"/api/orgs/{stack.org_id}/sso/{made['id']}", status=204)


def test_the_answer_counts_in_the_browser_that_asked_and_once(stack: Stack) -> None:
    for case, told in (("stolen", stack.oidc("stolen")), ("stolen-saml", stack.saml("stolen-saml"))):
        login = f"bob+{case}@acme.example"
        with stack.provider(told) as provider, browser() as mine, browser() as other:
            answer = stack.consented(mine, stack.went(mine, provider), login)
            kept = mine.cookies.copy()
            assert back(other, answer).status_code == 403
            assert who(stack, other) is None
            assert back(mine, answer).status_code == 303
            mine.cookies = kept
            again = back(mine, answer)
            assert again.status_code == 403, "a second time"
            assert SESSION not in cookies(again)


def test_a_browser_is_shown_a_page(stack: Stack) -> None:
    with stack.provider(stack.oidc("page")) as provider, browser() as session:
        url = f"{stack.gateway}{path_of(provider['redirectUri'])}?state=%3Cscript%3E&code=1"
        answer = session.get(url, headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert "did not begin it" in answer.text
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("kind", kinds()["oidc"])
def test_defects_of_openid_connect(stack: Stack, kind: str) -> None:
    places = set(kinds()["oidc"][kind].at)
    case = f"oidc-{kind}"
    login, ann = f"bob+{case}@acme.example", f"ann+{case}@acme.example"
    options = {"victim": ann} if "victim" in kinds()["oidc"][kind].options else {}
    if places & BEFORE:
        stack.hurt("oidc", kind, case=case)
    more = {"maxAge": 3600} if kind == "stale_sign_on" else {}
    with stack.provider(stack.oidc(case, **more)) as provider, browser() as first, browser() as session:
        if not places & BEFORE:
            assert provider["reachable"]
            assert stack.signed_on(first, provider, ann).status_code == 303
            if kind == "replayed_code":
                assert stack.signed_on(session, provider, login).status_code == 303
                session.cookies.clear()
            stack.hurt("oidc", kind, case=case, **options)
        elif kind not in OIDC_SURVIVED:
            assert not provider["reachable"]
            assert provider["problem"]
        end = stack.signed_on(session, provider, login)
        if kind in OIDC_SURVIVED:
            assert (end.status_code, who(stack, session)) == (303, login), end.text
            return
        assert end.status_code in (403, 502), end.text
        assert OIDC_REASONS.get(kind, "") in end.json()["error"]["message"]
        assert SESSION not in cookies(end)
        assert who(stack, session) is None
        if kind != "replayed_code":
            assert login not in stack.members()
        assert_not_visited(stack, kind, case)


@pytest.mark.parametrize("kind", kinds()["saml"])
def test_defects_of_saml(stack: Stack, kind: str) -> None:
    places = set(kinds()["saml"][kind].at)
    case = f"saml-{kind}"
    login = f"bob+{case}@acme.example"
    if places & BEFORE:
        stack.hurt("saml", kind, case=case)
    with stack.provider(stack.saml(case)) as provider, browser() as first, browser() as session:
        if not places & BEFORE:
            assert provider["reachable"]
            other = login if kind == "replayed_assertion" else f"ann+{case}@acme.example"
            assert stack.signed_on(first, provider, other).status_code == 303
            stack.hurt("saml", kind, case=case)
        end = stack.signed_on(session, provider, login)
        if kind in SAML_SURVIVED:
            assert (end.status_code, who(stack, session)) == (303, login), end.text
            return
        assert end.status_code in (403, 502), end.text
        assert SAML_REASONS.get(kind, "") in end.json()["error"]["message"]
        assert SESSION not in cookies(end)
        assert who(stack, session) is None
        if kind != "replayed_assertion":
            assert login not in stack.members()
        assert "ann@acme.example" not in stack.members(), "the victim"
        assert_not_visited(stack, kind, case)


def assert_not_visited(stack: Stack, kind: str, case: str) -> None:
    """The gateway goes to no address that a message names."""
    if kind in VISITED:
        assert stack.steer("GET", f"/received?case={case}")["received"] == []


def test_a_little_skew_is_borne(stack: Stack) -> None:
    for neighbour, told in (("oidc", stack.oidc("skew")), ("saml", stack.saml("skew"))):
        stack.hurt(neighbour, "clock_skew", case="skew", seconds=30)
        with stack.provider(told) as provider, browser() as session:
            assert stack.signed_on(session, provider, "bob+skew@acme.example").status_code == 303


def test_what_the_provider_begins_is_refused_unless_it_is_allowed(stack: Stack) -> None:
    for allowed in (False, True):
        case = f"begun-{allowed}".lower()
        with stack.provider(stack.saml(case, allowIdpInitiated=allowed)) as provider, browser() as session:
            start = f"{stack.fleet}/__saml/acme~{case}/start"
            asked = {"sp": provider["spEntityId"], "acs": provider["acsUrl"], "relay_state": "https://evil.example/"}
            form = session.get(start, params=asked)
            end = back(session, submit(session, form, username=f"bob+{case}@acme.example", password=PASSWORD))
            assert end.status_code == (303 if allowed else 403)
            assert end.headers.get("location") == ("/" if allowed else None)


def test_our_metadata_are_taken(stack: Stack) -> None:
    with stack.provider(stack.saml("metadata")) as provider:
        answer = browser().get(provider["spMetadataUrl"])
        assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
        assert provider["acsUrl"] in answer.text
        assert f'entityID="{provider["spEntityId"]}"' in answer.text
        assert provider["domain"] == DOMAIN
