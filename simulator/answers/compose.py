"""Composes what a fake model answers: a pure function of (seed, provider, request) but for the nonce and the time.

Same conversation, same answer, streamed or not. Lengths are exact: the pieces of the text, the tokens of a tool call
(`block_tokens`) and the hidden reasoning add up to the usage, by `simulator.answers.tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from random import Random
from typing import Any, Final

import orjson

from simulator import draws
from simulator.answers import json_values, prose, signatures, tokens
from simulator.answers.answer import Answer, Block, Choice, Native, Refusal, Stop, Text, Thinking, ToolCall, Usage
from simulator.answers.blocks import block_tokens
from simulator.ask import NEVER_THINK, Ask, Tool
from simulator.dialects.base import Profile
from simulator.rules.directives import AnswerSpec

TEXT_TOKENS: Final = (20, 60)
THINKING_TOKENS: Final = (16, 48)
THINKING_BY_EFFORT: Final[Mapping[str, tuple[int, int]]] = {  # where an effort is asked for
    "minimal": (4, 7),
    "low": (8, 15),
    "medium": THINKING_TOKENS,
    "high": (56, 96),
    "xhigh": (104, 160),
    "max": (168, 240),
}
HIDDEN_STEP: Final = 64  # hidden reasoning is counted in steps of this many tokens
HIDDEN_STEPS: Final[Mapping[str, tuple[int, int]]] = {  # by reasoning effort
    "none": (0, 0),
    "minimal": (0, 0),
    "low": (0, 2),
    "medium": (1, 4),
    "high": (4, 10),
    "xhigh": (8, 16),
    "max": (8, 16),
}
CALL_LENGTH: Final = 24
REFUSAL: Final = "I'm sorry, but I can't assist with that request."
_COUNTS: Final = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_SCRIPTED: Final = attrgetter(*_COUNTS)  # what a directive says of each count
_UNSCRIPTED: Final = (None,) * len(_COUNTS)

Natives = Mapping[str, Callable[[Ask, Random], Sequence[Block]]]


def compose(
    ask: Ask,
    spec: AnswerSpec,
    profile: Profile,
    seed: int,
    nonce: str,
    created_s: int,
    natives: Natives | None = None,
) -> Answer:
    """The answer to `ask`. `natives` makes the blocks that only this wire has, by name.

    Raises ValueError when the directive names a native block that the wire does not know.
    """
    key = draws.digest(seed, profile.provider, _identity(ask))
    parts = [_choice(ask, spec, profile, seed, draws.dice(key, at), natives or {}) for at in range(ask.choices)]
    usage = _usage(ask, spec, parts)
    return Answer(
        model=profile.snapshot,
        nonce=nonce,
        created_s=created_s,
        choices=tuple(part.choice for part in parts),
        usage=usage,
        told=usage,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One choice and the reasoning tokens behind it, shown or not."""

    choice: Choice
    reasoning: int
    hidden: int


def _identity(ask: Ask) -> bytes:
    """What makes two requests the same question: everything but how they and the reply travel."""
    body = {k: v for k, v in ask.body.items() if k not in ("stream", "stream_options", "thread")}
    return orjson.dumps([ask.model, body], option=orjson.OPT_SORT_KEYS)


def _choice(ask: Ask, spec: AnswerSpec, profile: Profile, seed: int, dice: Random, natives: Natives) -> _Part:
    """One of the answers."""
    room = ask.max_tokens if ask.max_tokens is not None else profile.facts.get("default_max_tokens")
    own = _natives(ask, spec, profile, dice, natives)
    if any(isinstance(block, Native) and block.final for block in own):
        return _Part(Choice(tuple(own), Stop.END), 0, 0)
    thinking = _thinking(ask, spec, profile, seed, dice)
    hidden = 0 if thinking else _hidden(ask, spec, profile, dice)
    reasoning = hidden + (block_tokens(thinking) if thinking else 0)
    if room is not None:
        room = max(room - reasoning, 0)
    blocks: list[Block] = [thinking, *own] if thinking else [*own]
    if spec.refusal:
        said = "" if profile.has("silent_refusals") else spec.say or REFUSAL
        return _Part(Choice((*blocks, Refusal(said)), Stop.REFUSAL), reasoning, hidden)
    calls = _calls(ask, spec, dice)
    if calls and not spec.length and (room is None or sum(map(block_tokens, calls)) <= room):
        preface = [Text(_pieces(spec.say))] if spec.say else []
        return _Part(Choice((*blocks, *preface, *calls), Stop.TOOL), reasoning, hidden)
    text, stop, match = _text(ask, spec, dice, room)
    return _Part(Choice((*blocks, text), stop, match), reasoning, hidden)


