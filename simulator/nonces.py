"""The nonces of one case or digest at one provider: cheap to make, and the same in every run."""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b

from simulator import draws
from simulator.answer import NONCE_LENGTH

_WORD_CHARACTERS = bytes.maketrans(b"+/", b"xQ")


class Nonces:
    """A series of nonces, by number."""

    __slots__ = ("_base",)

    def __init__(self, *parts: object) -> None:
        self._base = blake2b(draws.digest(*parts), digest_size=16)

    def __call__(self, number: int) -> bytes:
        """NONCE_LENGTH characters of [A-Za-z0-9]."""
        base = self._base.copy()
        base.update(b"%d" % number)
        return b2a_base64(base.digest(), newline=False)[:NONCE_LENGTH].translate(_WORD_CHARACTERS)
