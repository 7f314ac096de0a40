"""The nonces of one case or digest at one provider: cheap to make, and the same in every run."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from hashlib import blake2b

from simulator import draws
from simulator.answer import NONCE_LENGTH

_WORD_CHARACTERS = bytes.maketrans(b"+/", b"xQ")


class Nonces:
    """A series of nonces, by number: NONCE_LENGTH characters of an alphabet of ALPHABETS."""

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


ALPHABETS: dict[str, Callable[[bytes], bytes]] = {"letters": _letters, "hex": _hex}
