"""Transcripts on Deepgram's wire: POST /v1/listen.

Paths and types as recorded (nova-3, with `smart_format`, `utterances`, speakers). A sound at an address is not
downloaded: it counts as an invented one, and one with `does-not-exist` or `.invalid` in it cannot be fetched. Without
`smart_format` or `punctuate` words come bare. Not there: callbacks, several channels and alternatives, search, topics
and the rest of what is known about a text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.deepgram import problems
from simulator.dialects.deepgram.problems import BAD, REMOTE, UNREACHABLE, bad
from simulator.dialects.deepgram.request import RAW
from simulator.media import streamed
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened
from simulator.media.transcripts import Transcript, transcript
from simulator.script import Frame, Script

BYTES_PER_S: Final = 16_000  # of a file that is taken for a sound whatever it is
UNHEARD_S: Final = 10.0  # of a sound at an address
MISSING: Final = ("does-not-exist", ".invalid")
_WORD: Final = re.compile(r"\S+")
_BARE: Final = re.compile(r"[^\w'’-]")


def sound(ask: Ask) -> Sound:
    """What is heard. Raises Refused."""
    body = ask.body
    if "url" in body:
        if any(word in body["url"] for word in MISSING):
            raise bad(REMOTE, UNREACHABLE)
        return Sound(UNHEARD_S, None)
    data: bytes = body["file"]
    try:
        codec = RAW.get(body["encoding"])
        return listened(data if codec is None else streamed.wave(data, body["rate_hz"], codec=codec))
    except ValueError:
        if body["any_file"]:
            return Sound(max(1.0, len(data) / BYTES_PER_S), None)
        raise bad(BAD, "Bad Request: failed to process audio: corrupt or unsupported data") from None


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The transcript."""
    body, found = ask.body, sound(ask)
    source: bytes = body["file"] if "file" in body else body["url"].encode("utf-8", "surrogatepass")
    language = "" if body["language"] == "multi" else body["language"].partition("-")[0]
    told = transcript(found, digest(source), language)
    words = _words(told, ask, serving)
    channel: dict[str, Any] = {"alternatives": [_alternative(told, words, ask)]}
    if body["detect_language"]:
        channel |= {"detected_language": told.language, "language_confidence": 0.99}
    results: dict[str, Any] = {"channels": [channel]}
    if body["utterances"]:
        results["utterances"] = _utterances(told, words, ask, serving)
    own = problems.request_id(serving)
    written = orjson.dumps({"metadata": _metadata(own, source, found, profile, serving), "results": results})
    headers = (("content-type", "application/json"), *problems.HEADERS, ("dg-request-id", own), *_project(serving))
    frame = Frame(written, "body", text_bytes=len(told.text.encode()))
    return Script(200, headers, (frame,), billed=(("input_seconds", round(found.seconds, 3)),))


def _project(serving: Serving) -> tuple[tuple[str, str], ...]:
    return (("dg-project-id", serving.facts["project_id"]),)


def _metadata(own: str, source: bytes, found: Sound, profile: Profile, serving: Serving) -> dict[str, Any]:
    facts = profile.facts
    model = facts.get("uuid") or problems.uuid("model", profile.snapshot)
    made = datetime.fromtimestamp(serving.now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "transaction_key": "deprecated",
        "request_id": own,
        "sha256": sha256(source).hexdigest(),
        "created": made.replace("+00:00", "Z"),
        "duration": round(found.seconds, 7),
        "channels": 1,
        "models": [model],
        "model_info": {model: {"name": facts["name"], "version": facts["version"], "arch": facts["arch"]}},
    }


def _is_written(ask: Ask) -> bool:
    """Whether the text has its punctuation and capitals."""
    return bool(ask.body["smart_format"] or ask.body["punctuate"])


def _words(told: Transcript, ask: Ask, serving: Serving) -> list[dict[str, Any]]:
    """The words, laid over the sound in proportion to their letters."""
    share = told.seconds / max(1, len(told.text))
    dice = draws.dice("confidence", serving.seed)
    rows: list[dict[str, Any]] = []
    for found in _WORD.finditer(told.text):
        row: dict[str, Any] = {
            "word": _bare(found[0]),
            "start": round(found.start() * share, 3),
            "end": round(found.end() * share, 3),
            "confidence": round(1 - 0.08 * dice.random() ** 3, 7),
        }
        if ask.body["language"] == "multi":
            row["language"] = told.language
        if ask.body["diarize"]:
            row |= {"speaker": 0, "speaker_confidence": 0.98}
        rows.append(row | ({"punctuated_word": found[0]} if _is_written(ask) else {}))
    return rows


def _bare(word: str) -> str:
    return _BARE.sub("", word).lower() or word


def _alternative(told: Transcript, words: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    text = told.text if _is_written(ask) else " ".join(row["word"] for row in words)
    out: dict[str, Any] = {"transcript": text, "confidence": _confidence(words), "words": words}
    if ask.body["language"] == "multi":
        out["languages"] = [told.language]
    if ask.body["smart_format"] or ask.body["paragraphs"]:
        out["paragraphs"] = _paragraphs(told, words, ask)
    return out


def _confidence(words: list[dict[str, Any]]) -> float:
    return round(sum(row["confidence"] for row in words) / len(words), 7) if words else 0.0


def _paragraphs(told: Transcript, words: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    sentences = [{"text": span.text.strip(), "start": span.start_s, "end": span.end_s} for span in told.segments]
    speaker = {"speaker": 0} if ask.body["diarize"] else {}
    first, last = (words[0]["start"], words[-1]["end"]) if words else (0.0, 0.0)
    whole = {"sentences": sentences, **speaker, "num_words": len(words), "start": first, "end": last}
    name = "Speaker 0: " if speaker else ""
    return {"transcript": f"\n{name}{told.text}", "paragraphs": [whole]}


def _utterances(told: Transcript, words: list[dict[str, Any]], ask: Ask, serving: Serving) -> list[dict[str, Any]]:
    """What is said without a pause: here, all of it."""
    if not words:
        return []
    one: dict[str, Any] = {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "confidence": _confidence(words),
        "channel": 0,
        "transcript": told.text if _is_written(ask) else " ".join(row["word"] for row in words),
        "words": words,
    }
    if ask.body["diarize"]:
        one["speaker"] = 0
    return [one | {"id": problems.uuid("utterance", serving.seed)}]
