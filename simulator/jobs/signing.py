"""Signatures of webhooks that several vendors share.

Standard Webhooks (its specification, "Signature scheme", symmetric): the HMAC-SHA256 of `id.timestamp.body`, in base64
after `v1,`. The secret is written as `whsec_` and the key in base64.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from hashlib import sha256
from hmac import new as hmac
from typing import Final

PREFIX: Final = "whsec_"


def mac(key: bytes, message: bytes) -> str:
    """HMAC-SHA256 in base64."""
    return b64encode(hmac(key, message, sha256).digest()).decode()


def standard_key(secret: str) -> bytes:
    """The key in a secret; what is no base64 is taken as it stands, as most senders do."""
    written = secret.removeprefix(PREFIX)
    try:
        return b64decode(written, validate=True)
    except (NoBase64, ValueError):
        return written.encode()


def standard_webhooks(secret: str | bytes, id: str, sent_s: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The three headers of a signed call. `secret` is the text (`whsec_…`) or the key itself, e.g. of `Call.key`."""
    key = standard_key(secret) if isinstance(secret, str) else secret
    signature = mac(key, b"%b.%d.%b" % (id.encode(), sent_s, body))
    return (
        ("webhook-id", id),
        ("webhook-timestamp", str(sent_s)),
        ("webhook-signature", f"v1,{signature}"),
    )
