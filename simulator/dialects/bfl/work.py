"""What a FLUX model makes of a request: a picture or a clip of some size, what it costs, and what becomes of the task.

How the size is found is the fact `size` of a model: pixels (width and height, else those of the first picture), ratio
(`aspect_ratio`, else that of the first picture), image (that of the picture), expand (it and its new margins), tier (hd
or fhd, at a ratio). Source: BFL's documentation (models, prices). 1 credit is a cent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.bfl import fields
from simulator.dialects.bfl.fields import whole
from simulator.jobs import plans
from simulator.jobs.job import Plan, State
from simulator.media import results

FOLDER: Final = "/results"
STYLE: Final = "azure"
MEGAPIXEL: Final = 1 << 20
FPS: Final = 24
SIDE_STEP: Final = 16
CHECK_MS: Final = 400  # a request is moderated so soon
PERMISSIVE: Final = 5  # the safety tolerance from which on a mild result passes
TIERS: Final[Mapping[str, int]] = {"hd": 1280 * 720, "fhd": 1920 * 1080}
MARGINS: Final = ("top", "bottom", "left", "right")
REQUEST_MODERATED: Final = "Request Moderated"
CONTENT_MODERATED: Final = "Content Moderated"
PICTURES: Final = ("input_image", *(f"input_image_{at}" for at in range(2, 9)), "image", "image_prompt")


def pictures(ask: Ask, profile: Profile) -> list[results.Given]:
    """The pictures that came with the request, the first first."""
    texts = [str(ask.body[name]) for name in PICTURES if name in profile.facts["fields"] and ask.body.get(name)]
    if is_clip(profile):
        texts = [source for _, source in fields.frames_of(ask.body.get("keyframes"))]
    secret = profile.facts["signature_secret"]
    return [results.given(text, STYLE, FOLDER, secret) for text in texts]


def is_clip(profile: Profile) -> bool:
    """Whether the model makes clips."""
    return bool(profile.facts["size"] == "tier")


def size(ask: Ask, profile: Profile) -> tuple[int, int]:
    """Width and height of what is made."""
    body, facts = ask.body, profile.facts
    given = pictures(ask, profile)
    own = (given[0].width, given[0].height) if given else None
    kind = facts["size"]
    if kind == "pixels":
        default = tuple(facts["default"])
        if own is not None:
            default = results.fitted(min(own[0] * own[1], facts["pixels_max"]), own[0] / own[1], SIDE_STEP)
        return whole(body.get("width"), default[0]), whole(body.get("height"), default[1])
    if kind == "image" and own is not None:
        return own
    if kind == "expand" and own is not None:
        top, bottom, left, right = (whole(body.get(name), 0) for name in MARGINS)
        return own[0] + left + right, own[1] + top + bottom
    pixels = TIERS["hd" if body.get("draft") else body.get("resolution", "hd")] if kind == "tier" else facts["pixels"]
    return results.fitted(pixels, _ratio(body.get("aspect_ratio"), own, facts["ratio"]), 8 if kind == "tier" else 16)


def _ratio(asked: str | None, own: tuple[int, int] | None, default: str) -> float:
    if asked in (None, "auto"):
        if own is not None:
            return own[0] / own[1]
        asked = default
    width, height = str(asked).split(":")
    return int(width) / int(height)


def seed(ask: Ask, serving: Serving) -> int:
    """The seed, asked for or drawn."""
    return whole(ask.body.get("seed"), draws.integer("bfl", serving.seed) >> 97)


def seconds(ask: Ask, profile: Profile, serving: Serving) -> int:
    """Of a clip; 0 of a picture."""
    if not is_clip(profile):
        return 0
    drawn = draws.between(draws.dice("seconds", serving.seed), 5, 10)
    return whole(None if ask.body.get("duration") == "auto" else ask.body.get("duration"), drawn)


def megapixels(ask: Ask, profile: Profile) -> tuple[float, float]:
    """Of all that came, and of what is made."""
    width, height = size(ask, profile)
    given = pictures(ask, profile)
    return round(sum(one.width * one.height for one in given) / 1e6, 2), round(width * height / 1e6, 2)


def cost(ask: Ask, profile: Profile, serving: Serving) -> float | None:
    """In credits; None where no price is known."""
    price: Mapping[str, Any] | None = profile.facts.get("price")
    if price is None:
        return None
    if "second" in price:
        tier = "hd" if ask.body.get("draft") else ask.body.get("resolution", "hd")
        rates = price["continued_second"] if ask.body.get("mode") == "v2v" else price["second"]
        return float(round(rates[tier] * seconds(ask, profile, serving), 4))
    if "picture" in price:
        return float(price["picture"])
    width, height = size(ask, profile)
    more = max(0, ceil(width * height / MEGAPIXEL) - 1)
    given = pictures(ask, profile)
    came = sum(ceil(one.width * one.height / MEGAPIXEL) for one in given)
    return float(round(price["first_mp"] + more * price["more_mp"] + came * price["input_mp"], 4))


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a task when nothing goes wrong."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    drawn = replace(plans.drawn(profile.facts["pace"], seconds(ask, profile, serving), *key), steps=0)
    prompt = str(ask.body.get("prompt") or "")
    if inspection.refuses_input(prompt):
        return replace(drawn, queue_ms=0, run_ms=CHECK_MS, ends=State.FAILED, error=REQUEST_MODERATED)
    if inspection.refuses_output(prompt) and whole(ask.body.get("safety_tolerance"), 2) < PERMISSIVE:
        return replace(drawn, is_empty=True)
    return drawn


def made(kept: Kept) -> results.Film | results.Still:
    """The result."""
    ask, serving = kept.ask, kept.serving
    width, height = size(ask, kept.profile)
    prompt = results.shown(str(ask.body.get("prompt") or ""))
    length = seconds(ask, kept.profile, serving)
    if length:
        sound = bool(ask.body.get("generate_audio", True))
        framed = bool(ask.body.get("keyframes"))
        return results.Film(prompt, length, width, height, FPS, seed(ask, serving), sound, framed)
    framed = not prompt and bool(source(kept))
    if ask.body.get("output_format") == "png":
        return results.Still(prompt, width, height, "png", seed(ask, serving), framed)
    return results.Still(prompt, width, height, "jpeg", seed(ask, serving), framed)


def source(kept: Kept) -> str:
    """The picture that a result begins with or is made of."""
    given = pictures(kept.ask, kept.profile)
    return given[0].source if given else ""
