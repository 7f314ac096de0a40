"""Requests of ElevenLabs' wire: a form with a sound, or JSON with a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.elevenlabs.problems import bad, flaw, unprocessable
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER, said

HEAR, SPEAK, STREAM = "create_transcription", "create_speech", "stream_speech"
RAW_FORMAT: Final = "pcm_s16le_16"
GRANULARITIES: Final = ("none", "word", "character")
SPEEDS: Final = (0.7, 1.2)
_FLAGS: Final = {"diarize": False, "tag_audio_events": True, "webhook": False, "use_multi_channel": False}


def heard(request: Request) -> Ask:
    """A request for what is said. Raises Refused."""
    try:
        parts = forms.parts(request.headers.get("content-type", ""), request.body)
    except ValueError:
        raise bad("invalid_request", "There was an error parsing the body") from None
    sent = {part.name: part.text for part in parts if part.filename is None}
    file = next((part.data for part in parts if part.name == "file" and part.filename is not None), None)
    flaws: list[dict[str, Any]] = []
    if "model_id" not in sent:
        flaws.append(flaw("missing", "Field required", "body", "model_id"))
    body: dict[str, Any] = {name: _flag(sent, name, usual, flaws) for name, usual in _FLAGS.items()}
    body["granularity"] = _option(sent, "timestamps_granularity", GRANULARITIES, "word", flaws)
    body["file_format"] = _option(sent, "file_format", (RAW_FORMAT, "other"), "other", flaws)
    body["language"] = sent.get("language_code", "")
    body["any_file"] = request.headers.get(ANY_FILE_HEADER) == "any"
    if flaws:
        raise unprocessable(flaws)
    url = sent.get("cloud_storage_url", "")
    if (file is None) == (not url):
        raise bad("invalid_parameters", "Exactly one of 'file' and 'cloud_storage_url' must be provided.", "file")
    if url and not url.startswith("https://"):
        raise bad("invalid_parameters", "The cloud_storage_url must be an HTTPS URL.", "cloud_storage_url")
    if body["webhook"]:
        raise bad("invalid_parameters", "No speech-to-text webhooks are configured.", "webhook")
    body |= {"url": url} if file is None else {"file": file}
    return Ask(HEAR, sent["model_id"], body=body)


def _flag(sent: Mapping[str, str], name: str, usual: bool, flaws: list[dict[str, Any]]) -> bool:
    value = sent.get(name, "").lower()
    if value in ("true", "false", "1", "0", ""):
        return value in ("true", "1") if value else usual
    told = "Input should be a valid boolean, unable to interpret input"
    flaws.append(flaw("bool_parsing", told, "body", name, given=sent[name]))
    return usual


def _option(
    sent: Mapping[str, str], name: str, options: tuple[str, ...], usual: str, flaws: list[dict[str, Any]]
) -> str:
    value = sent.get(name) or usual
    if value not in options:
        known = " or ".join(repr(option) for option in options)
        flaws.append(flaw("literal_error", f"Input should be {known}", "body", name, given=value))
    return value


def spoken(request: Request, operation: str) -> Ask:
    """A request for speech. Raises Refused."""
    try:
        sent = orjson.loads(request.body)
    except ValueError as error:
        raise unprocessable([flaw("json_invalid", f"JSON decode error: {error}", "body")]) from None
    if not isinstance(sent, dict):
        raise unprocessable([flaw("model_attributes_type", "Input should be a valid dictionary", "body", given=sent)])
    text, model = sent.get("text"), sent.get("model_id") or str(request.facts["speech_model"])
    if text is None:
        raise unprocessable([flaw("missing", "Field required", "body", "text", given=sent)])
    for name, value in (("text", text), ("model_id", model)):
        if not isinstance(value, str):
            raise unprocessable([flaw("string_type", "Input should be a valid string", "body", name, given=value)])
    query = parse_qs(request.query, errors="replace")
    body = {
        "text": text,
        "voice": request.params["voice"],
        "format": query.get("output_format", ["mp3_44100_128"])[-1],
        "speed": _speed(sent.get("voice_settings")),
    }
    return Ask(operation, model, (Turn("user", text),), input_tokens=tokens.count(said(text)), body=body)


def _speed(settings: Any) -> float:
    speed = settings.get("speed") if isinstance(settings, dict) else None
    if speed is None:
        return 1.0
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise bad("invalid_voice_settings", f"speed must be between {SPEEDS[0]} and {SPEEDS[1]}", "voice_settings")
    return float(speed)
