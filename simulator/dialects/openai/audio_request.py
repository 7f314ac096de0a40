"""Reads a request for speech (JSON) or for what is said in a file (a form): to an `Ask`, or to OpenAI's own complaint.

Of a form, numbers and yes/no become what they would be in JSON, `name[]` becomes the list `name`, and the file comes
out as a `forms.Part` under `file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator import forms
from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.media.sound import FORMS
from simulator.media.transcripts import LANGUAGES
from simulator.problem import Problem, Refused

SPEECH: Final = "create_speech"
ANY_FILE_HEADER: Final = "x-windtunnel-files"  # "any": whatever is sent as a file is taken for a sound
UPLOAD_BYTES_MAX: Final = 25 << 20
NAMES: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
UNREADABLE: Final = f"Invalid file format. Supported formats: {list(NAMES)}"
_FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_LISTS: Final = frozenset(
    {"include", "timestamp_granularities", "known_speaker_names", "known_speaker_references", "keywords", "languages"}
)
_DIRECTIVE: Final = re.compile(r"\s*\[\[[^\]]*\]\]")


def _voice(value: Any, where: str) -> None:
    """A name, or an object with the id of a voice of one's own."""
    if isinstance(value, dict):
        fields.required(value, "id", where, fields.string)
    else:
        fields.string(value, where)


def _language(value: Any, where: str) -> None:
    if value not in LANGUAGES:
        said = f"Invalid language '{value}'. Language parameter must be specified in ISO-639-1 format."
        raise refuse(said, where, "invalid_language_format")


def _each(check: fields.Check) -> fields.Check:
    def checked(value: Any, where: str) -> None:
        fields.array(value, where)
        for at, item in enumerate(value):
            check(item, f"{where}[{at}]")

    return checked


SPOKEN: Final[Mapping[str, fields.Check]] = {
    "instructions": fields.string,
    "response_format": fields.one_of(*FORMS),
    "speed": fields.decimal(0, 4),
    "stream_format": fields.one_of("sse", "audio"),
}
HEARD: Final[Mapping[str, fields.Check]] = {
    "include": _each(fields.one_of("logprobs")),
    "keywords": _each(fields.string),
    "known_speaker_names": _each(fields.string),
    "known_speaker_references": _each(fields.string),
    "language": _language,
    "languages": _each(_language),
    "response_format": fields.one_of(*_FORMATS),
    "stream": fields.boolean,
    "temperature": fields.decimal(0, 1),
    "timestamp_granularities": _each(fields.one_of("word", "segment")),
}


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    return _speech(request) if operation == SPEECH else _upload(request, operation)


def said(text: str) -> str:
    """A text without directives."""
    return _DIRECTIVE.sub("", text).strip() if "[[" in text else text


def _speech(request: Request) -> Ask:
    body = parsed(request.body)
    _modelled(request, body)
    fields.required(body, "input", "", fields.string)
    fields.required(body, "voice", "", _voice)
    _checked(body, SPOKEN)
    if body.get("speed") is not None and body["speed"] < 0.25:
        shown = f"Expected a value >= 0.25, but got {body['speed']} instead."
        raise refuse(f"Invalid 'speed': decimal below minimum value. {shown}", "speed", "decimal_below_min_value")
    turns = tuple(Turn("user", body[name]) for name in ("input", "instructions") if body.get(name))
    count = sum(tokens.count(said(turn.text)) for turn in turns)
    stream = body.get("stream_format") == "sse"
    return Ask(SPEECH, body["model"], turns, stream=stream, input_tokens=count, body=body)


def _upload(request: Request, operation: str) -> Ask:
    body = _form(request)
    _modelled(request, body)
    if not isinstance(body.get("file"), forms.Part):
        raise fields.missing("file")
    _checked(body, HEARD)
    name = (body["file"].filename or "").rpartition(".")
    if not name[1] or name[2].lower() not in NAMES:
        raise refuse(UNREADABLE)
    body["any_file"] = request.headers.get(ANY_FILE_HEADER) == "any"
    prompt = body.get("prompt") or ""
    return Ask(operation, body["model"], (Turn("user", prompt),), stream=bool(body.get("stream")), body=body)


def _modelled(request: Request, body: dict[str, Any]) -> None:
    """The model that is asked, by the body or by the path. Raises Refused."""
    body["model"] = deployments.model(request, body)
    if not body["model"]:
        raise Refused(Problem("missing_model"))
    fields.string(body["model"], "model")


def _checked(body: Mapping[str, Any], checks: Mapping[str, fields.Check]) -> None:
    for name, check in checks.items():
        if body.get(name) is not None:
            check(body[name], name)


def _form(request: Request) -> dict[str, Any]:
    """The fields of a form. Raises Refused."""
    if (size := len(request.body)) > UPLOAD_BYTES_MAX:
        shown = f"Maximum content size limit ({UPLOAD_BYTES_MAX}) exceeded ({size} bytes read)"
        raise Refused(Problem("too_large", shown, type="server_error"))
    try:
        parts = forms.parts(request.headers.get("content-type", ""), request.body)
    except ValueError as error:
        raise refuse(f"Could not parse multipart form: {error}") from None
    body: dict[str, Any] = {}
    for part in parts:
        name = part.name.partition("[")[0]
        if part.filename is not None:
            body[name] = part
        elif name in _LISTS:
            body.setdefault(name, []).append(part.text)
        else:
            body[name] = _value(name, part.text)
    return body


def _value(name: str, text: str) -> Any:
    """A plain value as JSON would have it."""
    if name == "stream" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if name == "temperature":
        try:
            return float(text)
        except ValueError:
            return text
    return text
