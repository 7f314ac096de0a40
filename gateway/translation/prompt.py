"""What a request asks for, in no dialect: what is read from one body and written as another.

It holds all that decides what the answer is. What only steers or labels it (seeds, penalties, cache marks, metadata,
`store`, `user`) is left out; what cannot be said in another dialect raises Untranslatable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Role = Literal["user", "assistant"]


class Untranslatable(Exception):
    """The request asks for something that the other dialect has no words for. The message names it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is not empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: base64 `data` of a `media_type`, or a `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""  # OpenAI's: low, high, auto


@dataclass(frozen=True, slots=True)
class File:
    """A document: base64 `data` of a `media_type`, or a `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Sound:
    """Speech to listen to: base64 `data` of a `media_type` (audio/wav, audio/mpeg)."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model called a tool. `arguments` is the JSON text of an object; of a custom tool, its input."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the tool answered."""

    id: str  # of the call
    content: tuple[Text | Image | File, ...]
    failed: bool = False


Content = Text | Image | File | Sound | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said; two turns of one side never follow each other."""

    role: Role
    content: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None  # JSON Schema of the arguments
    strict: bool | None = None
    custom: bool = False  # takes one free text (Responses): elsewhere a function of one string, CUSTOM_ARGUMENT


CUSTOM_ARGUMENT: Final = "input"
CUSTOM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {CUSTOM_ARGUMENT: {"type": "string"}},
    "required": [CUSTOM_ARGUMENT],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model is free to call tools."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""  # of the one that it must call, if mode is "tool"


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much the model is to think before it answers; neither number: as much as it likes."""

    effort: str | None = None  # of EFFORTS, or "none"
    budget_tokens: int | None = None
    shown: bool = True  # the caller is to see the thoughts


@dataclass(frozen=True, slots=True)
class Format:
    """The answer is to be JSON; by `schema` where there is one."""

    name: str = "answer"
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request."""

    turns: tuple[Turn, ...]
    instructions: tuple[str, ...] = ()  # system and developer texts, in order
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_calls: bool | None = None
    stream: bool = False
    limit: int | None = None  # output tokens
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    thinking: Thinking | None = None
    format: Format | None = None

    def tool_names(self) -> dict[str, str]:
        """The tool of each call in the history, by the call's id."""
        contents = (content for turn in self.turns for content in turn.content)
        return {call.id: call.name for call in contents if isinstance(call, ToolCall)}

    def custom_tools(self) -> frozenset[str]:
        """The names of tools that take one free text."""
        return frozenset(tool.name for tool in self.tools if tool.custom)


EFFORTS: Final[Mapping[str, int]] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}


def budget_of(thinking: Thinking) -> int | None:
    """The tokens of thinking that are asked for; 0 for none at all, None for as many as the model likes."""
    if thinking.effort == "none":
        return 0
    if thinking.budget_tokens is not None:
        return thinking.budget_tokens
    return None if thinking.effort is None else EFFORTS.get(thinking.effort, EFFORTS["medium"])


def effort_of(thinking: Thinking) -> str | None:
    """The word for how much thinking is asked for; None for as much as the model likes."""
    if thinking.effort is not None or thinking.budget_tokens is None:
        return thinking.effort
    if thinking.budget_tokens == 0:
        return "none"
    return next((effort for effort, tokens in EFFORTS.items() if thinking.budget_tokens <= tokens), "high")


def joined(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns, those of one side that follow each other as one, and none that is empty."""
    made: list[Turn] = []
    for turn in turns:
        if not turn.content:
            continue
        if made and made[-1].role == turn.role:
            made[-1] = Turn(turn.role, made[-1].content + turn.content)
        else:
            made.append(turn)
    return tuple(made)
