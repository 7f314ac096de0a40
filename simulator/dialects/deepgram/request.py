"""Requests of Deepgram's wire: the query says what is wanted, the body is a sound, a text, or the address of one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.deepgram.problems import BAD, PAYLOAD, QUERY, REMOTE, UNREACHABLE, bad
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER, said

LISTEN, SPEAK = "create_transcription", "create_speech"
TEXT_BYTES_MAX: Final = 2 << 20
RAW: Final = {"linear16": "pcm", "mulaw": "mulaw", "alaw": "alaw"}
_FLAGS: Final = ("smart_format", "punctuate", "paragraphs", "utterances", "diarize", "detect_language")


def listened(request: Request) -> Ask:
    """A request for what is said. Raises Refused."""
    query = _query(request)
    if "callback" in query:
        raise bad(QUERY, "Invalid callback url.")
    body: dict[str, Any] = {name: _flag(query, name) for name in _FLAGS}
    body["diarize"] = body["diarize"] or bool(query.get("diarize_model"))
    body["language"] = query.get("language", "")
    body["encoding"], body["rate_hz"] = query.get("encoding", ""), _rate(query)
    body["any_file"] = request.headers.get(ANY_FILE_HEADER) == "any"
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        body["url"] = _address(request.body)
    else:
        body["file"] = request.body
    return Ask(LISTEN, query.get("model", str(request.facts["listen_model"])), body=body, fresh=True)


def spoken(request: Request) -> Ask:
    """A request for speech. Raises Refused."""
    query = _query(request)
    if "callback" in query:
        raise bad(QUERY, "Invalid callback url.")
    if len(request.body) > TEXT_BYTES_MAX:
        raise bad("PAYLOAD_TOO_LARGE", "Payload size exceeds limit of 2 MB.", 413)
    text = _text(request)
    if not said(text):
        raise bad(BAD, "Input text contains no characters.")
    body = {name: query.get(name, "") for name in ("encoding", "container", "sample_rate", "bit_rate")}
    body["text"] = text
    model = query.get("model", str(request.facts["speak_model"]))
    return Ask(SPEAK, model, (Turn("user", text),), input_tokens=tokens.count(said(text)), body=body)


def _query(request: Request) -> dict[str, str]:
    try:
        rows = parse_qs(request.query, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as error:
        raise bad(QUERY, f"Failed to deserialize query parameters: {error}") from None
    return {name: values[-1] for name, values in rows.items()}


def _flag(query: dict[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise bad(QUERY, "Failed to deserialize query parameters: provided string was not `true` or `false`")
    return value == "true"


def _rate(query: dict[str, str]) -> int:
    """The rate of bare samples, Hz; 0: the sound is a file."""
    rate, encoding = query.get("sample_rate", "0"), query.get("encoding", "")
    if not (rate.isascii() and rate.isdecimal() and len(rate) < 7):
        raise bad(QUERY, "Failed to deserialize query parameters: invalid digit found in string")
    if encoding in RAW and not int(rate):
        raise bad(QUERY, "`sample_rate` is required when `encoding` is given")
    return int(rate)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        return None


def _address(data: bytes) -> str:
    """Where a sound is to be fetched. Raises Refused."""
    body = _json(data)
    if not isinstance(body, dict) or not isinstance(body.get("url"), str):
        raise bad(BAD, "Content-type was application/json, but we could not process the JSON payload.")
    url: str = body["url"]
    if not url.startswith(("http://", "https://")):
        raise bad(REMOTE, "Could not parse URL as a URI.")
    return url


def _text(request: Request) -> str:
    """The text to be spoken; one behind an address is not fetched. Raises Refused."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == "text/plain":
        try:
            return request.body.decode()
        except UnicodeDecodeError:
            raise bad(PAYLOAD, "Failed to decode payload as UTF-8.") from None
    if kind != "application/json":
        only = "`Content-Type` must be either `text/plain` or `application/json`."
        raise bad("UNSUPPORTED_MEDIA_TYPE", f"`Content-Type` header is not supported. {only}", 415)
    body = _json(request.body)
    given = {name: body[name] for name in ("text", "url") if name in body} if isinstance(body, dict) else {}
    if len(given) != 1 or not isinstance(next(iter(given.values())), str):
        one = "Please specify exactly one of `text` or `url` in the JSON body."
        raise bad(PAYLOAD, f"Failed to deserialize JSON payload. {one}")
    if "url" in given:
        known = given["url"].startswith(("http://", "https://"))
        raise bad(REMOTE, UNREACHABLE) if known else bad(PAYLOAD, "Failed to parse URL in JSON body.")
    text: str = given["text"]
    return text
