"""Transcripts on ElevenLabs' wire: POST /v1/speech-to-text.

Words and the spaces between them, with their times, as recorded; whose they are, where speakers are asked for. The
language is told as ISO 639-3. A sound at an address is not downloaded: it counts as an invented one, and one with
`does-not-exist` or `.invalid` in it cannot be fetched. Not there: webhooks, several channels, entities, other formats.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.elevenlabs.problems import bad, request_id
from simulator.dialects.elevenlabs.request import RAW_FORMAT
from simulator.media import streamed
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened
from simulator.media.transcripts import LANGUAGES, Transcript, transcript
from simulator.script import Frame, Script

BYTES_PER_S: Final = 16_000  # of a file that is taken for a sound whatever it is
UNHEARD_S: Final = 10.0  # of a sound at an address
RAW_HZ: Final = 16_000
MISSING: Final = ("does-not-exist", ".invalid")
_PIECE: Final = re.compile(r"\S+|\s+")
_NAMES: Final = """
    af:afr ar:ara hy:hye az:aze be:bel bs:bos bg:bul ca:cat zh:zho hr:hrv cs:ces da:dan nl:nld en:eng et:est fi:fin
    fr:fra gl:glg de:deu el:ell he:heb hi:hin hu:hun is:isl id:ind it:ita ja:jpn kn:kan kk:kaz ko:kor lv:lav lt:lit
    mk:mkd ms:msa mr:mar mi:mri ne:nep no:nor fa:fas pl:pol pt:por ro:ron ru:rus sr:srp sk:slk sl:slv es:spa sw:swa
    sv:swe tl:tgl ta:tam th:tha tr:tur uk:ukr ur:urd vi:vie cy:cym
"""
CODES: Final = dict(row.split(":") for row in _NAMES.split())  # ISO 639-1 -> 639-3


def language(ask: Ask) -> str:
    """The language that is told, as ISO 639-1; "": none. Raises Refused."""
    asked = ask.body["language"].lower().partition("-")[0]
    code = next((short for short, long in CODES.items() if asked in (short, long)), "")
    if asked and code not in LANGUAGES:
        raise bad("invalid_parameters", f"Language code '{asked}' is not supported.", "language_code")
    return code


def sound(ask: Ask) -> Sound:
    """What is heard. Raises Refused."""
    body = ask.body
    if "file" not in body:
        if any(word in body["url"] for word in MISSING):
            raise bad("invalid_parameters", "The file at cloud_storage_url could not be fetched.", "cloud_storage_url")
        return Sound(UNHEARD_S, None)
    data: bytes = body["file"]
    try:
        return listened(streamed.wave(data, RAW_HZ) if body["file_format"] == RAW_FORMAT else data)
    except ValueError:
        if body["any_file"]:
            return Sound(max(1.0, len(data) / BYTES_PER_S), None)
        told = "File upload is corrupted. Please ensure it is playable audio."
        raise bad("invalid_content", told, "file") from None


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The transcript."""
    body, found, asked = ask.body, sound(ask), language(ask)
    source: bytes = body["file"] if "file" in body else body["url"].encode("utf-8", "surrogatepass")
    told = transcript(found, digest(source), asked)
    dice = draws.dice("probability", serving.seed)
    out: dict[str, Any] = {
        "language_code": CODES[told.language],
        "language_probability": 1.0 if asked else round(0.88 + 0.12 * dice.random(), 7),
        "text": told.text,
        "words": _words(told, ask),
    }
    if profile.has("transcription_id"):
        out["transcription_id"] = serving.nonce[:20]
    headers = (("content-type", "application/json"), ("request-id", request_id(serving)))
    frame = Frame(orjson.dumps(out), "body", text_bytes=len(told.text.encode()))
    return Script(200, headers, (frame,), billed=(("input_seconds", round(found.seconds, 3)),))


def _words(told: Transcript, ask: Ask) -> list[dict[str, Any]]:
    """Words and spaces, laid over the sound in proportion to their letters."""
    share = told.seconds / max(1, len(told.text))
    return [_word(piece[0], piece.start(), piece.end(), share, ask) for piece in _PIECE.finditer(told.text)]


def _word(text: str, start: int, end: int, share: float, ask: Ask) -> dict[str, Any]:
    granularity = ask.body["granularity"]
    timed = granularity != "none"
    row: dict[str, Any] = {
        "text": text,
        "start": round(start * share, 3) if timed else None,
        "end": round(end * share, 3) if timed else None,
        "type": "spacing" if text.isspace() else "word",
        **({"speaker_id": "speaker_0"} if ask.body["diarize"] else {}),
        "logprob": 0.0,
    }
    if granularity == "character":
        row["characters"] = [
            {"text": letter, "start": round((start + at) * share, 3), "end": round((start + at + 1) * share, 3)}
            for at, letter in enumerate(text)
        ]
    return row
