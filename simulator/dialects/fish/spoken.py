"""Speech on Fish Audio's wire: bare sound in chunks as it is made, or as events with the times of its words.

A WAV file tells the sizes of a stream whose end nobody knows. A voice is the one of a reference, however it comes: the
same sounds give the same voice inline and as a voice of one's own. A dialogue is spoken in one voice, drawn from all of
its speakers', so that it can be understood again. Not confirmed: the media type of PCM (a fact), the container of Opus
(Ogg here), the `event:` line of an event.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.fish import request as requests
from simulator.dialects.fish import voices
from simulator.dialects.fish.problems import bad
from simulator.dialects.openai.audio_request import said
from simulator.media import streamed
from simulator.media.loudness import louder
from simulator.media.recoded import recoded
from simulator.media.sound import RATE_HZ
from simulator.media.speech import listened, speech
from simulator.media.transcripts import Transcript
from simulator.problem import Problem
from simulator.script import Frame, Script

CHUNK_BYTES: Final = 4096
WAVE_BYTES: Final = 4_294_967_040  # of samples, that the head of a streamed WAV file tells
MEDIA: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/opus"}
EVENTS: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


class Chunk(NamedTuple):
    """A stretch of the text that is spoken in one go, and its share of the sound."""

    text: str
    start_s: float
    end_s: float


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body, facts = ask.body, profile.facts
    rates = facts["rates"][body["format"]]
    if body["rate_hz"] and body["rate_hz"] not in rates:
        told = ", ".join(map(str, rates))
        raise bad(f"Invalid sample_rate for {body['format']}: {body['rate_hz']}. Must be one of {told}")
    if len(body["text"].encode()) > facts["text_bytes"]:
        raise bad(f"Text is longer than {facts['text_bytes']} bytes", 413)
    speakers = len(body["ids"]) > 1 or bool(requests.SPEAKER.search(body["text"]))
    if speakers and not profile.has("speakers"):
        raise bad(f"Multi-speaker synthesis is not supported by {profile.model}")
    for sound, _ in () if body["any_file"] else body["references"]:
        try:
            listened(sound)
        except ValueError:
            raise bad("Could not decode the reference audio") from None


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script | Problem:
    """The text as sound, or why there is none."""
    voice = _voice(ask, profile, serving)
    if isinstance(voice, Problem):
        return voice
    body, facts = ask.body, profile.facts
    form, text = body["format"], requests.plain(body["text"])
    rate_hz = body["rate_hz"] or facts["rates"][form][-1]
    samples = louder(speech(text, voice, "pcm", body["speed"], serving.seed), body["volume"])
    codec = "pcm" if form == "wav" else form
    data = recoded(samples, codec, rate_hz, body["bits_per_s"])
    if form == "wav":
        data = streamed.wave(data, rate_hz, WAVE_BYTES)
    billed = _billed(ask, profile)
    if ask.operation == requests.SPEAK_ALIGNED:
        frames = tuple(_events(data, _chunks(text, body, len(samples) / 2 / RATE_HZ)))
        return Script(200, EVENTS, frames, stream=True, billed=billed)
    frames = tuple(Frame(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))
    media = MEDIA.get(form) or facts["pcm_type"]
    return Script(200, (("content-type", media),), frames, stream=True, billed=billed)


def _billed(ask: Ask, profile: Profile) -> tuple[tuple[str, float], ...]:
    count = len(said(ask.body["text"]).encode())
    usd = count * profile.facts["usd_per_byte"]
    return (("bytes", float(count)), *((("usd", round(usd, 9)),) if usd else ()))


def _voice(ask: Ask, profile: Profile, serving: Serving) -> str | Problem:
    """Whose voice it is."""
    body = ask.body
    if body["references"]:
        return requests.cloned([sound for sound, _ in body["references"]])
    if not body["ids"]:
        return profile.snapshot
    known: Sequence[Kept] = serving.jobs
    found = [voices.timbre(one, known, serving) for one in body["ids"]]
    missing = profile.facts["voice_missing"]
    for one, voice in zip(body["ids"], found, strict=True):
        if voice is None and missing:
            return Problem("invalid_request", f"Reference not found: {one}", status=missing)
    named = [voice or one for one, voice in zip(body["ids"], found, strict=True)]
    return named[0] if len(named) == 1 else " ".join(named)


def _chunks(text: str, body: Mapping[str, Any], seconds: float) -> list[Chunk]:
    """The text in stretches of at most so many characters, laid over the sound in proportion to their letters."""
    rows: list[str] = [text] if body["latency"] == "normal" else []
    for word in () if rows else text.split(" "):
        if rows and len(rows[-1]) + 1 + len(word) <= body["chunk_length"]:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    letters, at = sum(map(len, rows)), 0
    chunks: list[Chunk] = []
    for row in rows:
        chunks.append(Chunk(row, seconds * at / letters, seconds * (at + len(row)) / letters))
        at += len(row)
    return chunks


def _events(data: bytes, chunks: Sequence[Chunk]) -> Iterator[Frame]:
    """The sound in pieces, each with the times that are known of its chunk by then."""
    seconds, first = chunks[-1].end_s, True
    for seq, chunk in enumerate(chunks):
        begin, end = (round(len(data) * at / seconds) for at in (chunk.start_s, chunk.end_s))
        told = Transcript(chunk.text, "", chunk.end_s - chunk.start_s)
        for at in range(begin, end, CHUNK_BYTES):
            piece = data[at : min(at + CHUNK_BYTES, end)]
            is_last = at + CHUNK_BYTES >= end
            until_s = told.seconds if is_last else seconds * (at + len(piece)) / len(data) - chunk.start_s
            event = {
                "audio_base64": b64encode(piece).decode(),
                "content": chunk.text,
                "alignment": None if first and not is_last else _alignment(told, until_s),
                "chunk_seq": seq,
                "chunk_audio_offset_sec": round(chunk.start_s, 3),
            }
            first = False
            shown = chunk.text if is_last else ""
            yield Frame(b"event: message\ndata: %b\n\n" % orjson.dumps(event), "delta", text_bytes=len(shown.encode()))


def _alignment(told: Transcript, until_s: float) -> dict[str, Any]:
    rows = [
        {"text": span.text, "start": span.start_s, "end": span.end_s}
        for span in told.words
        if span.end_s <= until_s + 0.01  # times are rounded to hundredths
    ]
    return {"audio_duration": round(until_s, 3), "segments": rows}
