"""Voices by a description: POST /v1/voice-design. Nothing is kept; the candidates come as WAV files in base64."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.fish.problems import JSON
from simulator.dialects.openai.audio_request import said
from simulator.media.recoded import recoded
from simulator.media.sound import RATE_HZ
from simulator.media.speech import speech
from simulator.media.transcripts import spoken
from simulator.script import Frame, Script

SAMPLE_RATE_HZ: Final = 44_100
PREVIEW: Final = "Hello, this is how I sound. I hope that you like my voice."


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The candidates."""
    rows = [_candidate(at, ask, serving) for at in range(ask.body["n"])]
    frame = Frame(orjson.dumps({"candidates": rows}), "body")
    return Script(200, JSON, (frame,), billed=(("voice_designs", 1.0), ("usd", profile.facts["usd_per_request"])))


def _candidate(index: int, ask: Ask, serving: Serving) -> dict[str, Any]:
    body = ask.body
    own = draws.digest("design", body["instruction"], body["seed"], index).hex()
    text = said(body["reference_text"]) or PREVIEW
    samples = speech(text, own, "pcm", body["speed"], serving.seed)
    return {
        "id": own,
        "index": index,
        "audio_base64": b64encode(recoded(samples, "wav", SAMPLE_RATE_HZ)).decode(),
        "sample_rate": SAMPLE_RATE_HZ,
        "duration_ms": round(len(samples) / 2 / RATE_HZ * 1000),
        "text": text,
        "instruct": said(body["instruction"]),
        "language": body["language"] or spoken(text),
    }
