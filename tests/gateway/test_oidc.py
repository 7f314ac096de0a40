"""OpenID Connect in memory: ID tokens, discovery, sign-ons under way, providers of organisations and their secrets."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from gateway import config
from gateway.edge import Clock
from gateway.errors import NoAccess
from gateway.people.passwords import Cost, Passwords
from gateway.sealing import Sealer, Vault
from gateway.sign_on import attempts, id_tokens, oidc
from gateway.sign_on.discovery import KEYS_MAX, Issuer, fetch_document, fetch_keys
from gateway.sign_on.id_tokens import Due, NoSuchKey
from gateway.sign_on.refusals import ProviderFailed, SignOnRefused
from gateway.sign_on.state import SignOn
from gateway.storage.tables import sso_providers
from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import Request
from simulator.neighbours.keys import ROTATED, STRANGER, USUAL
from simulator.neighbours.oidc.tokens import half_hash, id_token, jwks
from tests.gateway.lab import Answer, Lab, open_lab, run

SEED = 7
NOW_S = 1_790_000_000
ISSUER = "https://idp.acme.example"
KEYS = jwks(SEED, USUAL, ())["keys"]
DUE = Due(ISSUER, "client-1", "nonce-1", NOW_S, 60)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "subject-1",
    "aud": "client-1",
    "iat": NOW_S,
    "exp": NOW_S + 3600,
    "nonce": "nonce-1",
    "email": "bob@acme.example",
    "email_verified": True,
}


def token(alg: str = "RS256", key: str = USUAL, **claims: Any) -> str:
    """A token; a claim that is ... is left out."""
    made = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return id_token(SEED, key, alg, made)


def refused(made: Any, due: Due = DUE, keys: Sequence[Mapping[str, Any]] = KEYS, access_token: str = "a") -> str:
    with pytest.raises((SignOnRefused, NoSuchKey)) as caught:
        id_tokens.read(made, keys, due, access_token)
    return "no key" if isinstance(caught.value, NoSuchKey) else str(caught.value)


# --- ID tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_sound_token_is_read(alg: str) -> None:
    made = token(alg, at_hash=half_hash("a"))
    assert id_tokens.read(made, KEYS, DUE, "a")["sub"] == "subject-1"
    assert id_tokens.read(token(alg, aud=["client-1"], azp="client-1"), KEYS, DUE, "a")["sub"] == "subject-1"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": ...}, "another issuer"),
        ({"aud": "client-2"}, "another client"),
        ({"aud": ["client-1", "client-2"], "azp": "client-1"}, "another client"),
        ({"aud": []}, "another client"),
        ({"aud": ...}, "another client"),
        ({"azp": "client-2"}, "another client"),
        ({"exp": NOW_S - 60}, "has expired"),
        ({"exp": ...}, "has expired"),
        ({"exp": str(NOW_S + 60)}, "has expired"),
        ({"exp": True}, "has expired"),
        ({"iat": NOW_S + 61}, "from the future"),
        ({"iat": ...}, "from the future"),
        ({"iat": NOW_S - 661}, "is old"),
        ({"nbf": NOW_S + 61}, "does not hold yet"),
        ({"nbf": "later"}, "does not hold yet"),
        ({"nonce": "nonce-2"}, "(nonce)"),
        ({"nonce": ...}, "(nonce)"),
        ({"nonce": ["nonce-1"]}, "(nonce)"),
        ({"sub": ""}, "(sub)"),
        ({"sub": 5}, "(sub)"),
        ({"at_hash": half_hash("b")}, "(at_hash)"),
    ],
)
def test_every_claim_is_checked(claims: dict[str, Any], why: str) -> None:
    assert why in refused(token(**claims))


def test_the_skew_is_borne_to_the_second() -> None:
    assert id_tokens.read(token(exp=NOW_S - 59, nbf=NOW_S + 60, iat=NOW_S + 60), KEYS, DUE, "a")


def test_max_age_needs_auth_time() -> None:
    due = replace(DUE, max_age_s=100)
    assert id_tokens.read(token(auth_time=NOW_S - 160), KEYS, due, "a")
    assert "too long ago" in refused(token(auth_time=NOW_S - 161), due)
    assert "too long ago" in refused(token(), due)


def test_keys_are_chosen_by_id_and_kind() -> None:
    rsa, ec = KEYS
    made = token()
    assert refused(made, keys=[]) == "no key"
    assert refused(made, keys=[ec]) == "no key"
    assert refused(made, keys=jwks(SEED, ROTATED, ())["keys"]) == "no key"
    assert refused(token(key=STRANGER)) == "no key"
    for change in (
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "RS512"},
        {"kid": "other"},
        {"n": "AQAB"},
        {"n": 5},
        {"kty": "oct"},
    ):
        assert refused(made, keys=[rsa | change]) == "no key"
    assert id_tokens.read(made, [ec, {"kty": "AKP"}, {}, rsa | {"key_ops": ["verify"]}], DUE, "a")


def test_a_token_without_a_keys_id_is_taken_where_there_is_one_key() -> None:
    header, payload, _ = token().split(".")
    bare = id_token(SEED, USUAL, "RS256", CLAIMS, [FaultOf({"kid": None})])  # type: ignore[list-item]
    assert refused(bare) == "no key"
    assert id_tokens.read(bare, KEYS[:1], DUE, "a")
    assert header != bare.split(".")[0]
    assert payload == bare.split(".")[1]


class FaultOf:
    """A fault in force that changes the header."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.does = {"header": header}
        self.options: dict[str, Any] = {}


