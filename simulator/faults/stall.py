"""Silence with the socket open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import cut_index, first_bytes, stop_after
from simulator.script import Ending, Frame, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """Fall silent after some content frames, for a while or until the peer closes. A JSON body stalls in its middle."""

    kind: ClassVar[str] = "stall"
    after_frames: int = options.whole(0, about="content frames sent before it; 0: only the head")
    for_ms: float | None = options.number(None, about="then go on; without it the silence lasts until the peer closes")

    def script(self, script: Script, _: Scene) -> Script:
        if self.for_ms is None:
            return stop_after(script, Ending.STALL, self.after_frames)
        if script.stream or not self.after_frames:
            at = cut_index(script, self.after_frames)
            before, after = script.frames[:at], script.frames[at:]
        else:
            before, after = _halves(script)
        return replace(script, frames=(*before, *(frame.later(self.for_ms) for frame in after)))


def _halves(script: Script) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """A JSON body in two; what it says counts as delivered with the second half."""
    whole = b"".join(frame.data for frame in script.frames)
    if not whole:
        return (), ()
    last = script.frames[-1]
    tokens = sum(frame.tokens for frame in script.frames)
    text_bytes = sum(frame.text_bytes for frame in script.frames)
    rest = last._replace(data=whole[len(whole) // 2 :], tokens=tokens, text_bytes=text_bytes)
    first = Frame(whole, "body", due_ms=script.frames[0].due_ms)
    return first_bytes((first,), len(whole) // 2), (rest,)
