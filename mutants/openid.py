"""OpenID Connect with a check left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from typing import Any

import orjson

from gateway.sign_on import attempts, discovery, id_tokens, identity, oidc, settings
from gateway.sign_on.attempts import Attempt
from gateway.sign_on.discovery import Issuer, Issuers
from gateway.sign_on.id_tokens import Due
from gateway.sign_on.providers import Provider
from gateway.sign_on.refusals import ProviderFailed
from mutants._patch import around, replace
from mutants.registry import mutant

HOUR_S = 3600


def payload(token: str) -> dict[str, Any]:
    """The claims of a token, whoever signed it."""
    return id_tokens.json_part(token.split(".")[1])


def edit_claims(edit: Any) -> None:
    """The claims of a token whose signature holds are what `edit(claims)` makes of them."""

    @around(id_tokens, "verified")
    def verified(old: Any, token: Any, keys: Any) -> tuple[str, dict[str, Any]]:
        alg, claims = old(token, keys)
        return alg, edit(claims)


def edit_due(edit: Any) -> None:
    """What is due of a token is what `edit(due, claims)` makes of it."""

    @around(id_tokens, "read")
    def read(old: Any, token: Any, keys: Any, due: Due, access_token: str | None) -> dict[str, Any]:
        claims: dict[str, Any] = old(token, keys, edit(due, payload(token)), access_token)
        return claims


@mutant()
def sso_return_path_lost() -> None:
    """Every sign-on ends on the start page."""
    replace(attempts, "own_path", lambda _text: "/")


@mutant()
def sso_pkce_missing() -> None:
    """The way to the provider has no code challenge."""

    @around(oidc, "way_there")
    async def way_there(old: Any, *args: Any) -> str:
        url: str = await old(*args)
        return url.replace("&code_challenge=", "&challenge=").replace("code_challenge_method", "challenge_method")


@mutant()
def sso_state_guessable() -> None:
    """State and nonce have five characters."""
    replace(attempts, "ID_LENGTH", 5)


@mutant()
def sso_nonce_of_the_provider() -> None:
    """The nonce is the same for all sign-ons at a provider."""

    @around(attempts, "begin")
    def begin(old: Any, provider_id: str, *rest: Any) -> Attempt:
        attempt: Attempt = old(provider_id, *rest)
        return changed(attempt, nonce=provider_id)


@mutant()
def sso_signature_unchecked() -> None:
    """The signature of an ID token is not verified."""
    replace(id_tokens, "verified", lambda token, _keys: ("RS256", payload(token)))


@mutant()
def sso_alg_none_accepted() -> None:
    """An ID token may say that it is not signed."""

    @around(id_tokens, "verified")
    def verified(old: Any, token: Any, keys: Any) -> Any:
        header = id_tokens.json_part(token.split(".")[0])
        return ("RS256", payload(token)) if str(header.get("alg")).lower() == "none" else old(token, keys)


@mutant()
def sso_kid_ignored() -> None:
    """Every key of the provider's is tried, whichever the token names."""

    @around(id_tokens, "candidates")
    def candidates(old: Any, keys: Sequence[Any], alg: str, _kid: Any) -> list[Any]:
        return [found for key in keys for found in old([key], alg, None)]


@mutant()
def sso_header_key_trusted() -> None:
    """The key that a token brings along verifies it."""

    @around(id_tokens, "verified")
    def verified(old: Any, token: Any, keys: Any) -> Any:
        header = id_tokens.json_part(token.split(".")[0])
        own = header.get("jwk")
        return old(token, [{**own, "kid": header.get("kid")}] if isinstance(own, dict) else keys)


@mutant()
def sso_crit_ignored() -> None:
    """What a token demands to be understood is passed over."""

    @around(id_tokens, "verified")
    def verified(old: Any, token: Any, keys: Any) -> Any:
        header = id_tokens.json_part(token.split(".")[0])
        return ("RS256", payload(token)) if "crit" in header else old(token, keys)


@mutant()
def sso_audience_unchecked() -> None:
    """ID tokens for other clients are taken."""

    @around(id_tokens, "check_parties")
    def check_parties(old: Any, claims: Mapping[str, Any], due: Due) -> None:
        old({**claims, "aud": due.client_id, "azp": due.client_id}, due)


@mutant()
def sso_issuer_unchecked() -> None:
    """ID tokens of other issuers are taken."""

    @around(id_tokens, "check_parties")
    def check_parties(old: Any, claims: Mapping[str, Any], due: Due) -> None:
        old({**claims, "iss": due.issuer}, due)


