"""What one model of the Images wire takes. Every rule is switched by a fact of the model's row.

Source: the public specification (2.3.0) for bounds; recorded replies for unknown parameters. The sentences about sizes
and about blocked prompts are not confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.fields import one_of
from simulator.dialects.openai.ids import request_id
from simulator.dialects.openai.images_request import Picture
from simulator.dialects.openai.moderations_rules import flagged
from simulator.dialects.openai.problems import refuse
from simulator.problem import Problem

OURS: Final = frozenset({"pictures", "mask_picture"})  # of the body as decoded, not as sent
FREE_STEP: Final = 16  # of both sides of a free size
FREE_RATIO_MAX: Final = 3
FREE_PIXELS_MAX: Final = 3840 * 2160
SMALL_FILE_BYTES: Final = 4 << 20
BLOCKING: Final[Mapping[str, frozenset[str]]] = {  # by the request's `moderation`
    "low": frozenset({"sexual/minors", "self-harm/instructions", "illicit/violent"}),
    "auto": frozenset(
        {"sexual", "sexual/minors", "self-harm/instructions", "self-harm/intent", "illicit/violent"}
        | {"violence/graphic", "hate/threatening", "harassment/threatening"}
    ),
}
_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
_HELP: Final = "If you believe this is an error, contact us at help.openai.com and include the request ID"


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    if ask.operation not in facts["operations"]:
        one_of(*facts["instead"][ask.operation])(profile.model, "model")
    for name, value in body.items():
        if name not in facts["operations"][ask.operation] and name not in OURS:
            raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        if value is not None and name in facts["values"]:
            one_of(*facts["values"][name])(value, name)
    if ask.choices > facts["n_max"]:
        raise refuse(f"You must provide n={facts['n_max']} for this model.")
    _prompt(body.get("prompt") or "", facts["prompt_length"])
    if facts.get("free_sizes"):
        _free_size(body.get("size") or "auto")
    if body.get("partial_images") is not None and not ask.stream:
        said = "The 'partial_images' parameter is only allowed when 'stream' is enabled."
        raise refuse(said, "partial_images")
    if body.get("background") == "transparent" and body.get("output_format") == "jpeg":
        said = "Transparent background is not supported for the 'jpeg' output format. Use 'png' or 'webp'."
        raise refuse(said, "background", "invalid_value")
    for picture in body["pictures"]:
        _downloaded(picture.url, facts.get("missing_files", ()))
        if facts.get("square_png"):
            _square_png(picture)
    if (mask := body["mask_picture"]) is not None and mask[:2] != body["pictures"][0][:2]:
        raise refuse("Invalid mask image: its size does not match the size of the image.", "mask", "invalid_value")


def _prompt(prompt: str, longest: int) -> None:
    if len(prompt) > longest:
        said = f"Expected a string with maximum length {longest}, but got a string with length {len(prompt)} instead."
        raise refuse(f"Invalid 'prompt': string too long. {said}", "prompt", "string_above_max_length")


def _free_size(size: str) -> None:
    """A size may be anything within the bounds."""
    if size == "auto":
        return
    found = _SIZE.fullmatch(size)
    if found is None:
        said = "Expected 'auto' or a size of the form 'WIDTHxHEIGHT'."
        raise refuse(f"Invalid value: '{size}'. {said}", "size", "invalid_value")
    width, height = int(found[1]), int(found[2])
    complaint = ""
    if not (width and height) or width % FREE_STEP or height % FREE_STEP:
        complaint = f"Width and height must both be divisible by {FREE_STEP}."
    elif max(width, height) > FREE_RATIO_MAX * min(width, height):
        complaint = f"The aspect ratio must be between 1:{FREE_RATIO_MAX} and {FREE_RATIO_MAX}:1."
    elif width * height > FREE_PIXELS_MAX or max(width, height) > 3840:
        complaint = "The maximum resolution is 3840x2160."
    if complaint:
        raise refuse(f"Invalid size '{size}'. {complaint}", "size", "invalid_value")


def _downloaded(url: str, missing: Sequence[str]) -> None:
    """An address is one that a file could be downloaded from, as far as its name tells: nothing is ever downloaded."""
    if url and (not url.startswith(("http://", "https://")) or any(word in url for word in missing)):
        raise refuse("Error while downloading file. Upstream status code: 404.", "url", "invalid_value")


def _square_png(picture: Picture) -> None:
    """The oldest model takes one kind of picture only."""
    if picture.form != "PNG":
        raise refuse("Uploaded image must be a PNG and less than 4 MB.", "image", "invalid_image_format")
    if picture.width != picture.height:
        raise refuse("Uploaded image must be square.", "image", "invalid_image_size")
    if picture.size_bytes >= SMALL_FILE_BYTES:
        raise refuse("Uploaded image must be a PNG and less than 4 MB.", "image", "invalid_image_size")


def blocked(ask: Ask, profile: Profile, serving: Serving) -> Problem | None:
    """The refusal of a prompt that the safety system stops."""
    body: Mapping[str, Any] = ask.body
    level = BLOCKING[body.get("moderation") or "auto"]
    found = [category for category in flagged(body.get("prompt") or "") if category in level]
    if not found:
        return None
    if profile.has("usage"):
        said = f"Your request was rejected by the safety system. {_HELP} {request_id(serving)}."
        return Problem("moderation_blocked", f"{said} safety_violations=[{', '.join(found)}].")
    return Problem("content_filter")
