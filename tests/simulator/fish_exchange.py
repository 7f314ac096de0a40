"""A client of Fish Audio's wire by bare HTTP."""

from __future__ import annotations

import io
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import av
import msgspec

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-fish", "content-type": "application/json"}
PACKED = KEY | {"content-type": "application/msgpack"}
TEXT = "Ruby is a programming language designed for developer happiness."
TRAINING = "[[fault: job_times queue_s=2 cold_s=0 run_s=8]]"  # a voice that waits for 2 s and is trained for 8 s


class Heard(NamedTuple):
    """What a file of sound is."""

    codec: str
    rate_hz: int
    seconds: float


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call with a JSON body."""
    return fleet.call(request(method, f"/fish{path}", content, KEY | headers), method)


def packed(fleet: Live, method: str, path: str, content: object, **headers: str) -> Reply:
    """One call with a MessagePack body."""
    data = msgspec.msgpack.encode(content)
    return fleet.call(request(method, f"/fish{path}", data, PACKED | headers), method)


def spoken(fleet: Live, text: str = TEXT, model: str = "", **more: Any) -> Reply:
    """Speech, by MessagePack as the official clients ask for it."""
    headers = {"model": model} if model else {}
    return packed(fleet, "POST", "/v1/tts", {"text": text, **more}, **headers)


def sound(fleet: Live, text: str = TEXT, **more: Any) -> bytes:
    """The bytes of speech."""
    reply = spoken(fleet, text, **more)
    assert reply.status == 200, reply
    return reply.body


def voice(fleet: Live, title: str = "me", *sounds: bytes, **more: Any) -> dict[str, Any]:
    """A new private voice."""
    body = {"type": "tts", "train_mode": "fast", "title": title, "visibility": "private", "voices": list(sounds)}
    reply = packed(fleet, "POST", "/model", body | more)
    assert reply.status == 201, reply
    found: dict[str, Any] = reply.json
    return found


def asr(fleet: Live, audio: bytes, **more: Any) -> Any:
    """A transcript."""
    reply = packed(fleet, "POST", "/v1/asr", {"audio": audio, **more})
    assert reply.status == 200, reply
    return reply.json


def probed(data: bytes) -> Heard:
    """Codec, rate and length of a file, by decoding all of it."""
    with av.open(io.BytesIO(data)) as box:
        stream = box.streams.audio[0]
        samples = sum(frame.samples for frame in box.decode(stream))
        return Heard(stream.codec_context.name, stream.rate, samples / stream.rate)


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})
