"""Errors that come under a 200."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import cut_index
from simulator.problem import Problem
from simulator.script import Frame, Script

ABOUT = "the kind of problem, in the fleet's words: server_error, overloaded, rate_limit… (in a directive also `kind=`)"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorIn200(Fault):
    """Say an error with status 200: as the JSON body, or as the only event of a stream."""

    kind: ClassVar[str] = "error_in_200"
    error: str = options.text("server_error", about=ABOUT)
    message: str | None = options.text(None, about="replaces the native sentence")

    def script(self, script: Script, scene: Scene) -> Script:
        problem = Problem(self.error, self.message)
        due_ms = script.head_due_ms or 0.0
        if script.stream:
            return replace(script, frames=(error_frame(problem, scene, due_ms),))
        refusal = scene.refusal(problem)
        frames = tuple(frame.later(due_ms) for frame in refusal.frames)
        return replace(refusal, status=200, frames=frames, head_due_ms=script.head_due_ms)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Fault):
    """Break off a stream with an error event in the wire's own form, then end it properly. JSON is left alone."""

    kind: ClassVar[str] = "error_event"
    after_frames: int = options.whole(1, about="content frames sent before it; 0: the error is the first event")
    error: str = options.text("server_error", about=ABOUT)
    message: str | None = options.text(None, about="replaces the native sentence")

    def script(self, script: Script, scene: Scene) -> Script:
        if not script.stream:
            return script
        kept = script.frames[: cut_index(script, self.after_frames)]
        due_ms = kept[-1].due_ms if kept else script.head_due_ms or 0.0
        return replace(script, frames=(*kept, error_frame(Problem(self.error, self.message), scene, due_ms)))


def error_frame(problem: Problem, scene: Scene, due_ms: float) -> Frame:
    """A problem as a frame of the dialect."""
    return Frame(scene.dialect.error_frame(problem, scene.serving), "error", due_ms=due_ms)
