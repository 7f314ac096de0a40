"""A reply that ends too early, by a clean FIN, without what HTTP and the wire still owe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.breaks import Break
from simulator.faults.errors import error_frames
from simulator.faults.streams import PART, cut_index, payload_span
from simulator.problem import Problem
from simulator.script import Ending, Frame, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CutStream(Break):
    """Close the connection (FIN) early: no terminal event, no last chunk. By default right after the head.

    With fewer content frames than `after_frames`, every frame leaves and only the last chunk is missing. A JSON body is
    cut in its middle.
    """

    kind: ClassVar[str] = "cut_stream"
    ending: ClassVar[Ending] = Ending.CUT


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class IncompleteChunked(Fault):
    """Send the whole stream, then close the connection (FIN) without the last chunk. JSON is left alone."""

    kind: ClassVar[str] = "incomplete_chunked"
    seen_at: ClassVar[str] = "DeepSeek via LiteLLM; https://github.com/preloop/preloop/issues/117"

    def script(self, script: Script, _: Scene) -> Script:
        return replace(script, ending=Ending.CUT) if script.stream and script.ending is Ending.END else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CutMidLine(Fault):
    """End a stream inside a `data:` line: by FIN, by a proper end, or by an error event that glues onto the line."""

    kind: ClassVar[str] = "cut_mid_line"
    seen_at: ClassVar[str] = "https://github.com/duolahypercho/codex-router/issues/100"
    after_frames: int = options.whole(1, about="content frames sent before the one that is cut")
    then: str = options.one_of("cut", ("cut", "end", "error"), about="FIN, the last chunk, or an error event and that")

    def script(self, script: Script, scene: Scene) -> Script:
        if not script.stream:
            return script
        first = cut_index(script, self.after_frames)
        at = next((n for n in range(first, len(script.frames)) if payload_span(script.frames[n].data)), None)
        if at is None:
            return script
        cut = script.frames[at]
        kept = (*script.frames[:at], Frame(_half(cut.data), PART, due_ms=cut.due_ms))
        if self.then == "error":
            told = error_frames(Problem("server_error"), scene, cut.due_ms, script.frames[:at])
            return replace(script, frames=(*kept, *told))
        return replace(script, frames=kept, ending=Ending.CUT if self.then == "cut" else script.ending)


def _half(data: bytes) -> bytes:
    """A frame up to the middle of its JSON."""
    begin, end = payload_span(data) or (0, len(data))
    return data[: (begin + end) // 2]
