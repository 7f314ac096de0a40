"""Fish Audio's wire: speech, speech in a voice that comes along, and transcripts. Answered at once, speech in chunks.

The model is a header. Sound travels in MessagePack, which alone can bear it beside text. A body that breaks off is a
failure: the transport tells. Source: wire reference, chapter 13.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from gateway.chain import Failure, Verdict
from gateway.config import Upstream
from gateway.media import sounds
from gateway.media.order import Item, Kind, Made, Order
from gateway.media.steps import Failed, Got, Send, Steps, bearer, post, refuse
from gateway.upstreams.media import voices
from gateway.upstreams.transport import Request

FIRST_BYTE_S: Final = 60.0
MIMES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "pcm": "audio/pcm"}
OURS: Final = frozenset({"voice_id", "references", "reference_text", "text", "audio", "model"})
HEARD: Final = ("language", "ignore_timestamps")  # what transcripts take


class Fish:
    """This wire."""

    dialect: ClassVar[str] = "fish"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"speech", "clone", "transcript"})
    most_at_once: ClassVar[int] = 1

    def make(self, order: Order, upstream: Upstream) -> Steps:
        """One request."""
        if order.kind == "transcript":
            got = yield Send(packed(upstream, "/v1/asr", heard(order), order.model), first_byte_s=FIRST_BYTE_S)
            return transcript(got)
        request = said(order)
        if order.kind == "clone":
            send = packed(upstream, "/v1/tts", request, order.model)
        else:
            send = post(upstream, "/v1/tts", request, (*bearer(upstream), ("model", order.model)))
        got = yield Send(send, first_byte_s=FIRST_BYTE_S)
        return speech(got, order)


def packed(upstream: Upstream, path: str, body: dict[str, Any], model: str) -> Request:
    """A request in MessagePack."""
    headers = [("content-type", "application/msgpack"), ("model", model), *bearer(upstream)]
    return Request(upstream.base_url + path, headers, msgspec.msgpack.encode(body))


def said(order: Order) -> dict[str, Any]:
    """What is to be spoken, and how: all that the caller sent besides goes along."""
    body = {"text": order.prompt, **{name: value for name, value in order.extras.items() if name not in OURS}}
    voice = order.extras.get("voice_id")
    if order.kind == "clone":
        words = order.extras.get("reference_text")
        body["references"] = [{"audio": order.audio_bytes or b"", "text": words if isinstance(words, str) else ""}]
        body.pop("reference_id", None)
    elif voice is not None:
        body["reference_id"] = voices.known(voice, "fish") or voice
    return body


def heard(order: Order) -> dict[str, Any]:
    """What is to be heard."""
    options = {name: order.extras[name] for name in HEARD if name in order.extras}
    return {"audio": order.audio_bytes or b"", **options}


def speech(got: Got, order: Order) -> Made:
    """The sound of a reply. Raises Failed."""
    refuse(got)
    if not got.body or "json" in got.headers.get("content-type", ""):
        raise Failed(Failure(Verdict.RETRY, "the upstream has answered without a sound", got.status))
    form = order.extras.get("format")
    data = sounds.settled(got.body)
    return Made([Item(data=data, mime=MIMES.get(form if isinstance(form, str) else "mp3", MIMES["mp3"]))])


def transcript(got: Got) -> Made:
    """The text of a reply. Raises Failed."""
    refuse(got)
    told = got.json()
    if not isinstance(told.get("text"), str):
        raise Failed(Failure(Verdict.RETRY, "the upstream has answered without a text", got.status))
    segments = told.get("segments")
    facts = {name: told[name] for name in ("language", "language_code") if isinstance(told.get(name), str)}
    return Made(
        text=told["text"],
        segments=segments if isinstance(segments, list) and segments else None,
        seconds=told["duration"] if isinstance(told.get("duration"), int | float) else None,
        facts=facts,
    )
