"""What models do that do not answer in words: pictures, speech, transcripts, answers about documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from simulator import draws
from simulator.answers import prose, tokens
from simulator.ask import Ask, Turn
from simulator.dialects.base import Profile, Serving
from simulator.dialects.huggingface.generation import HEADERS
from simulator.dialects.openai.audio_request import said
from simulator.dialects.openai.problems import refuse
from simulator.media.captions import caption
from simulator.media.pictures import picture
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened, speech
from simulator.media.transcripts import transcript
from simulator.script import Frame, Script

SIDE, SIDES = 1024, (64, 2048)
TEXT_LENGTH: Final = 4096
BYTES_PER_S: Final = 16_000
DOCUMENT: Final = "document-question-answering"


def asked(body: Mapping[str, Any], model: str, task: str, operation: str) -> Ask:
    """The request of a task as an `Ask`. Raises Refused."""
    inputs = body.get("inputs")
    text = inputs
    if task == "automatic-speech-recognition":
        body = {**body, "data": _file(inputs)}
        text = ""
    elif task == DOCUMENT:
        text = inputs.get("question") if isinstance(inputs, dict) else "" if body["any_file"] else None
        image = inputs.get("image") if isinstance(inputs, dict) else ""
        body = {**body, "document": _file(image) if image or not body["any_file"] else b""}
    if not isinstance(text, str) or not (text or task == DOCUMENT or "data" in body) or len(text) > TEXT_LENGTH:
        raise refuse(f"inputs must be a text of 1 to {TEXT_LENGTH} characters", "inputs", "invalid_type")
    if task == DOCUMENT and not text and not body["any_file"]:
        raise refuse("inputs.question must be a text that is not empty", "inputs", "invalid_type")
    for side in ("width", "height"):
        value = body["parameters"].get(side)
        if value is not None and (type(value) is not int or not SIDES[0] <= value <= SIDES[1]):
            raise refuse(f"{side} must be from {SIDES[0]} to {SIDES[1]}", side)
    return Ask(operation, model, (Turn("user", text),), input_tokens=tokens.count(said(text)), body=body)


def _file(value: Any) -> bytes:
    """A file in base64, with or without the head of a data URL. Raises Refused."""
    try:
        return base64.b64decode(str(value if isinstance(value, str) else "!").rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise refuse("inputs must hold a file in base64", "inputs", "invalid_type") from None


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for a file that is none."""
    if profile.facts["task"] == "automatic-speech-recognition":
        _sound(ask)


def _sound(ask: Ask) -> Sound:
    data: bytes = ask.body["data"]
    try:
        return listened(data)
    except ValueError:
        if ask.body["any_file"]:
            return Sound(max(1.0, len(data) / BYTES_PER_S), None)
        raise refuse("Malformed soundfile", "inputs", "invalid_value") from None


def _json(body: Any, billed: tuple[tuple[str, float], ...] = ()) -> Script:
    headers = (("content-type", "application/json"), *HEADERS)
    return Script(200, headers, (Frame(orjson.dumps(body), "body"),), billed=billed)


def _bytes(data: bytes, kind: str, billed: tuple[tuple[str, float], ...]) -> Script:
    return Script(200, (("content-type", kind), *HEADERS), (Frame(data, "body"),), billed=billed)


def _drawn(ask: Ask, serving: Serving) -> Script:
    parameters = ask.body["parameters"]
    seed = parameters.get("seed")
    number = seed % (1 << 32) if type(seed) is int else draws.integer("picture", serving.seed) >> 96
    width, height = parameters.get("width") or SIDE, parameters.get("height") or SIDE
    data = picture(caption(ask.turns[0].text), width, height, "jpeg", number)
    return _bytes(data, "image/jpeg", (("images", 1.0),))


def _spoken(ask: Ask, serving: Serving) -> Script:
    text = said(ask.turns[0].text) or "."
    return _bytes(speech(text, ask.model, "flac", 1.0, serving.seed), "audio/flac", (("characters", float(len(text))),))


def _heard(ask: Ask, serving: Serving) -> Script:  # noqa: ARG001
    found = _sound(ask)
    told = transcript(found, digest(ask.body["data"]))
    body: dict[str, Any] = {"text": told.text}
    if ask.body["parameters"].get("return_timestamps"):
        body["chunks"] = [{"text": span.text, "timestamp": [span.start_s, span.end_s]} for span in told.segments]
    return _json(body, (("input_seconds", round(found.seconds, 2)),))


def _answered(ask: Ask, serving: Serving) -> Script:
    """What stands in the document: words that follow from it and from the question."""
    dice = draws.dice("document", digest(ask.body["document"]), ask.turns[0].text, serving.seed)
    start = draws.between(dice, 0, 200)
    words = prose.title(dice, 2).split()
    row = {"score": round(dice.random(), 16), "answer": " ".join(words), "start": start, "end": start + len(words) - 1}
    return _json([row])


PERFORMED: Final[Mapping[str, Callable[[Ask, Serving], Script]]] = {
    "text-to-image": _drawn,
    "text-to-speech": _spoken,
    "automatic-speech-recognition": _heard,
    DOCUMENT: _answered,
}