@pytest.mark.parametrize("alg", ["none", "NONE", "HS256", "RS1", "", None, 5, ["RS256"]])
def test_algorithms_are_a_list_of_ours(alg: Any) -> None:
    header = urlsafe_b64encode(json.dumps({"alg": alg}).encode()).decode().rstrip("=")
    assert "no algorithm that is accepted" in refused(f"{header}.{token().split('.')[1]}.")


def test_a_weak_key_is_none() -> None:
    weak = KEYS[0] | {"n": urlsafe_b64encode(b"\xc1" + bytes(126) + b"\x01").decode().rstrip("=")}
    assert id_tokens.imported(weak, "RS256") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "key_ops", "crit", "b64", "jwk"])


@given(JSON | st.text(max_size=200) | st.text("abc.-_=eyJ", max_size=60))
def test_anything_is_a_token_or_refused(made: Any) -> None:
    assert refused(made)


@given(st.dictionaries(NAMES, JSON, max_size=6), st.lists(st.dictionaries(NAMES, JSON, max_size=6), max_size=3))
def test_any_header_and_any_keys_are_borne(header: dict[str, Any], keys: list[dict[str, Any]]) -> None:
    _, payload, signature = token().split(".")
    head = urlsafe_b64encode(json.dumps({"alg": "RS256", **header}).encode()).decode().rstrip("=")
    assert refused(f"{head}.{payload}.{signature}", keys=[*keys, *(KEYS[0] | key for key in keys)])


@given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), JSON, min_size=1, max_size=4))
def test_any_claims_are_borne(claims: dict[str, Any]) -> None:
    try:
        made = token(**claims)
    except (TypeError, ValueError):
        return  # beyond what JSON can say
    try:
        found = id_tokens.read(made, KEYS, DUE, "a")
    except SignOnRefused:
        return
    assert {name: found[name] for name in ("iss", "nonce")} == {"iss": ISSUER, "nonce": "nonce-1"}


# --- the callback -----------------------------------------------------------------------------------------------------

DOCUMENT = Issuer(
    ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/jwks", None, ("client_secret_basic",), True
)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"code": "c"}, "(iss)"),
        ({"code": "c", "iss": "https://evil.example"}, "(iss)"),
        ({"error": "access_denied", "iss": "https://evil.example"}, "(iss)"),
        ({"error": "<b>denied</b>", "iss": ISSUER, "code": "c"}, "the provider says '<b>denied</b>'"),
        ({"iss": ISSUER}, "no code"),
        ({"iss": ISSUER, "code": "c" * 5000}, "no code"),
    ],
)
def test_what_the_callback_bears(told: dict[str, str], why: str) -> None:
    with pytest.raises(SignOnRefused) as caught:
        oidc.code_of(told, DOCUMENT)
    assert why in str(caught.value)


