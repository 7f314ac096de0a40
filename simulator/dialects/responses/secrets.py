"""Encrypted content (of reasoning, of compactions): what this fleet seals and recognises when it comes back.

It looks like the real one, a Fernet token: base64url of 0x80, the second in 8 bytes, 16 random ones, blocks of 16 and a
keyed hash of 32. Nothing is inside. The hash binds it to the model's family and the provider that wrote it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import blake2b, shake_256
from hmac import compare_digest
from typing import Final

from simulator.dialects.base import Profile
from simulator.draws import digest

_VERSION: Final = b"\x80"
_BLOCK_BYTES: Final = 16
_BLOCKS: Final = (40, 180)
_MAC_BYTES: Final = 32
_HEAD_BYTES: Final = 1 + 8 + _BLOCK_BYTES
_DATE: Final = re.compile(r"-\d{4}-\d\d-\d\d$")


def seal(profile: Profile, now_s: int, size: int, *salt: object) -> str:
    """A token by this model at this provider; longer for a larger `size` (of what it stands for, in characters)."""
    start = _VERSION + now_s.to_bytes(8, "big") + digest(*salt)
    blocks = min(_BLOCKS[0] + size // _BLOCK_BYTES, _BLOCKS[1])
    text = start + shake_256(start).digest(blocks * _BLOCK_BYTES)
    return urlsafe_b64encode(text + _mac(profile, text)).decode()


def is_ours(profile: Profile, token: str) -> bool:
    """Whether this model at this provider sealed it. Without a secret in the profile everything is."""
    if _secret(profile) is None:
        return True
    try:
        data = urlsafe_b64decode(token.encode("ascii"))
    except (Error, ValueError):
        return False
    text, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    return len(text) > _HEAD_BYTES and compare_digest(_mac(profile, text), mac)


def shown(token: str) -> str:
    """A token as a complaint quotes it: both its ends."""
    return f"{token[:4]}...{token[-4:]}"


def _secret(profile: Profile) -> bytes | None:
    value = profile.facts.get("signature_secret")
    return bytes.fromhex(value) if isinstance(value, str) else value


def _mac(profile: Profile, text: bytes) -> bytes:
    key = blake2b(_secret(profile) or b"", digest_size=32).digest()
    mac = blake2b(key=key, digest_size=_MAC_BYTES)
    for part in (_DATE.sub("", profile.snapshot).encode(), profile.provider.encode(), text):
        mac.update(len(part).to_bytes(8, "big") + part)
    return mac.digest()