def _natives(ask: Ask, spec: AnswerSpec, profile: Profile, dice: Random, natives: Natives) -> list[Block]:
    """The blocks that only this wire has: asked for by name, or a habit of the model unless another answer is asked."""
    named = spec.text or spec.tool_call or spec.refusal
    out: list[Block] = []
    for name in (*spec.native, *(() if named else profile.facts.get("native", ()))):
        if name not in natives:
            raise ValueError(f"native={name}: this wire knows {', '.join(natives) or 'no native blocks'}")
        out += natives[name](ask, dice)
    return out


def _thinking(ask: Ask, spec: AnswerSpec, profile: Profile, seed: int, dice: Random) -> Thinking | None:
    """Reasoning that the wire shows: asked for on a wire that signs it, or a habit of the model."""
    shown = profile.has("reasoning_content") and (profile.has("reasoning") or spec.reasoning)
    if not (ask.thinking_tokens or shown) or ask.thinking_tokens == NEVER_THINK:
        return None
    usual = THINKING_BY_EFFORT.get(_effort(ask), THINKING_TOKENS)
    count = spec.reasoning_tokens if spec.reasoning_tokens is not None else draws.between(dice, *usual)
    for limit in (ask.thinking_tokens or None, None if ask.max_tokens is None else ask.max_tokens // 2):
        count = count if limit is None else min(count, limit)
    if spec.length and profile.has("thinking_exhausts") and 0 < (ask.max_tokens or 0) <= ask.thinking_tokens:
        count = ask.max_tokens or 0  # nothing is left for the text
    if not count:
        return None
    pieces = prose.pieces(dice, count) if spec.thought is None else _pieces(spec.thought)
    secret, family = signatures.secret(seed), signatures.family(profile.snapshot)
    return Thinking(pieces, signatures.sign(secret, family, profile.provider, "".join(pieces)))


def _effort(ask: Ask) -> str:
    """How hard the request asks to think, in whatever place its wire has for that; "": it does not say."""
    return str(ask.effort or ask.body.get("reasoning_effort") or "")


def _hidden(ask: Ask, spec: AnswerSpec, profile: Profile, dice: Random) -> int:
    """Tokens of reasoning that the wire bills but does not show. They leave at least half of the room to the text."""
    if not profile.has("reasoning_hidden"):
        return 0
    effort = _effort(ask) or str(profile.facts.get("reasoning_effort", "medium"))
    low, high = HIDDEN_STEPS.get(effort, HIDDEN_STEPS["medium"])
    count = HIDDEN_STEP * max(draws.between(dice, low, high), int(spec.reasoning))
    if spec.reasoning_tokens is not None:
        return spec.reasoning_tokens
    return count if ask.max_tokens is None else min(count, ask.max_tokens // 2)


def _wanted(ask: Ask, spec: AnswerSpec) -> list[Tool]:
    """The tools that the answer calls."""
    own = [tool for tool in ask.tools if tool.kind in ("function", "custom")]
    answered = bool(ask.last_turn and ask.last_turn.tool_results)
    scripted = spec.tool_call and (spec.told_by_header or not answered)
    if spec.text:
        return []
    if scripted and spec.tools:
        by_name = {tool.name: tool for tool in own}
        named = [by_name.get(name, Tool(name, {})) for name in spec.tools]
        return named if ask.parallel_tools else named[:1]
    if not own or (ask.tool_choice == "none" and not scripted):
        return []
    chosen = next((tool for tool in own if tool.name == ask.tool_choice), own[0])
    if scripted:
        return _repeated(own, chosen, max(spec.tool_calls, 1) if ask.parallel_tools else 1)
    if ask.tool_choice != "auto":
        return [chosen]
    last = ask.last_turn
    return [chosen] if last is not None and last.role == "user" and not answered else []


def _repeated(own: Sequence[Tool], chosen: Tool, count: int) -> list[Tool]:
    """`count` tools, from the chosen one on, round and round."""
    at = own.index(chosen)
    return [own[(at + step) % len(own)] for step in range(count)]


def _calls(ask: Ask, spec: AnswerSpec, dice: Random) -> list[ToolCall]:
    def call() -> str:
        return "".join(dice.choices(draws.ALPHABET, k=CALL_LENGTH))

    if spec.calls:
        return [ToolCall(call(), one.name, one.arguments) for one in spec.calls]
    return [ToolCall(call(), tool.name, _arguments(tool, dice)) for tool in _wanted(ask, spec)]


def _arguments(tool: Tool, dice: Random) -> Mapping[str, Any]:
    """Arguments that validate; a schema that no value was found for gets an empty object."""
    try:
        made = json_values.value({"type": "object", **tool.schema}, dice)
    except json_values.NoValue:
        return {}
    return made if isinstance(made, dict) else {}


@lru_cache(maxsize=1024)
def _pieces(text: str) -> tuple[str, ...]:
    return tuple(tokens.split(text))


def _text(ask: Ask, spec: AnswerSpec, dice: Random, room: int | None) -> tuple[Text, Stop, str | None]:
    """The visible text, and how it ended."""
    count = spec.tokens if spec.tokens is not None else draws.between(dice, *TEXT_TOKENS)
    if spec.length and room is not None:
        count = max(count, room + 1)
    if spec.say is not None:
        pieces = _pieces(spec.say)
    elif ask.schema is not None:
        pieces = _pieces(_structured(ask.schema, dice))
    else:
        pieces = prose.pieces(dice, count)
    stop = Stop.LENGTH if spec.length else Stop.END
    match = None
    if room is not None and len(pieces) > room:
        pieces, stop = pieces[:room], Stop.LENGTH
    if ask.stop and (cut := _stopped("".join(pieces), ask.stop)) is not None:
        text, match = cut
        pieces, stop = _pieces(text), Stop.STOP_SEQUENCE
    return Text(pieces), stop, match


def _structured(schema: Mapping[str, Any], dice: Random) -> str:
    """JSON text that validates; `{}` asks for any object."""
    try:
        made = json_values.value(schema, dice) if schema else {"answer": prose.title(dice, 4)}
    except json_values.NoValue:
        made = {}
    return orjson.dumps(made).decode()


def _stopped(text: str, stops: Sequence[str]) -> tuple[str, str] | None:
    """(text before the first stop sequence, that sequence), or None when there is none in it."""
    found = min(((at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0), default=None)
    return None if found is None else (text[: found[0]], found[1])


def _usage(ask: Ask, spec: AnswerSpec, parts: Sequence[_Part]) -> Usage:
    """What was used: the tokens of all choices, unless scripted."""
    usage = Usage(
        input_tokens=ask.input_tokens,
        output_tokens=sum(part.hidden + sum(map(block_tokens, part.choice.blocks)) for part in parts),
        cached_tokens=ask.cached_tokens,
        cache_write_tokens=ask.cache_write_tokens,
        reasoning_tokens=sum(part.reasoning for part in parts),
    )
    told = _SCRIPTED(spec)
    if told == _UNSCRIPTED:
        return usage
    scripted = replace(usage, **{name: value for name, value in zip(_COUNTS, told, strict=True) if value is not None})
    if spec.reasoning_tokens is None:  # a part of the output, however little that is
        scripted = replace(scripted, reasoning_tokens=min(scripted.reasoning_tokens, scripted.output_tokens))
    cached = scripted.cached_tokens + scripted.cache_write_tokens
    if spec.input_tokens is not None and cached > spec.input_tokens:
        most = spec.input_tokens
        raise ValueError(f"cached_tokens and cache_write_tokens are {cached}, more than input_tokens={most}")
    if spec.output_tokens is not None and scripted.reasoning_tokens > spec.output_tokens:
        asked = scripted.reasoning_tokens
        raise ValueError(f"reasoning_tokens={asked} is more than output_tokens={spec.output_tokens}")
    return scripted
