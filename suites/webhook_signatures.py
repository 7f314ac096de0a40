"""Signatures of webhooks as a receiver judges them: the Standard Webhooks specification, version 1."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Final

TOLERANCE_S: Final = 300  # between the time that is signed and the receiver's


def complaint(secret: str, headers: Mapping[str, str], body: bytes, at_s: float) -> str:
    """Why a receiver that holds `secret` refuses the call; "" when it takes it. Header names are in lower case."""
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not headers.get(name)]
    if missing:
        return f"no header {', '.join(missing)}"
    message, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit()):
        return f"webhook-timestamp is {timestamp!r}; whole seconds were due"
    if abs(int(timestamp) - at_s) > TOLERANCE_S:
        return f"webhook-timestamp is {int(timestamp) - at_s:+.0f} s off; at most {TOLERANCE_S} s were due"
    due = sign(secret, message, int(timestamp), body)
    given = headers["webhook-signature"].split(" ")
    return "" if any(hmac.compare_digest(due, one) for one in given) else f"none of {given} is the signature; due {due}"


def sign(secret: str, message: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and the base64 of the HMAC-SHA256 of id, time and body. Raises ValueError for what is no secret."""
    prefix, _, encoded = secret.partition("_")
    if prefix != "whsec" or not encoded:
        raise ValueError(f"a secret begins with whsec_; came {secret[:6]}…")
    try:
        key = b64decode(encoded, validate=True)
    except Error as error:
        raise ValueError(f"a secret is base64 after whsec_: {error}") from error
    content = b".".join((message.encode(), str(timestamp_s).encode(), body))
    return "v1," + b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
