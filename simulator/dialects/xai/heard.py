"""Transcripts on xAI's wire: the text and its words, each with its times and, where it was asked for, who said it."""

from __future__ import annotations

import re
import struct
from typing import Any, Final

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Serving
from simulator.dialects.xai import base
from simulator.dialects.xai.request import bad
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened
from simulator.media.transcripts import Transcript, transcript
from simulator.script import Frame, Script

BYTES_PER_S: Final = 16_000  # of a file that is taken for a sound whatever it is
UNHEARD_S: Final = 10.0  # of a sound at an address
MISSING: Final = ("does-not-exist", ".invalid")
WAVE_TAGS: Final = {"pcm": (1, 16), "mulaw": (7, 8), "alaw": (6, 8)}  # of bare samples: format and bits in a WAV file
_WORD: Final = re.compile(r"\S+")


def sound(ask: Ask) -> Sound:
    """What is heard. Raises Refused."""
    body = ask.body
    if "file" not in body:
        if any(word in body["url"] for word in MISSING) or not body["url"].startswith(("http://", "https://")):
            raise bad("Failed to download the audio file from its URL")
        return Sound(UNHEARD_S, None)
    data: bytes = body["file"]
    form = body.get("audio_format")
    try:
        found = listened(_wave(data, form, body["rate_hz"]) if form in WAVE_TAGS else data)
    except ValueError:
        found = None
    if found is None or found.seconds <= 0:
        if not body["any_file"]:
            raise bad("Failed to decode the audio file")
        found = Sound(max(1.0, len(data) / BYTES_PER_S), None)
    return found


def _wave(samples: bytes, form: str, rate_hz: int) -> bytes:
    """Bare samples as a WAV file."""
    tag, bits = WAVE_TAGS[form]
    step = bits // 8
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, tag, 1, rate_hz, rate_hz * step, step, bits, b"data", len(samples))
    return struct.pack("<4sI4s", b"RIFF", 4 + len(head) + len(samples), b"WAVE") + head + samples


def reply(ask: Ask, serving: Serving) -> Script:
    """The transcript."""
    body, found = ask.body, sound(ask)
    key = digest(body["file"] if "file" in body else body["url"].encode("utf-8", "surrogatepass"))
    told = transcript(found, key, (body.get("language") or "").partition("-")[0])
    words = _words(told, has_speakers=body["diarize"])
    out: dict[str, Any] = {"text": told.text, "language": told.language, "duration": round(found.seconds, 2)}
    if words:
        out["words"] = words
    if body["multichannel"]:
        out["channels"] = [{"index": 0, "text": told.text, "words": words}]
    headers = (("content-type", "application/json"), ("x-trace-id", base.uuid(serving)), *base.EDGE)
    frame = Frame(orjson.dumps(out), "body", text_bytes=len(told.text.encode()))
    return Script(200, headers, (frame,), billed=(("input_seconds", round(found.seconds, 2)),))


def _words(told: Transcript, *, has_speakers: bool) -> list[dict[str, Any]]:
    """The words as they are written, laid over the sound in proportion to their letters."""
    share = told.seconds / max(1, len(told.text))
    speaker = {"speaker": 0} if has_speakers else {}
    return [
        {"text": word[0], "start": round(word.start() * share, 3), "end": round(word.end() * share, 3), **speaker}
        for word in _WORD.finditer(told.text)
    ]
