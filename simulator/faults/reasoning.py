"""Where a chat reply puts its reasoning, and in what shape its text comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.script import Script

REASONING: Final = "reasoning_content"
OPEN, CLOSE = "<think>\n", "\n</think>\n\n"


def _each_said(
    script: Script, change: Callable[[Json], bool], quick: Callable[[bytes], bytes | None] | None = None
) -> Script:
    """Every delta, or message, changed in place."""
    return payloads.each_choice(script, lambda choice: change(payloads.said(choice)), quick)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ContentArray(Fault):
    """Send `content` as an array of typed parts, reasoning among them, in place of a text."""

    kind: ClassVar[str] = "content_array"
    seen_at: ClassVar[str] = "Mistral"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return _each_said(script, _in_parts)


def _in_parts(said: Json) -> bool:
    text, thought = said.get("content"), said.pop(REASONING, None)
    parts: list[Json] = []
    if isinstance(thought, str) and thought:
        parts.append({"type": "thinking", "thinking": [{"type": "text", "text": thought}]})
    if isinstance(text, str) and text:
        parts.append({"type": "text", "text": text})
    if parts:
        said["content"] = parts
    return bool(parts) or thought is not None


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkTagsInline(Fault):
    """Send the reasoning within `<think>…</think>` at the beginning of the text. No effect without reasoning."""

    kind: ClassVar[str] = "think_tags_inline"
    seen_at: ClassVar[str] = "Together (R1), MiniMax; https://github.com/datawhalechina/hello-agents/pull/377"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _tagged) if script.stream else _each_said(script, _wrapped)


def _wrapped(message: Json) -> bool:
    thought = message.pop(REASONING, None)
    if thought:
        message["content"] = OPEN + thought + CLOSE + (message.get("content") or "")
    return thought is not None


def _tagged(told: list[Event]) -> Iterator[Event]:
    thinking: set[object] = set()  # choices whose tag is open
    for event in told:
        changed = False
        for choice in payloads.choices(event.json):
            said, index = payloads.said(choice), choice.get("index")
            thought = said.pop(REASONING, None)
            changed |= thought is not None
            if thought:
                said["content"] = ("" if index in thinking else OPEN) + thought
                thinking.add(index)
            elif index in thinking and (said or choice.get("finish_reason")):
                thinking.discard(index)
                yield event.like((event.json or {}) | {"choices": [_closing(choice)]}, kind="start")
        yield event.put() if changed else event


def _closing(choice: Json) -> Json:
    """A choice that only closes the tag."""
    return choice | {"delta": {"content": CLOSE}, "finish_reason": None}


def _details(thought: str) -> list[Json]:
    return [{"type": "reasoning.text", "text": thought, "format": "unknown", "index": 0}]


KEYS: Final[dict[str, Callable[[str], Json]]] = {
    "reasoning_content": lambda thought: {"reasoning_content": thought},
    "reasoning": lambda thought: {"reasoning": thought},
    "reasoning_details": lambda thought: {"reasoning_details": _details(thought)},
    "reasoning+reasoning_details": lambda thought: {"reasoning": thought, "reasoning_details": _details(thought)},
}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningKeyVariant(Fault):
    """Send the reasoning under another key."""

    kind: ClassVar[str] = "reasoning_key_variant"
    seen_at: ClassVar[str] = (
        "reasoning_content: DeepSeek, Qwen, GLM, Kimi, xAI; reasoning: Groq, OpenRouter; "
        "reasoning_details: OpenRouter, Snowflake, MiniMax"
    )
    still: ClassVar[bool] = True
    key: str = options.one_of("reasoning", tuple(KEYS), about="where it goes; OpenRouter sends both")

    def script(self, script: Script, _: Scene) -> Script:
        make = KEYS[self.key]
        return _each_said(script, lambda said: _moved(said, make), payloads.unless(REASONING.encode()))


def _moved(said: Json, make: Callable[[str], Json]) -> bool:
    if not isinstance(said.get(REASONING), str):
        return False
    rows = list(said.items())
    said.clear()
    for name, value in rows:
        said.update(make(value) if name == REASONING else {name: value})
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonInReasoning(Fault):
    """Put a structured answer into the reasoning and leave the content empty. No effect on other answers."""

    kind: ClassVar[str] = "json_in_reasoning"
    seen_at: ClassVar[str] = "DeepSeek on Azure (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if scene.ask is None or scene.ask.schema is None:
            return script
        return _each_said(script, lambda said: _hidden(said, stream=script.stream))


def _hidden(said: Json, *, stream: bool) -> bool:
    text: Any = said.get("content")
    if not isinstance(text, str) or not text:
        return False
    said[REASONING] = (said.get(REASONING) or "") + text
    said["content"] = None if stream else ""
    return True
