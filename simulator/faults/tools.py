"""How tool calls are numbered, named and identified on the chat wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from simulator.answers.answer import Answer, Block, ToolCall
from simulator.draws import word
from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.script import Script

CALL_LENGTH: Final = 24
CALLS: Final = payloads.unless(b'"tool_calls"')
INNER: Final = ("function", "custom")
SIGNATURE: Final = "CiQB0e2Kb3Fsc2ludGhlZmxlZXRzb3duc2lnbmF0dXJlEiQK"


def each_call(script: Script, change: Callable[[Json], bool]) -> Script:
    """Every tool call, or piece of one, changed in place."""
    return payloads.each_choice(script, lambda choice: payloads.all_of(payloads.calls(choice), change), CALLS)


def _each_piece(script: Script, change: Callable[[Json], bool]) -> Script:
    """As each_call, in streams only."""
    return each_call(script, change) if script.stream else script


def begins(call: Json) -> bool:
    """Whether a piece of a call is its first: the one that names the tool."""
    return any(isinstance(call.get(inner), dict) and call[inner].get("name") for inner in INNER)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIndexMissing(Fault):
    """Leave `index` out of every piece of a tool call."""

    kind: ClassVar[str] = "tool_index_missing"
    seen_at: ClassVar[str] = (
        "Gemini's compatible endpoint, Mistral; https://github.com/openai/openai-python/issues/2806"
    )
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_piece(script, lambda call: call.pop("index", None) is not None)


def _numbered(script: Script, number: Callable[[int], int]) -> Script:
    """Every piece of a call with another index."""

    def put(call: Json) -> bool:
        old = call.get("index")
        if not isinstance(old, int) or number(old) == old:
            return False
        call["index"] = number(old)
        return True

    return _each_piece(script, put)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIndexAlwaysZero(Fault):
    """Give every parallel tool call the index 0."""

    kind: ClassVar[str] = "tool_index_always_zero"
    seen_at: ClassVar[str] = "LMDeploy, Gemini proxies; https://github.com/InternLM/lmdeploy/issues/3412"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _numbered(script, lambda _: 0)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIndexGap(Fault):
    """Number tool calls from 1 on, or with gaps."""

    kind: ClassVar[str] = "tool_index_gap"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True
    begin: int = options.whole(1, about="the first index")
    step: int = options.whole(2, low=1, about="from one call to the next")

    def script(self, script: Script, _: Scene) -> Script:
        return _numbered(script, lambda index: self.begin + index * self.step)


class _Ids:
    """The id of each call under way, by choice and index."""

    def __init__(self) -> None:
        self._ids: dict[tuple[Any, Any], Any] = {}

    def of(self, choice: Json, call: Json) -> Any:
        """The id of the call that this is a piece of."""
        key = (choice.get("index"), call.get("index"))
        if call.get("id"):
            self._ids[key] = call["id"]
        return self._ids.get(key)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIdEveryChunk(Fault):
    """Repeat the id of a tool call in each of its pieces: who appends them doubles it."""

    kind: ClassVar[str] = "tool_id_every_chunk"
    seen_at: ClassVar[str] = "Fireworks, LiteLLM; https://github.com/SillyTavern/SillyTavern/pull/5948"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        ids = _Ids()

        def put(choice: Json) -> bool:
            changed = False
            for call in payloads.calls(choice):
                found = ids.of(choice, call)
                if found is not None and call.get("id") != found:
                    index = {"index": call["index"]} if "index" in call else {}
                    payloads.first(index | {"id": found}, call)
                    changed = True
            return changed

        return payloads.each_choice(script, put, CALLS) if script.stream else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIdEmpty(Fault):
    """Say `"id": ""` and the type again in every piece of a tool call after the first."""

    kind: ClassVar[str] = "tool_id_empty"
    seen_at: ClassVar[str] = "Qwen, vLLM; https://github.com/InternLM/lmdeploy/issues/3412"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_piece(script, _anonymous)


def _anonymous(call: Json) -> bool:
    if "id" in call:
        return False
    call.update({"id": "", "type": next((inner for inner in INNER if inner in call), "function")})
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNameLate(Fault):
    """Name the tool only in the piece after the one that opens the call."""

    kind: ClassVar[str] = "tool_name_late"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _late_names)


def _late_names(told: list[Event]) -> Iterator[Event]:
    for event in told:
        rows = [call for choice in payloads.choices(event.json) for call in payloads.calls(choice) if begins(call)]
        if not rows:
            yield event
            continue
        names = [{"index": call.get("index"), **_without_name(call)} for call in rows]
        yield event.put()
        choice = payloads.choices(event.json)[0] | {"delta": {"tool_calls": names}, "finish_reason": None}
        yield event.like((event.json or {}) | {"choices": [choice]})


def _without_name(call: Json) -> Json:
    """Take the name out of a call; returns the piece that brings it."""
    inner = next(inner for inner in INNER if inner in call)
    return {inner: {"name": call[inner].pop("name")}}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTypeNull(Fault):
    """Say no type of a tool call: null, or no key."""

    kind: ClassVar[str] = "tool_type_null"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True
    form: str = options.one_of("null", ("null", "missing"), about="what stands for the type")

    def script(self, script: Script, _: Scene) -> Script:
        return each_call(script, self._untyped)

    def _untyped(self, call: Json) -> bool:
        if call.get("type") is None:
            return False
        if self.form == "null":
            call["type"] = None
        else:
            del call["type"]
        return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallsNull(Fault):
    """Say `"tool_calls": null` in every delta, or message, that calls none."""

    kind: ClassVar[str] = "tool_calls_null"
    seen_at: ClassVar[str] = "Snowflake, SGLang"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        def put(choice: Json) -> bool:
            said = payloads.said(choice)
            if not said or "tool_calls" in said:
                return False
            said["tool_calls"] = None
            return True

        return payloads.each_choice(script, put)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolExtraContent(Fault):
    """Add Google's thought signature (`extra_content`) to the first tool call, or in a delta of its own."""

    kind: ClassVar[str] = "tool_extra_content"
    seen_at: ClassVar[str] = "Gemini's compatible endpoint; https://github.com/open-webui/computer/issues/224"
    still: ClassVar[bool] = True
    place: str = options.one_of("call", ("call", "own_delta"), about="where it stands; in JSON always in the call")

    def script(self, script: Script, _: Scene) -> Script:
        if self.place == "own_delta" and script.stream:
            return payloads.recast(script, _signed_after)
        return each_call(script, _signed)


