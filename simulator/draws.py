"""Chance, keyed: the same seed and key give the same draw, whatever else goes on.

No shared random stream exists: whether a rule hits a request is a function of (seed, rule, case or digest, attempt), so
the same request meets the same fate at any concurrency, in any process, at any time of day.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, cycle
from random import Random
from typing import TypeVar

_T = TypeVar("_T")

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

_LETTERS = bytes.maketrans(b"+/", b"xQ")  # makes base64 of the alphabet's characters alone
_LETTERS_OF_DIGEST = 21  # 126 of its 128 bits; the 22nd would be one of four


def digest(*parts: object) -> bytes:
    """16 bytes that depend on every part (a number, a text or bytes) and on their order."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def integer(*parts: object) -> int:
    """A whole number in [0, 2**128)."""
    return int.from_bytes(digest(*parts), "big")


def fraction(*parts: object) -> float:
    """A number in [0, 1)."""
    return (integer(*parts) >> 75) / (1 << 53)


def letters(data: bytes, length: int) -> str:
    """`length` characters of [A-Za-z0-9] that spell bytes, six bits each: at most 22 for a digest."""
    return b2a_base64(data, newline=False)[:length].translate(_LETTERS).decode()


def word(length: int, *parts: object) -> str:
    """`length` characters of [A-Za-z0-9] (longer words than a digest spells chain)."""
    out = letters(digest(*parts, 0), min(length, _LETTERS_OF_DIGEST))
    chunk = 1
    while len(out) < length:
        out += letters(digest(*parts, chunk), min(length - len(out), _LETTERS_OF_DIGEST))
        chunk += 1
    return out


def nonce(*parts: object) -> str:
    """22 characters of [A-Za-z0-9]: the part of an id that is new for each request."""
    return letters(digest(*parts), 22)


def between(dice: Random, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included, in a fraction of the time that `randint` takes."""
    return low + int(dice.random() * (high - low + 1))


def begun_at(drawn: Sequence[_T], place: int) -> Iterator[_T]:
    """What was drawn once, from a place of one's own on, round and round."""
    return chain(drawn[place % len(drawn) :], cycle(drawn))


def dice(*parts: object) -> Random:
    """A random stream of one's own, for code that needs many draws in a fixed order."""
    return Random(integer(*parts))