def test_iss_is_demanded_of_those_who_say_so() -> None:
    assert oidc.code_of({"code": "c", "iss": ISSUER}, DOCUMENT) == "c"
    assert oidc.code_of({"code": "c"}, replace(DOCUMENT, tells_iss=False)) == "c"


# --- a sign-on under way ----------------------------------------------------------------------------------------------

SEALER = Sealer(b"k" * 32)


def brought(attempt: attempts.Attempt, *, cross_site: bool = False) -> str:
    """The cookie as the browser brings it."""
    return attempts.cookie(SEALER, attempt, "/path", cross_site=cross_site).partition(";")[0]


def test_an_attempt_is_found_by_its_cookie_only() -> None:
    one, two = (attempts.begin("sso_1", NOW_S, "https://a.example/cb", "/x") for _ in range(2))
    both = f"other=1; {brought(one)}; {brought(two)}"
    assert attempts.find(SEALER, both, one.id, "sso_1", NOW_S) == one
    assert attempts.find(SEALER, both, two.id, "sso_1", NOW_S + attempts.LIFE_S) == two
    assert attempts.find(SEALER, both, two.id, "sso_2", NOW_S) is None
    assert attempts.find(SEALER, both, two.id, "sso_1", NOW_S + attempts.LIFE_S + 1) is None
    assert attempts.find(SEALER, brought(one), two.id, "sso_1", NOW_S) is None
    assert attempts.find(Sealer(b"o" * 32), both, one.id, "sso_1", NOW_S) is None
    swapped = f"{brought(one).partition('=')[0]}={brought(two).partition('=')[2]}"
    assert attempts.find(SEALER, swapped, one.id, "sso_1", NOW_S) is None
    assert attempts.find(SEALER, "", "", "sso_1", NOW_S) is None


def test_its_cookie_keeps_to_its_place() -> None:
    safe = attempts.begin("sso_1", NOW_S, "https://a.example/cb", "/")
    plain = attempts.begin("sso_1", NOW_S, "http://a.example/cb", "/")
    shown = attempts.cookie(SEALER, safe, "/path", cross_site=True)
    assert shown.startswith("__Secure-windtunnel_sso_")
    for part in ("HttpOnly", "Path=/path", "SameSite=None", "Secure", f"Max-Age={attempts.LIFE_S}"):
        assert part in shown.split("; ")
    assert "SameSite=Lax" in attempts.cookie(SEALER, safe, "/path", cross_site=False)
    assert "SameSite=Lax" in attempts.cookie(SEALER, plain, "/path", cross_site=True)
    for secret in (safe.nonce, safe.verifier, safe.request_id):
        assert secret not in shown
    assert len(shown) < attempts.COOKIE_MAX


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/keys?a=1#b", "/keys?a=1#b"),
        *(
            (bad, "/")
            for bad in ("https://evil.example", "//evil.example", "/\\evil.example", "/a\\b", "x", "", "/\r\nx", "/ü")
        ),
    ],
)
def test_only_paths_of_ours_are_returned_to(text: str, path: str) -> None:
    assert attempts.own_path(text) == path


@given(st.text(max_size=100), st.text(max_size=30))
def test_what_was_sealed_is_opened_for_its_purpose_only(text: str, purpose: str) -> None:
    clean = text.encode("utf-8", "ignore").decode()
    why = purpose.encode("utf-8", "ignore").decode()
    sealed = SEALER.seal(why, clean)
    assert SEALER.open(why, sealed) == clean
    assert SEALER.open(why + "x", sealed) is None
    assert SEALER.open(why, sealed[:-2]) is None
    assert SEALER.seal(why, clean) != sealed


@given(st.text(max_size=60))
def test_what_was_not_sealed_is_not_opened(text: str) -> None:
    assert SEALER.open("x", text) is None


