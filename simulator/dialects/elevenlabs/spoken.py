"""Speech on ElevenLabs' wire: POST /v1/text-to-speech/{voice} and the same below /stream.

The form of the sound is one word of the query, `codec_rate[_kbit]`. Sources: ElevenLabs' API reference (formats,
models, lengths of texts). Not confirmed: media types other than MP3's, and `character-cost`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.elevenlabs.problems import bad, request_id
from simulator.dialects.elevenlabs.request import STREAM
from simulator.dialects.openai.audio_request import said
from simulator.media.recoded import recoded
from simulator.media.speech import speech
from simulator.script import Frame, Script

CHUNK_BYTES: Final = 8192
MEDIA: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "pcm": "audio/pcm",
    "mulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
    "opus": "audio/ogg",
}


class Output(NamedTuple):
    """A form of sound."""

    codec: str
    rate_hz: int
    bits_per_s: int | None = None


OUTPUTS: Final[Mapping[str, Output]] = {
    "mp3_22050_32": Output("mp3", 22_050, 32_000),
    "mp3_24000_48": Output("mp3", 24_000, 48_000),
    **{f"mp3_44100_{kbit}": Output("mp3", 44_100, kbit * 1000) for kbit in (32, 64, 96, 128, 192)},
    **{f"pcm_{rate}": Output("pcm", rate) for rate in (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)},
    **{f"opus_48000_{kbit}": Output("opus", 48_000, kbit * 1000) for kbit in (32, 64, 96, 128, 192)},
    "ulaw_8000": Output("mulaw", 8000),
    "alaw_8000": Output("alaw", 8000),
}


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    if body["format"] not in OUTPUTS:
        raise bad("invalid_output_format", f"Output format '{body['format']}' is not supported.", "output_format")
    if body["voice"] not in facts["voices"]:
        raise bad("voice_not_found", f"A voice with voice_id {body['voice']} was not found.", "voice_id", 404)
    count, most = len(said(body["text"])), facts["input_length"]
    if count > most:
        told = f"This request's text has {count} characters and exceeds the character limit of {most} characters."
        raise bad("max_character_limit_exceeded", told, "text")


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The text as sound."""
    text, output = said(ask.body["text"]), OUTPUTS[ask.body["format"]]
    samples = speech(text, ask.body["voice"], "pcm", ask.body["speed"], serving.seed)
    data = recoded(samples, output.codec, output.rate_hz, output.bits_per_s)
    cost = round(len(text) * profile.facts["credits_per_character"])
    headers = (
        ("content-type", MEDIA[output.codec]),
        ("request-id", request_id(serving)),
        ("character-cost", str(cost)),
    )
    billed = (("characters", float(len(text))), ("credits", float(cost)))
    if ask.operation == STREAM:
        frames = tuple(Frame(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))
        return Script(200, headers, frames, stream=True, billed=billed)
    return Script(200, headers, (Frame(data, "body"),), billed=billed)
