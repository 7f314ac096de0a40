"""What goes wrong on the Responses wire alone: frames of another wire, and a last event that forgot the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import payload, payload_span, rewrite, with_frames
from simulator.faults.terminals import DONE
from simulator.script import Frame, Script

LAST = {"response.completed": "stop", "response.incomplete": "length"}  # -> finish_reason
DELTAS = {  # event -> key of a chat delta
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning_content",
    "response.reasoning_text.delta": "reasoning_content",
}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesEmptyOutput(Fault):
    """End a Responses stream by an event whose `output` is empty, though deltas were sent."""

    kind: ClassVar[str] = "responses_empty_output"
    seen_at: ClassVar[str] = "https://github.com/Wei-Shaw/sub2api/issues/2826"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, _without_output)


def _without_output(data: bytes) -> bytes:
    span = payload_span(data)
    event = said(data)
    if span is None or event.get("type") not in LAST:
        return data
    event["response"]["output"] = []
    return data[: span[0]] + orjson.dumps(event) + data[span[1] :]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChunksOnResponses(Fault):
    """Say a Responses stream in chat.completion.chunk frames, `[DONE]` included. Other wires are left alone."""

    kind: ClassVar[str] = "chat_chunks_on_responses"
    seen_at: ClassVar[str] = "https://github.com/vllm-project/semantic-router/issues/2446"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        created = next((event for event in map(said, _datas(script)) if event.get("type") == "response.created"), None)
        return script if created is None else with_frames(script, _Chat(created["response"]).frames(script))


def _datas(script: Script) -> Iterator[bytes]:
    return (frame.data for frame in script.frames if script.stream)


def said(data: bytes) -> dict[str, Any]:
    """The JSON object of an event; empty when it has none."""
    try:
        found = orjson.loads(payload(data))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


class _Chat:
    """Tells one response as chat chunks."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        made = f"chatcmpl-{str(response['id']).removeprefix('resp_')}"
        self._head = {"id": made, "object": "chat.completion.chunk", "created": int(response["created_at"])}
        self._head["model"] = response["model"]
        self._calls: dict[Any, int] = {}  # output_index -> index of the tool call

    def frames(self, script: Script) -> Iterator[Frame]:
        """The chunks; what an event without one delivered counts with the next chunk."""
        tokens = text_bytes = 0
        for frame in script.frames:
            tokens, text_bytes = tokens + frame.tokens, text_bytes + frame.text_bytes
            for data, kind in self._chunks(said(frame.data), frame):
                yield Frame(data, kind, tokens, text_bytes, frame.due_ms)
                tokens = text_bytes = 0

    def _chunks(self, event: Mapping[str, Any], frame: Frame) -> Iterator[tuple[bytes, str]]:
        """What an event becomes."""
        kind = event.get("type")
        if kind == "response.created":
            yield self._chunk({"role": "assistant", "content": ""}), "start"
        elif kind in DELTAS:
            yield self._chunk({DELTAS[str(kind)]: event["delta"]}), "delta"
        elif kind == "response.output_item.added" and event["item"]["type"] == "function_call":
            at = self._calls[event["output_index"]] = len(self._calls)
            inner = {"name": event["item"]["name"], "arguments": ""}
            yield self._call({"index": at, "id": event["item"]["call_id"], "type": "function", "function": inner})
        elif kind == "response.function_call_arguments.delta":
            at = self._calls.get(event["output_index"], 0)
            yield self._call({"index": at, "function": {"arguments": event["delta"]}})
        elif kind in LAST:
            yield self._chunk({}, "tool_calls" if self._calls else LAST[str(kind)]), "stop"
            yield from self._told(event["response"].get("usage"))
            yield DONE + b"\n\n", "end"
        elif frame.kind == "error":
            yield frame.data, "error"

    def _call(self, call: Mapping[str, Any]) -> tuple[bytes, str]:
        return self._chunk({"tool_calls": [call]}), "delta"

    def _told(self, usage: Mapping[str, Any] | None) -> Iterator[tuple[bytes, str]]:
        """The chunk with the usage, when there is any."""
        if usage is not None:
            counts = {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}
            told = counts | {"total_tokens": usage["total_tokens"]}
            yield b"data: %b\n\n" % orjson.dumps(self._head | {"choices": [], "usage": told}), "usage"

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return b"data: %b\n\n" % orjson.dumps(self._head | {"choices": choices})
