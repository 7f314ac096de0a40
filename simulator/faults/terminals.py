"""How a stream ends as its wire sees it: the terminal event missing, doubled, or of another wire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import cut_index, is_sse, line_end, payload, with_frames
from simulator.problem import Problem
from simulator.script import Ending, Frame, Script

DONE = b"data: [DONE]"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDone(Fault):
    """End the stream without its terminal event (`[DONE]`, `message_stop`)."""

    kind: ClassVar[str] = "missing_done"
    seen_at: ClassVar[str] = "Groq after an error; https://github.com/CommandCodeAI/command-code/issues/785"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return with_frames(script, (frame for frame in script.frames if frame.kind != "end"))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleDone(Fault):
    """Send the terminal event twice."""

    kind: ClassVar[str] = "double_done"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        ends = tuple(frame for frame in script.frames if frame.kind == "end")
        return with_frames(script, (*script.frames, *ends))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WithDone(Fault):
    """End a stream of a wire without `[DONE]` by one all the same."""

    kind: ClassVar[str] = "with_done"
    quirk: ClassVar[str] = "responses-with-done"
    seen_at: ClassVar[str] = "OpenRouter, LiteLLM; https://github.com/BerriAI/litellm/pull/34095"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        ends = is_sse(script) and script.ending is Ending.END
        if not ends or payload(script.frames[-1].data) == b"[DONE]":
            return script
        done = Frame(DONE + 2 * line_end(script), "end", due_ms=script.frames[-1].due_ms)
        return with_frames(script, (*script.frames, done))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EventLineOnChat(Fault):
    """Break off a stream with an error event that bears an `event: error` line, on a wire that has no such lines."""

    kind: ClassVar[str] = "event_line_on_chat"
    seen_at: ClassVar[str] = (
        "Groq, vLLM guardrails; https://github.com/foundation-model-stack/fms-guardrails-orchestrator/pull/436"
    )
    still: ClassVar[bool] = True
    after_frames: int = options.whole(1, about="content frames sent before it; 0: the error is the first event")
    error: str = options.text("server_error", about="the kind of problem, in the fleet's words")

    def script(self, script: Script, scene: Scene) -> Script:
        if not is_sse(script) or any(frame.data.startswith(b"event:") for frame in script.frames):
            return script
        kept = script.frames[: cut_index(script, self.after_frames)]
        data = scene.dialect.error_frame(Problem(self.error), scene.serving)
        due_ms = kept[-1].due_ms if kept else script.head_due_ms or 0.0
        return replace(script, frames=(*kept, Frame(b"event: error" + line_end(script) + data, "error", due_ms=due_ms)))