def test_the_secret_is_made_beside_the_database(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'gateway.sqlite'}"
    settings = config.load(flags={"database": database})
    assert list(tmp_path.iterdir()) == [], "not before it is needed"
    sealed = Vault(settings, database).seal("x", "text")
    assert sealed is not None
    assert Vault(settings, database).open("x", sealed) == "text"
    (file,) = tmp_path.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("gateway.sqlite.key", 0o600)
    own = config.load(flags={"secret_key": "s" * 32})
    assert Vault(own, database).open("x", sealed) is None
    assert "s" * 32 not in repr(own)
    without = Vault(settings, "postgresql://a/b")
    assert (without.locks, without.seal("x", "text"), without.open("x", sealed)) == (False, None, None)


def test_there_is_no_sign_on_without_a_secret() -> None:
    async def work() -> None:
        services = (await open_lab([])).services
        without = Vault(services.config, "postgresql://a/b")
        with pytest.raises(NoAccess, match="secret_key"):
            _ = SignOn(services.store, services.clock, services.orgs, without).sealer

    run(work())


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(config.ConfigError, match="secret_key: a text of 32 characters") as caught:
        config.load(flags={"secret_key": "short-secret"})
    assert "short-secret" not in str(caught.value)


# --- providers of an organisation, over the whole gateway -------------------------------------------------------------

DISCOVERED: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


def provider(changes: Mapping[str, Any] | None = None) -> Callable[[Request], MemoryReply]:
    """An OpenID provider in memory."""

    def answer(request: Request) -> MemoryReply:
        told: Any = {**DISCOVERED, **(changes or {})} if "well-known" in request.url else {"keys": KEYS}
        return MemoryReply(200, {"content-type": "application/json"}, [json.dumps(told).encode()])

    return answer


async def public(_host: str, _port: int) -> Sequence[str]:
    return ["93.184.215.14"]


