"""What a request of the Videos wire makes, what it takes and costs, and the bytes of each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from simulator import draws
from simulator.ask import Ask
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.videos_request import CREATE, EXTEND, Source
from simulator.jobs import plans
from simulator.jobs.job import Plan, State
from simulator.media import clips, frames
from simulator.media.captions import caption

FPS: Final = 24
CHECK_MS: Final = 3_000  # a prompt that is refused is refused so soon
BLOCKED: Final = "Your request was blocked by our moderation system."
MISFIT: Final = "Inpaint image must match the requested width and height"


class Work(NamedTuple):
    """One video."""

    prompt: str
    seconds: float
    width: int
    height: int
    seed: int
    image: bytes | None
    made_s: float  # of the seconds, those that are new


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what this model does not take."""
    body, facts = ask.body, profile.facts
    if body["seconds"] is not None:
        fields.one_of(*facts["added_seconds" if ask.operation == EXTEND else "seconds"])(body["seconds"], "seconds")
    if body["source"] and of_source(ask, profile) > facts["longest_s"]:
        raise refuse(f"The video would be longer than {facts['longest_s']} seconds.", "seconds", "invalid_value")
    if ask.operation != CREATE:
        return
    if body["size"] is not None:
        fields.one_of(*facts["sizes"])(body["size"], "size")
    shape, due = body["shape"], _size(body["size"] or facts["sizes"][0])
    if shape is not None and facts.get("exact_reference") and tuple(shape[:2]) != due:
        raise refuse(MISFIT)


def of(ask: Ask, profile: Profile, serving: Serving) -> Work:
    """The video that a request asks for: a new one, or one made of another."""
    body, facts = ask.body, profile.facts
    source: Source | None = body["source"]
    seed = draws.integer("video", serving.seed) >> 96
    asked = float(body["seconds"] or facts["seconds"][0])
    if source is None:
        return Work(
            caption(body["prompt"]), asked, *_size(body["size"] or facts["sizes"][0]), seed, body["image"], asked
        )
    seconds = of_source(ask, profile)
    made_s = asked if ask.operation == EXTEND else seconds
    return Work(caption(body["prompt"]), seconds, source.width, source.height, seed, source.image, made_s)


def of_source(ask: Ask, profile: Profile) -> float:
    """How long a video that is made of another one is, in seconds."""
    added = float(ask.body["seconds"] or profile.facts["seconds"][0]) if ask.operation == EXTEND else 0.0
    return float(ask.body["source"].seconds) + added


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a video when nothing goes wrong: its prompt may be refused soon, or itself once rendered."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    drawn = plans.drawn(profile.facts["pace"], round(of(ask, profile, serving).made_s), *key)
    drawn = replace(drawn, steps=0)
    if inspection.refuses_input(ask.body["prompt"]):
        return replace(drawn, run_ms=CHECK_MS, ends=State.FAILED, error=BLOCKED)
    return replace(drawn, is_empty=inspection.refuses_output(ask.body["prompt"]))


def price(made: Work, facts: Mapping[str, Any]) -> dict[str, float]:
    """What the new seconds of a video cost; a size that is no model's own costs what the default does."""
    each = facts["usd_per_second"].get(f"{made.width}x{made.height}", facts["usd_per_second"][facts["sizes"][0]])
    return {"output_seconds": made.made_s, "usd": round(made.made_s * each, 6)}


def video(kept: Kept) -> bytes:
    """The clip."""
    made = of(kept.ask, kept.profile, kept.serving)
    return clips.clip(made.prompt, made.seconds, made.width, made.height, FPS, made.seed, made.image, True)


VARIANTS: Final[Mapping[str, tuple[str, Callable[[Kept], bytes]]]] = {  # media type, and how it is made
    "video": ("video/mp4", video),
    "thumbnail": ("image/webp", lambda kept: frames.thumbnail(video(kept), "webp")),
    "spritesheet": ("image/jpeg", lambda kept: frames.sheet(video(kept), "jpeg")),
}


def _size(words: str) -> tuple[int, int]:
    width, _, height = words.partition("x")
    return int(width), int(height)
