"""Where a reader of several journals stands: a place in each of them, written `12-40-7`.

To readers it is opaque: what `next` said goes back as `since`. Entry n of worker i is told as n × workers + i.
"""

from __future__ import annotations

from collections.abc import Sequence


def written(places: Sequence[int]) -> str:
    """The places as one text."""
    return "-".join(map(str, places))


def read(text: str, count: int) -> list[int]:
    """The places in a text; a lone number holds for all. Raises ValueError."""
    places = [int(part) if part.isdecimal() and len(part) <= 15 else -1 for part in text.split("-")]
    if len(places) == 1:
        places *= count
    if len(places) != count or min(places) < 0:
        raise ValueError(f"a whole number, or the `next` of an earlier reply ({count} numbers joined by -)")
    return places


def number(n: int, index: int, count: int) -> int:
    """The number under which entry `n` of one worker is told."""
    return n * count + index
