"""The `usage` of an Anthropic answer, in its two forms, and what else hangs on which server tools ran.

Facts of the profile say which members a model's era has; all default to today's (true): `cache_usage`,
`cache_creation`, `service_tier`, `inference_geo` (the text itself, or null for none), `delta_input_tokens`,
`thinking_tokens` ("always", or "thinking": only with thinking; null for never). Source: recorded replies from June
2024 to August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator.answers import tokens
from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.anthropic import tokens as anthropic_tokens
from simulator.dialects.anthropic.blocks import Wire
from simulator.dialects.base import Profile

START_OUTPUT_MAX: Final = 8  # message_start names a small number, neither 0 nor the final one


def message_usage(told: Usage, ask: Ask, profile: Profile, blocks: Sequence[Wire]) -> dict[str, Any]:
    """Of a JSON reply: everything."""
    out = _inputs(told, profile)
    if profile.facts.get("cache_creation", True):
        out["cache_creation"] = _cache_creation(told, ask)
    if iterations := _iterations(told, ask, blocks):
        out["iterations"] = iterations
    out["output_tokens"] = told.output_tokens
    out |= _thinking(told, ask, profile)
    out |= _service(profile)
    return out | _server_tools(blocks)


def start_usage(told: Usage, ask: Ask, profile: Profile, blocks: Sequence[Wire], seed: int) -> dict[str, Any]:
    """Of message_start: the input before server tools added to it, and a first few output tokens."""
    grown = sum(tokens.count(orjson.dumps(wire.whole).decode()) for wire in blocks if _is_result(wire))
    out = _inputs(told, profile)
    out["input_tokens"] = max(out["input_tokens"] - grown, min(1, out["input_tokens"]))
    if profile.facts.get("cache_creation", True):
        out["cache_creation"] = _cache_creation(told, ask)
    out["output_tokens"] = min(told.output_tokens, 1 + seed % START_OUTPUT_MAX)
    return out | _service(profile)


def delta_usage(told: Usage, ask: Ask, profile: Profile, blocks: Sequence[Wire]) -> dict[str, Any]:
    """Of message_delta: cumulative, in place of what message_start said."""
    out = _inputs(told, profile) if profile.facts.get("delta_input_tokens", True) else {}
    out["output_tokens"] = told.output_tokens
    out |= _thinking(told, ask, profile)
    out |= _server_tools(blocks)
    if iterations := _iterations(told, ask, blocks):
        out["iterations"] = iterations
    return out


def _inputs(told: Usage, profile: Profile) -> dict[str, Any]:
    out: dict[str, Any] = {"input_tokens": told.input_tokens - told.cached_tokens - told.cache_write_tokens}
    if profile.facts.get("cache_usage", True):
        out["cache_creation_input_tokens"] = told.cache_write_tokens
        out["cache_read_input_tokens"] = told.cached_tokens
    return out


def _cache_creation(told: Usage, ask: Ask) -> dict[str, int]:
    long = anthropic_tokens.cache_ttl(ask.body) == "1h"
    return {
        "ephemeral_5m_input_tokens": 0 if long else told.cache_write_tokens,
        "ephemeral_1h_input_tokens": told.cache_write_tokens if long else 0,
    }


def _thinking(told: Usage, ask: Ask, profile: Profile) -> dict[str, Any]:
    when = profile.facts.get("thinking_tokens", "thinking")
    if when == "always" or (when == "thinking" and (ask.thinking_tokens or told.reasoning_tokens)):
        return {"output_tokens_details": {"thinking_tokens": told.reasoning_tokens}}
    return {}


def _service(profile: Profile) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if profile.facts.get("service_tier", True):
        out["service_tier"] = "standard"
    geo = profile.facts.get("inference_geo", "not_available")
    if geo is not None:
        out["inference_geo"] = geo
    return out


def _is_result(wire: Wire) -> bool:
    return str(wire.whole["type"]).endswith("_tool_result")


def _server_tools(blocks: Sequence[Wire]) -> dict[str, Any]:
    """Requests by server tool, told once any has run."""
    kinds = [wire.whole["type"] for wire in blocks]
    if not any(kind.endswith("_tool_result") or kind in ("server_tool_use", "mcp_tool_use") for kind in kinds):
        return {}
    searches, fetches = kinds.count("web_search_tool_result"), kinds.count("web_fetch_tool_result")
    return {"server_tool_use": {"web_search_requests": searches, "web_fetch_requests": fetches}}


def _iterations(told: Usage, ask: Ask, blocks: Sequence[Wire]) -> list[dict[str, Any]]:
    """The model's runs behind one answer: told where the context was compacted first."""
    summary = next((wire.whole["content"] for wire in blocks if wire.whole["type"] == "compaction"), None)
    if summary is None:
        return []
    creation: Mapping[str, int] = _cache_creation(told, ask)
    compacted = {
        "input_tokens": told.input_tokens - told.cached_tokens - told.cache_write_tokens,
        "output_tokens": tokens.count(summary),
        "cache_read_input_tokens": told.cached_tokens,
        "cache_creation_input_tokens": told.cache_write_tokens,
        "cache_creation": creation,
        "type": "compaction",
    }
    return [compacted, {**compacted, "output_tokens": told.output_tokens, "type": "message"}]
