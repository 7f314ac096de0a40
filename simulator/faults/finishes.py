"""How a chat stream says why it ended: never, twice, too early, or in the wrong word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulator.faults import payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.faults.streams import is_content
from simulator.script import Script

REASON = "finish_reason"
NULL = b'"finish_reason":null'


def _unfinished(script: Script, change: str | None) -> Script:
    """The key of every choice that goes on: another value, or (None) no key."""
    if not script.stream:
        return script

    def put(choice: Json) -> bool:
        if REASON not in choice or choice[REASON]:
            return False
        if change is None:
            del choice[REASON]
        else:
            choice[REASON] = change
        return True

    return payloads.each_choice(script, put, lambda data: _quick(data, change))


def _quick(data: bytes, change: str | None) -> bytes | None:
    """The same to the bytes of a chunk."""
    if NULL not in data:
        return None
    made = data.replace(b"," + NULL, b"") if change is None else data.replace(NULL, b'"finish_reason":""')
    return None if NULL in made else made


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishEmptyString(Fault):
    """Say `"finish_reason": ""` until the end, in place of null."""

    kind: ClassVar[str] = "finish_empty_string"
    seen_at: ClassVar[str] = "SGLang; https://github.com/sgl-project/sglang/issues/3912"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _unfinished(script, "")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishKeyAbsent(Fault):
    """Leave `finish_reason` out of every chunk but the one that ends its choice."""

    kind: ClassVar[str] = "finish_key_absent"
    seen_at: ClassVar[str] = "GLM, xAI, Bedrock; https://github.com/danny-avila/LibreChat/pull/5563"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _unfinished(script, None)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NeverFinishReason(Fault):
    """End the stream properly without ever saying why: no `finish_reason` anywhere, no chunk that only finishes."""

    kind: ClassVar[str] = "never_finish_reason"
    seen_at: ClassVar[str] = (
        "Snowflake, OpenCode Zen, Gemini's compatible endpoint; https://github.com/anomalyco/opencode/issues/43882"
    )
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._unended)

    def _unended(self, told: list[Event]) -> Iterator[Event]:
        for event in told:
            rows = payloads.choices(event.json)
            if rows and all(row.get(REASON) and not payloads.said(row) for row in rows):
                continue
            yield event.put() if payloads.all_of(rows, _endless) else event


def _endless(choice: Json) -> bool:
    """Take the key out of a choice."""
    return choice.pop(REASON, choice) is not choice


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleFinish(Fault):
    """Say the finish reason in two chunks, one after the other."""

    kind: ClassVar[str] = "double_finish"
    seen_at: ClassVar[str] = "OpenRouter, vLLM, SGLang, LM Studio; https://github.com/langchain-ai/langchain/pull/38349"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _twice)


def _twice(told: list[Event]) -> Iterator[Event]:
    for event in told:
        yield event
        if payloads.finishes(event):
            yield event.again()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyFinish(Fault):
    """Say a finish reason on every chunk of reasoning, before the answer; without any, on the first piece."""

    kind: ClassVar[str] = "early_finish"
    seen_at: ClassVar[str] = "OpenAI-compatible servers; https://github.com/open-webui/open-webui/issues/16377"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._hasty)

    def _hasty(self, told: list[Event]) -> list[Event]:
        pieces = [event for event in told if is_content(event.frame) and payloads.choices(event.json)]
        thought = [event for event in pieces if any(map(_reasons, payloads.choices(event.json)))]
        for event in thought or pieces[:1]:
            for choice in payloads.choices(event.json):
                choice[REASON] = "stop"
            event.put()
        return told


def _reasons(choice: Json) -> bool:
    said = payloads.said(choice)
    return any(said.get(key) for key in ("reasoning_content", "reasoning", "reasoning_details"))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishStopOnTools(Fault):
    """Say `stop` at the end of a stream that called tools."""

    kind: ClassVar[str] = "finish_stop_on_tools"
    seen_at: ClassVar[str] = "Gemini's compatible endpoint; https://github.com/googleapis/python-genai/issues/2868"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.each_choice(script, _stopped) if script.stream else script


def _stopped(choice: Json) -> bool:
    if choice.get(REASON) not in ("tool_calls", "function_call"):
        return False
    choice[REASON] = "stop"
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishWithContent(Fault):
    """Say the finish reason in the same chunk as the last piece of a choice."""

    kind: ClassVar[str] = "finish_with_content"
    seen_at: ClassVar[str] = "Mistral, Gemini"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _merged)


def _merged(told: list[Event]) -> list[Event]:
    """Each finishing chunk that says nothing else, merged into the last piece of its choice."""
    last: dict[object, Event] = {}
    kept: list[Event] = []
    for event in told:
        rows = payloads.choices(event.json)
        index = rows[0].get("index") if len(rows) == 1 else None
        before = last.get(index)
        if before is not None and payloads.finishes(event) and not payloads.said(rows[0]):
            payloads.choices(before.json)[0][REASON] = rows[0][REASON]
            if event.json and event.json.get("usage") and before.json is not None:
                before.json["usage"] = event.json["usage"]
            before.put()
            continue
        if index is not None and is_content(event.frame):
            last[index] = event
        kept.append(event)
    return kept


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishLastOnly(Fault):
    """Of several choices (`n`), finish only the one with the highest index."""

    kind: ClassVar[str] = "n_finish_last_only"
    seen_at: ClassVar[str] = "SGLang; https://github.com/sgl-project/sglang/pull/8417"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _last_finished)


def _last_finished(told: list[Event]) -> Iterator[Event]:
    last = max([row.get("index") or 0 for event in told for row in payloads.choices(event.json)], default=0)
    for event in told:
        rows = payloads.choices(event.json)
        early = [row for row in rows if row.get(REASON) and row.get("index") != last]
        if early and len(early) == len(rows) and not any(map(payloads.said, rows)):
            continue
        for row in early:
            row[REASON] = None
        yield event.put() if early else event