class People:
    """A gateway in memory, and people who are signed in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.org_id = ""

    async def sign_up(self, email: str) -> dict[str, str]:
        """The headers of somebody new."""
        told = {"email": email, "password": "a password of some length"}
        answer = await self.ask("POST", "/api/auth/sign-up", told, {}, 201)
        return {"cookie": answer.headers["set-cookie"].partition(";")[0], "x-csrf-token": answer.json["csrfToken"]}

    async def ask(self, method: str, path: str, told: Any, headers: Mapping[str, str], status: int = 200) -> Answer:
        path, _, query = path.partition("?")
        answer = await self.lab.ask(path, told, method=method, headers={"host": "gw.example", **headers}, query=query)
        assert answer.status == status, answer.body
        return answer


async def opened(
    answer: Callable[[Request], MemoryReply] | None = None, **options: Any
) -> tuple[People, dict[str, str]]:
    """A gateway with an organisation that holds acme.example, and its owner."""
    lab = await open_lab(answer or provider(), **options)
    lab.services.resolve = public
    lab.services.people.passwords = Passwords(Cost(log_n=4, r=1, p=1))  # quick
    people = People(lab)
    owner = await people.sign_up("olga@owners.example")
    people.org_id = (await people.ask("POST", "/api/orgs", {"name": "Acme"}, owner, 201)).json["id"]
    return people, owner


OIDC = {
    "type": "oidc",
    "issuer": ISSUER,
    "clientId": "client-1",
    "clientSecret": "s3cr3t-of-acme",
    "domain": "Acme.Example",
}
ADMIN = {"authorization": "Bearer admin"}


def test_a_provider_is_kept_without_showing_its_secret() -> None:
    async def scenario() -> None:
        people, owner = await opened()
        path = f"/api/orgs/{people.org_id}/sso"
        made = await people.ask("POST", path, OIDC, owner, 201)
        assert made.json["reachable"] is True
        assert (made.json["domain"], made.json["domainVerified"], made.json["defaultRole"]) == (
            "acme.example",
            False,
            "viewer",
        )
        assert made.json["redirectUri"] == f"http://gw.example/api/auth/sso/{made.json['id']}"
        one = f"{path}/{made.json['id']}"
        shown = await people.ask("GET", one, None, owner)
        listed = await people.ask("GET", path, None, owner)
        assert listed.json == {"providers": [shown.json]}
        changed = await people.ask("PATCH", one, shown.json, owner)
        assert {**changed.json, "checkedAt": None} == {**shown.json, "checkedAt": None}, "sent back as it is"
        audit = await people.ask("GET", f"/api/orgs/{people.org_id}/audit-log", None, owner)
        assert [event["action"] for event in audit.json["events"]][:2] == ["sso.changed", "sso.created"]
        rows = await people.lab.services.store.read(lambda c: c.execute(select(sso_providers)).all())
        for raw in (made.body, shown.body, listed.body, changed.body, audit.body, repr(rows).encode()):
            assert b"s3cr3t" not in raw
        (kept,) = await people.lab.services.sign_on.providers.of_org(people.org_id)
        assert kept.secret is not None
        assert kept.secret not in repr(kept)
        assert people.lab.services.sign_on.sealer.open(kept.secret_purpose, kept.secret) == "s3cr3t-of-acme"
        await people.ask("DELETE", one, None, owner, 204)
        await people.ask("GET", one, None, owner, 404)

    run(scenario())


def test_roles_and_tenants() -> None:
    async def scenario() -> None:
        people, owner = await opened()
        stranger = await people.sign_up("eve@elsewhere.example")
        path = f"/api/orgs/{people.org_id}/sso"
        made = (await people.ask("POST", path, OIDC, owner, 201)).json
        for method, where in (
            ("GET", path),
            ("POST", path),
            ("PATCH", f"{path}/{made['id']}"),
            ("DELETE", f"{path}/{made['id']}"),
        ):
            await people.ask(method, where, OIDC, stranger, 404)
            await people.ask(method, where, OIDC, {}, 401)
        await people.ask("POST", path, OIDC, {"cookie": owner["cookie"]}, 403)
        hers = (await people.ask("POST", "/api/orgs", {"name": "Eve"}, stranger, 201)).json["id"]
        await people.ask("GET", f"/api/orgs/{hers}/sso/{made['id']}", None, stranger, 404)
        claim = await people.ask("POST", f"/api/orgs/{hers}/sso", OIDC, stranger, 201)
        assert claim.json["domainVerified"] is False
        await people.ask("PUT", "/admin/sso/domains/acme.example", {"org_id": people.org_id}, ADMIN)
        told = {"domain": "acme.example"}
        await people.ask("PATCH", f"/api/orgs/{hers}/sso/{claim.json['id']}", told, stranger, 409)
        start = await people.ask("POST", "/api/auth/sso/start", {"email": "bob@ACME.example"}, {})
        assert start.json["providerId"] == made["id"]
        await people.ask("GET", f"/api/auth/sso/{claim.json['id']}/login", None, {}, 403)
        await people.ask("GET", "/admin/sso/domains", None, owner, 401)
        domains = await people.ask("GET", "/admin/sso/domains", None, ADMIN)
        assert [one["domain"] for one in domains.json["domains"]] == ["acme.example"]
        await people.ask("DELETE", "/admin/sso/domains/acme.example", None, ADMIN, 204)
        start = await people.ask("POST", "/api/auth/sso/start", {"email": "bob@acme.example"}, {})
        assert start.json["type"] == "password"

    run(scenario())


def test_a_claim_counts_where_the_operator_trusts_claims() -> None:
    async def scenario() -> None:
        people, owner = await opened(sso_trust_domains=True)
        made = await people.ask("POST", f"/api/orgs/{people.org_id}/sso", OIDC, owner, 201)
        assert made.json["domainVerified"] is True
        stranger = await people.sign_up("eve@elsewhere.example")
        hers = (await people.ask("POST", "/api/orgs", {"name": "Eve"}, stranger, 201)).json["id"]
        await people.ask("POST", f"/api/orgs/{hers}/sso", OIDC, stranger, 409)
        await people.ask("POST", f"/api/orgs/{people.org_id}/sso", OIDC, owner, 409)

    run(scenario())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"type": "ldap"}, "`type`"),
        ({"domain": "acme"}, "`domain`"),
        ({"domain": "bob@acme.example"}, "`domain`"),
        ({"domain": None}, "`domain`"),
        ({"issuer": "http://idp.acme.example"}, "https://"),
        ({"issuer": "https://127.0.0.1"}, "public Internet"),
        ({"issuer": "https://0x7f000001"}, "not spelled"),
        ({"issuer": "https://idp.acme.example?x"}, "`issuer`"),
        ({"issuer": "https://u:p@idp.acme.example"}, "user name"),
        ({"issuer": None}, "`issuer`"),
        ({"clientId": None}, "`clientId`"),
        ({"clientSecret": 5}, "`clientSecret`"),
        ({"defaultRole": "owner"}, "`defaultRole`"),
        ({"defaultRole": "king"}, "`defaultRole`"),
        ({"metadataXml": "<x/>"}, "means nothing"),
        ({"maxAge": -1}, "`maxAge`"),
        ({"type": "saml", "issuer": ..., "clientId": ..., "clientSecret": ...}, "`metadataXml` or `metadataUrl`"),
        ({"type": "saml", "issuer": ..., "clientId": ..., "clientSecret": ..., "metadataXml": "<x/>"}, "`metadataXml`"),
    ],
)
def test_what_cannot_be_kept(change: dict[str, Any], why: str) -> None:
    async def scenario() -> None:
        people, owner = await opened()
        told = {name: value for name, value in {**OIDC, **change}.items() if value is not ...}
        answer = await people.ask("POST", f"/api/orgs/{people.org_id}/sso", told, owner, 400)
        assert why in answer.error[1]

    run(scenario())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"token_endpoint": None}, "no `token_endpoint`"),
        ({"token_endpoint": "http://idp.acme.example/token"}, "`token_endpoint`"),
        ({"jwks_uri": "https://169.254.169.254/latest"}, None),
        (
            {"jwks_uri": "https://169.254.169.254/latest", "authorization_endpoint": "javascript:alert(1)"},
            "`authorization_endpoint`",
        ),
    ],
)
def test_discovery_that_cannot_be_used(changes: dict[str, Any], why: str | None) -> None:
    async def scenario() -> None:
        people, owner = await opened(provider(changes))
        made = await people.ask("POST", f"/api/orgs/{people.org_id}/sso", OIDC, owner, 201)
        assert made.json["reachable"] is False
        assert (why or "public Internet") in made.json["problem"]
        assert all(request.address == "93.184.215.14" for request in people.lab.transport.requests)

    run(scenario())


@given(JSON)
def test_any_discovery_and_any_keys_are_borne(told: Any) -> None:
    async def scenario() -> None:
        for work in (lambda: fetch_document(SERVICES, ISSUER), lambda: fetch_keys(SERVICES, DOCUMENT)):
            with pytest.raises(ProviderFailed):
                await work()  # type: ignore[no-untyped-call]

    data = json.dumps(told).encode()
    SERVICES.transport = type(LAB.transport)(lambda _request: MemoryReply(200, {}, [data]))
    run(scenario())


LAB = run(open_lab(provider()))
SERVICES = LAB.services
SERVICES.resolve = public


def test_too_many_keys_are_refused() -> None:
    data = json.dumps({"keys": [{}] * (KEYS_MAX + 1)}).encode()
    SERVICES.transport = type(LAB.transport)(lambda _request: MemoryReply(200, {}, [data]))
    with pytest.raises(ProviderFailed, match="more than"):
        run(fetch_keys(SERVICES, DOCUMENT))


# --- there and back, in memory ----------------------------------------------------------------------------------------


class Idp:
    """An OpenID provider in memory that signs on whomever it is told."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims
        self.there: dict[str, str] = {}
        self.userinfo: dict[str, Any] | None = None
        self.given: dict[str, Any] = {"access_token": "a", "token_type": "Bearer"}
        self.asked: list[Request] = []
        self.key = USUAL

    def __call__(self, request: Request) -> MemoryReply:
        self.asked.append(request)
        told: Any = {**DISCOVERED, **({} if self.userinfo is None else {"userinfo_endpoint": f"{ISSUER}/userinfo"})}
        if request.url.endswith("/jwks"):
            told = jwks(SEED, self.key, ())
        elif request.url.endswith("/userinfo"):
            told = self.userinfo
        elif request.url.endswith("/token"):
            made = token(key=self.key, **{"nonce": self.there["nonce"], **TIMES, **self.claims})
            told = {**self.given, "id_token": made}
        return MemoryReply(200, {"content-type": "application/json"}, [json.dumps(told).encode()])


