"""ID tokens and sets of keys, sound or as a fault wants them.

Source: RFC 7515 (JWS), RFC 7517 (JWK), OpenID Connect Core 1.0 sections 2 and 3.1.3. Written by hand, because a sound
library refuses to write most of what a gateway must refuse to read. RS256 and ES256 (RFC 6979) are deterministic.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from simulator import draws
from simulator.neighbours.edits import edited, filled
from simulator.neighbours.faults import InForce
from simulator.neighbours.keys import STRANGER, USUAL, b64uint, b64url, ec_key, public_pem, rsa_key

ALGS = ("RS256", "ES256")
Claims = Mapping[str, Any]


def kid(seed: int, name: str, alg: str) -> str:
    """The id of a key."""
    return f"{alg.lower()}-{draws.word(12, 'kid', seed, name, alg)}"


def public_jwk(seed: int, name: str, alg: str) -> dict[str, Any]:
    """The public half of a key."""
    common = {"kid": kid(seed, name, alg), "use": "sig", "alg": alg}
    if alg == "ES256":
        point = ec_key(seed, name).public_key().public_numbers()
        return {"kty": "EC", **common, "crv": "P-256", "x": b64uint(point.x, 32), "y": b64uint(point.y, 32)}
    numbers = rsa_key(seed, name).public_key().public_numbers()
    return {"kty": "RSA", **common, "n": b64uint(numbers.n), "e": b64uint(numbers.e)}


def jwks(seed: int, name: str, faults: Iterable[InForce]) -> dict[str, Any]:
    """The set of keys in which that one is the current."""
    keys = [public_jwk(seed, name, alg) for alg in ALGS]
    for fault in faults:
        match fault.does.get("keys"):
            case "none":
                keys = []
            case "many":
                keys = [*(_decoy(seed, at) for at in range(fault["keys"])), *keys]
            case "twin":
                keys = [*(public_jwk(seed, STRANGER, alg) | {"kid": kid(seed, name, alg)} for alg in ALGS), *keys]
            case "strange":
                keys = [
                    {"kty": "AKP", "kid": "akp-1", "alg": "ML-DSA-44", "pub": "AAAA"},
                    keys[0],
                    _sealing(seed),
                    *keys[1:],
                ]
    return {"keys": keys}


def _decoy(seed: int, at: int) -> dict[str, Any]:
    """A key that nobody signs with: of the right size, and no product of primes that anybody knows."""
    n = b64url(b"\xc1" + draws.dice("decoy", seed, at).randbytes(255))
    return {"kty": "RSA", "kid": f"decoy-{at}", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB"}


def _sealing(seed: int) -> dict[str, Any]:
    """A key to encrypt with."""
    return public_jwk(seed, STRANGER, "RS256") | {"kid": "sealing-1", "use": "enc", "alg": "RSA-OAEP-256"}


def half_hash(token: str) -> str:
    """`at_hash` of an access token."""
    return b64url(sha256(token.encode()).digest()[:16])


def id_token(
    seed: int,
    key: str,
    alg: str,
    claims: Claims,
    faults: Sequence[InForce] = (),
    names: Mapping[str, Any] | None = None,
) -> str:
    """The claims as a compact JWS, signed by the key of that name unless a fault says otherwise."""
    names = {**(names or {}), **claims}
    header: dict[str, Any] = {"alg": alg, "typ": "JWT", "kid": kid(seed, key, alg)}
    how, signs = "", key
    for fault in faults:
        claims = edited(claims, fault, names)
        does = fault.does
        signs = does.get("key", signs)
        how = does.get("sign", how)
        if "embed" in does:
            header["jwk"] = public_jwk(seed, signs, alg)
        header |= {name: filled(value, names) for name, value in does.get("header", {}).items()}
    header["alg"] = {"none": "none", "public": "HS256"}.get(how, header["alg"])
    header = {name: value for name, value in header.items() if value is not None}
    signed = f"{b64url(orjson.dumps(header))}.{b64url(orjson.dumps(dict(claims)))}"
    return f"{signed}.{b64url(_signature(seed, signs, alg, signed.encode(), how))}"


def _signature(seed: int, key: str, alg: str, signed: bytes, how: str) -> bytes:
    if how in ("none", "empty"):
        return b""
    if how == "public":
        return hmac.digest(public_pem(rsa_key(seed, USUAL)), signed, "sha256")
    if alg == "ES256":
        scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(ec_key(seed, key).sign(signed, scheme))
        made = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        made = rsa_key(seed, key).sign(signed, PKCS1v15(), hashes.SHA256())
    return bytes([made[0] ^ 1]) + made[1:] if how == "flipped" else made
