"""What one model takes, by the facts of its row; and how large and how long what it makes is.

Sources: xAI's documentation of the endpoints for bounds and words. The exact pixels of a ratio at a resolution are not
documented: pictures have the area of the named square, clips the named shorter side.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.inspection import refuses_input
from simulator.dialects.xai.request import bad, unprocessable
from simulator.problem import Problem, Refused

STEP: Final = 16  # of the sides of pictures
REFERENCES_MAX_SIDE: Final = 720
EDIT_MAX_SIDE: Final = 720
ASSUMED_SIZE: Final = (854, 480)  # of an input video that was not looked at


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    facts, body = profile.facts, ask.body
    if ask.operation not in facts["operations"]:
        raise Refused(Problem("unknown_model", param=profile.model))
    if len((body.get("prompt") or "").encode("utf-8", "surrogatepass")) > facts["prompt_bytes"]:
        raise bad(f"Prompt length exceeds the maximum of {facts['prompt_bytes']} bytes.", "prompt")
    _word(body, "aspect_ratio", facts["ratios"])
    _word(body, "resolution", facts["resolutions"])
    _word(body, "response_format", ("url", "b64_json"))
    _word(body, "quality", facts.get("qualities", ("low", "medium", "high")))
    if refuses_input(body.get("prompt") or ""):
        raise Refused(Problem("moderation"))
    for url in _addresses(body):
        if any(word in url for word in facts["missing_files"]):
            raise bad("Failed to fetch the input from its URL.")
    if ask.operation.endswith("image"):
        _images(ask, facts)
    else:
        _videos(ask, facts)


def _word(body: Any, name: str, words: Iterable[str]) -> None:
    if body.get(name) is not None and body[name] not in words:
        due = ", ".join(f"`{word}`" for word in words)
        raise unprocessable(f"{name}: unknown variant `{body[name]}`, expected one of {due}")


def _addresses(body: Any) -> list[str]:
    """The addresses of inputs that are no files themselves."""
    urls = [url for url, _ in body["pictures"]] + [body["source"].get("url", "")]
    return [url for url in urls if not url.startswith("data:")]


def _images(ask: Ask, facts: Any) -> None:
    if ask.body.get("n") is not None and not 1 <= ask.body["n"] <= facts["n_max"]:
        raise bad(f"n must be between 1 and {facts['n_max']}.", "n")
    if len(ask.body["pictures"]) > facts["images_max"]:
        raise bad(f"At most {facts['images_max']} input images are supported.", "images")


def _videos(ask: Ask, facts: Any) -> None:
    body = ask.body
    low, high, _ = facts["extend_seconds" if ask.operation == "extend_video" else "seconds"]
    if body.get("duration") is not None and not low <= body["duration"] <= high:
        raise bad(f"duration must be between {low} and {high} seconds.", "duration")
    references = len(body.get("reference_images") or ())
    if references and body.get("image"):
        raise bad("image and reference_images cannot be used together.", "reference_images")
    if references > facts["references_max"]:
        raise bad(f"At most {facts['references_max']} reference images are supported.", "reference_images")
    if references and facts["resolutions"].get(body.get("resolution"), 0) > REFERENCES_MAX_SIDE:
        raise bad(f"resolution must be {REFERENCES_MAX_SIDE}p or less with reference images.", "resolution")
    if "seconds" in body["source"]:
        shortest, longest = facts["input_seconds"][ask.operation]
        if not shortest <= body["source"]["seconds"] <= longest:
            raise bad(f"The input video must be between {shortest} and {longest} seconds long.", "video")


# --- sizes and lengths ------------------------------------------------------------------------------------------------


def _ratio(ask: Ask, default: float) -> float:
    """Width by height: as asked, else that of a single picture to begin with."""
    asked = ask.body.get("aspect_ratio")
    if asked not in (None, "auto"):
        width, _, height = asked.partition(":")
        return float(width) / float(height)
    pictures = ask.body["pictures"]
    size = pictures[0][1] if len(pictures) == 1 and not ask.body.get("reference_images") else None
    return default if size is None else max(1 / 3, min(3.0, size[0] / size[1]))


def picture_size(ask: Ask, profile: Profile) -> tuple[int, int]:
    """Width and height of a picture."""
    side, ratio = profile.facts["resolutions"][resolution(ask, profile)], sqrt(_ratio(ask, 1.0))
    width, height = (STEP * max(1, round(side * part / STEP)) for part in (ratio, 1 / ratio))
    return width, height


def clip_size(ask: Ask, profile: Profile) -> tuple[int, int]:
    """Width and height of a clip; one that was edited keeps its own, up to 720p."""
    if ask.operation == "create_video":
        ratio, short = _ratio(ask, 16 / 9), profile.facts["resolutions"][resolution(ask, profile)]
        width, height = short * max(1.0, ratio), short * max(1.0, 1 / ratio)
    else:
        width, height = ask.body["source"].get("size", ASSUMED_SIZE)
        scale = min(1.0, EDIT_MAX_SIDE / min(width, height))
        width, height = width * scale, height * scale
    return max(STEP, 2 * round(width / 2)), max(STEP, 2 * round(height / 2))


def resolution(ask: Ask, profile: Profile) -> str:
    """The name of the resolution: as asked, else the first; of an edited clip, the least that holds it."""
    names: dict[str, int] = profile.facts["resolutions"]
    if ask.operation in ("edit_video", "extend_video"):
        side = min(clip_size(ask, profile))
        return next((name for name, most in names.items() if side <= most), next(iter(names)))
    return str(ask.body.get("resolution") or next(iter(names)))


def made_seconds(ask: Ask, profile: Profile) -> float:
    """How many seconds are made, which is what is paid for."""
    if ask.operation == "edit_video":
        return _input_seconds(ask, profile)
    return float(
        ask.body.get("duration") or profile.facts["extend_seconds" if ask.operation == "extend_video" else "seconds"][2]
    )


def whole_seconds(ask: Ask, profile: Profile) -> float:
    """How long the clip is: an extension begins with the whole of its input."""
    made = made_seconds(ask, profile)
    return made + _input_seconds(ask, profile) if ask.operation == "extend_video" else made


def _input_seconds(ask: Ask, profile: Profile) -> float:
    return float(ask.body["source"].get("seconds", profile.facts["assumed_seconds"]))