TIMES: dict[str, int] = {}


async def signed_on(people: People, idp: Idp, provider_id: str, status: int = 303) -> Answer:
    """Somebody signs on."""
    now_s = people.lab.services.clock.now_s()
    TIMES.update(iat=now_s, exp=now_s + 300)
    there = await people.ask("GET", f"/api/auth/sso/{provider_id}/login", None, {}, 303)
    idp.there = dict(parse_qsl(urlsplit(there.headers["location"]).query))
    cookie = {"cookie": there.headers["set-cookie"].partition(";")[0]}
    return await people.ask(
        "GET", f"/api/auth/sso/{provider_id}?code=c&state={idp.there['state']}", None, cookie, status
    )


async def ready(idp: Idp, **options: Any) -> tuple[People, str]:
    people, owner = await opened(idp, **options)
    await people.ask("PUT", "/admin/sso/domains/acme.example", {"org_id": people.org_id}, ADMIN)
    made = await people.ask("POST", f"/api/orgs/{people.org_id}/sso", OIDC, owner, 201)
    return people, made.json["id"]


def test_the_code_is_redeemed_with_proof() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        answer = await signed_on(people, idp, provider_id)
        assert answer.headers["location"] == "/"
        assert answer.headers["cache-control"] == "no-store"
        redeemed = next(request for request in idp.asked if request.url.endswith("/token"))
        form = dict(parse_qsl(redeemed.body.decode()))
        proof = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        assert (proof, idp.there["code_challenge_method"]) == (idp.there["code_challenge"], "S256")
        assert dict(redeemed.headers)["authorization"] == f"Basic {b64encode(b'client-1:s3cr3t-of-acme').decode()}"
        assert form["redirect_uri"] == idp.there["redirect_uri"] == f"http://gw.example/api/auth/sso/{provider_id}"
        assert "client_secret" not in form

    run(scenario())


