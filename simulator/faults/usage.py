"""Usage that is not told, or not truly."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import orjson

from simulator.answer import Answer
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import is_content, payload_span
from simulator.script import Frame, Script

USAGE = re.compile(rb'"usage":\s*\{')
NULL_USAGE = re.compile(rb',?\s*"usage":\s*null')
OUTPUT_KEYS = ("completion_tokens", "output_tokens", "candidatesTokenCount")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingUsage(Fault):
    """Answer without telling any usage, asked for or not."""

    kind: ClassVar[str] = "missing_usage"

    def answer(self, answer: Answer, _: Scene) -> Answer:
        return replace(answer, told=None)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WrongUsage(Fault):
    """Tell a usage that is not the true one, which the journal keeps."""

    kind: ClassVar[str] = "wrong_usage"
    factor: float | None = options.number(None, about="input and output, times this, rounded")
    input_tokens: int | None = options.whole(None, about="told instead of the true number")
    output_tokens: int | None = options.whole(None, about="told instead of the true number")

    def __post_init__(self) -> None:
        if self.factor is None and self.input_tokens is None and self.output_tokens is None:
            raise ValueError("factor, input_tokens or output_tokens")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        told = answer.told
        if told is None:
            return answer
        factor = 1.0 if self.factor is None else self.factor
        input_tokens = round(told.input_tokens * factor) if self.input_tokens is None else self.input_tokens
        output_tokens = round(told.output_tokens * factor) if self.output_tokens is None else self.output_tokens
        cached = min(told.cached_tokens, input_tokens)
        changed = replace(
            told,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_tokens=cached,
            cache_write_tokens=min(told.cache_write_tokens, input_tokens - cached),
            reasoning_tokens=min(told.reasoning_tokens, output_tokens),
        )
        return replace(answer, told=changed)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEveryChunk(Fault):
    """Tell a growing usage in every content event, and the whole at the end: who adds them up charges too much."""

    kind: ClassVar[str] = "usage_every_chunk"

    def script(self, script: Script, _: Scene) -> Script:
        told = _last_usage(script.frames)
        if not script.stream or told is None:
            return script
        sent = 0
        frames: list[Frame] = []
        for frame in script.frames:
            sent += frame.tokens
            frames.append(_with_usage(frame, _so_far(told, sent)) if is_content(frame) else frame)
        return replace(script, frames=tuple(frames))


def _last_usage(frames: tuple[Frame, ...]) -> dict[str, Any] | None:
    """The last usage object at the top of an event."""
    for frame in reversed(frames):
        span = payload_span(frame.data)
        if span is None or not USAGE.search(frame.data):
            continue
        found = orjson.loads(frame.data[span[0] : span[1]]).get("usage")
        if isinstance(found, dict):
            return found
    return None


def _so_far(told: dict[str, Any], output_tokens: int) -> dict[str, Any]:
    """`told`, as it was after `output_tokens`."""
    now = dict(told)
    for key in OUTPUT_KEYS:
        if key in now:
            now[key] = min(output_tokens, told[key])
            if "total_tokens" in now:
                now["total_tokens"] += now[key] - told[key]
    return now


def _with_usage(frame: Frame, usage: dict[str, Any]) -> Frame:
    span = payload_span(frame.data)
    if span is None:
        return frame
    payload = NULL_USAGE.sub(b"", frame.data[span[0] : span[1]])
    at = payload.rindex(b"}")
    payload = payload[:at].rstrip() + b',"usage":' + orjson.dumps(usage) + payload[at:]
    return frame.but(frame.data[: span[0]] + payload + frame.data[span[1] :])


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageZeroCost(Fault):
    """Add `"cost": 0` to every usage object: an aggregator that says its answer was free."""

    kind: ClassVar[str] = "usage_zero_cost"

    def script(self, script: Script, _: Scene) -> Script:
        if not any(USAGE.search(frame.data) for frame in script.frames):
            return script
        return replace(script, frames=tuple(frame.but(_free(frame.data)) for frame in script.frames))


def _free(data: bytes) -> bytes:
    return USAGE.sub(lambda found: found[0] + b'"cost":0,', data)
