"""What the blocks of an answer are worth in output tokens, the same on every wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.answers import tokens
from simulator.answers.answer import Block, Native, Refusal, Text, Thinking, ToolCall


def arguments_json(arguments: Mapping[str, Any]) -> str:
    """A tool call's arguments as compact JSON text. White space after `:` and `,` would not change its token count."""
    return orjson.dumps(arguments).decode()


def block_tokens(block: Block) -> int:
    """How many output tokens a block is worth. Results of server tools are the provider's input, and free."""
    match block:
        case Text(pieces) | Thinking(pieces):
            return len(pieces)
        case ToolCall(_, name, arguments):
            return tokens.count(name) + tokens.count(arguments_json(arguments))
        case Refusal(text):
            return tokens.count(text)
        case Native(content, streamed_input):
            return block.tokens + (tokens.count(arguments_json(content.get("input", {}))) if streamed_input else 0)
