"""What a stream tells, in no dialect: deltas, in the order in which the caller is to see them.

Tool calls come one after another: all pieces of a call before the next one is opened. `Stopped` comes once, last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.pricing import Usage

Reason = Literal["stop", "stop_sequence", "length", "tool_calls", "refusal", "filtered"]


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the thoughts before the answer. Signatures are left out: they count only where they were made."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A piece of the text by which the model refuses to answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CallOpened:
    """The model begins to call a tool."""

    id: str  # "" where the upstream has none
    name: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of the arguments of the call opened last: JSON text. All pieces of a call make an object."""

    arguments: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why the answer ends."""

    reason: Reason
    sequence: str | None = None  # the stop sequence that was met, where it is told


Delta = Said | Thought | Refused | CallOpened | CallPiece | Stopped


@dataclass(frozen=True, slots=True)
class Head:
    """What the caller's reply says of itself. Ids are made of `token`: chatcmpl-TOKEN, msg_TOKEN, call_TOKEN_0…"""

    token: str  # letters and digits
    created_s: int
    model: str
    input_tokens: int  # estimated, for wires that tell it before the answer
    custom_tools: frozenset[str] = frozenset()  # names of the tools that take one free text


class Reading(Protocol):
    """Reads the events of one stream of an upstream's dialect. A new one for each attempt."""

    def deltas(self, event: dict[str, Any]) -> Iterable[Delta]:
        """What an event tells; it is of the dialect, no error and no ping. What is odd in it is passed over."""

    def end(self) -> Iterable[Delta]:
        """What is left to tell when the stream is whole: Stopped, if it was not told."""


class Writing(Protocol):
    """Writes one stream in the dialect of the caller's wire. A new one for each attempt."""

    def write(self, delta: Delta) -> bytes:
        """The frames for a delta, with all that is due before the first; b"" where it only changes what comes later.

        What Stopped brings about is written by `close`.
        """

    def close(self, usage: Usage) -> bytes:
        """The frames that end a good stream: what is open is closed, then reason, usage and the terminal event."""
