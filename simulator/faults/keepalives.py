"""What a server sends to show that it is still there: comments, empty data, blank lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import is_sse, line_end, with_frames
from simulator.script import Frame, Script


def interleaved(script: Script, line: bytes, every: int) -> Script:
    """A stream with this line, and a blank one, before every so many events."""
    if not is_sse(script):
        return script
    data = line + 2 * line_end(script)
    frames: list[Frame] = []
    for index, frame in enumerate(script.frames):
        if index % every == 0:
            frames.append(Frame(data, "ping", due_ms=frame.due_ms))
        frames.append(frame)
    return with_frames(script, frames)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Comments(Fault):
    """Put comment lines before the events."""

    kind: ClassVar[str] = "comments"
    quirk: ClassVar[str] = "comment-keepalive"
    seen_at: ClassVar[str] = "OpenRouter, DeepSeek"
    still: ClassVar[bool] = True
    every: int = options.whole(1, low=1, about="one comment before every so many events")
    text: str = options.text("keep-alive", header=True, about="what follows the colon")

    def script(self, script: Script, _: Scene) -> Script:
        return interleaved(script, f": {self.text}".encode(), self.every)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyData(Fault):
    """Put bare `data:` lines before the events."""

    kind: ClassVar[str] = "empty_data"
    quirk: ClassVar[str] = "empty-data-heartbeat"
    seen_at: ClassVar[str] = "gateways; https://github.com/lidge-jun/opencodex/pull/1188"
    still: ClassVar[bool] = True
    every: int = options.whole(1, low=1, about="one before every so many events")

    def script(self, script: Script, _: Scene) -> Script:
        return interleaved(script, b"data:", self.every)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class BlankLinesBeforeJson(Fault):
    """Send the head and empty lines while the answer is awaited, then the JSON body. A stream is left alone."""

    kind: ClassVar[str] = "blank_lines_before_json"
    seen_at: ClassVar[str] = "DeepSeek"
    lines: int = options.whole(3, low=1, high=10_000, about="how many empty lines")
    gap_ms: float = options.number(0.0, about="after each of them; the body is so much later")

    def script(self, script: Script, _: Scene) -> Script:
        if script.stream or not script.frames or script.head_due_ms is None:
            return script
        begin_ms = script.head_due_ms
        blank = (Frame(b"\n", "ping", due_ms=begin_ms + self.gap_ms * n, alone=n > 0) for n in range(self.lines))
        late_ms = self.gap_ms * self.lines
        return with_frames(script, (*blank, *(frame.later(late_ms) for frame in script.frames)))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAfterFinish(Fault):
    """Send a keepalive between the event with the finish reason and the terminal event."""

    kind: ClassVar[str] = "heartbeat_after_finish"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        stops = [index for index, frame in enumerate(script.frames) if frame.kind == "stop"]
        if not is_sse(script) or not stops:
            return script
        at = stops[-1] + 1
        data = next((frame.data for frame in script.frames if frame.kind == "ping"), None)
        beat = Frame(data or b": keep-alive" + 2 * line_end(script), "ping", due_ms=script.frames[at - 1].due_ms)
        return with_frames(script, (*script.frames[:at], beat, *script.frames[at:]))
