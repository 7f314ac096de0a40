"""Chance, keyed: the n-th call of a load is the same whatever worker makes it, and whatever the other calls do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on every part."""
    key = "\x1f".join(str(part) for part in parts).encode()
    return (int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 11) / (1 << 53)


def between(low: int, high: int, *parts: object) -> int:
    """A whole number in [low, high]."""
    return low + int(fraction(*parts) * (high - low + 1))


def pick(choices: Sequence[T], *parts: object) -> T:
    """One of the choices, all alike."""
    return choices[int(fraction(*parts) * len(choices))]


def weighted(weights: Mapping[T, float], *parts: object) -> T:
    """One of the keys, as often as its weight says."""
    at = fraction(*parts) * sum(weights.values())
    chosen = None
    for chosen, weight in weights.items():  # noqa: B007 - the last one answers for rounding
        at -= weight
        if at < 0:
            break
    if chosen is None:
        raise ValueError("no choice has any weight")
    return chosen
