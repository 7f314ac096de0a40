"""What one Seedance model takes, and the clip that it makes of a request. Every rule is a fact of the model's row.

A clip of `d` seconds has 24d + 1 frames, and costs W * H * frames / 1024 tokens: so the documented and recorded counts
come out (108,900 for 5 s of 1280 x 720; the documented formula lacks the one frame more).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.ark import options
from simulator.dialects.ark.content import Given
from simulator.dialects.ark.problems import refuse
from simulator.dialects.base import Profile
from simulator.media.results import shown

FPS: Final = 24
SEED_DRAWN_MAX: Final = 99_999
MARK: Final = "AI generated"
DRAFT_RESOLUTION: Final = "480p"
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {  # field -> the facts of a model one of which it needs
    "generate_audio": ("audio",),
    "draft": ("drafts",),
    "tools": ("tools",),
    "priority": ("priority",),
    "frames": ("frames",),
    "omni_reference_task_type": ("task_types",),
    "output_format": ("output_formats",),
}


class Film(NamedTuple):
    """A clip to be made."""

    width: int
    height: int
    resolution: str
    ratio: str
    duration: int | None  # seconds, where it was said so
    frames: int  # of 24 a second
    seed: int
    sound: bool
    caption: str

    @property
    def tokens(self) -> int:
        """What it costs."""
        return self.width * self.height * self.frames // 1024


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    given: Given = body["given"]
    for name, due in FIELDS.items():
        if name in body and not any(profile.has(fact) for fact in due):
            raise refuse(name, f"`{name}` is not supported for model {profile.model}")
    if body.get("service_tier") == "flex" and not profile.has("flex"):
        raise refuse("service_tier", f"flex is not supported for model {profile.model}")
    if given.mode not in facts["modes"]:
        raise refuse("content", f"{given.mode} is not supported for model {profile.model}")
    _check_media(given, profile)
    if body.get("camera_fixed") and not (profile.has("camera") and given.mode != "r2v"):
        raise refuse("camera_fixed", f"camera_fixed is not supported for model {profile.model} in {given.mode}")
    if body.get("draft"):
        _check_draft(body, profile)
    _check_options(body["wish"], body["of_prompt"], given.mode, profile)


def _check_media(given: Given, profile: Profile) -> None:
    facts = profile.facts
    for kind, count in (("images", given.images), ("videos", given.videos), ("audios", given.audios)):
        most = facts["references"].get(kind, 0) if given.mode == "r2v" else 2
        if count > most:
            raise refuse("content", f"at most {most} {kind} are supported for model {profile.model} in {given.mode}")
    if given.first is not None:
        low, high = facts["sides"]
        width, height = given.first.width, given.first.height
        if not (low <= width <= high and low <= height <= high):
            raise refuse("content", f"image width and height must be between {low}px and {high}px")
        if not 0.4 <= width / height <= 2.5:
            raise refuse("content", "image aspect ratio must be between 0.4 and 2.5")


def _check_draft(body: Mapping[str, Any], profile: Profile) -> None:
    if body["wish"].get("resolution", DRAFT_RESOLUTION) != DRAFT_RESOLUTION:
        raise refuse("resolution", f"a draft of model {profile.model} must be {DRAFT_RESOLUTION}")
    if body.get("return_last_frame") or body.get("service_tier") == "flex":
        raise refuse("draft", "a draft has no last frame, and no flex tier")


def _check_options(wish: Mapping[str, Any], weak: frozenset[str], mode: str, profile: Profile) -> None:
    """The fields' values. Those from the prompt are passed over where they do not fit (`film`)."""
    complaints = _misfits(wish, mode, profile)
    for name, complaint in complaints.items():
        if name not in weak:
            raise refuse(name, complaint)


def _misfits(wish: Mapping[str, Any], mode: str, profile: Profile) -> dict[str, str]:
    facts, found = profile.facts, dict[str, str]()
    where = f"for model {profile.model} in {mode}"
    resolution = wish.get("resolution")
    if resolution is not None and resolution not in facts["resolutions"]:
        found["resolution"] = f"resolution {resolution} is not supported {where}"
    low, high = facts["seconds"]
    duration = wish.get("duration")
    is_auto = duration == -1 and profile.has("auto_seconds")
    if duration is not None and not is_auto and not low <= duration <= high:
        found["duration"] = f"the value must be between {low} and {high} {where}"
    if wish.get("ratio") == "adaptive" and mode == "t2v" and not profile.has("adaptive_text"):
        found["ratio"] = f"adaptive is not supported {where}"
    if "frames" in wish and not profile.has("frames"):
        found["frames"] = f"frames is not supported {where}"
    return found


def film(ask: Ask, profile: Profile, seed: int) -> Film:
    """The clip that the request asks for; `seed` draws what it leaves open."""
    body, facts = ask.body, profile.facts
    given: Given = body["given"]
    misfits = _misfits(body["wish"], given.mode, profile)
    wish = {name: value for name, value in body["wish"].items() if name not in misfits}
    dice = draws.dice("film", seed)
    resolution = DRAFT_RESOLUTION if body.get("draft") else wish.get("resolution", facts["resolution"])
    ratio = _ratio(wish.get("ratio") or facts["ratio"].get(given.mode, "adaptive"), given, facts["sizes"][resolution])
    width, height = facts["sizes"][resolution][ratio]
    duration = wish.get("duration", 5)
    if duration == -1:
        duration = draws.between(dice, *facts["seconds"])
    drawn = draws.between(dice, 0, SEED_DRAWN_MAX)
    asked = wish.get("seed", -1)
    frames = wish.get("frames")
    caption = shown(given.text)
    return Film(
        width=width,
        height=height,
        resolution=resolution,
        ratio=ratio,
        duration=duration if frames is None else None,
        frames=FPS * duration + 1 if frames is None else frames,
        seed=drawn if asked == -1 else asked,
        sound=profile.has("audio") and body.get("generate_audio", True),
        caption=f"{caption} [{MARK}]" if wish.get("watermark", profile.has("watermark")) else caption,
    )


def _ratio(asked: str, given: Given, sizes: Mapping[str, list[int]]) -> str:
    """The ratio asked for; an adaptive one is the nearest to the first picture, and wide where there is none."""
    if asked != "adaptive":
        return asked
    if given.first is None:
        return "16:9"
    own = given.first.width / given.first.height
    return min(sizes, key=lambda name: abs(sizes[name][0] / sizes[name][1] - own))


def settings(body: Mapping[str, Any], given: Given) -> tuple[Given, dict[str, Any], frozenset[str]]:
    """The content with a prompt free of options, the options, and which of them only the prompt has."""
    text, of_prompt = options.of_prompt(given.text)
    of_body = options.of_body(body)
    if "duration" in of_body and "frames" in of_body:
        of_body.pop("duration")  # frames come first
    if "frames" in of_body:
        of_prompt.pop("duration", None)
    return given._replace(text=text), of_prompt | of_body, frozenset(of_prompt) - frozenset(of_body)
