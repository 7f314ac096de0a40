"""What a Veo request makes: how many clips of which length and size, and each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from simulator import draws
from simulator.ask import Ask
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.jobs import plans
from simulator.jobs.job import Plan, State
from simulator.media import clips
from simulator.media.captions import caption

FPS: Final = 24
CHECK_MS: Final = 2_000  # a prompt that is refused is refused so soon
SHORT_SIDES: Final[Mapping[str, int]] = {"720p": 720, "1080p": 1080, "4k": 2160}


class Work(NamedTuple):
    """The clips of one request."""

    prompt: str
    samples: int
    seconds: float
    width: int
    height: int
    seed: int
    resolution: str
    has_sound: bool
    image: bytes | None


def of(ask: Ask, profile: Profile, serving: Serving) -> Work:
    """The clips that a request asks for. An extension makes one clip of the source and what is added to it."""
    given, facts, source = ask.body["parameters"], profile.facts, ask.body["source"]
    resolution = given.get("resolution", "720p")
    width, height = _size(resolution, given.get("aspectRatio", "16:9"))
    seconds = float(given.get("durationSeconds", max(facts["seconds"])))
    if "video" in ask.body["inputs"]:
        seconds = float(facts["extension_s"]) + (source.seconds if source else max(facts["seconds"]))
    if source:
        width, height = source.width, source.height
    seed = given.get("seed")
    return Work(
        prompt=caption(ask.body["prompt"]),
        samples=int(given.get("sampleCount", 1)),
        seconds=seconds,
        width=width,
        height=height,
        seed=draws.integer("veo", serving.seed) >> 96 if seed is None else int(seed),
        resolution=resolution,
        has_sound=profile.has("sound") and given.get("generateAudio", True),
        image=source.image if source else ask.body["image"],
    )


def clip(kept: Kept, sample: int) -> bytes:
    """One of the clips."""
    made = of(kept.ask, kept.profile, kept.serving)
    size = made.width, made.height
    return clips.clip(made.prompt, made.seconds, *size, FPS, made.seed + sample, made.image, made.has_sound)


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of an operation: its prompt may be refused soon, or its clips once they are rendered."""
    made = of(ask, profile, serving)
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    drawn = plans.drawn(profile.facts["pace"], round(made.seconds * made.samples), *key)
    if inspection.refuses_input(ask.body["prompt"]):
        return replace(drawn, run_ms=CHECK_MS, ends=State.FAILED, error=profile.facts["blocked"])
    return replace(drawn, is_empty=inspection.refuses_output(ask.body["prompt"]))


def price(made: Work, samples: int, facts: Mapping[str, Any]) -> dict[str, float]:
    """What so many of the clips cost."""
    seconds = made.seconds * samples
    return {"output_seconds": seconds, "usd": round(seconds * facts["usd_per_second"][made.resolution], 6)}


def _size(resolution: str, aspect: str) -> tuple[int, int]:
    short = SHORT_SIDES[resolution]
    long = short * 16 // 9
    return (short, long) if aspect == "9:16" else (long, short)
