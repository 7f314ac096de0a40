"""Transcripts on Fish Audio's wire: POST /v1/asr.

Segments are told only when timestamps are asked for (`ignore_timestamps: false`); the language is the one that is
heard, whatever the hint. Sources: Fish Audio's OpenAPI file and its page on speech to text (bounds of a file). Not
confirmed: the status of a file out of bounds.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.fish.problems import JSON, bad
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened
from simulator.media.transcripts import LANGUAGES, transcript
from simulator.script import Frame, Script

BYTES_PER_S: Final = 16_000  # of a file that is taken for a sound whatever it is
_SLACK_S: Final = 0.1  # by which a codec may shorten a sound


def sound(ask: Ask, profile: Profile) -> Sound:
    """What is heard. Raises Refused."""
    audio, facts = ask.body["audio"], profile.facts
    if len(audio) > facts["audio_bytes"]:
        raise bad(f"Audio is larger than {facts['audio_bytes'] >> 20} MB", 413)
    try:
        found = listened(audio)
    except ValueError:
        if not ask.body["any_file"]:
            raise bad("Could not decode the audio") from None
        found = Sound(max(1.0, len(audio) / BYTES_PER_S), None)
    low, high = facts["audio_seconds"]
    if not low - _SLACK_S <= found.seconds <= high:
        raise bad(f"Audio must be between {low} and {high} seconds long")
    return found


def reply(ask: Ask, profile: Profile) -> Script:
    """The transcript."""
    found = sound(ask, profile)
    told = transcript(found, digest(ask.body["audio"]))
    segments = () if ask.body["ignore_timestamps"] else told.segments
    body: dict[str, Any] = {
        "text": told.text,
        "duration": round(found.seconds, 3),
        "segments": [{"text": span.text.strip(), "start": span.start_s, "end": span.end_s} for span in segments],
        "language": LANGUAGES[told.language].capitalize(),
        "language_code": told.language,
    }
    seconds = ceil(found.seconds)
    usd = round(seconds * profile.facts["usd_per_hour"] / 3600, 9)
    frame = Frame(orjson.dumps(body), "body", text_bytes=len(told.text.encode()))
    return Script(200, JSON, (frame,), billed=(("input_seconds", float(seconds)), ("usd", usd)))
