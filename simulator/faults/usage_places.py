"""Usage told in other places, under other names, or without what it should say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.chunks import with_usage_frame
from simulator.faults.payloads import Event, Json
from simulator.faults.usage import usage_object, usages
from simulator.script import Script

RENAMED: Final = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
EMPTY: Final = re.compile(rb'"choices":\s*\[\s*\]')
TOTALS: Final = ("total_tokens", "totalTokenCount")


def _each_usage(script: Script, change: Callable[[Json], bool]) -> Script:
    """Every usage object changed in place, streamed or not."""
    return payloads.edit(script, lambda found: payloads.all_of(usages(found), change), payloads.unless(b'"usage'))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageNullEach(Fault):
    """Say `"usage": null` in every chunk that tells none, asked for or not."""

    kind: ClassVar[str] = "usage_null_each"
    seen_at: ClassVar[str] = "OpenAI when asked for usage, DeepSeek, Qwen"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream or not any(b'"choices"' in frame.data for frame in script.frames):
            return script
        changed = payloads.edit(script, _with_null, _quick_null)
        return replace(script) if changed is script else changed  # it shows what it should


def _quick_null(data: bytes) -> bytes | None:
    """The same to the bytes of a chunk."""
    if b'"usage"' in data or b'"choices":[' not in data or not data.endswith(b"}\n\n"):
        return None
    return data[:-3] + b',"usage":null}\n\n'


def _with_null(found: Json) -> bool:
    if "usage" in found or not payloads.is_chunk(found):
        return False
    padding = {"obfuscation": found.pop("obfuscation")} if "obfuscation" in found else {}
    found.update({"usage": None} | padding)
    return True


def _places(told: list[Event], script: Script, scene: Scene) -> tuple[int, Json] | None:
    """The place of the last chunk that finishes, and the usage to tell; None where there is none of both."""
    at = payloads.place(told, payloads.finishes)
    usage = usage_object(script, scene) if at is not None else None
    return None if at is None or usage is None else (at, usage)


def _is_usage(event: Event) -> bool:
    if not EMPTY.search(event.frame.data):
        return False  # the quick way past most chunks
    return payloads.is_chunk(event.json) and not payloads.choices(event.json) and bool(usages(event.json))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageInFinishFrame(Fault):
    """Tell the usage in the chunk with the finish reason, asked for or not; no chunk with empty `choices` follows."""

    kind: ClassVar[str] = "usage_in_finish_frame"
    seen_at: ClassVar[str] = "DeepSeek, GLM, Mistral, Groq, Together"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        def moved(told: list[Event]) -> list[Event]:
            if (found := _places(told, script, scene)) is None:
                return told
            at, usage = found
            (told[at].json or {}).update(usage=usage)
            told[at].put()
            return [event for event in told if not _is_usage(event)]

        return payloads.recast(script, moved)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTwice(Fault):
    """Tell the same usage in two frames, or in two places of one: who adds them up charges twice."""

    kind: ClassVar[str] = "usage_twice"
    seen_at: ClassVar[str] = "Groq (`x_groq`), Kimi; https://github.com/camel-ai/camel/issues/4217"
    still: ClassVar[bool] = True
    place: str = options.one_of(
        "finish_frame",
        ("finish_frame", "choice", "x_groq"),
        about="the second place: the chunk with the finish reason, its choice (Kimi), or `x_groq` beside `usage` there",
    )

    def script(self, script: Script, scene: Scene) -> Script:
        def doubled(told: list[Event]) -> list[Event]:
            if (found := _places(told, script, scene)) is None:
                return told
            at, usage = found
            chunk = told[at].json or {}
            if self.place == "choice":
                payloads.choices(chunk)[0]["usage"] = usage
            else:
                chunk["usage"] = usage
            if self.place == "x_groq":
                chunk["x_groq"] = {"id": chunk.get("id"), "usage": usage}
            told[at].put()
            rest = [event for event in told if not _is_usage(event)]
            return rest if self.place == "x_groq" else list(with_usage_frame(rest, usage))

        return payloads.recast(script, doubled)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageInChoice(Fault):
    """Tell the usage of a stream in `choices[0].usage` of the chunk with the finish reason, and nowhere else."""

    kind: ClassVar[str] = "usage_in_choice"
    seen_at: ClassVar[str] = "Kimi"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        def moved(told: list[Event]) -> list[Event]:
            if (found := _places(told, script, scene)) is None:
                return told
            at, usage = found
            payloads.choices(told[at].json)[0]["usage"] = usage
            told[at].put()
            return [event for event in told if not _is_usage(event)]

        return payloads.recast(script, moved)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRenamed(Fault):
    """Call the counts of a chat reply `input_tokens` and `output_tokens`."""

    kind: ClassVar[str] = "usage_renamed"
    seen_at: ClassVar[str] = "mlx-vlm; https://github.com/earendil-works/pi/issues/2326"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_usage(script, _renamed)


def _renamed(usage: Json) -> bool:
    if not RENAMED.keys() & usage.keys():
        return False
    rows = {RENAMED.get(name, name): value for name, value in usage.items()}
    usage.clear()
    usage.update(rows)
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDetailsNull(Fault):
    """Say null for the details of input and output: what was cached, what was reasoning."""

    kind: ClassVar[str] = "usage_details_null"
    seen_at: ClassVar[str] = "Novita"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_usage(script, _undetailed)


def _undetailed(usage: Json) -> bool:
    if not {"prompt_tokens", "completion_tokens", *DETAILS} & usage.keys():
        return False
    names = [name for name in DETAILS if name in usage] or DETAILS[:2]
    usage.update(dict.fromkeys(names))
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotalMismatch(Fault):
    """Tell a total that is not the sum of input and output."""

    kind: ClassVar[str] = "usage_total_mismatch"
    seen_at: ClassVar[str] = "xAI (reasoning only in the total), Gemini's compatible endpoint"
    still: ClassVar[bool] = True
    form: str = options.one_of(
        "total",
        ("total", "output"),
        about="total: larger than the sum; output: told without the reasoning, unlike the total",
    )
    by: int = options.whole(28, low=1, about="tokens that only the total has, in the form `total`")

    def script(self, script: Script, _: Scene) -> Script:
        return _each_usage(script, self._skewed)

    def _skewed(self, usage: Json) -> bool:
        if self.form == "output":
            return _unreasoned(usage)
        name = next((name for name in TOTALS if name in usage), None)
        if name is None:
            return False
        usage[name] += self.by
        return True


def _unreasoned(usage: Json) -> bool:
    """Take the reasoning out of the output."""
    key = "completion_tokens" if "completion_tokens" in usage else "output_tokens"
    details = usage.get(f"{key}_details") or {}
    reasoning = details.get("reasoning_tokens")
    if not reasoning or "total_tokens" not in usage:
        return False
    usage[key] = max(usage[key] - reasoning, 0)
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEmptyObject(Fault):
    """Tell a usage without counts: an empty object, on Gemini's wire one with `trafficType` alone."""

    kind: ClassVar[str] = "usage_empty_object"
    seen_at: ClassVar[str] = "Vertex"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_usage(script, _countless)


