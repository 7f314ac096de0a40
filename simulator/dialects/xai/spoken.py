"""Speech on xAI's wire: bare sound in chunks, as it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.audio_request import said
from simulator.dialects.xai import base
from simulator.dialects.xai.request import bad
from simulator.media.recoded import recoded
from simulator.media.speech import speech
from simulator.script import Frame, Script

CHUNK_BYTES: Final = 8192
MEDIA: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "mulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    facts, body = profile.facts, ask.body
    if len(body["text"]) > facts["input_length"]:
        raise bad(f"text exceeds the maximum length of {facts['input_length']} characters")
    if body["voice"] not in facts["voices"]:
        raise bad(f"Unknown voice_id: {body['voice']}")


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG001
    """The text as sound."""
    body, text = ask.body, said(ask.body["text"])
    codec, rate_hz, bits_per_s = body["output"]
    samples = speech(text, body["voice"], "pcm", body["speed"], serving.seed)
    data = recoded(samples, codec, rate_hz, bits_per_s)
    frames = tuple(Frame(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))
    headers = (("content-type", MEDIA[codec]), ("x-trace-id", base.uuid(serving)), *base.EDGE)
    return Script(200, headers, frames, stream=True, billed=(("characters", float(len(text))),))
