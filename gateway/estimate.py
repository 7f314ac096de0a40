"""Token counts the gateway makes itself: bounds for a hold before the call, estimates where an upstream told no usage.

A bound must never be too small: it takes one token a byte. An estimate takes four bytes a token.
Source: docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.catalogue import Model

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_IMAGE: Final = 6000
GEMINI_MEMBERS: Final = ("contents", "systemInstruction", "system_instruction")
PROMPT_MEMBERS: Final = ("messages", "system", "tools", "prompt", "input", "instructions", *GEMINI_MEMBERS)
IMAGE_HOLDERS: Final = ("messages", "input", "contents")
IMAGE_URLS: Final = frozenset({"image_url", "input_image", "computer_screenshot"})


def input_bound(raw: bytes, fields: Mapping[str, Any]) -> int:
    """The most input tokens the body can stand for: its bytes, each image counting as 6000 instead of its base64."""
    bound = len(raw)
    if b"image" in raw:
        data_bytes, images = image_parts([fields.get(name) for name in IMAGE_HOLDERS])
        bound += images * TOKENS_PER_IMAGE - data_bytes
    return bound


def image_parts(value: Any) -> tuple[int, int]:
    """(bytes of base64 image data, number of images) anywhere inside."""
    data_bytes = images = 0
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo += [part for part in item if isinstance(part, dict | list)]
        elif isinstance(item, dict):
            found = image_data(item)
            if found is None:
                todo += [part for part in item.values() if isinstance(part, dict | list)]
            else:
                images += 1
                data_bytes += len(found)
    return data_bytes, images


def image_data(part: Mapping[str, Any]) -> str | None:
    """The base64 data of an image part of any wire ("" when it is a URL); None when the part is no image."""
    kind = part.get("type")
    if kind in IMAGE_URLS:
        inner = part.get("image_url")
        url = inner.get("url") if isinstance(inner, dict) else inner
        return url if isinstance(url, str) and url.startswith("data:image/") else ""
    if kind == "image":
        source = part.get("source")
        data = source.get("data") if isinstance(source, dict) else None
        return data if isinstance(data, str) else ""
    blob = part.get("inlineData") or part.get("inline_data")
    if isinstance(blob, dict) and is_image_blob(blob):
        return blob["data"] if isinstance(blob.get("data"), str) else ""
    return None


def is_image_blob(item: Mapping[str, Any]) -> bool:
    """Whether an object is an image in Gemini's form."""
    return str(item.get("mimeType") or item.get("mime_type") or "").startswith("image/")


def output_bound(limit: int | None, answers: int, model: Model) -> int:
    """The most output tokens the call can give: the caller's limit, or the model's, for each answer asked for."""
    return (model.max_output_tokens if limit is None else limit) * answers


def input_tokens(fields: Mapping[str, Any]) -> int:
    """Estimated input: a quarter of the UTF-8 bytes of all strings in PROMPT_MEMBERS, rounded up."""
    return tokens(sum(text_bytes(fields.get(name)) for name in PROMPT_MEMBERS))


def text_bytes(value: Any) -> int:
    """UTF-8 bytes of all string values inside (not of names), images' data left out."""
    count = 0
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            if not item.startswith("data:image/"):
                count += len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
        elif isinstance(item, list):
            todo += item
        elif isinstance(item, dict):
            image = item.get("type") == "base64" and str(item.get("media_type", "")).startswith("image/")
            if image or is_image_blob(item):
                item = {name: part for name, part in item.items() if name != "data"}
            todo += item.values()
    return count


def tokens(text_bytes_: int) -> int:
    """Estimated tokens of a text of so many UTF-8 bytes, rounded up."""
    return -(-text_bytes_ // BYTES_PER_TOKEN)
