"""What one Veo model takes. Every rule is switched by a fact of its row (`models/veo.yaml`) or of the mount.

Sentences: those about unknown keys, `personGeneration`, lengths and types are Google's as public issues quote them;
that of a resolution that needs the full length, and of words that are none, are not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.veo.request import unsupported

SEED_MAX: Final = 2**32 - 1
REFERENCES_MAX: Final = 3
_BOOLEANS: Final = ("generateAudio", "enhancePrompt")
_TEXTS: Final = (
    "negativePrompt",
    "storageUri",
    "gcsOutputDirectory",
    "compressionQuality",
    "resizeMode",
    "pubsubTopic",
)


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    documentation = facts.get("documentation", "Gemini API")
    given: Mapping[str, Any] = body["parameters"]
    lacking = [name for name in body["inputs"] if name not in facts["inputs"]]
    foreign = [name for name in given if name not in facts["parameters"]]
    for name in (*body["unknown"], *lacking, *foreign):
        raise unsupported(name, documentation)
    if not body["prompt"] and not {"image", "video"} & set(body["inputs"]):
        raise refuse("Either a prompt or an image must be provided.")
    seconds = facts["seconds"]
    _number(given, "durationSeconds", min(seconds), max(seconds), seconds)
    _number(given, "sampleCount", 1, facts["samples"])
    _number(given, "seed", 0, SEED_MAX)
    for name in ("resolution", "aspectRatio"):
        _word(given, name, facts[name])
    _word(given, "personGeneration", facts["person_generation"]["image" if body["inputs"] else "text"])
    for name in _BOOLEANS:
        if not isinstance(given.get(name, True), bool):
            raise refuse(f"The value type for `{name}` needs to be a boolean.")
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise refuse(f"The value type for `{name}` needs to be a string.")
    source = body["source"]
    if source and source.seconds + facts["extension_s"] > facts["longest_s"]:
        raise refuse(f"The extended video would be longer than {facts['longest_s']} seconds.")
    full, asked = max(seconds), given.get("durationSeconds", max(seconds))
    resolution = given.get("resolution")
    if resolution in facts.get("full_length", ()) and asked != full:
        raise refuse(f"Resolution {resolution} requires duration seconds to be {full} seconds, but got {asked}.")


def _number(given: Mapping[str, Any], name: str, low: int, high: int, only: list[int] | None = None) -> None:
    value = given.get(name, low)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(f"The value type for `{name}` needs to be a number.")
    if not low <= value <= high or value != int(value) or (only and value not in only):
        due = f"Please provide a value between {low} and {high}, inclusive."
        raise refuse(f"The number value for {name} is out of bound. {due}")


def _word(given: Mapping[str, Any], name: str, words: list[str]) -> None:
    value = given.get(name)
    if value is not None and value not in words:
        raise refuse(f"{str(value)[:64]} for {name} is currently not supported.")
