"""Requests of the voice wire: a JSON object to be spoken, or a form whose last part is a file to listen to."""

from __future__ import annotations

from typing import Any, Final

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER, said
from simulator.dialects.openai.request import BODY_BYTES_MAX, parsed
from simulator.dialects.xai.request import bad, unprocessable
from simulator.media.recoded import CODECS, RATES_HZ
from simulator.problem import Problem, Refused

SPEAK, HEAR = "create_speech", "create_transcription"
MODELS: Final = {SPEAK: "grok-tts", HEAR: "grok-stt"}
RAW: Final = ("pcm", "mulaw", "alaw")
CONTAINERS: Final = ("wav", "mp3", "ogg", "opus", "flac", "aac", "mp4", "m4a", "mkv")
SPEEDS: Final = (0.25, 4.0)
BIT_RATES: Final = (32_000, 64_000, 96_000, 128_000, 192_000)
_FLAGS: Final = ("format", "multichannel", "diarize", "filler_words")


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    body, text = _speech(request) if operation == SPEAK else _form(request)
    return Ask(operation, MODELS[operation], (Turn("user", text),), input_tokens=tokens.count(said(text)), body=body)


def _speech(request: Request) -> tuple[dict[str, Any], str]:
    body = parsed(request.body)
    text = body.get("text")
    if not isinstance(text, str):
        raise unprocessable("missing field `text`" if text is None else "text: invalid type, expected a string")
    if not said(text):
        raise bad("text must not be empty")
    voice = body.get("voice_id", body.get("voice")) or "eve"
    language = body.get("language")
    if not isinstance(voice, str) or not isinstance(language, str | None):
        raise unprocessable("invalid type, expected a string")
    speed = body.get("speed") or 1.0
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise bad(f"speed must be between {SPEEDS[0]} and {SPEEDS[1]}")
    return body | {"voice": voice.lower(), "speed": float(speed), "output": _output(body.get("output_format"))}, text


def _output(given: Any) -> tuple[str, int, int]:
    """Codec, rate and bit rate of the sound that is asked for."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise unprocessable("output_format: invalid type, expected struct OutputFormat")
    codec, rate = given.get("codec") or "mp3", given.get("sample_rate") or 24_000
    bits = given.get("bit_rate") or 128_000
    for name, value, words in (
        ("codec", codec, CODECS),
        ("sample_rate", rate, RATES_HZ),
        ("bit_rate", bits, BIT_RATES),
    ):
        if value not in words:
            raise bad(f"output_format.{name} must be one of {', '.join(map(str, words))}")
    return codec, int(rate), int(bits)


def _form(request: Request) -> tuple[dict[str, Any], str]:
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        parts = forms.parts(request.headers.get("content-type", ""), request.body)
    except ValueError as error:
        raise bad(f"Invalid multipart form: {error}") from None
    body: dict[str, Any] = {"any_file": request.headers.get(ANY_FILE_HEADER) == "any", "keyterms": []}
    for part in parts:
        if part.name == "file":
            body["file"] = part.data
            break  # what comes after it is not read
        if part.name == "keyterm":
            body["keyterms"].append(part.text)
        else:
            body[part.name] = part.text
    _checked(body)
    return body, " ".join(body["keyterms"])


def _checked(body: dict[str, Any]) -> None:
    if ("file" in body) == bool(body.get("url")):
        raise bad("Exactly one of file and url must be provided")
    for name in _FLAGS:
        if body.setdefault(name, "false") not in ("true", "false"):
            raise bad(f"{name} must be true or false")
        body[name] = body[name] == "true"
    if body["format"] and not body.get("language"):
        raise bad("language is required when format is true")
    form, rate = body.get("audio_format"), body.get("sample_rate", body.get("sample_rate_hertz"))
    if form is not None and form not in (*RAW, *CONTAINERS):
        raise bad(f"Unsupported audio_format: {form}")
    if rate is not None and rate not in map(str, RATES_HZ):
        raise bad(f"sample_rate must be one of {', '.join(map(str, RATES_HZ))}")
    if form in RAW and rate is None:
        raise bad(f"sample_rate is required when audio_format is {form}")
    body["rate_hz"] = int(rate or 0)
