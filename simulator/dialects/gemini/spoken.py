"""Speech on Gemini's wire: the prompt spoken, as bare samples; in a stream, a part for each half second.

Source: the public guide to speech generation (24 kHz, 16 bits, one channel) and public captures of replies. The rate
of tokens is not confirmed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from math import ceil
from random import Random
from typing import Any, Final

from simulator.answers.answer import Block, Native
from simulator.ask import Ask
from simulator.media.captions import caption
from simulator.media.sound import RATE_HZ
from simulator.media.speech import speech

MIME: Final = f"audio/L16;codec=pcm;rate={RATE_HZ}"
VOICE: Final = "Kore"
TOKENS_PER_S: Final = 25
PIECE_BYTES: Final = RATE_HZ  # half a second of 16-bit samples
TEXT_BYTES: Final = 30_000


def voice(ask: Ask) -> str:
    """The name of the voice that is asked for; of several speakers, the first one's."""
    config: Mapping[str, Any] = ask.body.get("generationConfig", {}).get("speechConfig") or {}
    several = _part(config, "multiSpeakerVoiceConfig", "multi_speaker_voice_config")
    speakers = several.get("speakerVoiceConfigs") or several.get("speaker_voice_configs")
    one = speakers[0] if isinstance(speakers, list) and speakers and isinstance(speakers[0], Mapping) else config
    prebuilt = _part(_part(one, "voiceConfig", "voice_config"), "prebuiltVoiceConfig", "prebuilt_voice_config")
    name = prebuilt.get("voiceName") or prebuilt.get("voice_name")
    return name if isinstance(name, str) and name else VOICE


def _part(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    for name in names:
        found = found or (config[name] if isinstance(config.get(name), Mapping) else {})
    return found


def spoken(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """The last turn as sound; nothing when the request does not want to hear anything."""
    config = ask.body.get("generationConfig", {})
    if "AUDIO" not in (config.get("responseModalities") or ()):
        return ()
    text = caption(ask.last_turn.text if ask.last_turn else "", TEXT_BYTES)
    text = text.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore")
    data = speech(text, voice(ask), "pcm", seed=dice.getrandbits(32))
    size = PIECE_BYTES if ask.stream else len(data)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return tuple(_native(piece) for piece in pieces)


def _native(samples: bytes) -> Native:
    part = {"inlineData": {"mimeType": MIME, "data": b64encode(samples).decode()}}
    return Native({"part": part}, tokens=ceil(len(samples) / 2 / RATE_HZ * TOKENS_PER_S), final=True)
