"""How large a clip or picture becomes, from what the model has: sizes, resolutions, ratios.

Source: the pages of the Wan models. Where a picture comes first, its ratio stays: each side is the largest multiple of
16 that keeps within the pixels of the resolution (documented: 750 x 1000 at 720P gives 816 x 1104).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import gcd, sqrt
from typing import Any, Final, NamedTuple

from simulator.dialects.dashscope.problems import invalid
from simulator.media.results import Given

STEP: Final = 16
_SIZE: Final = re.compile(r"(\d{1,5})\*(\d{1,5})")


class Shape(NamedTuple):
    """The size of a clip, and the words that the usage tells it in."""

    width: int
    height: int
    lines: int  # 720
    ratio: str  # "16:9"


def clip(parameters: Mapping[str, Any], facts: Mapping[str, Any], given: Given | None) -> Shape:
    """The size of a clip. Raises Refused."""
    tiers: Mapping[str, Mapping[str, str]] = facts["tiers"]
    if facts["shaped_by"] == "size":
        return _by_size(parameters.get("size"), tiers, facts["tier"])
    name = parameters.get("resolution") or facts["tier"]
    if not isinstance(name, str) or name not in tiers:
        raise invalid(f"resolution must be one of {', '.join(tiers)}", "parameters.resolution")
    lines = int(name[:-1])
    ratio = parameters.get("ratio") or "16:9"
    if facts["shaped_by"] == "ratio" and (not isinstance(ratio, str) or ratio not in tiers[name]):
        raise invalid(f"ratio must be one of {', '.join(tiers[name])}", "parameters.ratio")
    if given is not None:
        width, height = _within(tiers[name]["16:9"], given.width / given.height)
        common = gcd(width, height)
        return Shape(width, height, lines, f"{width // common}:{height // common}")
    width, height = _pixels(tiers[name][str(ratio)])
    return Shape(width, height, lines, str(ratio))


def _by_size(size: Any, tiers: Mapping[str, Mapping[str, str]], usual: str) -> Shape:
    asked = size or tiers[usual]["16:9"]
    for name, sizes in tiers.items():
        for ratio, known in sizes.items():
            if asked == known:
                return Shape(*_pixels(known), int(name[:-1]), ratio)
    known = ", ".join(each for sizes in tiers.values() for each in sizes.values())
    raise invalid(f"size must be one of {known}", "parameters.size")


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("*")
    return int(width), int(height)


def _within(size: str, ratio: float) -> tuple[int, int]:
    across, down = _pixels(size)
    width = sqrt(across * down * ratio)
    return max(STEP, int(width // STEP) * STEP), max(STEP, int(width / ratio // STEP) * STEP)


def picture(size: Any, facts: Mapping[str, Any]) -> tuple[int, int]:
    """The size of a picture. Raises Refused."""
    asked = facts["size"] if size is None else size
    found = _SIZE.fullmatch(asked) if isinstance(asked, str) else None
    if found is None:
        raise invalid("size must be width*height, for example 1024*1024", "parameters.size")
    width, height = int(found[1]), int(found[2])
    least, most = facts["pixels"]
    low, high = facts["sides"]
    if "sizes" in facts and asked not in facts["sizes"]:
        raise invalid(f"size must be one of {', '.join(facts['sizes'])}", "parameters.size")
    if not (low <= min(width, height) and max(width, height) <= high and least <= width * height <= most):
        said = f"total pixels from {least} to {most}, sides from {low} to {high}"
        raise invalid(f"size {asked} is out of range: due {said}", "parameters.size")
    return width, height
