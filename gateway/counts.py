"""Usage as each dialect tells it."""

from __future__ import annotations

from typing import Any

from gateway.pricing import Usage


def chat(usage: Usage) -> dict[str, Any]:
    """Chat Completions. Both details objects are there, for clients that look into them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def responses(usage: Usage) -> dict[str, Any]:
    """Responses. OpenAI's SDK wants both parts of the input's details."""
    details = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": details,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def messages(usage: Usage) -> dict[str, Any]:
    """Messages: input that was read from or written to a cache is counted apart."""
    fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    told: dict[str, Any] = {
        "input_tokens": max(0, fresh),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told


def gemini(usage: Usage) -> dict[str, int]:
    """generateContent: thoughts beside the candidates, left out where there were none, as are cached tokens."""
    told = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens:
        told["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens:
        told["thoughtsTokenCount"] = usage.reasoning_tokens
    return told
