"""Chunks of a chat stream with more, or less, than a role and a piece of text. The other wires have none of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import orjson

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.faults.streams import is_content
from simulator.faults.usage import usage_object
from simulator.script import Script

SAFE: Final = {"filtered": False, "severity": "safe"}
FILTERED: Final[Json] = {"hate": SAFE, "self_harm": SAFE, "sexual": SAFE, "violence": SAFE}
BLANK: Final[Json] = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
ASSISTANT: Final = "assistant"
DELTA: Final = b'"delta":{'


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyChoicesFirst(Fault):
    """Begin the stream with a chunk whose `choices` is empty: who reads `choices[0]` crashes."""

    kind: ClassVar[str] = "empty_choices_first"
    seen_at: ClassVar[str] = "Azure; https://github.com/AbanteAI/archive-old-cli-mentat/issues/429"
    still: ClassVar[bool] = True
    form: str = options.one_of(
        "azure", ("azure", "plain"), about="azure: the filter's verdict on the prompt; plain: an ordinary chunk's keys"
    )

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._begun)

    def _begun(self, told: list[Event]) -> Iterator[Event]:
        at = next((at for at, event in enumerate(told) if payloads.is_chunk(event.json)), None)
        for index, event in enumerate(told):
            if index == at:
                yield event.like(self._verdict(event.json or {}), kind="start")
            yield event

    def _verdict(self, chunk: Json) -> Json:
        if self.form == "plain":
            return chunk | {"choices": []}
        return BLANK | {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyChoicesLast(Fault):
    """End every stream with a usage chunk whose `choices` is empty, asked for or not."""

    kind: ClassVar[str] = "empty_choices_last"
    seen_at: ClassVar[str] = "OpenAI when asked, Qwen, vLLM; https://github.com/datawhalechina/hello-agents/issues/425"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if any(frame.kind == "usage" for frame in script.frames):
            return replace(script)  # it shows what it should
        usage = usage_object(script, scene)
        return payloads.recast(script, lambda told: with_usage_frame(told, usage)) if usage else script


def with_usage_frame(told: list[Event], usage: Json) -> Iterator[Event]:
    """The events and, after the last chunk, one that only tells the usage."""
    at = payloads.place(told, lambda event: payloads.is_chunk(event.json))
    for index, event in enumerate(told):
        yield event
        if index == at and event.json is not None:
            kept = {name: value for name, value in event.json.items() if name not in ("usage", "choices")}
            yield event.like(kept | {"choices": [], "usage": usage}, kind="usage")


def _with_verdicts(told: list[Event], every: int, absent: Json) -> Iterator[Event]:
    """The events with verdicts of the content filter: after every so many pieces, and before the end."""
    pieces = offset = 0
    for event in told:
        if payloads.finishes(event) and pieces % every:
            yield event.like(BLANK | {"choices": [_judged(offset) | absent]}, kind="start")
        yield event
        if not is_content(event.frame) or not payloads.choices(event.json):
            continue
        pieces += 1
        offset += event.frame.text_bytes
        if pieces % every == 0:
            yield event.like(BLANK | {"choices": [_judged(offset) | absent]}, kind="start")


def _judged(offset: int) -> Json:
    """A choice that says nothing but the verdict on the text so far."""
    offsets = {"check_offset": offset, "start_offset": 0, "end_offset": offset}
    filtered: Json = {"content_filter_offsets": offsets, "content_filter_results": FILTERED}
    return filtered | {"finish_reason": None, "index": 0}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDelta(Fault):
    """Put verdicts of a content filter between the pieces: chunks whose choice has no `delta` at all."""

    kind: ClassVar[str] = "missing_delta"
    seen_at: ClassVar[str] = "Azure with its asynchronous filter; https://github.com/openai/openai-python/issues/1677"
    still: ClassVar[bool] = True
    every: int = options.whole(8, low=1, about="one verdict after so many pieces, and one at the end")

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, lambda told: _with_verdicts(told, self.every, {}))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NullDelta(Fault):
    """Put verdicts of a content filter between the pieces: chunks whose choice has `"delta": null`."""

    kind: ClassVar[str] = "null_delta"
    seen_at: ClassVar[str] = "Azure with its asynchronous filter; https://github.com/microsoft/autogen/issues/6465"
    still: ClassVar[bool] = True
    every: int = options.whole(8, low=1, about="one verdict after so many pieces, and one at the end")

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, lambda told: _with_verdicts(told, self.every, {"delta": None}))


def _with_role(script: Script, role: str | None) -> Script:
    """The script with a role in every delta that names none."""
    if not script.stream:
        return script

    def put(choice: Json) -> bool:
        delta = choice.get("delta")
        if not isinstance(delta, dict) or "role" in delta:
            return False
        payloads.first({"role": role}, delta)
        return True

    written = b'"role":' + orjson.dumps(role)
    return payloads.each_choice(script, put, lambda data: _quick(data, written))


def _quick(data: bytes, role: bytes) -> bytes | None:
    """The same to the bytes of a chunk with one choice."""
    if data.count(DELTA) != 1 or b'"role"' in data:
        return None
    empty = DELTA + b"}" in data
    return data.replace(DELTA, DELTA + role if empty else DELTA + role + b",")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleEveryChunk(Fault):
    """Repeat the role in every delta."""

    kind: ClassVar[str] = "role_every_chunk"
    seen_at: ClassVar[str] = "GLM, OpenRouter, Together"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _with_role(script, ASSISTANT)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleNull(Fault):
    """Say `"role": null` in every delta after the first."""

    kind: ClassVar[str] = "role_null"
    seen_at: ClassVar[str] = "SGLang; https://github.com/sgl-project/sglang/issues/3912"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _with_role(script, None)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleEmpty(Fault):
    """Say `"role": ""` in every delta after the first."""

    kind: ClassVar[str] = "role_empty"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _with_role(script, "")
