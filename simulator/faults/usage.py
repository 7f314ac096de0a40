"""Usage that is not told, or not truly. The journal keeps both: `usage_true` and `usage_told`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.answers.answer import Answer
from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.faults.streams import is_content
from simulator.script import Script

USAGE: Final = re.compile(rb'"usage(?:Metadata)?":\s*\{')
OUTPUT_KEYS: Final = ("completion_tokens", "output_tokens")


def usages(found: Json | None) -> list[Json]:
    """The usage objects of an event, wherever its wire has one, that are not empty."""
    row = found or {}
    below = [row.get(key) for key in ("message", "response", "x_groq")] + payloads.choices(row)
    places = [place for place in (row, *below) if isinstance(place, dict)]
    told = [place.get(key) for place in places for key in ("usage", "usageMetadata")]
    return [usage for usage in told if isinstance(usage, dict) and usage]


def usage_object(script: Script, scene: Scene) -> Json | None:
    """The last usage that a reply tells; else what the same answer tells when it is not streamed."""
    found = _last(script)
    if found is None and scene.retell is not None:
        found = _last(scene.retell(False))
    return found


def _last(script: Script) -> Json | None:
    for frame in reversed(script.frames):
        if USAGE.search(frame.data):
            told = usages(Event.of(frame, stream=script.stream).json)
            if told:
                return told[-1]
    return None


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingUsage(Fault):
    """Answer without telling any usage, asked for or not."""

    kind: ClassVar[str] = "missing_usage"
    quirk: ClassVar[str] = "usage-missing"
    seen_at: ClassVar[str] = "self-hosted servers (unconfirmed)"
    still: ClassVar[bool] = True

    def answer(self, answer: Answer, _: Scene) -> Answer:
        return replace(answer, told=None)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WrongUsage(Fault):
    """Tell a usage that is not the true one, which the journal keeps."""

    kind: ClassVar[str] = "wrong_usage"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
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
    quirk: ClassVar[str] = "usage-cumulative-each"
    seen_at: ClassVar[str] = "Gemini, native and compatible; https://github.com/ogx-ai/ogx/issues/5122"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        usage = usage_object(script, scene) if script.stream else None
        if usage is None or not any(key in usage for key in OUTPUT_KEYS):
            return script
        told = payloads.events(script)
        sent = 0
        for event in told:
            sent += event.frame.tokens
            if is_content(event.frame) and event.json is not None:
                _put_last(event.json, _so_far(usage, sent))
                event.put()
        return payloads.written(script, told)


def _so_far(told: Json, output_tokens: int) -> Json:
    """`told`, as it was after `output_tokens`."""
    now = dict(told)
    for key in OUTPUT_KEYS:
        if key in now:
            now[key] = min(output_tokens, told[key])
            if "total_tokens" in now:
                now["total_tokens"] += now[key] - told[key]
    return now


def _put_last(found: Json, usage: Json) -> None:
    """A usage at the end of an object, before its padding."""
    found.pop("usage", None)
    padding = {"obfuscation": found.pop("obfuscation")} if "obfuscation" in found else {}
    found.update({"usage": usage} | padding)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageZeroCost(Fault):
    """Add `"cost": 0` to every usage object: an aggregator that says its answer was free."""

    kind: ClassVar[str] = "usage_zero_cost"
    seen_at: ClassVar[str] = "OpenRouter (its free models)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.edit(script, _free)


def _free(found: Json) -> bool:
    told = usages(found)
    for usage in told:
        payloads.first({"cost": 0}, usage)
    return bool(told)
