"""Errors that come under a 200."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import orjson

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.faults.streams import cut_index
from simulator.problem import Problem
from simulator.script import Frame, Script

ABOUT = "the kind of problem, in the fleet's words: server_error, overloaded, rate_limit… (in a directive also `kind=`)"
COMMA: Final = b"\r\n,\r\n"
WORDS = "the kind of problem, in the fleet's words: server_error, overloaded, rate_limit…"
SENTENCE = "replaces the native sentence"
BASE_RESP: Final = {  # kind of problem -> MiniMax's code and sentence
    "rate_limit": (1002, "rate limit exceeded(RPM)"),
    "insufficient_quota": (1008, "insufficient balance"),
    "authentication": (2049, "invalid api key"),
}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorIn200(Fault):
    """Say an error with status 200: as the JSON body, or as the first meaningful event of a stream."""

    kind: ClassVar[str] = "error_in_200"
    quirk: ClassVar[str] = "error-first-frame-200"
    seen_at: ClassVar[str] = (
        "llama.cpp, Azure (Responses), OpenAI (quota on Responses); https://github.com/ggml-org/llama.cpp/issues/14566"
    )
    error: str = options.text("server_error", about=ABOUT)
    message: str | None = options.text(None, about=SENTENCE)
    opening: str = options.one_of(
        "none", ("none", "kept"), about="in a stream: whether the events that open it come before the error"
    )

    def script(self, script: Script, scene: Scene) -> Script:
        problem = Problem(self.error, self.message)
        due_ms = script.head_due_ms or 0.0
        if script.stream:
            kept = self._opening(script)
            told = (*kept, *error_frames(problem, scene, due_ms, kept))
            return payloads.numbered(replace(script, frames=told))
        refusal = scene.refusal(problem)
        frames = tuple(frame.later(due_ms) for frame in refusal.frames)
        return replace(script, status=200, headers=refusal.headers, frames=frames)

    def _opening(self, script: Script) -> tuple[Frame, ...]:
        if self.opening == "none":
            return ()
        first = next((at for at, frame in enumerate(script.frames) if frame.kind not in ("start", "ping")), 0)
        return script.frames[:first]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Error200Body(Fault):
    """Say an error as a JSON body with status 200, even where a stream was asked for."""

    kind: ClassVar[str] = "error_200_body"
    seen_at: ClassVar[str] = "MiniMax"
    error: str = options.text("rate_limit", about=WORDS)
    message: str | None = options.text(None, about=SENTENCE)
    form: str = options.one_of("base_resp", ("base_resp", "native"), about="MiniMax's body, or the wire's own")

    def script(self, script: Script, scene: Scene) -> Script:
        problem = Problem(self.error, self.message)
        refusal = scene.refusal(problem)
        due_ms = script.head_due_ms or 0.0
        frames = tuple(frame.later(due_ms) for frame in refusal.frames)
        if self.form == "base_resp":
            frames = (Frame(orjson.dumps(self._base_resp()), "body", due_ms=due_ms),)
        headers = tuple(pair for pair in refusal.headers if pair[0] != "content-type")
        headers = (*headers, ("content-type", "application/json"))
        return replace(script, status=200, headers=headers, frames=frames, stream=False)

    def _base_resp(self) -> Json:
        code, sentence = BASE_RESP.get(self.error, (1013, "unknown error"))
        return {"base_resp": {"status_code": code, "status_msg": self.message or sentence}}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Fault):
    """Break off a stream with an error event in the wire's own form, then end it properly. JSON is left alone."""

    kind: ClassVar[str] = "error_event"
    quirk: ClassVar[str] = "error-frame-mid-stream"
    seen_at: ClassVar[str] = "Groq, TGI; https://github.com/huggingface/text-generation-inference/pull/2668"
    after_frames: int = options.whole(1, about="content frames sent before it; 0: the error is the first event")
    error: str = options.text("server_error", about=ABOUT)
    message: str | None = options.text(None, about=SENTENCE)

    def script(self, script: Script, scene: Scene) -> Script:
        return broken_off(script, scene, self.after_frames, Problem(self.error, self.message))


