"""Signatures of thinking: what the fleet signs in an answer and recognises when it comes back in a later turn.

A signature binds a text to the model family and to the provider instance that wrote it, and does not expire: an
edited text, another model or another provider makes it invalid. It looks like the real one: base64 of a protobuf-like
record that starts with "E" and bears the family's name in clear. The rest is a keyed hash and filler that grows with
the text, so that the length tells what it would there.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import blake2b, shake_256
from hmac import compare_digest

from simulator.draws import digest

_DATE = re.compile(r"[-@]\d{8}$")
_TAG_RECORD = b"\x12"  # field 2, length-delimited: its first six bits are base64's "E"
_TAG_HEAD, _TAG_FAMILY, _TAG_MAC, _TAG_FILLER = b"\x0a", b"\x2a", b"\x12", b"\x22"
_VERSION = b"\x08\x0b\x18\x02"  # two small numbers before the name, as real ones have
_MAC_BYTES = 48
_FILLER_MIN_BYTES, _FILLER_MAX_BYTES = 96, 3072


def secret(seed: int) -> bytes:
    """The fleet's signing secret, 16 bytes: the same seed recognises the thinking of an earlier run."""
    return digest("signatures", seed)


def family(snapshot: str) -> str:
    """The model family of a dated name: "claude-sonnet-4-5-20250929" is of "claude-sonnet-4-5"."""
    return _DATE.sub("", snapshot)


@lru_cache(maxsize=4096)
def sign(secret: bytes, family: str, provider: str, text: str) -> str:
    """The signature of a thinking text (may be empty), as base64."""
    key = blake2b(secret, digest_size=32).digest()
    mac = blake2b(key=key, digest_size=_MAC_BYTES)
    data = text.encode("utf-8", "surrogatepass")
    for part in (family.encode(), provider.encode(), data):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    proof = mac.digest()
    filler = shake_256(proof).digest(min(_FILLER_MIN_BYTES + len(data) * 3 // 4, _FILLER_MAX_BYTES))
    head = _field(_TAG_HEAD, _VERSION + _field(_TAG_FAMILY, family.encode()))
    record = _field(_TAG_RECORD, head + _field(_TAG_MAC, proof) + _field(_TAG_FILLER, filler))
    return b64encode(record + b"\x18\x01").decode()


def verify(secret: bytes, family: str, provider: str, text: str, signature: str) -> bool:
    """Whether `signature` is exactly what `sign` gives; an empty one never is."""
    due = sign(secret, family, provider, text)
    return compare_digest(due.encode(), signature.encode("utf-8", "surrogatepass"))


def _field(tag: bytes, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length = bytearray()
    left = len(data)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return tag + bytes(length) + data
