"""What a reply on the Chat Completions wire consists of, by name: the values that fill the templates of a form.

id, created, model, tier, fingerprint       of the reply; also every further id that the form spells
index, finish, logprobs, message, delta     of a choice
content, thought, refusal, calls            of a message; absent where nothing was said
at, call_id, call_type, name, arguments     of a tool call; is_function or is_custom
usage                                       the form's own object of the counts below; absent where nothing is told
input, cached, missed, written              prompt tokens: all, and of them read, not read and written
output, visible, reasoned, total            all, of them not thought and thought; input and output together
queue_s, prompt_s, completion_s, total_s    seconds that the counts may have taken
asked, streamed, thinks, called, said       conditions: usage was asked for, a stream was, thoughts are shown, tools are
                                            called, there is a text
searched                                    condition: a web search of the provider's own was offered
by_OWNER                                    condition: the model was asked for as OWNER/NAME
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final
from zlib import crc32

from simulator.answers.answer import Answer, Choice, Refusal, Stop, Text, Thinking, ToolCall, Usage
from simulator.answers.blocks import arguments_json, block_tokens
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.forms import Form
from simulator.dialects.openai.ids import Letters
from simulator.dialects.openai.templates import ABSENT
from simulator.draws import digest

FINISH: Final[Mapping[Stop, str]] = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL: "tool_calls",
    Stop.STOP_SEQUENCE: "stop",
    Stop.REFUSAL: "stop",
    Stop.FILTER: "content_filter",
}
TIERS: Final[Mapping[str, str]] = {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}
TAGS: Final = ("<think>\n", "\n</think>\n\n")
QUEUE_S: Final = 0.201  # these four: made up, but alike from reply to reply
INPUT_TOKEN_S: Final = 0.000_12
OUTPUT_TOKEN_S: Final = 0.002_1
INPUT_TOKEN_USD: Final = 0.4e-6  # of the vendors that tell a cost
OUTPUT_TOKEN_USD: Final = 1.6e-6
_FINGERPRINTS: Final[Mapping[str, str | None]] = {"null": None, "empty": ""}


@cache
def _fingerprint(provider: str, snapshot: str) -> str:
    return f"fp_{digest(provider, snapshot).hex()[:10]}"


def fingerprint(profile: Profile, form: Form, letters: Letters) -> object:
    """The `system_fingerprint`, by the form or by the model's fact."""
    if form.has_fingerprint:
        return None if form.fingerprint is None else letters.spell(form.fingerprint)
    fact = profile.facts.get("fingerprint")
    if fact == "fp":
        return _fingerprint(profile.provider, profile.snapshot)
    return _FINGERPRINTS.get(str(fact), ABSENT)


def service_tier(ask: Ask, profile: Profile) -> object:
    """The `service_tier` used, where the model tells it."""
    if not profile.has("service_tier"):
        return ABSENT
    return TIERS.get(ask.body.get("service_tier") or "", "default")


def counts(usage: Usage) -> dict[str, Any]:
    """The token counts, and what follows from them."""
    prompt_s, completion_s = usage.input_tokens * INPUT_TOKEN_S, usage.output_tokens * OUTPUT_TOKEN_S
    prompt_usd, completion_usd = usage.input_tokens * INPUT_TOKEN_USD, usage.output_tokens * OUTPUT_TOKEN_USD
    return {
        "input": usage.input_tokens,
        "cached": usage.cached_tokens,
        "missed": usage.input_tokens - usage.cached_tokens,
        "written": usage.cache_write_tokens,
        "output": usage.output_tokens,
        "visible": usage.output_tokens - usage.reasoning_tokens,
        "reasoned": usage.reasoning_tokens,
        "total": usage.input_tokens + usage.output_tokens,
        "queue_s": QUEUE_S,
        "prompt_s": round(prompt_s, 9),
        "completion_s": round(completion_s, 9),
        "total_s": round(prompt_s + completion_s, 9),
        "prompt_usd": round(prompt_usd, 10),
        "completion_usd": round(completion_usd, 10),
        "total_usd": round(prompt_usd + completion_usd, 10),
        "ticks": round((prompt_usd + completion_usd) * 1e10),
    }


def common(answer: Answer, ask: Ask, profile: Profile, serving: Serving, form: Form) -> dict[str, Any]:
    """The values that all chunks of a reply share, laid over the facts of the model."""
    letters = Letters(serving, profile)
    values: dict[str, Any] = dict(profile.facts)
    values["streamed"] = ask.stream
    values["model"] = answer.model
    values["asked_model"] = ask.model
    values["searched"] = any("web_search" in str(tool.get("type")) for tool in ask.body.get("server_tools", ()))
    owner, has_owner, _ = ask.model.partition("/")
    if has_owner:
        values[f"by_{owner}"] = True
    values["created"] = answer.created_s
    values["tier"] = service_tier(ask, profile)
    values["fingerprint"] = fingerprint(profile, form, letters)
    for name, pattern in form.ids.items():
        values[name] = letters.spell(pattern)
    told = answer.told
    if told is None:
        values["usage"] = ABSENT
    else:
        values |= counts(told)
        values["usage"] = form.templates["usage"](values)
    return values


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as written."""

    at: int
    id: str
    is_custom: bool
    name: str
    text: str  # the arguments as JSON, or a custom tool's free input
    tokens: int

    def values(self, arguments: str) -> dict[str, Any]:
        """The values of the call, with as much of its arguments as is told."""
        return {
            "at": self.at,
            "call_id": self.id,
            "call_type": "custom" if self.is_custom else "function",
            "is_custom": self.is_custom,
            "is_function": not self.is_custom,
            "name": self.name,
            "arguments": arguments,
        }


def calls(choice: Choice, ask: Ask, form: Form) -> list[Call]:
    """The tool calls of a choice. Arguments of parallel calls have spaces, as the real ones do."""
    found = [block for block in choice.blocks if isinstance(block, ToolCall)]
    custom = {tool.name for tool in ask.tools if tool.kind == "custom"}
    out = []
    for at, block in enumerate(found):
        free = block.name in custom
        spaced = json.dumps(block.arguments, ensure_ascii=False) if len(found) > 1 else arguments_json(block.arguments)
        text = str(block.arguments.get("input", "")) if free else spaced
        out.append(Call(at, _call_id(form.call_id, block, at), free, block.name, text, block_tokens(block)))
    return out


def _call_id(pattern: str, block: ToolCall, at: int) -> str:
    """The id of a call, spelled as its form says."""
    if pattern == "call_{call}":
        return f"call_{block.call}"
    number = f"{crc32(block.call.encode()) % 10**8:08}"
    hexadecimal = digest(block.call).hex()
    return pattern.format(call=block.call, hex=hexadecimal, number=number, at=at, name=block.name)


def joined(choice: Choice, kind: type[Text] | type[Thinking]) -> tuple[str, ...]:
    """The pieces of all blocks of one kind."""
    rows = [block.pieces for block in choice.blocks if isinstance(block, kind)]
    return rows[0] if len(rows) == 1 else tuple(chain.from_iterable(rows))


def refusal(choice: Choice) -> str | None:
    """What a choice declines with."""
    return next((block.text for block in choice.blocks if isinstance(block, Refusal)), None)


def finish(choice: Choice, form: Form) -> str:
    """The word for why a choice ended."""
    word = FINISH[choice.stop]
    return form.finishes.get(word, word)
