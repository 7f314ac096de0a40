"""Faults of what is said, not of how it travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from simulator import tokens
from simulator.answer import Answer, Choice, Refusal, Stop
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.problem import Problem

SENTENCE = "I'm sorry, but I can't help with that."


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFault(Fault):
    """Decline to answer, the way the wire says so. Usage is that of the refusal."""

    kind: ClassVar[str] = "refusal"
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

    def problem(self, scene: Scene) -> Problem | None:
        where = _first_thinking(scene.ask.body) if scene.ask else None
        return Problem("stale_signature", param=where) if where else None


def _first_thinking(body: Mapping[str, object]) -> str | None:
    """The place of the first thinking block in a request's messages, e.g. "messages.1.content.0"."""
    messages = body.get("messages")
    for at, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, Mapping) else None
        for index, block in enumerate(content if isinstance(content, list) else []):
            if isinstance(block, Mapping) and block.get("type") in ("thinking", "redacted_thinking"):
                return f"messages.{at}.content.{index}"
    return None