def test_the_address_may_come_from_userinfo_but_both_words_from_one_source() -> None:
    async def scenario() -> None:
        idp = Idp(email=..., email_verified=...)
        idp.userinfo = {"sub": "subject-1", "email": "bob@acme.example", "email_verified": True}
        people, provider_id = await ready(idp)
        await signed_on(people, idp, provider_id)
        idp.claims = {"sub": "subject-2", "email": "ann@acme.example", "email_verified": ...}
        idp.userinfo = {"sub": "subject-2", "email": "joe@acme.example", "email_verified": True}
        await signed_on(people, idp, provider_id)
        assert await people.lab.services.people.find("joe@acme.example") is not None
        assert await people.lab.services.people.find("ann@acme.example") is None
        idp.userinfo = {"sub": "subject-1", "email": "bob@acme.example", "email_verified": True}
        answer = await signed_on(people, idp, provider_id, 403)
        assert "somebody else" in answer.error[1]

    run(scenario())


@pytest.mark.parametrize("is_verified", [False, "false", "True", 1, None, [True]])
def test_only_true_is_verified(is_verified: Any) -> None:
    async def scenario() -> None:
        idp = Idp(email_verified=is_verified)
        people, provider_id = await ready(idp)
        answer = await signed_on(people, idp, provider_id, 403)
        assert "has not verified" in answer.error[1]

    run(scenario())


@pytest.mark.parametrize(
    "email",
    [
        "bob@sub.acme.example",
        "bob@acme.example.evil.example",
        "bob@evil.example",
        "bob@acme.example@evil.example",
        "bob",
        "böb@acme.example",
        "",
    ],
)
def test_addresses_of_other_domains_are_refused(email: str) -> None:
    async def scenario() -> None:
        idp = Idp(email=email)
        people, provider_id = await ready(idp)
        answer = await signed_on(people, idp, provider_id, 403)
        assert "set-cookie" not in answer.headers

    run(scenario())


