"""The signature of fal's webhooks: Ed25519 over four lines, with a public key that anybody may fetch.

The lines are the request's id, the user's, the time and the SHA-256 of the body in hex. Source: fal's documentation,
webhooks, "Verifying Your Webhook".
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@lru_cache(maxsize=16)
def _private(key: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(key).digest())


def headers(key: bytes, request: str, user: str, sent_s: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers of a signed call."""
    lines = "\n".join((request, user, str(sent_s), sha256(body).hexdigest()))
    return (
        ("x-fal-webhook-request-id", request),
        ("x-fal-webhook-user-id", user),
        ("x-fal-webhook-timestamp", str(sent_s)),
        ("x-fal-webhook-signature", _private(key).sign(lines.encode()).hex()),
    )


def key_set(key: bytes) -> dict[str, list[dict[str, str]]]:
    """The JWKS with the public key."""
    public = urlsafe_b64encode(_private(key).public_key().public_bytes_raw()).decode().rstrip("=")
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public, "use": "sig", "kid": "fleet-1", "alg": "EdDSA"}]}
