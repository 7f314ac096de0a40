"""The nonces of one case or digest at one provider: cheap to make, and the same in every run.

Which alphabet they are of is the dialect's, unless the mount has a fact `nonces`: ids of another vendor's form hold
another nonce.
"""

from __future__ import annotations

from base64 import b32encode
from binascii import b2a_base64
from collections.abc import Callable
from hashlib import blake2b

from simulator import draws
from simulator.answers.answer import NONCE_LENGTH

_WORD_CHARACTERS = bytes.maketrans(b"+/", b"xQ")
_ULID_CHARACTERS = bytes.maketrans(b"ILOU", b"0189")  # Crockford's alphabet lacks these four letters
_BASE36 = b"0123456789abcdefghijklmnopqrstuvwxyz"


class Nonces:
    """A series of nonces, by number, of an alphabet of ALPHABETS."""

    __slots__ = ("_base", "_spell")

    def __init__(self, alphabet: str, *parts: object) -> None:
        self._base = blake2b(draws.digest(*parts), digest_size=16)
        self._spell = ALPHABETS[alphabet]

    def __call__(self, number: int) -> bytes:
        """The nonce of that number."""
        base = self._base.copy()
        base.update(b"%d" % number)
        return self._spell(base.digest())


def _letters(digest: bytes) -> bytes:
    return b2a_base64(digest, newline=False)[:NONCE_LENGTH].translate(_WORD_CHARACTERS)


def _hex(digest: bytes) -> bytes:
    return digest.hex()[:NONCE_LENGTH].encode()


def _hex16(digest: bytes) -> bytes:
    return digest.hex()[:16].encode()


def _letters20(digest: bytes) -> bytes:
    return _letters(digest)[:20]


def _uuid(digest: bytes) -> bytes:
    """The last 22 characters of a UUID of version 4, from the version's digit on."""
    text = digest.hex()
    return f"4{text[:3]}-{'89ab'[digest[15] % 4]}{text[3:6]}-{text[6:18]}".encode()


def _ulid(digest: bytes) -> bytes:
    """The last 22 characters of a ULID."""
    return b32encode(digest)[:NONCE_LENGTH].translate(_ULID_CHARACTERS)


def _crockford(digest: bytes) -> bytes:
    """22 characters of Crockford's alphabet in lower case."""
    return _ulid(digest).lower()


def _digits18(digest: bytes) -> bytes:
    """A number of 18 digits, the first of them never 0."""
    return b"%d" % (10**17 + int.from_bytes(digest) % (9 * 10**17))


def _digits13(digest: bytes) -> bytes:
    """13 digits."""
    return b"%013d" % (int.from_bytes(digest) % 10**13)


def _base36(digest: bytes) -> bytes:
    """12 characters of [a-z0-9]."""
    number = int.from_bytes(digest)
    return bytes(_BASE36[number // 36**place % 36] for place in range(12))


ALPHABETS: dict[str, Callable[[bytes], bytes]] = {
    "letters": _letters,
    "letters20": _letters20,
    "hex": _hex,
    "hex16": _hex16,
    "uuid": _uuid,
    "ulid": _ulid,
    "crockford": _crockford,
    "digits18": _digits18,
    "digits13": _digits13,
    "base36": _base36,
}
