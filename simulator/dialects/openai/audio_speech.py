"""How speech is written on the Audio wire: as bytes in chunks, or as events with base64 in them.

Source: the public specification (CreateSpeechResponseStreamEvent, 2.3.0) and a recorded reply; that no `[DONE]` follows
is not confirmed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Final, cast

import orjson

from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import audio_headers as headers
from simulator.dialects.openai.audio_request import said
from simulator.media.sound import Form
from simulator.media.speech import duration_s, speech
from simulator.script import Frame, Script

MEDIA: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
CHUNK_BYTES: Final = 8192
TOKENS_PER_S: Final = 20


def spoken(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The input as sound."""
    body = ask.body
    form = cast(Form, body.get("response_format") or "mp3")
    speed, text = body.get("speed") or 1.0, said(body["input"])
    voice = body["voice"] if isinstance(body["voice"], str) else body["voice"]["id"]
    data = speech(text, voice, form, speed, serving.seed)
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    output = ceil(TOKENS_PER_S * duration_s(text, speed))
    usage = Usage(ask.input_tokens, output) if profile.has("tokens") else None
    shares = _shares(output if usage else 0, len(pieces))
    if ask.stream:
        frames = (*_events(pieces, shares), _done(Usage(ask.input_tokens, output)))
    else:
        frames = tuple(Frame(piece, "delta", share) for piece, share in zip(pieces, shares, strict=True))
    told = headers.answer(headers.EVENTS if ask.stream else MEDIA[form], ask, profile, serving)
    return Script(200, told, frames, stream=True, usage=usage)


def _events(pieces: Sequence[bytes], shares: Sequence[int]) -> Iterator[Frame]:
    for piece, share in zip(pieces, shares, strict=True):
        event = {"type": "speech.audio.delta", "audio": b64encode(piece).decode()}
        yield Frame(b"data: %b\n\n" % orjson.dumps(event), "delta", share)


def _done(usage: Usage) -> Frame:
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    counts["total_tokens"] = usage.input_tokens + usage.output_tokens
    return Frame(b"data: %b\n\n" % orjson.dumps({"type": "speech.audio.done", "usage": counts}), "stop")


def _shares(whole: int, count: int) -> list[int]:
    """A number in so many parts of about the same size."""
    return [whole * (at + 1) // count - whole * at // count for at in range(count)]
