"""Requests for speech and transcripts: to an `Ask`, or to Fish Audio's own complaint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator import draws
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.fish import bodies
from simulator.dialects.fish.fields import Fields
from simulator.dialects.fish.problems import bad
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER, said
from simulator.media.sound import digest
from simulator.models import facts

SPEAK, SPEAK_ALIGNED, HEAR, DESIGN = "create_speech", "create_aligned_speech", "create_transcription", "design_voice"
CREATE, UPDATE, GET, DELETE, LIST = "create_voice", "update_voice", "get_voice", "delete", "list_voices"
NONCE_LENGTH: Final = 22  # characters, at the end of an id
ID_LENGTH: Final = 32
MODELS: Final = {HEAR: "transcribe-1", DESIGN: "voice-design-1", CREATE: "voice-model", UPDATE: "voice-model"}
FORMATS: Final = ("wav", "pcm", "mp3", "opus")
MP3_KBITS: Final = (64, 128, 192)
OPUS_BITS: Final = (-1000, 24_000, 32_000, 48_000, 64_000)
OPUS_KBITS: Final = (24, 32, 48, 64)  # as the official clients send them
AUTO: Final = -1000
SPEAKER: Final = re.compile(r"<\|speaker:\d+\|>")
_ID: Final = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


def spoken(request: Request, operation: str) -> Ask:
    """A request for speech. Raises Refused."""
    sent = bodies.read(request, bodies.DATA)
    fields = Fields(sent)
    text = fields.text("text", None)
    ids = _ids(fields)
    references = _references(fields, sent.get("references"))
    form = fields.option("format", FORMATS, "mp3")
    body: dict[str, Any] = {
        "text": text,
        "ids": ids,
        "references": references,
        "format": form,
        "rate_hz": fields.integer("sample_rate", 0),
        "bits_per_s": _bits(fields, form),
        "latency": fields.option("latency", ("normal", "balanced", "low"), "normal"),
        "chunk_length": fields.integer("chunk_length", 300, 100, 300),
        "any_file": request.headers.get(ANY_FILE_HEADER) == "any",
        **_prosody(fields, sent.get("prosody")),
    }
    fields.integer("min_chunk_length", 50, 0, 100)
    fields.integer("max_new_tokens", 1024)
    fields.number("temperature", 0.7, 0, 1)
    fields.number("top_p", 0.7, 0, 1)
    fields.number("repetition_penalty", 1.2)
    fields.number("early_stop_threshold", 1, 0, 1)
    fields.boolean("normalize", True)
    fields.boolean("condition_on_previous_chunks", True)
    fields.texts("features")
    fields.done()
    if not plain(text):
        raise bad("Text is empty")
    about = tuple(one[-NONCE_LENGTH:] for one in ids if _ID.fullmatch(one))
    return Ask(
        operation,
        _model(request),
        (Turn("user", text),),
        stream=operation == SPEAK_ALIGNED,
        input_tokens=tokens.count(said(text)),
        body=body,
        about=about,
        fresh=bool(about),  # a voice may be trained, or deleted
    )


def plain(text: str) -> str:
    """What is said of a text: no directives, no tags of speakers."""
    return " ".join(SPEAKER.sub(" ", said(text)).split()) if "<|" in text else said(text).strip()


def _model(request: Request) -> str:
    """The model that the header names; where there is none, or one that nobody knows, the row's default."""
    asked, row = request.headers.get("model", ""), request.facts
    known = facts.profile("", "fish", asked, row) if asked else None
    is_voice = known is not None and "usd_per_byte" in known.facts
    return asked if is_voice else str(row["default_model"])


def _ids(fields: Fields) -> tuple[str, ...]:
    """The voices that are asked for by their ids."""
    return tuple(fields.texts("reference_id"))


def _references(fields: Fields, given: Any) -> tuple[tuple[bytes, str], ...]:
    """Sounds whose voice is to be cloned; a list of lists has one list for each speaker."""
    if given is None:
        return ()
    if not isinstance(given, list | tuple):
        fields.flaw("list_type", "Input should be a valid list", "references")
        return ()
    found: list[tuple[bytes, str]] = []
    for at, row in enumerate(given):
        for nth, one in enumerate(row if isinstance(row, list | tuple) else [row]):
            loc = (at, nth) if isinstance(row, list | tuple) else (at,)
            found += _reference(fields, one, loc)
    return tuple(found)


