"""Embeddings that mean something: texts that share words and parts of words point the same way.

A text is a bag of words and of the trigrams in them; each feature adds its weight, with a sign, at a few places that
its hash picks, and a little noise of the whole text's own fills the rest. Then the vector is cut to the length asked
for and made a unit. So equal texts are equal, alike ones near, and others almost at right angles, at any length.
Numbers are rounded to half precision, as the real ones are: the same as decimals and as 32-bit floats.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, shake_256
from math import sqrt
from struct import pack, unpack
from typing import Final

Source = str | tuple[int, ...]  # a text, or its tokens

PLACES: Final = 8  # that each feature touches
TRIGRAM_WEIGHT: Final = 0.25
WORD_LENGTH: Final = 8  # from which on a word weighs all that a word can
NOISE: Final = 0.15  # its length, where the features have 1
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=1024)
def vector(source: Source, dimensions: int, full: int) -> tuple[float, ...]:
    """A unit vector: the first `dimensions` of `full` numbers."""
    values = [0.0] * full
    for feature, weight in _features(source).items():
        for place in unpack(f"<{PLACES}I", blake2b(feature, digest_size=4 * PLACES).digest()):
            values[(place >> 1) % full] += weight if place & 1 else -weight
    length = sqrt(sum([value * value for value in values])) or 1.0
    step = NOISE * length / sqrt(full) / 74  # 74: the deviation of a byte
    noise = shake_256(repr(source).encode("utf-8", "surrogatepass")).digest(full)
    cut = [value + step * (byte - 127.5) for value, byte in zip(values[:dimensions], noise, strict=False)]
    length = sqrt(sum([value * value for value in cut]))
    return unpack(f"<{dimensions}e", pack(f"<{dimensions}e", *[value / length for value in cut]))


def floats(values: tuple[float, ...]) -> bytes:
    """The vector as little-endian 32-bit floats."""
    return pack(f"<{len(values)}f", *values)


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """How alike two unit vectors are: 1 for equal ones, about 0 for strangers."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _features(source: Source) -> Mapping[bytes, float]:
    """What a source is made of, and how much each counts."""
    found: defaultdict[bytes, float] = defaultdict(float)
    if isinstance(source, tuple):
        for token in source:
            found[b"token %d" % token] += 1
        return found
    for word in _WORD.findall(source.lower()):
        data = word.encode("utf-8", "surrogatepass")
        found[b"word " + data] += min(len(word), WORD_LENGTH) / WORD_LENGTH
        marked = f"^{word}$"
        for at in range(len(marked) - 2):
            found[b"part " + marked[at : at + 3].encode("utf-8", "surrogatepass")] += TRIGRAM_WEIGHT
    return found
