"""What the dialects' readers have in common: how an event is classed, and the usage an upstream told so far."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

import orjson

from gateway.chain import Failure
from gateway.sse import Event

NESTED_MAX: Final = 250  # levels that are surely written again


class Part(IntEnum):
    """What a stream event is to the gateway."""

    NOTHING = 0  # a heartbeat or an empty event: not for the client
    PING = 1  # the dialect's own heartbeat: for the client once the stream has begun
    PREAMBLE = 2  # belongs to the answer, but carries none of it yet
    CONTENT = 3  # carries a piece of the answer
    ENDING = 4  # after the content: finish reason, usage
    TERMINAL = 5  # the last event
    ERROR = 6  # the upstream reports an error
    BROKEN = 7  # cannot be understood
    CLOSING = 8  # the last event, good even where no content came before it


@dataclass(slots=True)
class Told:
    """Usage as far as the upstream told it; None: not told (yet)."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class StreamReader(Protocol):
    """Follows one stream of a dialect."""

    @property
    def told(self) -> Told:
        """The usage as far as it was told."""

    @property
    def failure(self) -> Failure | None:
        """What went wrong, after ERROR or BROKEN."""

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text, thinking and tool arguments in the event read last."""

    def read(self, event: Event) -> Part:
        """Takes one event in and says what it is."""

    @property
    def frame(self) -> bytes:
        """The event read last, in the client's framing."""

    @property
    def complete(self) -> bool:
        """Whether the answer is whole if the stream ends here."""


@dataclass(slots=True)
class Whole:
    """A reply that is not a stream, read."""

    body: bytes  # as it goes to the client
    told: Told
    text_bytes: int


def decode(data: bytes) -> tuple[dict[str, Any] | None, bytes]:
    """The JSON object of an event (None for anything else), and its data as it may be passed on.

    Half a character inside the JSON, which some upstreams cut at a token, becomes U+FFFD. What is nested so deep that
    it could be read, but never be written again, is no JSON object.
    """
    try:
        value = orjson.loads(data)
    except ValueError:
        mended = data.decode("utf-8", "replace").encode()
        if mended == data:
            return None, data
        data = mended
        try:
            value = orjson.loads(data)
        except ValueError:
            return None, data
    return (value if isinstance(value, dict) and writable(value, data) else None), data


def writable(value: Any, data: bytes) -> bool:
    """Whether a decoded value can be encoded again: the encoder takes fewer levels than the decoder."""
    if data.count(b"{") + data.count(b"[") <= NESTED_MAX:
        return True
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def json_bytes(value: Any) -> int:
    """Bytes of a decoded value as compact JSON; of one that is nested too deep, none."""
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return 0


def count(value: Any) -> int | None:
    """A token count: an int >= 0 (a whole float is one too); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, float) and value.is_integer() and value >= 0:
        return int(value)
    return None


def utf8(text: str) -> int:
    """Bytes of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
