"""Ids of the OpenAI wire: a part that the seed decides, then the nonce. Lengths as recorded."""

from __future__ import annotations

from typing import Final

from simulator.dialects.base import Serving
from simulator.draws import letters

SPREAD: Final = 0x9E3779B97F4A7C15  # odd, so that no two seeds below 2**64 come out alike
_64_BITS: Final = (1 << 64) - 1


def base62(seed: int, length: int) -> str:
    """Up to 10 letters and digits that differ from seed to seed."""
    return letters((seed * SPREAD & _64_BITS).to_bytes(8, "big"), length)


def hexes(seed: int, length: int) -> str:
    """Up to 16 lower-case hexadecimal digits that differ from seed to seed."""
    return f"{(seed + 1) * SPREAD & _64_BITS:016x}"[:length]


def completion_id(nonce: str, seed: int) -> str:
    """`chatcmpl-` and 29 letters or digits, the last 22 of them the nonce."""
    return f"chatcmpl-{base62(seed, 7)}{nonce}"


def request_id(serving: Serving) -> str:
    """`req_` and 32 characters, the last 22 of them the nonce (real ones are hexadecimal throughout)."""
    return f"req_{hexes(serving.seed, 10)}{serving.nonce}"
