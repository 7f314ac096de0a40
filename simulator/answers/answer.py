"""What a fake provider answers, before its dialect writes the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Stop(StrEnum):
    """Why the model stopped. Each dialect has its own word for it."""

    END = "end"
    LENGTH = "length"
    TOOL = "tool"
    STOP_SEQUENCE = "stop_sequence"
    REFUSAL = "refusal"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Text:
    """Visible text, as the pieces a stream would send (`"".join(pieces)` is the text)."""

    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning, with the signature the same fleet verifies later."""

    pieces: tuple[str, ...]
    signature: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the caller's tools; `arguments` validate against the tool's schema."""

    call: str  # 24 characters of [A-Za-z0-9]; the dialect adds its prefix
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declined."""

    text: str


@dataclass(frozen=True, slots=True)
class Native:
    """A block only one wire has (web search results, code execution…), as that wire's JSON."""

    content: Mapping[str, Any]
    streamed_input: bool = False  # its `input` travels as deltas, like a tool call's arguments
    tokens: int = 0  # output tokens it is worth besides its input
    final: bool = False  # nothing else is said: neither thinking nor text nor calls


Block = Text | Thinking | ToolCall | Refusal | Native


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts, all >= 0. `input_tokens` includes cached and cache-written; `output_tokens` includes reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the `n` answers."""

    blocks: tuple[Block, ...]
    stop: Stop = Stop.END
    stop_sequence: str | None = None  # the match, with Stop.STOP_SEQUENCE


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. A function of (seed, provider, request) but for `nonce` and `created_s`."""

    model: str  # the dated snapshot that answers
    nonce: str  # NONCE_LENGTH characters of [A-Za-z0-9], new for each request: ids are made of it
    created_s: int  # Unix seconds by the fleet's clock, 10 digits
    choices: tuple[Choice, ...]
    usage: Usage  # what was truly used
    told: Usage | None  # what the reply says; differs from `usage` only by fault; None: nothing is said

    def at(self, nonce: str, created_s: int) -> Answer:
        """The same answer for one request."""
        return Answer(self.model, nonce, created_s, self.choices, self.usage, self.told)


NONCE_LENGTH = 22
