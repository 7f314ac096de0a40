"""The OpenID Connect provider: the code flow as a browser and a gateway drive it, verified by joserfc."""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet, RSAKey
from joserfc.jwt import JWTClaimsRegistry

from simulator.clock import MANUAL_START_MS, Clock
from simulator.neighbours.accounts import directory
from simulator.neighbours.asked import Asked
from simulator.neighbours.faults import kinds
from simulator.neighbours.oidc.provider import OidcProvider
from simulator.neighbours.records import Records
from simulator.script import Ending
from tests.simulator.neighbours import (
    CALLBACK,
    PASSWORD,
    TIMEOUT_S,
    Neighbourly,
    action,
    browser,
    fields,
    get,
    neighbourly,
    submit,
    told,
)

VERIFIER = "a" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CLIENT = ("windtunnel", "windtunnel-secret")
NONCE = "nonce-1"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Neighbourly]:
    with neighbourly(Clock("manual")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(request: pytest.FixtureRequest) -> None:
    if "fleet" in request.fixturenames:
        request.getfixturevalue("fleet").control("POST", "reset")


@dataclass
class Gateway:
    """What a gateway does: it knows an issuer, and signs users on."""

    issuer: str
    now_s: float

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(
            f"{self.issuer}/.well-known/openid-configuration", timeout=TIMEOUT_S
        ).json()
        return found

    def asked(self, **more: str) -> dict[str, str]:
        """A request for a code."""
        return {
            "response_type": "code",
            "client_id": CLIENT[0],
            "redirect_uri": CALLBACK,
            "scope": "openid profile email groups",
            "state": "state-1",
            "nonce": NONCE,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | more

    def redeem(self, code: str, client: tuple[str, str] | None = CLIENT, **more: str) -> requests.Response:
        """The code for tokens."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        form = {name: value for name, value in (form | more).items() if value}
        return requests.post(f"{self.issuer}/token", data=form, auth=client, timeout=TIMEOUT_S)

    def verified(self, id_token: str, nonce: str | None = NONCE) -> dict[str, Any]:
        """The claims of an ID token. Raises JoseError or ValueError unless all is as the specification has it."""
        keys = KeySet.import_key_set(requests.get(self.document["jwks_uri"], timeout=TIMEOUT_S).json())
        token = jwt.decode(id_token, keys, algorithms=["RS256", "ES256"])
        essential = {"essential": True}
        JWTClaimsRegistry(
            now=int(self.now_s),
            leeway=60,
            iss={**essential, "value": self.issuer},
            aud={**essential, "value": CLIENT[0]},
            exp=essential,
            iat=essential,
            sub=essential,
            **({} if nonce is None else {"nonce": {**essential, "value": nonce}}),
        ).validate(token.claims)
        if token.claims.get("azp", CLIENT[0]) != CLIENT[0]:
            raise ValueError("azp is another client")
        return token.claims


def gateway(fleet: Neighbourly, tenant: str = "acme") -> Gateway:
    return Gateway(f"{fleet.url}/__oidc/{tenant}", fleet.control("GET", "clock")["now_ms"] / 1000)


def signed_on(fleet: Neighbourly, login: str = "ann@acme.example", tenant: str = "acme", **more: str) -> dict[str, str]:
    """What the callback bears after somebody filled in the form."""
    with browser() as session:
        one = gateway(fleet, tenant)
        form = get(session, f"{one.issuer}/authorize", **one.asked(**more))
        assert form.status_code == 200
        return told(submit(session, form, username=login, password=PASSWORD))


def tokens(fleet: Neighbourly, **more: str) -> dict[str, Any]:
    """The tokens after that."""
    answer = gateway(fleet).redeem(signed_on(fleet, **more)["code"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def half(token: str) -> str:
    return urlsafe_b64encode(sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()


def unverified(token: str, part: int = 1) -> dict[str, Any]:
    raw = token.split(".")[part]
    found: dict[str, Any] = orjson.loads(urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    return found


def steps(fleet: Neighbourly, **params: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    found: list[dict[str, Any]] = fleet.control("GET", f"sign-ons?{query}")["steps"]
    return found


# --- the flow ---------------------------------------------------------------------------------------------------------


def test_a_user_signs_on_from_form_to_userinfo(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    document = one.document
    assert document["issuer"] == one.issuer
    assert document["code_challenge_methods_supported"] == ["S256"]
    with browser() as session:
        form = get(session, document["authorization_endpoint"], **one.asked())
        assert "Acme Robotics" in form.text
        wrong = submit(session, form, username="ann@acme.example", password="guess")
        assert wrong.status_code == 401
        assert "its password is another" in wrong.text
        back = submit(session, wrong, username="ann@acme.example", password=PASSWORD)
        callback = told(back)
        assert back.headers["location"].startswith(f"{CALLBACK}?")
        assert (callback["state"], callback["iss"]) == ("state-1", one.issuer)
        again = told(get(session, document["authorization_endpoint"], **one.asked(prompt="none")))
        assert "code" in again, "the session lasts"
    answer = one.redeem(callback["code"])
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 3600)
    claims = one.verified(found["id_token"])
    assert claims["at_hash"] == half(found["access_token"])
    bearer = {"authorization": f"Bearer {found['access_token']}"}
    userinfo = requests.get(document["userinfo_endpoint"], headers=bearer, timeout=TIMEOUT_S).json()
    assert userinfo == {
        "sub": claims["sub"],
        "name": "Ann Archer",
        "given_name": "Ann",
        "family_name": "Archer",
        "preferred_username": "ann@acme.example",
        "email": "ann@acme.example",
        "email_verified": True,
        "groups": ["admins", "engineers"],
    }
    assert userinfo.items() <= claims.items()
    assert [(row["step"], row["outcome"]) for row in steps(fleet) if row["step"] != "discovery"] == [
        ("authorize", "form"),
        ("login", "wrong_password"),
        ("login", "ok"),
        ("authorize", "ok"),
        ("token", "ok"),
        ("jwks", "ok"),
        ("userinfo", "ok"),
    ]
    token = next(row for row in steps(fleet) if row["step"] == "token")
    assert token["account"] == "ann@acme.example"
    assert token["detail"]["client_auth"] == "client_secret_basic"
    assert token["detail"]["id_token"] == found["id_token"]


@pytest.mark.parametrize(
    ("client_id", "auth", "form", "alg"),
    [
        ("windtunnel", CLIENT, {}, "RS256"),
        ("windtunnel", None, {"client_id": CLIENT[0], "client_secret": CLIENT[1]}, "RS256"),
        ("windtunnel-es256", ("windtunnel-es256", CLIENT[1]), {}, "ES256"),
        ("windtunnel-public", None, {"client_id": "windtunnel-public"}, "RS256"),
    ],
)
def test_clients_prove_themselves_as_they_may(
    fleet: Neighbourly, client_id: str, auth: Any, form: dict[str, str], alg: str
) -> None:
    one = gateway(fleet)
    answer = one.redeem(signed_on(fleet, client_id=client_id)["code"], auth, **form)
    assert answer.status_code == 200, answer.text
    keys = KeySet.import_key_set(requests.get(f"{one.issuer}/jwks", timeout=TIMEOUT_S).json())
    token = jwt.decode(answer.json()["id_token"], keys, algorithms=[alg])
    assert token.header["alg"] == alg
    assert token.claims["aud"] == client_id


def test_a_secret_is_form_encoded_before_basic(fleet: Neighbourly) -> None:
    strict = directory().clients["windtunnel-strict"]
    assert strict.secret is not None
    uri = strict.redirect_uris[0]
    code = signed_on(fleet, client_id=strict.id, redirect_uri=uri)["code"]
    one = gateway(fleet)
    raw = one.redeem(code, (strict.id, "nonsense"), redirect_uri=uri)
    assert (raw.status_code, raw.json()["error"]) == (401, "invalid_client")
    assert raw.headers["www-authenticate"].startswith("Basic ")
    encoded = requests.utils.quote(strict.secret, safe="")
    assert one.redeem(code, (strict.id, encoded), redirect_uri=uri).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code": "code_nobodys"}, "invalid_grant"),
        ({"redirect_uri": "http://gateway.example/other"}, "invalid_grant"),
        ({"code_verifier": "b" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_secret": CLIENT[1]}, "invalid_request"),
    ],
)
def test_unsound_redemptions_are_refused(fleet: Neighbourly, change: dict[str, str], error: str) -> None:
    answer = gateway(fleet).redeem(**({"code": signed_on(fleet)["code"]} | change))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_code_is_good_once_and_for_a_minute(fleet: Neighbourly) -> None:
    one, code = gateway(fleet), signed_on(fleet)["code"]
    found = one.redeem(code).json()
    assert one.redeem(code).json()["error"] == "invalid_grant"
    bearer = {"authorization": f"Bearer {found['access_token']}"}
    assert requests.get(f"{one.issuer}/userinfo", headers=bearer, timeout=TIMEOUT_S).status_code == 401, "revoked"
    late = signed_on(fleet)["code"]
    fleet.control("POST", "clock", {"advance_ms": 60_000})
    assert one.redeem(late).json()["error"] == "invalid_grant"


def test_refresh_tokens_rotate_and_a_stolen_one_ends_all(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    found = tokens(fleet, scope="openid email offline_access")

    def refresh(token: str) -> requests.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return requests.post(f"{one.issuer}/token", data=form, auth=CLIENT, timeout=TIMEOUT_S)

    second = refresh(found["refresh_token"]).json()
    claims = one.verified(second["id_token"], nonce=None)
    assert "nonce" not in claims
    assert claims["sub"] == unverified(found["id_token"])["sub"]
    assert refresh(found["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(second["refresh_token"]).json()["error"] == "invalid_grant", "the whole family is revoked"
    assert "refresh_token" not in tokens(fleet), "only offline_access gives one"


def test_a_revoked_token_is_good_for_nothing(fleet: Neighbourly) -> None:
    one, found = gateway(fleet), tokens(fleet)
    form = {"token": found["access_token"]}
    assert requests.post(f"{one.issuer}/revoke", data=form, auth=CLIENT, timeout=TIMEOUT_S).status_code == 200
    bearer = {"authorization": f"Bearer {found['access_token']}"}
    answer = requests.get(f"{one.issuer}/userinfo", headers=bearer, timeout=TIMEOUT_S)
    assert answer.status_code == 401
    assert "invalid_token" in answer.headers["www-authenticate"]


def test_signing_off_ends_the_session(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    with browser() as session:
        form = get(session, f"{one.issuer}/authorize", **one.asked())
        code = told(submit(session, form, username="bob@acme.example", password=PASSWORD))["code"]
        hint = one.redeem(code).json()["id_token"]
        uri = "http://gateway.example/signed-off"
        back = get(session, f"{one.issuer}/logout", id_token_hint=hint, post_logout_redirect_uri=uri, state="s")
        assert back.headers["location"] == f"{uri}?state=s"
        assert told(get(session, f"{one.issuer}/authorize", **one.asked(prompt="none")))["error"] == "login_required"
        assert get(session, f"{one.issuer}/logout", post_logout_redirect_uri=uri).status_code == 400, "for whom?"


def test_somebody_is_signed_on_without_the_form(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    fleet.control("PUT", "neighbours/oidc", {"auto": "*"})
    with browser() as session:
        hinted = told(
            get(session, f"{one.issuer}/authorize", **one.asked(login_hint="bob+t1@acme.example", prompt="none"))
        )
    claims = one.verified(one.redeem(hinted["code"]).json()["id_token"])
    assert claims["email"] == "bob+t1@acme.example"
    assert claims["sub"] != unverified(tokens_of(fleet, "bob@acme.example"))["sub"], "a tag makes a user of its own"
    assert {row["case"] for row in steps(fleet, case="t1")} == {"t1"}


def tokens_of(fleet: Neighbourly, login: str) -> str:
    one = gateway(fleet)
    with browser() as session:
        code = told(get(session, f"{one.issuer}/authorize", **one.asked(login_hint=login)))["code"]
    token: str = one.redeem(code).json()["id_token"]
    return token


def test_old_sessions_and_prompts_ask_again(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    with browser() as session:
        form = get(session, f"{one.issuer}/authorize", **one.asked())
        submit(session, form, username="ann@acme.example", password=PASSWORD)
        fleet.control("POST", "clock", {"advance_ms": 10_000})
        assert get(session, f"{one.issuer}/authorize", **one.asked(max_age="9")).status_code == 200
        assert get(session, f"{one.issuer}/authorize", **one.asked(prompt="login")).status_code == 200
        assert get(session, f"{one.issuer}/authorize", **one.asked(max_age="10")).status_code == 303
        assert get(session, f"{fleet.url}/__oidc/globex/authorize", **one.asked()).status_code == 200, "not a tenant's"
        posted = get(session, f"{one.issuer}/authorize", **one.asked(response_mode="form_post"))
        assert action(posted.text) == CALLBACK
        assert fields(posted.text)["state"] == "state-1"


@pytest.mark.parametrize(
    "login", ["gus@acme.example", "nobody@acme.example", "joe@globex.example", "ann+a b@acme.example", ""]
)
def test_who_may_not_sign_on(fleet: Neighbourly, login: str) -> None:
    one = gateway(fleet)
    with browser() as session:
        form = get(session, f"{one.issuer}/authorize", **one.asked())
        assert submit(session, form, username=login, password=PASSWORD).status_code == 401


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"response_mode": "pigeon"}, "invalid_request"),
    ],
)
def test_unsound_requests_go_back_to_the_client(fleet: Neighbourly, change: dict[str, str], error: str) -> None:
    one = gateway(fleet)
    with browser() as session:
        callback = told(get(session, f"{one.issuer}/authorize", **one.asked(**change)))
    assert (callback["error"], callback["state"], callback["iss"]) == (error, "state-1", one.issuer)
    assert "code" not in callback


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "nobody"},
        {"client_id": "windtunnel-strict"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://gateway.example/\r\nset-cookie: a=b"},
        {"redirect_uri": ""},
    ],
)
def test_who_cannot_be_trusted_is_not_redirected_to(fleet: Neighbourly, change: dict[str, str]) -> None:
    one = gateway(fleet)
    with browser() as session:
        answer = get(session, f"{one.issuer}/authorize", **one.asked(**change))
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_public_client_must_use_pkce(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    asked = one.asked(client_id="windtunnel-public")
    del asked["code_challenge"], asked["code_challenge_method"]
    with browser() as session:
        assert told(get(session, f"{one.issuer}/authorize", **asked))["error"] == "invalid_request"


def test_what_a_caller_sends_stands_in_the_page_as_text(fleet: Neighbourly) -> None:
    one = gateway(fleet)
    with browser() as session:
        form = get(session, f"{one.issuer}/authorize", **one.asked(state='"><script>1</script>', login_hint='"><b>'))
    assert "<script>" not in form.text
    assert "<b>" not in form.text


def test_the_same_seed_has_the_same_keys(fleet: Neighbourly) -> None:
    keys = requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json()
    assert [key["alg"] for key in keys["keys"]] == ["RS256", "ES256"]
    other = OidcProvider(7, directory(), Records())
    assert orjson.loads(other.answer(asked_of("GET", "/__oidc/acme/jwks")).body) == keys
    assert (
        orjson.loads(OidcProvider(8, directory(), Records()).answer(asked_of("GET", "/__oidc/acme/jwks")).body) != keys
    )


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [name for name, kind in kinds()["oidc"].items() if kind.at == ("id_token",)])
def test_a_gateway_that_verifies_notices(fleet: Neighbourly, kind: str) -> None:
    """Each row; three of them are only for gateways that look closer than at signature, issuer, audience and times."""
    fleet.hurt("oidc", kind)
    found = tokens(fleet)
    token = found["id_token"]
    assert kind in steps(fleet)[-1]["faults"]
    if kind == "at_hash_wrong":
        assert gateway(fleet).verified(token)["at_hash"] != half(found["access_token"])
        return
    if kind == "stale_sign_on":
        assert gateway(fleet).verified(token)["auth_time"] == gateway(fleet).now_s - 604_800
        return
    if kind == "no_kid":  # a verifier may try all keys
        assert "kid" not in unverified(token, 0)
        return
    if kind == "audience_without_azp":
        assert unverified(token)["aud"] == ["another-client", CLIENT[0]]
    with pytest.raises((JoseError, ValueError)):
        gateway(fleet).verified(token)
    fleet.control("POST", "reset")
    gateway(fleet).verified(tokens(fleet)["id_token"])


@pytest.mark.parametrize(
    ("kind", "claim", "value"),
    [
        ("email_unverified", "email_verified", False),
        ("email_verified_text", "email_verified", "true"),
        ("email_missing", "email", None),
        ("email_of_another", "email", "ann@acme.example"),
    ],
)
def test_what_is_signed_yet_not_to_be_believed(fleet: Neighbourly, kind: str, claim: str, value: object) -> None:
    fleet.hurt("oidc", kind)
    found = gateway(fleet).redeem(signed_on(fleet, "bob@acme.example")["code"]).json()
    claims = gateway(fleet).verified(found["id_token"])
    assert claims.get(claim) == value
    bearer = {"authorization": f"Bearer {found['access_token']}"}
    userinfo = requests.get(f"{fleet.url}/__oidc/acme/userinfo", headers=bearer, timeout=TIMEOUT_S).json()
    assert userinfo.get(claim) == value
    assert userinfo["sub"] == claims["sub"]


def test_the_forms_of_forged_signatures(fleet: Neighbourly) -> None:
    seen = {}
    for kind in (
        "alg_none",
        "hs256_confusion",
        "unknown_kid",
        "no_kid",
        "embedded_key",
        "elsewhere_key",
        "critical_header",
    ):
        fleet.hurt("oidc", kind, case=kind)
        found = gateway(fleet).redeem(signed_on(fleet, f"ann+{kind}@acme.example")["code"]).json()
        seen[kind] = (unverified(found["id_token"], 0), found["id_token"].split(".")[2])
    assert seen["alg_none"][0]["alg"] == "none"
    assert seen["alg_none"][1] == ""
    assert seen["hs256_confusion"][0]["alg"] == "HS256"
    assert seen["unknown_kid"][0]["kid"] == "never-seen"
    assert "kid" not in seen["no_kid"][0]
    assert seen["embedded_key"][0]["jwk"]["kty"] == "RSA"
    assert seen["elsewhere_key"][0]["jku"] == f"{fleet.url}/__hooks/elsewhere_key/jku"
    assert seen["critical_header"][0]["crit"] == ["urn.example.must"]


def test_hs256_confusion_fools_who_takes_the_public_key_for_a_secret(fleet: Neighbourly) -> None:
    """The twin of the test above: the forgery is a real one."""
    fleet.hurt("oidc", "hs256_confusion")
    signed, _, made = tokens(fleet)["id_token"].rpartition(".")
    published = requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json()["keys"][0]
    secret = RSAKey.import_key(published).as_pem(private=False)
    due = urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()
    assert made == due


def test_an_embedded_key_fools_who_trusts_the_header(fleet: Neighbourly) -> None:
    client = ("windtunnel-es256", CLIENT[1])
    fleet.hurt("oidc", "embedded_key")
    token = gateway(fleet).redeem(signed_on(fleet, client_id=client[0])["code"], client).json()["id_token"]
    key = JWKRegistry.import_key(unverified(token, 0)["jwk"])
    assert jwt.decode(token, key, algorithms=["ES256"]).claims["iss"] == gateway(fleet).issuer
    published = requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json()["keys"]
    assert unverified(token, 0)["jwk"]["x"] not in [one.get("x") for one in published]


def test_rotated_keys_are_found_by_who_fetches_again(fleet: Neighbourly) -> None:
    before = KeySet.import_key_set(requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json())
    fleet.hurt("oidc", "keys_rotated")
    token = tokens(fleet)["id_token"]
    with pytest.raises((JoseError, ValueError)):
        jwt.decode(token, before, algorithms=["RS256"])
    gateway(fleet).verified(token)


@pytest.mark.parametrize("kind", ["huge_jwks", "jwks_unknown_kinds"])
def test_odd_sets_still_hold_the_key(fleet: Neighbourly, kind: str) -> None:
    fleet.hurt("oidc", kind, **({"keys": 300} if kind == "huge_jwks" else {}))
    keys = requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json()["keys"]
    assert len(keys) == (302 if kind == "huge_jwks" else 4)
    token = tokens(fleet)["id_token"]
    (own,) = [key for key in keys if key["kid"] == unverified(token, 0)["kid"]]
    jwt.decode(token, KeySet.import_key_set({"keys": [own]}), algorithms=["RS256"])


def test_sets_without_the_key_or_with_its_twin(fleet: Neighbourly) -> None:
    fleet.hurt("oidc", "jwks_empty", times=1)
    assert requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json() == {"keys": []}
    fleet.hurt("oidc", "jwks_same_kid")
    keys = requests.get(f"{fleet.url}/__oidc/acme/jwks", timeout=TIMEOUT_S).json()["keys"]
    assert [key["kid"] for key in keys][:2] == [key["kid"] for key in keys][2:]
    assert keys[0]["n"] != keys[2]["n"]


def test_what_the_callback_bears(fleet: Neighbourly) -> None:
    usual = signed_on(fleet)
    gateway(fleet).redeem(usual["code"])
    seen = {}
    for kind in (
        "state_tampered",
        "state_missing",
        "callback_other_issuer",
        "code_invalid",
        "access_denied",
        "replayed_code",
    ):
        fleet.hurt("oidc", kind, times=1)
        seen[kind] = signed_on(fleet)
    assert seen["state_tampered"]["state"] not in ("state-1", "")
    assert "state" not in seen["state_missing"]
    assert seen["callback_other_issuer"]["iss"] == "https://login.elsewhere.example"
    assert gateway(fleet).redeem(seen["code_invalid"]["code"]).json()["error"] == "invalid_grant"
    assert seen["access_denied"]["error"] == "access_denied"
    assert "code" not in seen["access_denied"]
    assert signed_on(fleet)["state"] == "state-1", "each hit once"


def test_a_replayed_code_was_redeemed(fleet: Neighbourly) -> None:
    one, first = gateway(fleet), signed_on(fleet)["code"]
    assert one.redeem(first).status_code == 200
    fleet.hurt("oidc", "replayed_code", times=1)
    assert signed_on(fleet)["code"] == first
    assert one.redeem(first).json()["error"] == "invalid_grant"
    assert signed_on(fleet)["code"] != first


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("token_error", 500, "server_error"),
        ("token_invalid_client", 401, "invalid_client"),
        ("token_invalid_grant", 400, "invalid_grant"),
    ],
)
def test_the_token_endpoint_refuses(fleet: Neighbourly, kind: str, status: int, error: str) -> None:
    fleet.hurt("oidc", kind, times=1)
    answer = gateway(fleet).redeem(signed_on(fleet)["code"])
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "id_token" in tokens(fleet)


def test_documents_that_are_none(fleet: Neighbourly) -> None:
    url = f"{fleet.url}/__oidc/acme"
    for kind, path, status in (
        ("discovery_error", "/.well-known/openid-configuration", 500),
        ("jwks_error", "/jwks", 503),
        ("discovery_html", "/.well-known/openid-configuration", 200),
    ):
        fleet.hurt("oidc", kind, times=1)
        answer = requests.get(url + path, timeout=TIMEOUT_S)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith(
            "text/html" if kind == "discovery_html" else "application/json"
        )
    fleet.hurt("oidc", "discovery_other_issuer", times=1)
    assert gateway(fleet).document["issuer"] != gateway(fleet).issuer
    fleet.hurt("oidc", "no_id_token", times=1)
    assert "id_token" not in tokens(fleet)
    fleet.hurt("oidc", "token_html", times=1)
    assert "text/html" in gateway(fleet).redeem(signed_on(fleet)["code"]).headers["content-type"]


def test_slow_answers_wait_for_the_fleets_clock(fleet: Neighbourly) -> None:
    fleet.hurt("oidc", "slow_discovery", delay_ms=5000, times=1)
    line = fleet.live.line()
    line.send(b"GET /__oidc/acme~slow/.well-known/openid-configuration HTTP/1.1\r\nhost: fleet\r\n\r\n")
    assert fleet.control("GET", "sign-ons?case=slow&wait_ms=5000")["steps"][0]["faults"] == ["slow_discovery"]
    fleet.control("POST", "clock", {"advance_ms": 5000})
    reply = line.reply()
    assert reply.json["issuer"] == "http://fleet/__oidc/acme~slow"


def test_a_fault_of_a_case_spares_the_others(fleet: Neighbourly) -> None:
    fleet.hurt("oidc", "wrong_audience", case="t2")
    with pytest.raises((JoseError, ValueError)):
        gateway(fleet).verified(
            gateway(fleet).redeem(signed_on(fleet, "ann+t2@acme.example")["code"]).json()["id_token"]
        )
    gateway(fleet).verified(tokens(fleet)["id_token"])
    one = gateway(fleet, "acme~t2")
    assert (
        unverified(one.redeem(signed_on(fleet, tenant="acme~t2")["code"]).json()["id_token"])["aud"] == "another-client"
    )


def test_userinfo_that_fails_or_tells_of_somebody_else(fleet: Neighbourly) -> None:
    found = tokens(fleet)
    fleet.hurt("oidc", "userinfo_error", times=1)
    bearer = {"authorization": f"Bearer {found['access_token']}"}
    url = f"{fleet.url}/__oidc/acme/userinfo"
    assert requests.get(url, headers=bearer, timeout=TIMEOUT_S).status_code == 500
    fleet.hurt("oidc", "userinfo_other_subject", times=1)
    assert requests.get(url, headers=bearer, timeout=TIMEOUT_S).json()["sub"] == "somebody-else"
    assert requests.get(url, headers=bearer, timeout=TIMEOUT_S).json()["sub"] == unverified(found["id_token"])["sub"]


@pytest.mark.parametrize("kind", list(kinds()["oidc"]))
def test_every_fault_is_met_on_the_way(kind: str) -> None:
    """And answered late, if it is a slow one."""
    provider = OidcProvider(7, directory(), Records())
    provider.settings["auto"] = "*"
    auth = ("authorization", "Basic " + b64encode(":".join(CLIENT).encode()).decode())
    answers = []
    for _ in range(2):  # the second sign-on has one before it
        answers.append(provider.answer(asked_of("GET", "/__oidc/acme/.well-known/openid-configuration")))
        answers.append(provider.answer(asked_of("GET", "/__oidc/acme/jwks")))
        query = urlencode(Gateway("", 0).asked())
        answers.append(provider.answer(asked_of("GET", "/__oidc/acme/authorize", query)))
        code = dict(parse_qsl(urlsplit(dict(answers[-1].headers)["location"]).query)).get("code", "")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        answers.append(
            provider.answer(asked_of("POST", "/__oidc/acme/token", "", (FORM, auth), urlencode(form).encode()))
        )
        if answers[-1].status == 200 and answers[-1].body.startswith(b"{"):
            bearer = ("authorization", f"Bearer {orjson.loads(answers[-1].body)['access_token']}")
            answers.append(provider.answer(asked_of("GET", "/__oidc/acme/userinfo", "", (bearer,))))
        if not provider.faults.as_json():
            provider.faults.add([{"kind": kind}])
    (row,) = provider.faults.as_json()
    assert row["hits"] >= 1
    slow = [answer.delay_ms for answer in answers if answer.delay_ms]
    assert slow == ([10_000] if kind.startswith("slow_") else [])
    assert any(answer.ending is Ending.STALL for answer in answers) == (kind == "token_hang")


# --- properties -------------------------------------------------------------------------------------------------------


def asked_of(method: str, path: str, query: str = "", headers: Any = (), body: bytes = b"") -> Asked:
    return Asked(method, path, query, (("host", "fleet.example"), *headers), body, MANUAL_START_MS)


PATHS = [
    "/authorize",
    "/login",
    "/token",
    "/userinfo",
    "/revoke",
    "/logout",
    "/jwks",
    "",
    "/.well-known/openid-configuration",
]
FORM = ("content-type", "application/x-www-form-urlencoded")
WORDS = st.sampled_from(
    ["client_id", "windtunnel", "redirect_uri", "http://x/", "code", "openid", "scope", "grant_type", "refresh_token"]
) | st.text(max_size=12)
PAIRS = st.dictionaries(WORDS, WORDS, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.sampled_from(["acme", "acme~x", "nobody", "acme~"]),
    st.sampled_from(PATHS),
    PAIRS,
    PAIRS,
    st.text(max_size=30) | st.binary(max_size=20).map(lambda raw: "Basic " + urlsafe_b64encode(raw).decode()),
    st.binary(max_size=30),
)
def test_whatever_is_asked_is_answered(
    method: str, tenant: str, path: str, query: dict[str, str], form: dict[str, str], auth: str, raw: bytes
) -> None:
    provider = OidcProvider(7, directory(), Records())
    body = requests.models.PreparedRequest._encode_params(form).encode() + raw
    coded = str(requests.models.PreparedRequest._encode_params(query))
    headers = (FORM, ("authorization", auth), ("cookie", auth))
    answer = provider.answer(asked_of(method, f"/__oidc/{tenant}{path}", coded, headers, body))
    assert answer.status is not None
    assert answer.status < 500
    assert all("\n" not in value and "\r" not in value for _, value in answer.headers)