def _countless(usage: Json) -> bool:
    native = any(name.endswith(("TokenCount", "trafficType")) for name in usage)
    usage.clear()
    usage.update({"trafficType": "ON_DEMAND"} if native else {})
    return True


def _start_and_delta(told: list[Event]) -> tuple[Event | None, Event | None]:
    """The message_start and message_delta of an Anthropic stream that tell usage."""
    start = next((event for event in told if event.kind == "message_start" and usages(event.json)), None)
    delta = next((event for event in told if event.kind == "message_delta" and usages(event.json)), None)
    return start, delta


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicZeroStart(Fault):
    """Tell zeros in message_start, and the real numbers, of input as well, only in message_delta."""

    kind: ClassVar[str] = "anthropic_zero_start"
    seen_at: ClassVar[str] = "GLM, SGLang, CLIProxyAPI; https://github.com/zai-org/GLM-5/issues/139"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _zeroed)


def _zeroed(told: list[Event]) -> list[Event]:
    start, delta = _start_and_delta(told)
    if start is not None:
        (usage,) = usages(start.json)
        if delta is not None:
            _with_input(delta, usage)
        for row in payloads.walk(usage):
            row.update({name: 0 for name, value in row.items() if isinstance(value, int)})
        start.put()
    return told


def _with_input(delta: Event, usage: Json) -> None:
    """Tell the input in message_delta, where it does not yet."""
    (told,) = usages(delta.json)
    inputs = {name: value for name, value in usage.items() if name.endswith("input_tokens") and name not in told}
    if inputs:
        payloads.first(inputs, told)
        delta.put()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicDoubleCount(Fault):
    """Tell the input in message_start and again in message_delta: who adds them up charges it twice.

    Anthropic's own newer replies do; there the fault only shows in the journal.
    """

    kind: ClassVar[str] = "anthropic_double_count"
    seen_at: ClassVar[str] = "Anthropic; https://github.com/envoyproxy/ai-gateway/pull/2239"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        told = payloads.events(script) if script.stream else []
        start, delta = _start_and_delta(told)
        if start is None or delta is None:
            return script
        _with_input(delta, usages(start.json)[0])
        return replace(script, frames=tuple(event.frame for event in told))
