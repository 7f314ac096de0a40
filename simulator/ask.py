"""What a client asked a fake provider, once its dialect has read the bytes.

An `Ask` says the same thing whatever the wire was; what only one wire knows stays in `Ask.body`. (Some are tuples, for
speed: each request makes them.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

NEVER_THINK: Final = -1


class Request(NamedTuple):
    """One HTTP request as the fleet got it, below the provider's prefix."""

    method: str
    path: str  # "/v1/chat/completions"
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    params: Mapping[str, str] = MappingProxyType({})  # what stands in the path, by the names of its pattern
    facts: Mapping[str, Any] = MappingProxyType({})  # of the provider, where this dialect is mounted
    site: str = ""  # "http://127.0.0.1:8080/openai": where the client reached this provider; links begin with it


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool offered to the model."""

    name: str
    schema: Mapping[str, Any]  # JSON Schema of the arguments; {} when none was given
    kind: str = "function"  # the wire's own type for tools that are not the caller's, e.g. "web_search_20250305"


class Turn(NamedTuple):
    """One message of the conversation, reduced to what decides the answer."""

    role: str  # "system" | "user" | "assistant" | "tool"
    text: str  # all text of the message, joined by newlines
    tool_results: int = 0  # results of tool calls in this message
    images: int = 0


class Ask(NamedTuple):
    """A decoded request for an answer."""

    operation: str  # "generate" | "count_tokens" | "list_models", or what else the dialect performs
    model: str
    turns: tuple[Turn, ...] = ()
    stream: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # "auto" | "none" | "required" | the name of a tool
    parallel_tools: bool = True
    schema: Mapping[str, Any] | None = None  # the answer must validate; {} asks for any JSON object
    thinking_tokens: int = 0  # 0: no thinking asked; NEVER_THINK: not to think; else the most it may use
    effort: str = ""  # of reasoning that the wire hides, by the words of compose.HIDDEN_STEPS; "": nothing asked
    input_tokens: int = 0  # exact, by simulator.answers.tokens
    cached_tokens: int = 0  # of input_tokens, read from the provider's cache
    cache_write_tokens: int = 0  # of input_tokens, written to it
    body: Mapping[str, Any] = MappingProxyType({})  # the JSON as sent
    keep: bool = False  # the reply can be asked for later, by the nonce in its id
    fresh: bool = False  # the reply depends on the attempt, or takes its time: it is never served ready-made
    needs: str = ""  # the nonce of an earlier reply that this request is about
    about: tuple[str, ...] = ()  # the nonces of jobs that it asks for, where none of them need be found (desk.LOOK)
    among: bool = False  # whether the job it submits may begin depends on those there are (desk.BEGIN)
    site: str = ""  # where links in the reply begin: the site of the request, and the root of the dialect there

    @property
    def last_turn(self) -> Turn | None:
        """The turn that the answer replies to."""
        return self.turns[-1] if self.turns else None
