"""Faults of what is said, not of how it travels. Usage, true and told, is that of what is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.answers import tokens
from simulator.answers.answer import Answer, Block, Choice, Refusal, Stop, Text, Thinking, ToolCall
from simulator.answers.blocks import block_tokens
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.problem import Problem

SENTENCE: Final = "I'm sorry, but I can't help with that."


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFault(Fault):
    """Decline to answer, the way the wire says so. Usage is that of the refusal."""

    kind: ClassVar[str] = "refusal"
    seen_at: ClassVar[str] = "OpenAI, Anthropic"
    still: ClassVar[bool] = True
    text: str = options.text(SENTENCE, about="what the model says")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        choices = tuple(Choice((Refusal(self.text),), Stop.REFUSAL) for _ in answer.choices)
        output_tokens = tokens.count(self.text) * len(choices)
        usage = replace(answer.usage, output_tokens=output_tokens, reasoning_tokens=0)
        told = answer.told and replace(answer.told, output_tokens=output_tokens, reasoning_tokens=0)
        return replace(answer, choices=choices, usage=usage, told=told)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class StaleSignature(Fault):
    """Refuse the thinking in the history, as if another account had signed it. No effect where there is none."""

    kind: ClassVar[str] = "stale_signature"
    seen_at: ClassVar[str] = "Anthropic; https://github.com/anthropics/claude-code/issues/10627"

    def problem(self, scene: Scene) -> Problem | None:
        where = _first_thinking(scene.ask.body) if scene.ask else None
        return Problem("stale_signature", param=where) if where else None


def _first_thinking(body: Mapping[str, object]) -> str | None:
    """The place of the first thinking block, or signed part, of a request's history, e.g. "messages.1.content.0"."""
    messages = body.get("messages")
    for at, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, Mapping) else None
        for index, block in enumerate(content if isinstance(content, list) else []):
            if isinstance(block, Mapping) and block.get("type") in ("thinking", "redacted_thinking"):
                return f"messages.{at}.content.{index}"
    contents = body.get("contents")
    for at, turn in enumerate(contents if isinstance(contents, list) else []):
        parts = turn.get("parts") if isinstance(turn, Mapping) else None
        for index, part in enumerate(parts if isinstance(parts, list) else []):
            if isinstance(part, Mapping) and part.get("thoughtSignature"):
                return f"contents[{at}].parts[{index}]"
    return None


def with_choices(answer: Answer, choices: tuple[Choice, ...], least: int = 0) -> Answer:
    """The answer with other choices; the output, true and told, is more or less by as much as they say."""
    more = _size(choices) - _size(answer.choices)
    output_tokens = max(answer.usage.output_tokens + more, answer.usage.reasoning_tokens, least)
    told = answer.told and replace(
        answer.told, output_tokens=max(answer.told.output_tokens + more, answer.told.reasoning_tokens, least)
    )
    return replace(answer, choices=choices, usage=replace(answer.usage, output_tokens=output_tokens), told=told)


def _size(choices: tuple[Choice, ...]) -> int:
    return sum(block_tokens(block) for choice in choices for block in choice.blocks)


def _cut(answer: Answer, after_tokens: int, stop: Stop) -> Answer:
    """The answer, ended after so many tokens of its text; what follows, and tool calls, are not said."""
    choices = tuple(Choice(tuple(_begun(choice.blocks, after_tokens)), stop) for choice in answer.choices)
    return with_choices(answer, choices)


def _begun(blocks: tuple[Block, ...], left: int) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Text):
            yield Text(block.pieces[:left])
            left = max(left - len(block.pieces), 0)
        elif not isinstance(block, ToolCall | Refusal):
            yield block


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFilter(Fault):
    """Let the provider's moderation stop the answer in its middle, the way the wire says so."""

    kind: ClassVar[str] = "content_filter"
    seen_at: ClassVar[str] = "Azure, Gemini (SAFETY), GLM (sensitive), DeepSeek"
    still: ClassVar[bool] = True
    after_tokens: int = options.whole(5, about="tokens of text said before it")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        return _cut(answer, self.after_tokens, Stop.FILTER)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBlocked(Fault):
    """Refuse the prompt itself, for what it says."""

    kind: ClassVar[str] = "prompt_blocked"
    seen_at: ClassVar[str] = "OpenAI, Azure, Kimi (content_filter), GLM (1301)"
    still: ClassVar[bool] = True
    message: str | None = options.text(None, about="replaces the native sentence")

    def problem(self, _: Scene) -> Problem:
        return Problem("content_filter", self.message, status=400)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CutByLength(Fault):
    """End the answer by length (`length`, `max_tokens`) although the caller's limit was not reached."""

    kind: ClassVar[str] = "cut_by_length"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
    after_tokens: int = options.whole(5, about="tokens of text said before it")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        return _cut(answer, self.after_tokens, Stop.LENGTH)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyAnswer(Fault):
    """Answer nothing, and end as if that were all; what was thought is still shown. One token of output is used."""

    kind: ClassVar[str] = "empty_answer"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True

    def answer(self, answer: Answer, _: Scene) -> Answer:
        choices = tuple(
            Choice(tuple(block for block in choice.blocks if isinstance(block, Thinking)), Stop.END)
            for choice in answer.choices
        )
        return with_choices(answer, choices, least=1)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTool(Fault):
    """Call a tool that was not offered. No effect on an answer that calls none."""

    kind: ClassVar[str] = "unknown_tool"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
    name: str | None = options.text(None, about="the name called; without it the right one with `_v2` behind it")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        if not any(isinstance(block, ToolCall) for choice in answer.choices for block in choice.blocks):
            return answer
        choices = tuple(
            replace(choice, blocks=tuple(self._misnamed(block) for block in choice.blocks)) for choice in answer.choices
        )
        return with_choices(answer, choices)

    def _misnamed(self, block: Block) -> Block:
        return replace(block, name=self.name or f"{block.name}_v2") if isinstance(block, ToolCall) else block
