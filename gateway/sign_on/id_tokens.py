"""ID tokens: the signature by a key of the issuer's, then every claim. Pure: keys and time are passed in.

Source: OpenID Connect Core 1.0 sections 2, 3.1.3.7 and 3.1.3.8, RFC 7515, RFC 8725 (best current practice of JWT).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from hmac import compare_digest
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.sign_on.refusals import SignOnRefused

TOKEN_MAX: Final = 64 * 1024  # characters
AGE_MAX_S: Final = 600  # of a token that was made for this sign-on
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192  # larger ones take long to verify with
HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}
RSA_ALGS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
KINDS: Final[dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    **dict.fromkeys(RSA_ALGS, RSAKey),
    **dict.fromkeys(CURVES, ECKey),
    "EdDSA": OKPKey,
}
Jwk = Mapping[str, Any]
Key = RSAKey | ECKey | OKPKey


class NoSuchKey(Exception):
    """None of the keys known made the signature: the issuer may have changed them."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a token must say."""

    issuer: str
    client_id: str
    nonce: str
    now_s: int
    skew_s: float
    max_age_s: int | None = None  # since the user signed on at the provider


def read(token: Any, keys: Sequence[Jwk], due: Due, access_token: str | None) -> dict[str, Any]:
    """The claims of a token that is sound in every respect. Raises SignOnRefused, NoSuchKey."""
    alg, claims = verified(token, keys)
    check_parties(claims, due)
    check_times(claims, due)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not compare_digest(nonce.encode(), due.nonce.encode()):
        raise SignOnRefused("the ID token is for another sign-on (nonce)")
    if "at_hash" in claims and claims["at_hash"] != half_hash(alg, access_token or ""):
        raise SignOnRefused("the ID token is for another access token (at_hash)")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise SignOnRefused("the ID token names nobody (sub)")
    return claims


def verified(token: Any, keys: Sequence[Jwk]) -> tuple[str, dict[str, Any]]:
    """The algorithm and the claims of a token whose signature holds. Raises SignOnRefused, NoSuchKey."""
    if not isinstance(token, str) or len(token) > TOKEN_MAX or token.count(".") != 2 or not token.isascii():
        raise SignOnRefused("the ID token is none")
    header = json_part(token.split(".")[0])
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in KINDS:
        raise SignOnRefused("the ID token is signed by no algorithm that is accepted")
    if "crit" in header:
        raise SignOnRefused("the ID token demands an extension that is not known")
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = TOKEN_MAX  # its whole length is bounded above
    for key in candidates(keys, alg, header.get("kid")):
        try:
            made = jws.deserialize_compact(token, key, [alg], registry)
        except (JoseError, ValueError, TypeError):
            continue
        return alg, json_object(made.payload or b"")
    raise NoSuchKey


def candidates(keys: Sequence[Jwk], alg: str, kid: Any) -> list[Key]:
    """The keys that may have signed: of the algorithm's kind, for signatures, and of this id.

    A token without a key's id is taken only where there is one key to sign with.
    """
    signing = [key for key in keys if key.get("use", "sig") == "sig" and key.get("key_ops", ["verify"]) == ["verify"]]
    if kid is None and len(signing) != 1:
        return []
    fit = [key for key in signing if kid is None or key.get("kid") == kid]
    found = [imported(key, alg) for key in fit if key.get("alg", alg) == alg]
    return [key for key in found if key is not None]


def imported(key: Jwk, alg: str) -> Key | None:
    """A key ready for use; None where it is not of the algorithm's kind, or too weak. Only public members count."""
    kind = KINDS[alg]
    if key.get("kty") != kind.key_type or (alg in CURVES and key.get("crv") != CURVES[alg]):
        return None
    if alg == "EdDSA" and key.get("crv") not in ("Ed25519", "Ed448"):
        return None
    if kind is RSAKey and not RSA_BITS_MIN <= bits(key.get("n")) <= RSA_BITS_MAX:
        return None
    members = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    try:
        made: Key = kind.import_key(members)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return made


def bits(number: Any) -> int:
    """How many bits a number in base64url has; 0 where it is none."""
    try:
        data = urlsafe_b64decode(number + "=" * (-len(number) % 4)) if isinstance(number, str) else b""
    except ValueError:
        return 0
    return int.from_bytes(data, "big").bit_length()


def check_parties(claims: Mapping[str, Any], due: Due) -> None:
    """Who made the token, and for whom. Raises SignOnRefused."""
    if claims.get("iss") != due.issuer:
        raise SignOnRefused("the ID token comes from another issuer")
    audience = claims.get("aud")
    if audience != due.client_id and audience != [due.client_id]:
        raise SignOnRefused("the ID token is for another client")
    if claims.get("azp", due.client_id) != due.client_id:
        raise SignOnRefused("the ID token was asked for by another client")


def check_times(claims: Mapping[str, Any], due: Due) -> None:
    """When the token holds. Raises SignOnRefused."""
    now_s, skew_s = due.now_s, due.skew_s
    expires_s, issued_s = moment(claims, "exp"), moment(claims, "iat")
    if expires_s is None or now_s >= expires_s + skew_s:
        raise SignOnRefused("the ID token has expired")
    if issued_s is None or issued_s > now_s + skew_s:
        raise SignOnRefused("the ID token comes from the future")
    if issued_s < now_s - AGE_MAX_S - skew_s:
        raise SignOnRefused("the ID token is old")
    if "nbf" in claims and ((starts_s := moment(claims, "nbf")) is None or starts_s > now_s + skew_s):
        raise SignOnRefused("the ID token does not hold yet")
    if due.max_age_s is not None:
        signed_on_s = moment(claims, "auth_time")
        if signed_on_s is None or signed_on_s < now_s - due.max_age_s - skew_s:
            raise SignOnRefused("the user signed on at the provider too long ago")


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A time in Unix seconds, None where there is none."""
    value = claims.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def half_hash(alg: str, access_token: str) -> str:
    """`at_hash` of an access token, by the hash of the algorithm."""
    hashed = HASHES.get(alg[-3:], sha512)(access_token.encode()).digest()
    return urlsafe_b64encode(hashed[: len(hashed) // 2]).decode().rstrip("=")


def json_part(text: str) -> dict[str, Any]:
    """A part of a token that is a JSON object. Raises SignOnRefused."""
    try:
        return json_object(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise SignOnRefused("the ID token is none") from None


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises SignOnRefused."""
    try:
        told = orjson.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise SignOnRefused("the ID token is none")
    return told
