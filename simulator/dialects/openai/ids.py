"""Ids of the OpenAI wire: a part that the seed decides, then the nonce. Lengths as recorded.

Other vendors' are spelled by a pattern of `str.format`, such as `chatcmpl-{hex:.10}{nonce}`; LETTERS has its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from simulator.dialects.base import Profile, Serving
from simulator.draws import digest, integer, letters

SPREAD: Final = 0x9E3779B97F4A7C15  # odd, so that no two seeds below 2**64 come out alike
_64_BITS: Final = (1 << 64) - 1


def base62(seed: int, length: int) -> str:
    """Up to 10 letters and digits that differ from seed to seed."""
    return letters((seed * SPREAD & _64_BITS).to_bytes(8, "big"), length)


def hexes(seed: int, length: int) -> str:
    """Up to 16 lower-case hexadecimal digits that differ from seed to seed."""
    return f"{(seed + 1) * SPREAD & _64_BITS:016x}"[:length]


def request_id(serving: Serving) -> str:
    """`req_` and 32 characters, the last 22 of them the nonce (real ones are hexadecimal throughout)."""
    return f"req_{hexes(serving.seed, 10)}{serving.nonce}"


LETTERS: Final[Mapping[str, Callable[[Serving, Profile], object]]] = {
    "nonce": lambda serving, _: serving.nonce,
    "unix": lambda serving, _: serving.now_s,
    "stamp": lambda serving, _: f"{datetime.fromtimestamp(serving.now_s, UTC):%Y%m%d%H%M%S}",
    "base62": lambda serving, _: base62(serving.seed, 10),
    "hex": lambda serving, _: digest(serving.seed, "hex").hex(),  # 32 digits, as the next
    "hex2": lambda serving, _: digest(serving.seed, "hex2").hex(),
    "digits": lambda serving, _: f"{integer(serving.seed, 'digits') % 10**16:016}",
    "ulid": lambda serving, _: letters(digest(serving.seed, "ulid"), 20).lower(),
    "model": lambda _, profile: profile.snapshot,
    "mark": lambda _, profile: digest(profile.provider, profile.snapshot).hex(),  # the same for all replies of a model
}


class Letters(dict[str, object]):
    """The fields of a spelling for one reply, each made when it is asked for."""

    def __init__(self, serving: Serving, profile: Profile) -> None:
        super().__init__()
        self._serving = serving
        self._profile = profile

    def __missing__(self, name: str) -> object:
        return LETTERS[name](self._serving, self._profile)

    def spell(self, pattern: str) -> str:
        """What a pattern says for this reply. Raises KeyError for a field that is none."""
        return pattern.format_map(self) if "{" in pattern else pattern
