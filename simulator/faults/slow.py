"""Heads and bodies that take their time on the wire, whatever the model took to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.segments import pieces
from simulator.faults.streams import with_frames
from simulator.script import Frame, Script, Trickle


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHeaders(Fault):
    """Send status line and headers in small pieces; the body is so much later."""

    kind: ClassVar[str] = "slow_headers"
    pieces: int = options.whole(16, low=2, high=1000, about="in how many, of about the same size")
    gap_ms: float = options.number(50.0, about="between two of them")

    def script(self, script: Script, _: Scene) -> Script:
        if script.head_due_ms is None or script.trickle is not None:
            return script
        late_ms = self.gap_ms * (self.pieces - 1)
        frames = tuple(frame.later(late_ms) for frame in script.frames)
        return replace(script, frames=frames, trickle=Trickle(self.pieces, self.gap_ms, self.pieces))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SlowBody(Fault):
    """Send the body no faster than that many bytes in a second, in small pieces."""

    kind: ClassVar[str] = "slow_body"
    bytes_per_s: float = options.number(1000.0, low=1, about="of the body, whatever frames and chunks it has")
    size: int = options.whole(64, low=1, about="bytes in a piece")

    def script(self, script: Script, _: Scene) -> Script:
        return with_frames(script, self._paced(script.frames))

    def _paced(self, frames: tuple[Frame, ...]) -> Iterator[Frame]:
        """The pieces, each once the one before it has gone through."""
        free_ms = 0.0
        for frame in frames:
            for piece in pieces(frame, range(self.size, len(frame.data), self.size)):
                due_ms = max(piece.due_ms, free_ms)
                free_ms = due_ms + len(piece.data) * 1000 / self.bytes_per_s
                yield piece._replace(due_ms=due_ms)