@mutant()
def sso_subject_unchecked() -> None:
    """Who has no subject is known by the address."""
    edit_claims(lambda claims: {"sub": claims.get("email"), **claims})


@mutant()
def sso_at_hash_unchecked() -> None:
    """ID tokens of other access tokens are taken."""
    edit_claims(lambda claims: {name: value for name, value in claims.items() if name != "at_hash"})


@mutant()
def sso_expiry_unchecked() -> None:
    """ID tokens never expire."""

    @around(id_tokens, "check_times")
    def check_times(old: Any, claims: Mapping[str, Any], due: Due) -> None:
        issued_s = max(claims.get("iat", 0), due.now_s)
        old({**claims, "exp": due.now_s + HOUR_S, "iat": issued_s}, due)


@mutant()
def sso_not_before_unchecked() -> None:
    """ID tokens hold before they should."""

    @around(id_tokens, "check_times")
    def check_times(old: Any, claims: Mapping[str, Any], due: Due) -> None:
        old({name: value for name, value in claims.items() if name != "nbf"}, due)


@mutant()
def sso_no_skew_borne() -> None:
    """The clocks of OpenID providers must be right to the second."""
    edit_due(lambda due, _claims: changed(due, skew_s=0))


@mutant()
def sso_nonce_unchecked() -> None:
    """The nonce of an ID token is not looked at."""
    edit_due(lambda due, claims: changed(due, nonce=str(claims.get("nonce"))))


@mutant()
def sso_state_unchecked() -> None:
    """Any sign-on that the browser has begun will do for an answer."""

    @around(attempts, "find")
    def find(old: Any, sealer: Any, cookies: str, attempt_id: str, provider_id: str, now_s: int) -> Attempt | None:
        tags = [part.strip().partition("=")[2] for part in cookies.split(";") if attempts.COOKIE in part]
        opened = [orjson.loads(text) for tag in tags if (text := sealer.open(attempts.PURPOSE, tag))]
        mine = [one["id"] for one in opened if one["provider_id"] == provider_id]
        found: Attempt | None = old(sealer, cookies, mine[-1] if mine else attempt_id, provider_id, now_s)
        return found


@mutant()
def sso_callback_issuer_unchecked() -> None:
    """Which provider an answer comes from is not looked at."""

    @around(oidc, "code_of")
    def code_of(old: Any, told: Mapping[str, str], document: Issuer) -> str:
        code: str = old({k: v for k, v in told.items() if k != "iss"}, changed(document, tells_iss=False))
        return code


@mutant()
def sso_unverified_address_taken() -> None:
    """An address counts, whether the provider has verified it or not."""
    edit_claims(lambda claims: {**claims, "email_verified": True})


@mutant()
def sso_address_is_the_user() -> None:
    """Who has a member's address is that member, whatever the subject."""
    replace(identity, "_check_subject", lambda *_args: None)


@mutant()
def sso_max_age_ignored() -> None:
    """How long ago somebody proved themselves is never looked at."""
    edit_due(lambda due, _claims: changed(due, max_age_s=None))


@mutant()
def sso_provider_failure_is_ours() -> None:
    """A provider that fails is told as the gateway's own failure."""
    setattr(ProviderFailed, "status", property(lambda _self: 500))  # noqa: B010 - mypy knows it as read-only


@mutant()
def sso_green_check_always() -> None:
    """Every provider that is saved gets the green check."""

    @around(settings, "looked_at")
    async def looked_at(old: Any, *args: Any) -> Provider:
        found: Provider = await old(*args)
        return changed(found, problem=None)


@mutant()
def sso_keys_kept_for_ever() -> None:
    """The keys of a provider are fetched once."""

    @around(Issuers, "keys")
    async def keys(old: Any, self: Issuers, services: Any, issuer: str, *, fresh: bool = False) -> Any:
        known = self._known.get(issuer)
        return await old(self, services, issuer, fresh=fresh and (known is None or not known.keys))


@mutant()
def sso_unknown_keys_refused() -> None:
    """A set with a key of an unknown kind is none."""

    @around(discovery, "fetch_keys")
    async def fetch_keys(old: Any, *args: Any) -> Any:
        keys = await old(*args)
        if any(key.get("kty") not in ("RSA", "EC") or key.get("use", "sig") != "sig" for key in keys):
            raise ProviderFailed("its set holds keys of unknown kinds.")
        return keys


@mutant()
def sso_second_key_not_tried() -> None:
    """Of two keys with one id the first alone is tried."""

    @around(id_tokens, "candidates")
    def candidates(old: Any, *args: Any) -> Any:
        return old(*args)[:1]
