"""What a Responses request costs in input tokens, and how much of it the prompt cache holds.

The same rule as Chat Completions (`openai.tokens`): text by `simulator.answers.tokens`, 3 tokens for an item and its
role, 3 for the reply, what its images cost the model (`openai.vision`), 1,000 for a file. Earlier turns that
`previous_response_id` stands for count as if they were sent. Reasoning that comes back counts as its text.

Cache: everything before the last item that the model wrote was sent before; read in steps of 128 tokens, from 1,024 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from simulator.answers import tokens
from simulator.dialects.openai.tokens import (
    AUDIO_TOKENS,
    CACHE_MIN_TOKENS,
    CACHE_STEP_TOKENS,
    FILE_TOKENS,
    MESSAGE_TOKENS,
    REPLY_TOKENS,
)
from simulator.dialects.openai.vision import image_tokens

Item = Mapping[str, Any]
_WRITTEN = frozenset({"reasoning", "function_call", "custom_tool_call", "compaction"})


def prompt_tokens(body: Mapping[str, Any], items: Sequence[Item]) -> tuple[int, int]:
    """(input tokens, of them cached) of a conversation."""
    fixed = REPLY_TOKENS
    if body.get("instructions"):
        fixed += MESSAGE_TOKENS + tokens.count("system") + tokens.count(body["instructions"])
    form = (body.get("text") or {}).get("format") or {"type": "text"}
    for given in (body.get("tools"), form if form["type"] == "json_schema" else None):
        if given:
            fixed += tokens.count(orjson.dumps(given).decode())
    model = str(body.get("model", "")).rpartition("/")[2]  # routers put the vendor's name before it
    counts = [item_tokens(item, model) for item in items]
    last = max((at for at, item in enumerate(items) if _is_written(item)), default=0)
    before = fixed + sum(counts[:last])
    cached = before // CACHE_STEP_TOKENS * CACHE_STEP_TOKENS if last and before >= CACHE_MIN_TOKENS else 0
    return fixed + sum(counts), cached


def _is_written(item: Item) -> bool:
    """Whether the model wrote it."""
    return item["type"] in _WRITTEN or item.get("role") == "assistant"


def item_tokens(item: Item, model: str) -> int:
    """What one item costs `model`."""
    match item["type"]:
        case "message":
            return MESSAGE_TOKENS + tokens.count(item["role"]) + _content_tokens(item.get("content"), model)
        case "function_call" | "custom_tool_call":
            said = item.get("arguments", item.get("input", ""))
            return MESSAGE_TOKENS + tokens.count(item["name"]) + tokens.count(said)
        case "function_call_output" | "custom_tool_call_output":
            return MESSAGE_TOKENS + _content_tokens(item.get("output"), model)
        case "reasoning":
            return _content_tokens(item.get("summary"), model) + _content_tokens(item.get("content"), model)
        case _:
            return MESSAGE_TOKENS


def _content_tokens(content: Any, model: str) -> int:
    if isinstance(content, str):
        return tokens.count(content)
    return sum(_part_tokens(part, model) for part in content or ())


def _part_tokens(part: Item, model: str) -> int:
    match part.get("type"):
        case "input_image" | "computer_screenshot":
            return image_tokens(model, str(part.get("image_url") or ""), part.get("detail"))
        case "input_file":
            return FILE_TOKENS
        case "input_audio":
            return AUDIO_TOKENS
        case _:
            return tokens.count(str(part.get("text") or part.get("refusal") or ""))
