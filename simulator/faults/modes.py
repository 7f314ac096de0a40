"""Streams where JSON was asked for, JSON where a stream was asked for, and what is neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import orjson

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import EVENT_STREAM, payload, rewrite, with_headers
from simulator.faults.terminals import DONE
from simulator.problem import Problem
from simulator.script import Ending, Frame, Script

SSE_TYPE = ("content-type", EVENT_STREAM)
ARRAY_TYPE = ("content-type", "application/json; charset=UTF-8")
CHUNK, WHOLE = b'"object":"chat.completion.chunk"', b'"object":"chat.completion"'
EXTRA = (  # a validator's complaint, in its language's own spelling of values
    "[{{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted', "
    "'input': {value!r}}}]"
)


def retold(script: Script, scene: Scene, *, stream: bool) -> Script:
    """The same answer, streamed or not, when the last of it was due; itself when it is so already, or is no answer."""
    sound = script.status == 200 and script.ending is Ending.END and script.head_due_ms is not None
    if scene.retell is None or not sound or script.stream is stream:
        return script
    found = scene.retell(stream)
    due_ms = max((frame.due_ms for frame in script.frames), default=script.head_due_ms or 0.0)
    frames = tuple(frame.later(due_ms) for frame in found.frames)
    return replace(found, frames=frames, head_due_ms=script.head_due_ms, trickle=script.trickle)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SseWhenNotAsked(Fault):
    """Stream although JSON was asked for. First in a list: what other faults made of the JSON is lost."""

    kind: ClassVar[str] = "sse_when_not_asked"
    seen_at: ClassVar[str] = "new-api, KAITO, mini-sglang; https://github.com/QuantumNous/new-api/issues/5230"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        return retold(script, scene, stream=True)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDefaultTrue(Fault):
    """Stream when the body has no `stream`; a body with `stream: false` gets its JSON.

    Where the path says whether to stream, that is every call that did not ask for it.
    """

    kind: ClassVar[str] = "stream_default_true"
    seen_at: ClassVar[str] = "grok2api; https://github.com/chenyme/grok2api/issues/137"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if scene.ask is None or "stream" in scene.ask.body:
            return script
        return retold(script, scene, stream=True)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonWhenStreamAsked(Fault):
    """Answer with one JSON object although a stream was asked for."""

    kind: ClassVar[str] = "json_when_stream_asked"
    seen_at: ClassVar[str] = "MiniMax"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        return retold(script, scene, stream=False)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPlusDone(Fault):
    """Answer with the whole JSON object, call it an event stream, and put `data: [DONE]` after it."""

    kind: ClassVar[str] = "json_plus_done"
    seen_at: ClassVar[str] = "9router; https://github.com/decolua/9router/issues/3492"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        found = retold(script, scene, stream=False)
        if scene.retell is None or found.stream or found.status != 200 or found.ending is not Ending.END:
            return script
        due_ms = found.frames[-1].due_ms if found.frames else found.head_due_ms or 0.0
        end = Frame(b"\n\n" + DONE + b"\n\n", "end", due_ms=due_ms)
        return with_headers(replace(found, frames=(*found.frames, end)), SSE_TYPE)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FullObjectInStream(Fault):
    """Call each chunk of a chat stream `chat.completion`, with a `message` in place of its `delta`."""

    kind: ClassVar[str] = "full_object_in_stream"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (vercel/ai openai changelog, 7b8791d)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, _as_object)


def _as_object(data: bytes) -> bytes:
    """A chunk as an object; a quote within its text is escaped, so only keys match."""
    if CHUNK not in data:
        return data
    return data.replace(CHUNK, WHOLE, 1).replace(b'"delta":', b'"message":')


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptionsRejected(Fault):
    """Refuse a request that has `stream_options`, as unknown."""

    kind: ClassVar[str] = "stream_options_rejected"
    seen_at: ClassVar[str] = "old vLLM; https://github.com/modelscope/ms-agent/issues/489"
    still: ClassVar[bool] = True
    message: str | None = options.text(None, about="replaces the sentence")

    def problem(self, scene: Scene) -> Problem | None:
        if scene.ask is None or "stream_options" not in scene.ask.body:
            return None
        message = self.message or EXTRA.format(value=scene.ask.body["stream_options"])
        return Problem("invalid_request", message, param="stream_options")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonArrayStream(Fault):
    """Send the events of a stream as the elements of one JSON array, each when it is due."""

    kind: ClassVar[str] = "json_array_stream"
    seen_at: ClassVar[str] = "Gemini without alt=sse"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        frames = tuple(_elements(script)) if script.stream else ()
        return with_headers(replace(script, frames=frames), ARRAY_TYPE) if frames else script


def _elements(script: Script) -> Iterator[Frame]:
    """The frames that say something, as elements; then the bracket, unless the reply breaks off."""
    before = b"["
    for frame in script.frames:
        said = payload(frame.data)
        if said and said != b"[DONE]":
            yield frame.but(before + _indented(said))
            before = b"\r\n,\r\n"
    if before != b"[" and script.ending is Ending.END:
        yield Frame(b"\r\n]", "end", due_ms=script.frames[-1].due_ms)


def _indented(said: bytes) -> bytes:
    """JSON indented by two; what is no JSON as it is."""
    try:
        return orjson.dumps(orjson.loads(said), option=orjson.OPT_INDENT_2)
    except orjson.JSONDecodeError:
        return said
