"""Where a reply breaks off: what the faults that end or silence it early have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import Fault, Scene
from simulator.faults.streams import body_length, cut_index, split_bytes
from simulator.script import Ending, Frame, Script, Trickle

WHEN = ("before_headers", "within_headers", "after_headers")
ABOUT_WHEN = "the stage, where no `after_…` option says more; within_headers: half of the head has left"
HALF = Trickle(2, 0.0, 1)  # of a head


@dataclass(frozen=True, slots=True, kw_only=True)
class Break(Fault):
    """A reply that ends early, at a stage or after so many frames, bytes or milliseconds."""

    ending: ClassVar[Ending]
    when: str = options.one_of("after_headers", WHEN, about=ABOUT_WHEN)
    after_frames: int | None = options.whole(None, about="content frames sent before it; 0: only the head")
    after_bytes: int | None = options.whole(None, about="bytes of the body sent before it")
    after_ms: float | None = options.number(None, about="what is due by then is sent before it, head or body")

    def __post_init__(self) -> None:
        given = [name for name in ("after_frames", "after_bytes", "after_ms") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} or {given[1]}, not both")

    def script(self, script: Script, _: Scene) -> Script:
        return self.broken(script)

    def broken(self, script: Script) -> Script:
        """The reply up to where it breaks."""
        if self.after_ms is not None:
            return until(script, self.ending, self.after_ms)
        if self.after_bytes is None and self.after_frames is None and self.when != "after_headers":
            return silent(script, self.ending) if self.when == "before_headers" else half_head(script, self.ending)
        return replace(with_length(script), frames=self.parted(script)[0], ending=self.ending)

    def parted(self, script: Script) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        """The frames before and after it. A JSON body is parted in its middle by any `after_frames` above 0."""
        after_bytes = self.after_bytes
        if after_bytes is None and not script.stream:
            after_bytes = body_length(script) // 2 if self.after_frames else 0
        if after_bytes is not None:
            return split_bytes(script.frames, after_bytes)
        at = cut_index(script, self.after_frames or 0)
        return script.frames[:at], script.frames[at:]


def with_length(script: Script) -> Script:
    """The script with the length of its whole body in the head, when it is no stream."""
    if script.stream or any(name == "content-length" for name, _ in script.headers):
        return script
    return replace(script, headers=(*script.headers, ("content-length", str(body_length(script)))))


def silent(script: Script, ending: Ending) -> Script:
    """Not one byte, and the ending when the head would have left."""
    frames = _nothing_until(script.head_due_ms or 0.0)
    return replace(script, frames=frames, ending=ending, head_due_ms=None, trickle=None)


def half_head(script: Script, ending: Ending) -> Script:
    """Half of the head, then the ending."""
    if script.head_due_ms is None:
        return replace(script, ending=ending)
    trickle = HALF if script.trickle is None else script.trickle._replace(sent=script.trickle.pieces // 2)
    return replace(with_length(script), frames=(), ending=ending, trickle=trickle)


def until(script: Script, ending: Ending, after_ms: float) -> Script:
    """All that is due by `after_ms`, then the ending at that moment."""
    head_ms = script.head_due_ms
    if head_ms is None or head_ms > after_ms:
        return replace(script, frames=_nothing_until(after_ms), ending=ending, head_due_ms=None, trickle=None)
    script = with_length(script)
    trickle = script.trickle
    if trickle is not None and trickle.gap_ms:
        sent = min(trickle.sent, int((after_ms - head_ms) // trickle.gap_ms) + 1)
        if sent < trickle.pieces:
            return replace(script, frames=(), ending=ending, trickle=trickle._replace(sent=sent))
    kept = (frame for frame in script.frames if frame.due_ms <= after_ms)
    return replace(script, frames=(*kept, *_nothing_until(after_ms)), ending=ending)


def _nothing_until(due_ms: float) -> tuple[Frame, ...]:
    """A frame without a byte, for whose moment the ending waits."""
    return (Frame(b"", "ping", due_ms=due_ms),) if due_ms else ()
