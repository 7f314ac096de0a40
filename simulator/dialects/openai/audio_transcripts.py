"""How what was heard is written on the Audio wire: one object, plain text, subtitles, or events.

Source: the public specification (CreateTranscriptionResponseJson, -VerboseJson, -DiarizedJson, 2.3.0) and recorded
replies, also for the framing of events (CRLF, `[DONE]`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, exp, floor
from typing import Any, Final, NamedTuple

import orjson

from simulator.answers import tokens
from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import audio_headers as headers
from simulator.dialects.openai.audio_request import said
from simulator.dialects.openai.ids import Letters
from simulator.dialects.openai.logprobs import each
from simulator.dialects.openai.templates import compiled
from simulator.media.transcripts import LANGUAGES, Transcript
from simulator.script import Frame, Script

TOKENS_PER_S: Final = 10
SEEK_HZ: Final = 100  # Whisper counts the place of a segment's window in hundredths of a second
WINDOW_S: Final = 30


class Heard(NamedTuple):
    """A transcript and whom to tell it."""

    transcript: Transcript
    ask: Ask
    profile: Profile

    @property
    def text(self) -> str:
        return self.transcript.text

    @property
    def pieces(self) -> list[str]:
        return tokens.split(self.text)

    @property
    def usage(self) -> Usage | None:
        """The tokens of a model that is billed by them."""
        if not self.profile.has("tokens"):
            return None
        return Usage(self._audio_tokens + self._text_tokens, tokens.count(self.text))

    @property
    def told(self) -> dict[str, Any]:
        """The usage as the wire tells it."""
        if (usage := self.usage) is None:
            return {"type": "duration", "seconds": ceil(self.transcript.seconds)}
        return {
            "type": "tokens",
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "input_tokens": usage.input_tokens,
            "input_token_details": {"text_tokens": self._text_tokens, "audio_tokens": self._audio_tokens},
            "output_tokens": usage.output_tokens,
        }

    @property
    def _audio_tokens(self) -> int:
        if (window := self.profile.facts.get("audio_window")) is not None:  # a whole one is counted once it began
            each, seconds = int(window["tokens"]), int(window["seconds"])
            return each * ceil(self.transcript.seconds / seconds)
        return ceil(TOKENS_PER_S * self.transcript.seconds)

    @property
    def _text_tokens(self) -> int:
        own: int = self.profile.facts.get("own_tokens", 0)
        return own + tokens.count(said(self.ask.body.get("prompt") or ""))

    def logprobs(self, pieces: Sequence[str]) -> list[dict[str, Any]]:
        """The log probability of every token."""
        asked = self.ask._replace(body={"logprobs": True})
        rows = [chunk["content"][0] for chunk in each(pieces, asked)]
        return [{name: row[name] for name in ("token", "logprob", "bytes")} for row in rows]

    def more(self, pieces: Sequence[str]) -> dict[str, Any]:
        """What else is told of these tokens when it was asked for."""
        return {"logprobs": self.logprobs(pieces)} if self.ask.body.get("include") else {}

    @property
    def languages(self) -> dict[str, Any]:
        known = self.profile.has("languages")
        return {"languages": [{"code": self.transcript.language}]} if known else {}

    @property
    def speaker(self) -> str:
        return next(iter(self.ask.body.get("known_speaker_names") or ()), "A")


def written(heard: Heard, serving: Serving) -> Script:
    """The transcript in the form that was asked for."""
    ask, profile = heard.ask, heard.profile
    form = ask.body.get("response_format") or "json"
    if ask.stream and profile.has("streams"):
        frames = (*_events(heard, form), Frame(b"data: [DONE]\r\n\r\n", "end"))
        told = (*headers.answer(headers.EVENTS, ask, profile, serving), ("cache-control", "no-store"))
        return Script(200, told, frames, stream=True, usage=heard.usage)
    if (plain := _PLAIN.get(form)) is not None:
        data, kind = plain(heard.transcript).encode(), "text/plain; charset=utf-8"
    else:
        data, kind = orjson.dumps(_object(heard, form, serving)), "application/json"
    output = heard.usage.output_tokens if heard.usage else 0
    frame = Frame(data, "body", output, len(heard.text.encode()))
    return Script(200, headers.answer(kind, ask, profile, serving), (frame,), usage=heard.usage)


def _object(heard: Heard, form: str, serving: Serving) -> dict[str, Any]:
    """The transcript as an object: OpenAI's, or by the vendor's template of that form (the fact `transcripts`)."""
    told = _OBJECTS[form](heard)
    template = heard.profile.facts.get("transcripts", {}).get(form)
    if template is None:
        return told
    found, usage = heard.transcript, heard.usage
    values = {"model": heard.profile.snapshot, "seconds": floor(found.seconds), **told}
    values["request_id"] = Letters(serving, heard.profile).spell(heard.profile.facts.get("request_id", ""))
    if heard.ask.body.get("language"):
        values["asked_language"] = found.language
    if "segment" in (heard.ask.body.get("timestamp_granularities") or ()):
        values["spans"] = [{"text": span.text, "start": span.start_s, "end": span.end_s} for span in found.segments]
    if usage is not None:
        details = told["usage"]["input_token_details"]
        values |= {**details, "output": usage.output_tokens, "total": told["usage"]["total_tokens"]}
    written: dict[str, Any] = compiled(template)(values)
    return written


def _events(heard: Heard, form: str) -> Iterator[Frame]:
    """The transcript as events, the last with the whole of it."""
    if form == "diarized_json":
        for row in _speakers(heard):
            event = {name: row[name] for name in ("type", "text", "speaker", "start", "end", "id")}
            yield _event(event, "delta", tokens.count(row["text"]), row["text"])
    else:
        rows = heard.more(heard.pieces).get("logprobs")
        for at, (piece, place) in enumerate(_placed(heard)):
            event = {"type": "transcript.text.delta", "delta": piece, **place}
            yield _event(event if rows is None else {**event, "logprobs": [rows[at]]}, "delta", 1, piece)
    body = {"type": "transcript.text.done", "text": heard.text, **heard.languages}
    yield _event({**body, **heard.more(heard.pieces), "usage": heard.told}, "stop", 0, "")


def _placed(heard: Heard) -> Iterator[tuple[str, dict[str, str]]]:
    """The pieces of the text, each with its segment where speakers are told apart."""
    if not heard.profile.has("speakers"):
        yield from ((piece, {}) for piece in heard.pieces)
        return
    for row in _speakers(heard):
        yield from ((piece, {"segment_id": row["id"]}) for piece in tokens.split(row["text"]))


def _event(body: Mapping[str, Any], kind: str, output_tokens: int, text: str) -> Frame:
    data = b"data: %b\r\n\r\n" % orjson.dumps(body)
    return Frame(data, kind, output_tokens, len(text.encode()))


def _simple(heard: Heard) -> dict[str, Any]:
    body = {"text": heard.text, **heard.languages, **heard.more(heard.pieces)}
    return body | ({"usage": heard.told} if heard.ask.operation == "create_transcription" else {})


def _verbose(heard: Heard) -> dict[str, Any]:
    """All that Whisper knows; of times, those asked for."""
    found, ask = heard.transcript, heard.ask
    translates = ask.operation == "create_translation"
    asked = ask.body.get("timestamp_granularities") or ["segment"]
    body: dict[str, Any] = {
        "task": "translate" if translates else "transcribe",
        "language": LANGUAGES[found.language],
        "duration": found.seconds,
        "text": found.text,
    }
    if "segment" in asked:
        temperature = ask.body.get("temperature") or 0.0
        body["segments"] = [_segment(at, heard, temperature) for at in range(len(found.segments))]
    if "word" in asked:
        body["words"] = [{"word": word.text, "start": word.start_s, "end": word.end_s} for word in found.words]
    return body if translates else body | {"usage": heard.told}


def _segment(at: int, heard: Heard, temperature: float) -> dict[str, Any]:
    span = heard.transcript.segments[at]
    data, pieces = span.text.encode(), tokens.split(span.text)
    likely = sum(row["logprob"] for row in heard.logprobs(pieces)) / len(pieces)
    return {
        "id": at,
        "seek": int(span.start_s // WINDOW_S) * WINDOW_S * SEEK_HZ,
        "start": span.start_s,
        "end": span.end_s,
        "text": span.text,
        "tokens": [zlib.crc32(piece.encode()) % 50_257 for piece in pieces],
        "temperature": temperature,
        "avg_logprob": round(likely, 8),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 8),
        "no_speech_prob": round(exp(likely) / 100, 8),
    }


def _speakers(heard: Heard) -> list[dict[str, Any]]:
    """The segments, all said by one speaker."""
    return [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{at}",
            "start": span.start_s,
            "end": span.end_s,
            "text": span.text,
            "speaker": heard.speaker,
        }
        for at, span in enumerate(heard.transcript.segments)
    ]


def _diarized(heard: Heard) -> dict[str, Any]:
    found = heard.transcript
    body = {"task": "transcribe", "duration": found.seconds, "text": found.text, "segments": _speakers(heard)}
    return body | {"usage": heard.told}


def _subtitles(found: Transcript, head: str, numbered: bool, point: str) -> str:
    rows = []
    for at, span in enumerate(found.segments, 1):
        times = f"{_stamp(span.start_s, point)} --> {_stamp(span.end_s, point)}"
        number = f"{at}\n" if numbered else ""
        rows.append(f"{number}{times}\n{span.text.strip()}\n\n")
    return head + "".join(rows) + ("\n" if numbered else "")


def _stamp(seconds: float, point: str) -> str:
    minutes, ms = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"


_OBJECTS: Final = {"json": _simple, "verbose_json": _verbose, "diarized_json": _diarized}
_PLAIN: Final = {
    "text": lambda found: f"{found.text}\n",
    "srt": lambda found: _subtitles(found, "", True, ","),
    "vtt": lambda found: _subtitles(found, "WEBVTT\n\n", False, "."),
}
