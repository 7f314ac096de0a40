"""What an image costs in input tokens on OpenAI's wires, by model and detail (`vision.yaml`).

The size of an inlined image is read from its bytes. Nothing is ever downloaded: an image by URL, or one that cannot be
read, counts as 1024 x 1024.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any, Final

import yaml
from PIL import Image, UnidentifiedImageError

FILE: Final = Path(__file__).parent / "vision.yaml"
ASSUMED_PX: Final = (1024, 1024)
HEAD_CHARACTERS: Final = 1 << 18  # of base64: the size of an image stands near its beginning
FIT_PX: Final = 2048
SHORT_SIDE_PX: Final = 768
TILE_PX: Final = 512
PATCH_PX: Final = 32
PATCHES_MAX: Final = 1536


def image_tokens(model: str, url: str, detail: str | None) -> int:
    """What an image costs `model`."""
    row = _row(model)
    if "patch" in row:
        width, height = size(url)
        patches = ceil(width / PATCH_PX) * ceil(height / PATCH_PX)
        return ceil(min(patches, PATCHES_MAX) * float(row["patch"]))
    base, tile = row["tile"]
    return int(base) if detail == "low" else int(base) + int(tile) * _tiles(*size(url))


def _tiles(width: float, height: float) -> int:
    """Tiles of the image once it is scaled down."""
    fit = min(1.0, FIT_PX / max(width, height))
    short = min(1.0, SHORT_SIDE_PX / (min(width, height) * fit))
    scale = fit * short
    return ceil(round(width * scale, 6) / TILE_PX) * ceil(round(height * scale, 6) / TILE_PX)


def size(url: str) -> tuple[int, int]:
    """(width, height) of an image in pixels, assumed when it cannot be known."""
    head, _, data = url.partition(",")
    return _inlined(data[:HEAD_CHARACTERS]) if head.startswith("data:") else ASSUMED_PX


@lru_cache(maxsize=256)
def _inlined(data: str) -> tuple[int, int]:
    try:
        with Image.open(BytesIO(b64decode(data[: len(data) // 4 * 4]))) as image:
            return image.size
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ASSUMED_PX


@cache
def _rows() -> tuple[Mapping[str, Any], ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(yaml.load(FILE.read_bytes(), Loader=loader)["rows"])


@cache
def _row(model: str) -> Mapping[str, Any]:
    return next(row for row in _rows() if any(fnmatchcase(model, glob) for glob in row["match"]))
