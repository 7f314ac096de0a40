"""What a request for pictures costs, in the tokens of the models that tell them.

Output: a fixed number by size and quality, in proportion to the pixels for other sizes, and 100 for each partial image;
some models write text as well. Input: the prompt, and 65 tokens a picture plus 129 a tile of 512 pixels, once its
shorter side is 512 (194 for a small one, as recorded); high fidelity adds 4160 or, unless it is square, 6240. Source:
the public pricing tables; recorded usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from simulator import draws
from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.images_request import Picture

AUTO_SIZE: Final = (1024, 1024)
TOKENS: Final[Mapping[tuple[int, int], Mapping[str, int]]] = {
    (1024, 1024): {"low": 272, "medium": 1056, "high": 4160},
    (1024, 1536): {"low": 408, "medium": 1584, "high": 6240},
    (1536, 1024): {"low": 400, "medium": 1568, "high": 6208},
}
PARTIAL_TOKENS: Final = 100
PICTURE_TOKENS: Final = 65
TILE_TOKENS: Final = 129
TILE_PIXELS: Final = 512
HIGH_SQUARE_TOKENS: Final = 4160
HIGH_TOKENS: Final = 6240
TEXT_OUTPUT_TOKENS: Final = (150, 350)


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """Token counts, all >= 0."""

    input_text: int
    input_image: int
    output_text: int
    output_image: int

    def as_usage(self) -> Usage:
        """The totals."""
        return Usage(self.input_text + self.input_image, self.output_text + self.output_image)

    def told(self) -> dict[str, Any]:
        """The counts as the wire tells them."""
        total = self.as_usage()
        return {
            "input_tokens": total.input_tokens,
            "input_tokens_details": {"image_tokens": self.input_image, "text_tokens": self.input_text},
            "output_tokens": total.output_tokens,
            "output_tokens_details": {"image_tokens": self.output_image, "text_tokens": self.output_text},
            "total_tokens": total.input_tokens + total.output_tokens,
        }


def used(ask: Ask, profile: Profile, serving: Serving) -> ImageUsage:
    """What the request costs; nothing where the model counts none."""
    if not profile.has("usage"):
        return ImageUsage(0, 0, 0, 0)
    pictures: list[Picture] = ask.body["pictures"]
    high = ask.body.get("input_fidelity") == "high"
    one = image_tokens(size(ask), quality(ask, profile)) + PARTIAL_TOKENS * (ask.body.get("partial_images") or 0)
    writes = draws.between(draws.dice("image", serving.seed), *TEXT_OUTPUT_TOKENS) if profile.has("writes") else 0
    return ImageUsage(
        input_text=ask.input_tokens,
        input_image=sum(picture_tokens(picture, high=high) for picture in pictures),
        output_text=writes * ask.choices,
        output_image=one * ask.choices,
    )


def size(ask: Ask) -> tuple[int, int]:
    """Width and height of what is made: a square, unless a size was asked for."""
    asked = ask.body.get("size") or "auto"
    if asked == "auto":
        return AUTO_SIZE
    width, _, height = asked.partition("x")
    return int(width), int(height)


def quality(ask: Ask, profile: Profile) -> str:
    """The quality of what is made."""
    asked = ask.body.get("quality") or "auto"
    return str(profile.facts["quality"] if asked == "auto" else asked)


def image_tokens(size: tuple[int, int], quality: str) -> int:
    """What one picture costs."""
    if size in TOKENS:
        return TOKENS[size][quality]
    square = AUTO_SIZE[0] * AUTO_SIZE[1]
    return ceil(TOKENS[AUTO_SIZE][quality] * size[0] * size[1] / square)


def picture_tokens(picture: Picture, *, high: bool = False) -> int:
    """What a picture that came with the request costs."""
    scale = min(1.0, TILE_PIXELS / min(picture.width, picture.height))
    tiles = ceil(picture.width * scale / TILE_PIXELS) * ceil(picture.height * scale / TILE_PIXELS)
    extra = HIGH_SQUARE_TOKENS if picture.width == picture.height else HIGH_TOKENS
    return PICTURE_TOKENS + TILE_TOKENS * tiles + (extra if high else 0)
