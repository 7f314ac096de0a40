"""Requests for pictures by Seedream, and what one model takes. Every rule of a model is a fact of its row.

Source: Ark's documentation, image generation API; recorded refusals for sentences. How many pictures a sequence has is
the model's to decide: here as many as the prompt says ("3 images", "4张"), else as `max_images` allows, else 2 to 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from simulator import draws
from simulator.ask import Ask, Request, Turn
from simulator.dialects.ark import fields
from simulator.dialects.ark.problems import refuse
from simulator.dialects.base import Profile
from simulator.media import results

PATH: Final = "/images/generations"
FOLDER: Final = "/ark-content-generation-v2"  # of its files
TOGETHER_MAX: Final = 15  # pictures that come along and pictures that are made
SEED_MAX: Final = 2**31 - 1
MARK: Final = "AI generated"
FORMS: Final = ("url", "b64_json")
SEQUENCES: Final = ("auto", "disabled")
UNASKED: Final = (2, 4)  # pictures of a sequence that nobody said a number of
_SIZE: Final = re.compile(r"(\d{1,5})[xX](\d{1,5})")
_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")
_RATIO: Final = re.compile(r"(?<!\d)(\d{1,2})\s*[:：]\s*(\d{1,2})(?!\d)")
_COUNT: Final = re.compile(r"(?<!\d)(\d{1,2})\s*(?:张|幅|images?\b|pictures?\b|photos?\b|scenes?\b|panels?\b)")


class Work(NamedTuple):
    """What is to be made."""

    width: int
    height: int
    number: int
    form: str  # "jpeg" or "png"
    caption: str
    seed: int


def decode(request: Request) -> Ask:
    """Read a request. Raises Refused."""
    body = fields.parsed(request)
    model: str = fields.required(body, "model", str)
    prompt: str = fields.required(body, "prompt", str)
    pictures = _pictures(body.get("image", []), request.facts["signature_secret"])
    for name in ("stream", "watermark", "optimize_prompt"):
        fields.of_kind(body.get(name, False), bool, name)
    fields.of_kind(body.get("size", ""), str, "size")
    fields.one_of(body.get("response_format", "url"), "response_format", *FORMS)
    fields.one_of(body.get("sequential_image_generation", "disabled"), "sequential_image_generation", *SEQUENCES)
    name = "sequential_image_generation_options"
    options = fields.of_kind(body.get(name, {}), dict, name)
    if options.get("max_images") is not None:
        fields.whole(options["max_images"], f"{name}.max_images", 1, TOGETHER_MAX)
    if "seed" in body:
        fields.whole(body["seed"], "seed", -1, SEED_MAX)
    if "guidance_scale" in body:
        fields.of_kind(body["guidance_scale"], float, "guidance_scale")
    fields.of_kind(body.get("optimize_prompt_options", {}), dict, "optimize_prompt_options")
    for tool in fields.of_kind(body.get("tools", []), list, "tools"):
        fields.one_of(fields.of_kind(tool, dict, "tools").get("type"), "tools.type", "web_search")
    read = body | {"pictures": pictures}
    turn = Turn("user", prompt, images=len(pictures))
    site = request.site + request.path.removesuffix(PATH)
    return Ask("create_image", model, (turn,), bool(body.get("stream")), body=read, fresh=True, site=site)


def _pictures(image: object, secret: bytes) -> list[results.Given]:
    if isinstance(image, str):
        return [fields.picture(image, "image", FOLDER, secret)]
    given = enumerate(fields.of_kind(image, list, "image"))
    return [fields.picture(one, f"image[{at}]", FOLDER, secret) for at, one in given]


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    _size(ask, profile)
    wanted = body.get("output_format")
    if wanted is not None and (len(facts["formats"]) == 1 or wanted not in facts["formats"]):
        raise refuse("output_format", f"output_format is not supported by model {profile.model}")
    if "seed" in body and not profile.has("seed"):
        raise refuse("seed", f"seed is not supported by model {profile.model}")
    _guidance(body, profile)
    if body.get("sequential_image_generation") == "auto" and not profile.has("sequence"):
        raise refuse("sequential_image_generation", f"auto is not supported by model {profile.model}")
    if ask.stream and not profile.has("streams"):
        raise refuse("stream", f"stream is not supported by model {profile.model}")
    mode = body.get("optimize_prompt_options", {}).get("mode")
    modes = facts.get("modes", ())
    if mode is not None and mode not in modes:
        raise refuse("optimize_prompt_options.mode", f"optimize_prompt_options.mode must be {_either(modes)}")
    if body.get("tools") and not profile.has("tools"):
        raise refuse("tools", f"tools is not supported by model {profile.model}")
    if len(body["pictures"]) > facts["images_max"]:
        raise refuse("image", f"the number of input images must be at most {facts['images_max']}")


def _either(modes: tuple[str, ...] | list[str]) -> str:
    return " or ".join(f"'{mode}'" for mode in modes) or "absent"


def _guidance(body: Mapping[str, Any], profile: Profile) -> None:
    if "guidance_scale" not in body:
        return
    if not profile.has("guidance"):
        raise refuse("guidance_scale", f"guidance_scale is not supported by model {profile.model}")
    low, high = profile.facts["guidance"]
    if not low <= body["guidance_scale"] <= high:
        raise refuse("guidance_scale", f"the value must be between {low} and {high}")


def _size(ask: Ask, profile: Profile) -> tuple[int, int]:
    """Width and height. A tier leaves the ratio to the model: as the prompt says, else as the first picture is."""
    facts = profile.facts
    asked = str(ask.body.get("size") or facts["tier"])
    free = _SIZE.fullmatch(asked)
    if free is not None:
        return _free(int(free[1]), int(free[2]), profile)
    tier = facts["tiers"].get(asked.upper())
    if tier is None or (profile.has("tier_by_size_only") and "size" in ask.body):
        raise refuse("size", f"size {asked} is not supported by model {profile.model}")
    width, height = tier[_ratio(ask, tier)]
    return int(width), int(height)


def _free(width: int, height: int, profile: Profile) -> tuple[int, int]:
    if "sides" in profile.facts:
        low, high = profile.facts["sides"]
        if not (low <= width <= high and low <= height <= high):
            raise refuse("size", f"image width and height must be between {low} and {high} pixels")
        return width, height
    low, high = profile.facts["pixels"]
    if width * height < low:
        raise refuse("size", f"image size must be at least {low} pixels")
    if width * height > high:
        raise refuse("size", f"image size must be at most {high} pixels")
    if max(width, height) > 16 * min(width, height):
        raise refuse("size", "image aspect ratio must be between 1/16 and 16")
    return width, height


def _ratio(ask: Ask, tier: Mapping[str, list[int]]) -> str:
    named = ["{}:{}".format(*found) for found in _RATIO.findall(_DIRECTIVE.sub(" ", ask.turns[0].text))]
    for ratio in named:
        if ratio in tier:
            return ratio
    given: list[results.Given] = ask.body["pictures"]
    if not given:
        return "1:1"
    own = given[0].width / given[0].height
    return min(tier, key=lambda name: abs(tier[name][0] / tier[name][1] - own))


def work(ask: Ask, profile: Profile, seed: int) -> Work:
    """What the request asks for; `seed` draws what it leaves open."""
    body = ask.body
    width, height = _size(ask, profile)
    caption = results.shown(ask.turns[0].text)
    marked = f"{caption} [{MARK}]" if body.get("watermark", True) else caption
    asked = body.get("seed", -1)
    drawn = draws.integer("seedream", seed) >> 97
    form = body.get("output_format") or profile.facts["formats"][0]
    return Work(width, height, _count(ask, seed), form, marked, drawn if asked == -1 else asked)


def _count(ask: Ask, seed: int) -> int:
    body = ask.body
    if body.get("sequential_image_generation") != "auto":
        return 1
    asked = body.get("sequential_image_generation_options", {}).get("max_images")
    most = min(asked or TOGETHER_MAX, TOGETHER_MAX - len(body["pictures"]))
    said = _COUNT.search(_DIRECTIVE.sub(" ", ask.turns[0].text).lower())
    count = int(said[1]) if said else asked or draws.between(draws.dice("sequence", seed), *UNASKED)
    return max(1, min(count, most))
