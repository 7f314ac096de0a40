"""What the dialects' readers have in common: how an event is classed, and the usage an upstream told so far."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import orjson

from gateway.chain import Failure
from gateway.sse import Event


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

    told: Told
    failure: Failure | None  # after ERROR or BROKEN
    text_bytes: int  # UTF-8 bytes of text, thinking and tool arguments in the event read last

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

    Half a character inside the JSON, which some upstreams cut at a token, becomes U+FFFD.
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
    return (value if isinstance(value, dict) else None), data


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
