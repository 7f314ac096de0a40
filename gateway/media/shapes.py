"""The shape of a picture: the same wish as pixels, as a ratio or as a tier, whichever a vendor wants to hear.

Pure arithmetic. Tiers are named by the side of a square: 1K is 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, sqrt
from typing import Final

from gateway.media.order import Order

Size = tuple[int, int]  # width, height

TIERS: Final[Mapping[str, int]] = {"0.5K": 512, "1K": 1024, "2K": 2048, "3K": 3072, "4K": 4096}
UP_TO: Final = (("0.5K", 640), ("1K", 1536), ("2K", 2560))  # the longest side that counts as this tier; above is 4K
RATIOS: Final = ("1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "21:9")
RATIO_DIGITS_MAX: Final = 4


def parts(ratio: str | None) -> Size | None:
    """The two numbers of a ratio; None for what is none."""
    wide, _, high = (ratio or "").partition(":")
    if not all(side.isascii() and side.isdigit() and len(side) <= RATIO_DIGITS_MAX for side in (wide, high)):
        return None
    found = int(wide), int(high)
    return found if all(found) else None


def ratio_of(order: Order, ratios: Sequence[str] = RATIOS) -> str | None:
    """The ratio asked for in so many words, else the one of `ratios` that the asked size is nearest to."""
    if order.aspect_ratio is not None:
        return order.aspect_ratio
    if order.size is None:
        return None
    asked = log_of(order.size)
    return min(ratios, key=lambda ratio: abs(log_of(parts(ratio) or (1, 1)) - asked))


def log_of(size: Size) -> float:
    """The logarithm of a ratio: ratios are as far apart as these are."""
    return log(size[0] / size[1])


def tier_of(order: Order) -> str | None:
    """The tier asked for in so many words, else that of the asked size."""
    if order.resolution is not None:
        return order.resolution
    return None if order.size is None else tier(order.size)


def tier(size: Size) -> str:
    """The tier that a size belongs to, by its longest side."""
    return next((name for name, most in UP_TO if max(size) <= most), "4K")


def pixels_of(order: Order, step: int = 16, side: int = 1024) -> Size | None:
    """The asked size; else one of the asked ratio with the area of the asked tier, or of a square of `side`.

    None where neither was asked for: the vendor has a size of its own.
    """
    if order.size is not None:
        return order.size
    shape = parts(order.aspect_ratio)
    known = TIERS.get(order.resolution or "")
    if shape is None and known is None:
        return None
    wide, high = shape or (1, 1)
    root = sqrt(wide / high)
    edge = known or side
    return multiple(edge * root, step), multiple(edge / root, step)


def multiple(length: float, step: int) -> int:
    """The nearest multiple of `step` above 0."""
    return max(step, round(length / step) * step)


def reduced(size: Size) -> str:
    """A size as the ratio that it has, in the smallest whole numbers."""
    wide, high = size
    first, second = wide, high
    while second:
        first, second = second, first % second
    return f"{wide // first}:{high // first}"