EXTRA: Final[Json] = {"google": {"thought_signature": SIGNATURE}}


def _signed(call: Json) -> bool:
    if not begins(call) or call.get("index"):
        return False
    call["extra_content"] = EXTRA
    return True


def _signed_after(told: list[Event]) -> Iterator[Event]:
    """The signature right before the finish of a choice that called tools."""
    calling = False
    for event in told:
        rows = payloads.choices(event.json)
        calling |= any(map(payloads.calls, rows))
        if calling and payloads.finishes(event):
            choice = rows[0] | {"delta": {"extra_content": EXTRA}, "finish_reason": None}
            yield event.like((event.json or {}) | {"choices": [choice]}, kind="start")
        yield event


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIdsReused(Fault):
    """Give the first call of every turn the same id, the second another, and so on. On every wire."""

    kind: ClassVar[str] = "tool_ids_reused"
    seen_at: ClassVar[str] = "Bedrock (Mantle)"
    still: ClassVar[bool] = True

    def answer(self, answer: Answer, scene: Scene) -> Answer:
        if not any(isinstance(block, ToolCall) for choice in answer.choices for block in choice.blocks):
            return answer
        choices = tuple(replace(choice, blocks=tuple(_reused(choice.blocks, scene))) for choice in answer.choices)
        return replace(answer, choices=choices)


def _reused(blocks: tuple[Block, ...], scene: Scene) -> Iterator[Block]:
    at = 0
    for block in blocks:
        if isinstance(block, ToolCall):
            yield replace(block, call=word(CALL_LENGTH, "reused", scene.dialect.name, at))
            at += 1
        else:
            yield block
