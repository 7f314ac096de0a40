"""What Anthropic refuses of images that a request brings inline.

Their bytes must be base64 of a picture of the named type, not too many of them, and no side too long; a request of
many images has a stricter limit for each. Sentences are those of public issues, 2024 to 2026.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from simulator.dialects.anthropic.problems import refuse
from simulator.media.sizes import image_size
from simulator.problem import Problem, Refused

CHARACTERS_MAX: Final = 5 << 20  # of base64: the limit is told in bytes, but measured on the text
SIDE_MAX_PX: Final = 8000
MANY: Final = 20  # images in a request; with more of them
MANY_SIDE_MAX_PX: Final = 2000
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

Size = tuple[int, int]


def check(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise Refused for the first image of a conversation that is none, or for all that are too large."""
    places = list(_images(messages))
    sizes = {where: _size(source, f"{where}.image.source.base64") for where, source in places if _is_inline(source)}
    limit_px, said = (SIDE_MAX_PX, "") if len(places) <= MANY else (MANY_SIDE_MAX_PX, " for many-image requests")
    large = [where for where, size in sizes.items() if max(size) > limit_px]
    if large:
        paths = [where.replace(".tool_result", "") for where in large]
        details = (("max_side_length_pixels", limit_px), ("paths", paths))
        at = f"{large[0]}.image.source.base64.data"
        message = f"{at}: At least one of the image dimensions exceed max allowed size{said}: {limit_px} pixels"
        raise Refused(Problem("invalid_request", message, code="image_dimensions_too_large", details=details))


def _images(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, source) of every image, also of those in results of tools."""
    for at, message in enumerate(messages):
        if isinstance(message["content"], list):
            yield from _among(message["content"], f"messages.{at}.content")


def _among(blocks: Sequence[Mapping[str, Any]], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, block in enumerate(blocks):
        if block["type"] == "image":
            yield f"{path}.{index}", block["source"]
        elif block["type"] == "tool_result" and isinstance(block.get("content"), list):
            yield from _among(block["content"], f"{path}.{index}.tool_result.content")


def _is_inline(source: Mapping[str, Any]) -> bool:
    return bool(source["type"] == "base64")


def _size(source: Mapping[str, Any], where: str) -> Size:
    """The size of an image in pixels. Raises Refused."""
    data, named = source["data"], source["media_type"]
    if not data:
        raise refuse(f"{where}: image cannot be empty")
    if len(data) > CHARACTERS_MAX:
        raise refuse(f"{where}: image exceeds 5 MB maximum: {len(data)} bytes > {CHARACTERS_MAX} bytes")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise refuse(f"{where}: invalid base64 data") from None
    kind, size = media_type(content), image_size(data)
    if kind is None or size is None or not all(size):
        raise refuse("Could not process image")
    if kind != named:
        raise refuse(
            f"{where}: The image was specified using the {named} media type, but the image appears to be a {kind} image"
        )
    return size


def media_type(content: bytes) -> str | None:
    """The type of a picture by its first bytes, if it is one that this wire takes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)
