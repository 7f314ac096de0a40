"""What a Chat Completions request costs in input tokens, and how much of it the prompt cache holds.

Text counts by `simulator.answers.tokens`. To it come 3 tokens a message and its role, 1 a name, 3 for the reply, and
what its images cost the model (`openai.vision`); audio is 100 a clip and a file 1,000. Tools and a JSON Schema count
as their JSON.

Cache: the fleet keeps none, so what was cached follows from the request alone: everything before the last assistant
turn was sent before. It is read in steps of 128 tokens, from 1,024 on, or as a provider's facts `cache_step` and
`cache_min` have it. (Directives can say otherwise.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson

from simulator.answers import tokens
from simulator.dialects.openai.vision import image_tokens

MESSAGE_TOKENS = 3
REPLY_TOKENS = 3
NAME_TOKENS = 1
AUDIO_TOKENS = 100
FILE_TOKENS = 1000
CACHE_MIN_TOKENS = 1024
CACHE_STEP_TOKENS = 128


def prompt_tokens(body: Mapping[str, Any], facts: Mapping[str, Any] = MappingProxyType({})) -> tuple[int, int]:
    """(input tokens, of them cached) of a valid request at a provider with these facts."""
    fixed = REPLY_TOKENS
    for key in ("tools", "functions", "response_format"):
        if body.get(key) and body[key] != {"type": "text"}:
            fixed += tokens.count(orjson.dumps(body[key]).decode())
    messages: Sequence[Mapping[str, Any]] = body["messages"]
    model = str(body["model"]).rpartition("/")[2]  # routers put the vendor's name before it
    counts = [message_tokens(message, model) for message in messages]
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=0)
    before = fixed + sum(counts[:last])
    step, least = facts.get("cache_step", CACHE_STEP_TOKENS), facts.get("cache_min", CACHE_MIN_TOKENS)
    cached = before // step * step if last and before >= least else 0
    return fixed + sum(counts), cached


def message_tokens(message: Mapping[str, Any], model: str) -> int:
    """What one message costs `model`."""
    total = MESSAGE_TOKENS + tokens.count(message["role"])
    if message.get("name"):
        total += NAME_TOKENS + tokens.count(message["name"])
    content = message.get("content")
    if isinstance(content, str):
        total += tokens.count(content)
    for part in content if isinstance(content, list) else []:
        total += _part_tokens(part, model)
    for call in message.get("tool_calls") or []:
        total += tokens.count(orjson.dumps(call.get(call["type"], {})).decode())
    return total


def _part_tokens(part: Mapping[str, Any], model: str) -> int:
    match part.get("type"):
        case "text":
            return tokens.count(part["text"])
        case "refusal":
            return tokens.count(part["refusal"])
        case "image_url":
            image = part["image_url"]
            return image_tokens(model, image["url"], image.get("detail"))
        case "thinking":
            return tokens.count(orjson.dumps(part.get("thinking")).decode())
        case "input_audio":
            return AUDIO_TOKENS
        case _:
            return FILE_TOKENS