def broken_off(script: Script, scene: Scene, after_frames: int, problem: Problem) -> Script:
    """A stream that ends in an error event after some content frames."""
    if not script.stream:
        return script
    kept = script.frames[: cut_index(script, after_frames)]
    due_ms = kept[-1].due_ms if kept else script.head_due_ms or 0.0
    return payloads.numbered(replace(script, frames=(*kept, *error_frames(problem, scene, due_ms, kept))))


def error_frames(problem: Problem, scene: Scene, due_ms: float, sent: tuple[Frame, ...] = ()) -> tuple[Frame, ...]:
    """A problem as events of the dialect, a frame each; on some wires they depend on what was sent before."""
    after = getattr(scene.dialect, "error_after", None)
    serving = scene.serving
    data = after(sent, problem, serving) if after and sent else scene.dialect.error_frame(problem, serving)
    if data.startswith(COMMA) and not sent:  # the first element of an array
        data = b"[" + data.removeprefix(COMMA)
    end = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    parts = [part + end for part in data.split(end) if part] if data.endswith(end) else [data]
    return tuple(Frame(part, "error", due_ms=due_ms) for part in parts)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFrameWithChoices(Fault):
    """Break off a chat stream with a chunk that has an `error` at its top and a choice that finished by `error`."""

    kind: ClassVar[str] = "error_frame_with_choices"
    seen_at: ClassVar[str] = "OpenRouter; https://github.com/damianvtran/local-operator/pull/223"
    after_frames: int = options.whole(1, about="content frames sent before it")
    error: str = options.text("server_error", about=WORDS)
    message: str | None = options.text(None, about=SENTENCE)
    choices: str = options.one_of("finished", ("finished", "empty"), about="what `choices` holds")

    def script(self, script: Script, scene: Scene) -> Script:
        if not script.stream:
            return script
        told = payloads.events(script)
        chunk = next((event for event in told if payloads.is_chunk(event.json)), None)
        if chunk is None or chunk.json is None:
            return script
        kept = told[: cut_index(script, self.after_frames)]
        said = Event.of(error_frames(Problem(self.error, self.message), scene, 0.0)[0], stream=True).json or {}
        native = said.get("error") or {}
        error = {"code": native.get("code") or native.get("type"), "message": native.get("message")}
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        rows = [choice] if self.choices == "finished" else []
        last = chunk.like(chunk.json | {"error": error, "choices": rows}, kind="error")
        last.frame = last.frame._replace(due_ms=kept[-1].frame.due_ms if kept else script.head_due_ms or 0.0)
        return payloads.written(script, [*kept, last])


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEventFlat(Fault):
    """Write the `error` event of a Responses stream flat, as its specification has it, or nested, as its wire has it.

    A stream without an error is broken off by one. The other wires are left alone.
    """

    kind: ClassVar[str] = "error_event_flat"
    quirk: ClassVar[str] = "error-event-nested-vs-flat"
    seen_at: ClassVar[str] = "OpenAI: nested on the wire, flat in its specification"
    form: str = options.one_of("flat", ("flat", "nested"), about="where code and message stand")
    after_frames: int = options.whole(1, about="content frames sent before an error of its own")
    error: str = options.text("server_error", about=WORDS)

    def script(self, script: Script, scene: Scene) -> Script:
        told = payloads.events(script) if script.stream else []
        if not any(event.kind.startswith("response.") for event in told):
            return script
        if not any(event.kind == "error" for event in told):
            script = broken_off(script, scene, self.after_frames, Problem(self.error))
        return payloads.edit(script, self._flat if self.form == "flat" else _nested)

    def _flat(self, found: Json) -> bool:
        error = found.get("error")
        if found.get("type") != "error" or not isinstance(error, dict):
            return False
        number = {"sequence_number": found["sequence_number"]} if "sequence_number" in found else {}
        found.clear()
        found.update({"type": "error", **{key: error.get(key) for key in ("code", "message", "param")}, **number})
        return True


def _nested(found: Json) -> bool:
    if found.get("type") != "error" or isinstance(found.get("error"), dict):
        return False
    error = {key: found.pop(key, None) for key in ("code", "message", "param")}
    found["error"] = {"type": error["code"]} | error
    return True
