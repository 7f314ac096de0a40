"""What will go over the wire, and when: the plan that faults rewrite and the server plays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from simulator.answers.answer import Usage
from simulator.rules.gates import Hold


class Ending(StrEnum):
    """How the exchange ends once the frames are sent."""

    END = "end"  # as HTTP says
    CUT = "cut"  # FIN, without the last chunk
    RESET = "reset"  # RST
    STALL = "stall"  # silence with the socket open, until the peer closes


_new = tuple.__new__  # half the time of a NamedTuple's own constructor: a slow stream makes each frame anew


class Frame(NamedTuple):
    """Bytes that leave in one piece. A JSON reply is one frame; a stream is many (and a tuple is made the fastest)."""

    data: bytes
    kind: str = "delta"  # "start" | "delta" | "stop" | "usage" | "end" | "ping" | "error" | "body"
    tokens: int = 0  # output tokens it delivers
    text_bytes: int = 0  # UTF-8 bytes of text, thinking and tool arguments it delivers
    due_ms: float = 0.0  # from the arrival of the request
    alone: bool = False  # leaves in a write of its own, even when others are due as well

    def later(self, ms: float) -> Frame:
        """The same frame, `ms` later."""
        data, kind, tokens, text_bytes, due_ms, alone = self
        return _new(Frame, (data, kind, tokens, text_bytes, due_ms + ms, alone))

    def but(self, data: bytes) -> Frame:
        """The same frame with other bytes."""
        return _new(Frame, (data, *self[1:]))


class Trickle(NamedTuple):
    """A head that leaves in pieces."""

    pieces: int  # of about the same size
    gap_ms: float  # between two of them
    sent: int  # how many leave; fewer than all of them: the exchange ends within its head


@dataclass(frozen=True, slots=True)
class Script:
    """A whole reply on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case; content-length only where a fault makes it lie
    frames: tuple[Frame, ...]
    stream: bool = False  # chunked, one chunk a frame
    ending: Ending = Ending.END
    head_due_ms: float | None = 0.0  # when status and headers leave; None: never
    usage: Usage | None = None  # what an operation without an `Answer` used and told
    billed: tuple[tuple[str, float], ...] = ()  # what its provider charges besides tokens, by unit: ("images", 2)
    trickle: Trickle | None = None  # how the head leaves, when not in one piece
    holds: tuple[Hold, ...] = ()  # gates to pass before anything leaves

    def later(self, ms: float) -> Script:
        """The same reply, all of it `ms` later."""
        head_ms = None if self.head_due_ms is None else self.head_due_ms + ms
        return replace(self, head_due_ms=head_ms, frames=tuple([frame.later(ms) for frame in self.frames]))
