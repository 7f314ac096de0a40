"""OpenAI's audio wire, as a fallback for speech and transcripts. It clones no voices, and speaks at 24 kHz alone.

Source: OpenAI's specification (createSpeech, createTranscription).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, ClassVar, Final

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media import sniff, sounds
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, bearer, post, refuse
from gateway.upstreams.media import voices
from gateway.upstreams.transport import Request

MIMES: Final = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
ENDINGS: Final = {  # by which the wire knows a file
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
RATES: Final = (None, 24_000)
PASSED: Final = ("instructions", "speed")
SEGMENT: Final = ("text", "start", "end")
FIRST_BYTE_S: Final = 60.0


class OpenAIAudio:
    """This wire."""

    dialect: ClassVar[str] = "openai_audio"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"speech", "transcript"})
    most_at_once: ClassVar[int] = 1

    def fits(self, order: Order, model: str) -> bool:  # noqa: ARG002
        """Whether it speaks so: in a voice of ours or in none, in a format and at a rate that it has."""
        extras = order.extras
        if order.kind == "transcript":
            return True
        voice = extras.get("voice_id")
        own = voice is None or voices.known(voice, self.dialect) is not None
        format_ = extras.get("format", "mp3")
        plain = isinstance(format_, str) and format_ in MIMES
        return own and plain and extras.get("sample_rate") in RATES and "reference_id" not in extras

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """One request."""
        if order.kind == "transcript":
            got = yield Send(form(order, upstream), first_byte_s=FIRST_BYTE_S)
            refuse(got)
            return transcript(got)
        got = yield Send(post(upstream, "/v1/audio/speech", spoken(order), bearer(upstream)), first_byte_s=FIRST_BYTE_S)
        refuse(got)
        if not got.body or "json" in got.headers.get("content-type", ""):
            raise Failed(Failure(Verdict.RETRY, "the upstream has answered without a sound", got.status))
        return Made([Item(data=sounds.settled(got.body), mime=MIMES[order.extras.get("format", "mp3")])])


def spoken(order: Order) -> dict[str, Any]:
    """What is to be spoken, and how."""
    voice = voices.known(order.extras.get("voice_id"), "openai_audio") or voices.default("openai_audio")
    body = {"model": order.model, "input": order.prompt, "voice": voice}
    body["response_format"] = order.extras.get("format", "mp3")
    return body | {name: order.extras[name] for name in PASSED if name in order.extras}


def form(order: Order, upstream: Upstream) -> Request:
    """What is to be heard, as a form."""
    data = order.audio_bytes or b""
    fields = {"model": order.model, "response_format": "verbose_json"}
    if isinstance(language := order.extras.get("language"), str) and language.isalnum():
        fields["language"] = language
    mark = sha256(data).hexdigest()[:40].encode()
    ending = ENDINGS.get(sniff.mime_of(data), "mp3").encode()
    parts = [
        b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (mark, name.encode(), value.encode())
        for name, value in fields.items()
    ]
    head = b'--%b\r\ncontent-disposition: form-data; name="file"; filename="audio.%b"\r\n' % (mark, ending)
    body = b"".join((*parts, head, b"content-type: application/octet-stream\r\n\r\n", data, b"\r\n--%b--\r\n" % mark))
    headers = [("content-type", f"multipart/form-data; boundary={mark.decode()}"), *bearer(upstream)]
    return Request(f"{upstream.base_url}/v1/audio/transcriptions", headers, body)


def transcript(got: Got) -> Made:
    """The text of a reply. Raises Failed."""
    told = got.json()
    if not isinstance(told.get("text"), str):
        raise Failed(Failure(Verdict.RETRY, "the upstream has answered without a text", got.status))
    rows = told.get("segments")
    segments = [
        {name: row[name] for name in SEGMENT if name in row}
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    ]
    length = told.get("duration")
    facts = {"language": told["language"]} if isinstance(told.get("language"), str) else {}
    seconds = length if isinstance(length, int | float) else None
    return Made(text=told["text"], segments=segments or None, seconds=seconds, facts=facts)
