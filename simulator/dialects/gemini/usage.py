"""`usageMetadata`: in every chunk of a stream, cumulative, and in a JSON reply.

`candidatesTokenCount` leaves thoughts out and is absent, not 0, where nothing was produced; `totalTokenCount` is
everything. What a tool of Google's read counts beside the prompt: the fleet's input tokens are both together. Facts:

    candidates_details   candidatesTokensDetails are told
    service_tier         its word, "standard" unless said; null for none
    traffic_type         Vertex's word for who pays how
    usage_at_end         chunks before the last tell `trafficType` alone
    early_prompt         chunks before the last count the prompt without tools, schemas, calls and responses, and no
                         candidates
"""

from __future__ import annotations

from typing import Any

from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.gemini import tokens
from simulator.dialects.gemini.request import Body

TEXT = tokens.TEXT


def metadata(
    told: Usage, ask: Ask, profile: Profile, candidates: int, thoughts: int, tool_tokens: int = 0, *, final: bool = True
) -> dict[str, Any]:
    """The counts after so many tokens of candidates and of thoughts."""
    facts = profile.facts
    traffic = {"trafficType": facts["traffic_type"]} if facts.get("traffic_type") else {}
    if not final and facts.get("usage_at_end"):
        return traffic
    count = ask.body.count if isinstance(ask.body, Body) else tokens.Count(told.input_tokens)
    tool_tokens = min(tool_tokens, max(0, told.input_tokens - 1))
    prompt = told.input_tokens - tool_tokens
    if not final and facts.get("early_prompt"):
        prompt, candidates = min(prompt, count.early), 0
    details = tokens.spread(prompt, count.details)
    out: dict[str, Any] = {"promptTokenCount": prompt}
    if candidates:
        out["candidatesTokenCount"] = candidates
    out["totalTokenCount"] = prompt + tool_tokens + candidates + thoughts
    if told.cached_tokens:
        out["cachedContentTokenCount"] = told.cached_tokens
    out |= traffic
    out["promptTokensDetails"] = _rows(details)
    if told.cached_tokens:
        out["cacheTokensDetails"] = _rows(tokens.spread(told.cached_tokens, details))
    if candidates and facts.get("candidates_details"):
        out["candidatesTokensDetails"] = _rows(((facts.get("candidates_modality", TEXT), candidates),))
    if tool_tokens:
        out["toolUsePromptTokenCount"] = tool_tokens
        out["toolUsePromptTokensDetails"] = _rows(((TEXT, tool_tokens),))
    if thoughts:
        out["thoughtsTokenCount"] = thoughts
    if tier := facts.get("service_tier", "standard"):
        out["serviceTier"] = tier
    return out


def prompt_only(told: Usage, ask: Ask, profile: Profile) -> dict[str, Any]:
    """Of a prompt that was not answered."""
    if profile.facts.get("traffic_type"):
        return {"trafficType": profile.facts["traffic_type"]}
    return metadata(told, ask, profile, 0, 0)


def _rows(details: tokens.Details) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": number} for modality, number in details]
