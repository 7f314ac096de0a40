"""Silence with the socket open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS
from simulator.faults.breaks import Break
from simulator.script import Ending, Script, Trickle


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Break):
    """Fall silent, for a while or until the peer closes. By default right after the head.

    A JSON body stalls in its middle by any `after_frames` above 0. A peer that vanished looks the same: half-open.
    """

    kind: ClassVar[str] = "stall"
    quirk: ClassVar[str] = "stall-open"
    seen_at: ClassVar[str] = "https://github.com/BerriAI/litellm/issues/40404"
    ending: ClassVar[Ending] = Ending.STALL
    for_ms: float | None = options.number(None, about="then go on; without it the silence lasts until the peer closes")

    def broken(self, script: Script) -> Script:
        if self.for_ms is None:
            return super(Stall, self).broken(script)
        if self.after_ms is not None:
            return _paused_at(script, self.after_ms, self.for_ms)
        if self.after_bytes is None and self.after_frames is None and self.when != "after_headers":
            script = _all_later(script, self.for_ms)
            if self.when == "before_headers" or script.head_due_ms is None:
                return script
            return replace(script, head_due_ms=script.head_due_ms - self.for_ms, trickle=Trickle(2, self.for_ms, 2))
        before, after = self.parted(script)
        return replace(script, frames=(*before, *(frame.later(self.for_ms) for frame in after)))


def _all_later(script: Script, ms: float) -> Script:
    """Head and body, so much later."""
    head_ms = None if script.head_due_ms is None else script.head_due_ms + ms
    return replace(script, head_due_ms=head_ms, frames=tuple(frame.later(ms) for frame in script.frames))


def _paused_at(script: Script, after_ms: float, for_ms: float) -> Script:
    """What is due after a moment, so much later."""
    if script.head_due_ms is not None and script.head_due_ms > after_ms:
        return _all_later(script, for_ms)
    frames = (frame.later(for_ms) if frame.due_ms > after_ms else frame for frame in script.frames)
    return replace(script, frames=tuple(frames))