def test_a_user_is_known_by_the_subject() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        services = people.lab.services
        await signed_on(people, idp, provider_id)
        bob = await services.people.find("bob@acme.example")
        assert bob is not None
        idp.claims = {"email": "bob.new@acme.example"}
        await signed_on(people, idp, provider_id)
        assert await services.people.find("bob.new@acme.example") is None, "the same user, by another address"
        idp.claims = {"sub": "subject-2"}
        answer = await signed_on(people, idp, provider_id, 403)
        assert "another subject" in answer.error[1]
        idp.claims = {"sub": "subject-3", "email": "ann@acme.example"}
        await signed_on(people, idp, provider_id)
        idp.claims = {"email": "ann@acme.example"}
        answer = await signed_on(people, idp, provider_id, 403)
        assert "another user's" in answer.error[1]

    run(scenario())


def test_an_address_goes_to_another_subject_once_its_user_is_no_member() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        services = people.lab.services
        await signed_on(people, idp, provider_id)
        bob = await services.people.find("bob@acme.example")
        assert bob is not None
        owner = await services.people.find("olga@owners.example")
        assert owner is not None
        from gateway.orgs.audit import Actor

        access = await services.orgs.access(Actor(owner.user_id), people.org_id, "members.manage")
        await services.members.remove(access, bob.user_id)
        idp.claims = {"sub": "subject-2"}
        await signed_on(people, idp, provider_id)

    run(scenario())


def test_whoever_took_the_address_before_is_put_out() -> None:
    """Somebody signed up with an address that is not theirs: the password and the session work no longer."""

    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        squatter = await people.sign_up("bob@acme.example")
        await signed_on(people, idp, provider_id)
        await people.ask("GET", "/api/auth/session", None, squatter, 401)
        told = {"email": "bob@acme.example", "password": "a password of some length"}
        await people.ask("POST", "/api/auth/sign-in", told, {}, 401)

    run(scenario())


def test_new_keys_are_fetched_once() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        await signed_on(people, idp, provider_id)
        idp.key = ROTATED
        idp.asked.clear()
        await signed_on(people, idp, provider_id)
        assert [request.url for request in idp.asked].count(f"{ISSUER}/jwks") == 1
        idp.asked.clear()
        await signed_on(people, idp, provider_id)
        assert f"{ISSUER}/jwks" not in [request.url for request in idp.asked]

    run(scenario())


def test_a_provider_that_is_switched_off_signs_nobody_on_and_ends_its_sessions() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp)
        answer = await signed_on(people, idp, provider_id)
        session = {"cookie": "; ".join(one.partition(";")[0] for one in [answer.headers["set-cookie"]])}
        owner = await people.lab.services.people.sign_in("olga@owners.example", "a password of some length", "x")
        begun = await people.lab.services.sessions.begin(owner)
        headers = {"cookie": f"windtunnel_session={begun.token}", "x-csrf-token": begun.csrf_token}
        assert session
        count = text("SELECT count(*) FROM sessions WHERE via LIKE 'sso:%'")
        store = people.lab.services.store
        assert await store.read(lambda c: c.execute(count).scalar()) == 1
        await people.ask("PATCH", f"/api/orgs/{people.org_id}/sso/{provider_id}", {"enabled": False}, headers)
        assert await store.read(lambda c: c.execute(count).scalar()) == 0
        await people.ask("GET", f"/api/auth/sso/{provider_id}/login", None, {}, 403)

    run(scenario())


def test_a_sign_on_takes_ten_minutes_at_most() -> None:
    async def scenario() -> None:
        idp = Idp()
        people, provider_id = await ready(idp, clock=Clock())
        there = await people.ask("GET", f"/api/auth/sso/{provider_id}/login", None, {}, 303)
        state = dict(parse_qsl(urlsplit(there.headers["location"]).query))["state"]
        cookie = {"cookie": there.headers["set-cookie"].partition(";")[0]}
        people.lab.services.clock.advance(601_000)
        answer = await people.ask("GET", f"/api/auth/sso/{provider_id}?code=c&state={state}", None, cookie, 403)
        assert "too long ago" in answer.error[1]
        await people.ask("GET", f"/api/auth/sso/{provider_id}?code=c&state={state}&state=x", None, cookie, 400)
        await people.ask("POST", f"/api/auth/sso/{provider_id}", b"x=1", cookie, 405)

    run(scenario())
