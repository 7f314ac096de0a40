"""Streams framed in ways that SSE allows, or that real providers get wrong. JSON replies are left alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import payload_span, rewrite
from simulator.script import Frame, Script

SPACE_AFTER_FIELD = re.compile(rb"^(data|event|id|retry): ", re.MULTILINE)
BOM = b"\xef\xbb\xbf"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Crlf(Fault):
    """End every line with CR LF."""

    kind: ClassVar[str] = "crlf"

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: data.replace(b"\n", b"\r\n"))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CrOnly(Fault):
    """End every line with a lone CR."""

    kind: ClassVar[str] = "cr_only"

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: data.replace(b"\n", b"\r"))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DataNoSpace(Fault):
    """Leave out the space after `data:` and `event:`."""

    kind: ClassVar[str] = "data_no_space"

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: SPACE_AFTER_FIELD.sub(rb"\1:", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Comments(Fault):
    """Put comment lines between the events."""

    kind: ClassVar[str] = "comments"
    every: int = options.whole(1, low=1, about="one comment before every so many events")
    text: str = options.text("keep-alive", header=True, about="what follows the colon")

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream:
            return script
        data = f": {self.text}\n\n".encode()
        frames: list[Frame] = []
        for index, frame in enumerate(script.frames):
            if index % self.every == 0:
                frames.append(Frame(data, "ping", due_ms=frame.due_ms))
            frames.append(frame)
        return replace(script, frames=tuple(frames))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UnterminatedLastFrame(Fault):
    """End the stream without the blank line after the last event."""

    kind: ClassVar[str] = "unterminated_last_frame"

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream or not script.frames:
            return script
        last = script.frames[-1]
        return replace(script, frames=(*script.frames[:-1], last.but(last.data.rstrip(b"\r\n"))))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Bom(Fault):
    """Begin the stream with a byte order mark."""

    kind: ClassVar[str] = "bom"

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream or not script.frames:
            return script
        first = script.frames[0]
        return replace(script, frames=(first.but(BOM + first.data), *script.frames[1:]))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLineData(Fault):
    """Spread each event's JSON over several `data:` lines."""

    kind: ClassVar[str] = "multi_line_data"

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, _in_lines)


def _in_lines(data: bytes) -> bytes:
    span = payload_span(data)
    if span is None:
        return data
    begin, end = span
    payload = data[begin:end]
    if not (payload.startswith(b"{") and payload.endswith(b"}") and len(payload) > 2):
        return data
    return data[:begin] + b"{\ndata: " + payload[1:-1] + b"\ndata: }" + data[end:]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDone(Fault):
    """End the stream without its terminal event (`[DONE]`, `message_stop`)."""

    kind: ClassVar[str] = "missing_done"

    def script(self, script: Script, _: Scene) -> Script:
        frames = tuple(frame for frame in script.frames if frame.kind != "end")
        return script if len(frames) == len(script.frames) else replace(script, frames=frames)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleDone(Fault):
    """Send the terminal event twice."""

    kind: ClassVar[str] = "double_done"

    def script(self, script: Script, _: Scene) -> Script:
        ends = tuple(frame for frame in script.frames if frame.kind == "end")
        return replace(script, frames=(*script.frames, *ends)) if ends else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAfterFinish(Fault):
    """Send a keepalive between the event with the finish reason and the terminal event."""

    kind: ClassVar[str] = "heartbeat_after_finish"

    def script(self, script: Script, _: Scene) -> Script:
        stops = [index for index, frame in enumerate(script.frames) if frame.kind == "stop"]
        if not script.stream or not stops:
            return script
        at = stops[-1] + 1
        data = next((frame.data for frame in script.frames if frame.kind == "ping"), b": keep-alive\n\n")
        beat = Frame(data, "ping", due_ms=script.frames[at - 1].due_ms)
        return replace(script, frames=(*script.frames[:at], beat, *script.frames[at:]))