def _reference(fields: Fields, given: Any, loc: tuple[int, ...]) -> list[tuple[bytes, str]]:
    if not isinstance(given, Mapping):
        told = "Input should be a valid dictionary or object to extract fields from"
        fields.flaw("model_attributes_type", told, "references", *loc)
        return []
    audio, text = given.get("audio"), given.get("text")
    for name, value in (("audio", audio), ("text", text)):
        if value is None:
            fields.flaw("missing", "Field required", "references", *loc, name)
    if audio is not None and not isinstance(audio, bytes):
        fields.flaw("bytes_type", "Input should be a valid bytes", "references", *loc, "audio")
    if text is not None and not isinstance(text, str):
        fields.flaw("string_type", "Input should be a valid string", "references", *loc, "text")
    return [(audio, text)] if isinstance(audio, bytes) and isinstance(text, str) else []


def _bits(fields: Fields, form: str) -> int | None:
    """The bit rate of a format that has one; None: the codec's own."""
    mp3 = fields.option("mp3_bitrate", MP3_KBITS, 128)
    opus = fields.option("opus_bitrate", (*OPUS_BITS, *OPUS_KBITS), AUTO)
    if form == "mp3":
        return int(mp3) * 1000
    if form != "opus" or opus == AUTO:
        return None
    return int(opus) * (1000 if opus in OPUS_KBITS else 1)


def _prosody(fields: Fields, given: Any) -> dict[str, float]:
    if given is not None and not isinstance(given, Mapping):
        told = "Input should be a valid dictionary or object to extract fields from"
        fields.flaw("model_attributes_type", told, "prosody")
        given = None
    inner = Fields(given or {}, *fields.loc, "prosody")
    speed, volume = inner.number("speed", 1.0, 0.5, 2.0), inner.number("volume", 0.0, -20, 20)
    inner.boolean("normalize_loudness", True)
    fields.flaws += inner.flaws
    return {"speed": float(speed), "volume": float(volume)}


def heard(request: Request) -> Ask:
    """A request for what is said. Raises Refused."""
    fields = Fields(bodies.read(request, (bodies.MULTIPART, bodies.MSGPACK)))
    audio = fields.body.get("audio")
    if audio is None:
        fields.missing("audio")
    elif not isinstance(audio, bytes | str):
        fields.flaw("bytes_type", "Input should be a valid bytes", "audio")
    body = {
        "audio": audio.encode() if isinstance(audio, str) else audio,
        "language": fields.text("language"),
        "ignore_timestamps": fields.boolean("ignore_timestamps", True),
        "any_file": request.headers.get(ANY_FILE_HEADER) == "any",
    }
    fields.done()
    return Ask(HEAR, MODELS[HEAR], body=body)


def designed(request: Request) -> Ask:
    """A request for voices by a description of them. Raises Refused."""
    fields = Fields(bodies.read(request, (bodies.JSON,)))
    body: dict[str, Any] = {
        "instruction": fields.text("instruction", None, least=1, most=2000),
        "reference_text": fields.text("reference_text", most=150),
        "language": fields.text("language"),
        "n": fields.integer("n", 2, 1, 4),
        "speed": fields.number("speed", 1.0, 0, 3),
        "num_step": fields.integer("num_step", 32, 1, 128),
        "guidance_scale": fields.number("guidance_scale", 2, 0),
        "instruct_guidance_scale": fields.number("instruct_guidance_scale", 0, 0),
        "seed": fields.integer("seed", 0),
    }
    for name in fields.body:
        if name not in body:
            fields.flaw("extra_forbidden", "Extra inputs are not permitted", str(name))
    if not body["speed"]:
        fields.flaw("greater_than", "Input should be greater than 0", "speed", ctx={"gt": 0})
    fields.done()
    texts = (body["instruction"], body["reference_text"])
    turns = tuple(Turn("user", text) for text in texts if text)
    return Ask(DESIGN, MODELS[DESIGN], turns, input_tokens=sum(tokens.count(said(text)) for text in texts), body=body)


def cloned(sounds: list[bytes] | tuple[bytes, ...]) -> str:
    """The voice that speaks in these sounds, whichever way they come."""
    return draws.digest("voice of", *[digest(sound) for sound in sounds]).hex()
