"""The response object: what was asked, repeated, and what came of it.

Order of keys as recorded: id, object, created_at, status, then the rest by name, then user and metadata. Facts of the
profile: `billing` (told once it is done, in plain JSON), `tool_usage`, `reasoning_mode` (context and mode are told),
`cache_write`, `prompt_cache_retention`, `temperature` and `top_p` (what holds when none is sent),
`response_with` and `response_without` (members that other vendors add or lack), `usage_with` (counts by their names,
and `ticks` or `dollars` by the fact `ticks`), `content_filters`, `undated` (the model is told as it was asked for),
`compact` (no indentation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator.answers.answer import Answer, Stop, Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.responses import tools
from simulator.dialects.responses.ids import response_id
from simulator.dialects.responses.items import Item

DONE: Final[Mapping[Stop, str]] = {Stop.LENGTH: "incomplete", Stop.FILTER: "incomplete"}
REASONS: Final[Mapping[Stop, str]] = {Stop.LENGTH: "max_output_tokens", Stop.FILTER: "content_filter"}
TIERS: Final[Mapping[str, str]] = {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}
TICKS: Final = 10**10  # in a dollar
_SAFE: Final = {"filtered": False, "severity": "safe"}
_NOT_FOUND: Final = {"detected": False, "filtered": False}
_HARMS: Final = dict.fromkeys(("hate", "sexual", "violence", "self_harm"), _SAFE)
_FILTERS: Final[Mapping[str, Mapping[str, Any]]] = {  # by what they looked at
    "prompt": _HARMS | {"jailbreak": _NOT_FOUND},
    "completion": dict.fromkeys(("protected_material_code", "protected_material_text"), _NOT_FOUND) | _HARMS,
}
FINAL: Final = frozenset({"completed", "incomplete"})
_LAST: Final = ("user", "metadata")
_NO_TOKENS: Final = {"image_tokens": 0, "text_tokens": 0}
_NO_IMAGES: Final = {
    "input_tokens": 0,
    "input_tokens_details": _NO_TOKENS,
    "output_tokens": 0,
    "output_tokens_details": _NO_TOKENS,
    "total_tokens": 0,
}


def status_of(answer: Answer) -> str:
    """What an answer ends as."""
    return DONE.get(answer.choices[0].stop, "completed")


class Responses:
    """One response, in any of its states."""

    def __init__(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving, items: Sequence[Item]) -> None:
        self.answer = answer
        self.profile = profile
        self.items = items
        body, facts = ask.body, profile.facts
        self._searches = sum(item.whole["type"] == "web_search_call" for item in items)
        self._tier = TIERS.get(body.get("service_tier") or "", "default")
        self._head = {"id": response_id(serving), "object": "response", "created_at": serving.now_s}
        named = profile.model if profile.has("undated") else answer.model
        told: dict[str, Any] = {"model": named} | _echo(body, profile)
        if body.get("conversation"):
            conversation = body["conversation"]
            told["conversation"] = {"id": conversation["id"] if isinstance(conversation, dict) else conversation}
        self._told = told | dict(facts.get("response_with") or {})
        self._without = frozenset(facts.get("response_without") or ())
        self._created_s = serving.now_s

    def as_of(self, status: str, completed_s: int | None = None, *, in_stream: bool = False) -> dict[str, Any]:
        """The object in that state; once final it has its output and, unless it is in a stream, who pays."""
        final = status in FINAL
        stop = self.answer.choices[0].stop
        parts: dict[str, Any] = dict(self._told)
        parts["completed_at"] = completed_s if status == "completed" else None
        parts["incomplete_details"] = {"reason": REASONS[stop]} if status == "incomplete" else None
        parts["output"] = [item.whole for item in self.items] if final else []
        parts["service_tier"] = self._tier if final else "auto"
        parts["usage"] = usage(self.answer.told, self.profile) if final and self.answer.told else None
        if self.profile.has("tool_usage"):
            searches = self._searches if final else 0
            parts["tool_usage"] = {"image_gen": _NO_IMAGES, "web_search": {"num_requests": searches}}
        if self.profile.has("content_filters"):
            parts["content_filters"] = [_verdict(of) for of in _FILTERS] if final else None
        if self.profile.has("billing") and final and not in_stream:
            parts["billing"] = {"payer": "developer"}
        names = [name for name in sorted(parts) if name not in _LAST]
        whole = self._head | {"status": status} | {name: parts[name] for name in (*names, *_LAST)}
        return {name: value for name, value in whole.items() if name not in self._without}

    def failed(self, code: str, message: str) -> dict[str, Any]:
        """The object after a failure."""
        return self.as_of("failed", in_stream=True) | {"error": {"code": code, "message": message}}


def written(content: Mapping[str, Any], facts: Mapping[str, Any]) -> bytes:
    """An object as bytes: indented by two; other vendors' are compact."""
    return orjson.dumps(content, option=0 if facts.get("compact") else orjson.OPT_INDENT_2)


def usage(told: Usage, profile: Profile) -> dict[str, Any]:
    """Token counts as this wire tells them."""
    cached = {"cached_tokens": told.cached_tokens}
    wrote = {"cache_write_tokens": told.cache_write_tokens} if profile.has("cache_write") else {}
    whole = {
        "input_tokens": told.input_tokens,
        "input_tokens_details": wrote | cached,
        "output_tokens": told.output_tokens,
        "output_tokens_details": {"reasoning_tokens": told.reasoning_tokens},
        "total_tokens": told.input_tokens + told.output_tokens,
    }
    more = profile.facts.get("usage_with")
    return whole | _filled(more, whole | _cost(told, profile)) if more else whole


def _cost(told: Usage, profile: Profile) -> dict[str, Any]:
    """What an answer costs, by the fact `ticks`: 10^-10 dollars for a token of input, of cached input and of output."""
    dear, cheap, output = profile.facts.get("ticks", (0, 0, 0))
    ticks = (told.input_tokens - told.cached_tokens) * dear + told.cached_tokens * cheap + told.output_tokens * output
    return {"ticks": ticks, "dollars": ticks / TICKS}


def _filled(value: Any, counts: Mapping[str, Any]) -> Any:
    """A fact with the counts that it names."""
    if isinstance(value, Mapping):
        return {name: _filled(below, counts) for name, below in value.items()}
    return counts.get(value, value) if isinstance(value, str) else value


def _verdict(of: str) -> dict[str, Any]:
    """That a content filter found nothing."""
    results = {"content_filter_raw": [], "content_filter_results": _FILTERS[of]}
    offsets = {"start_offset": 0, "end_offset": 802, "check_offset": 0}
    return {"blocked": False, "source_type": of, **results, "content_filter_offsets": offsets}


def _echo(body: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """The request's settings, with what holds where it said nothing."""
    facts = profile.facts
    return {
        "background": bool(body.get("background")),
        "error": None,
        "frequency_penalty": 0.0,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "moderation": None,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "presence_penalty": 0.0,
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": body.get("prompt_cache_retention") or facts.get("prompt_cache_retention"),
        "reasoning": _reasoning(body, profile),
        "safety_identifier": body.get("safety_identifier"),
        "store": body.get("store") is not False and facts.get("stores", True),
        "temperature": _decimal(body.get("temperature"), facts.get("temperature", 1.0)),
        "text": _text(body.get("text") or {}, profile),
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_tool(tool, profile) for tool in body.get("tools") or ()],
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": _decimal(body.get("top_p"), facts.get("top_p", 1.0)),
        "truncation": body.get("truncation") or "disabled",
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _decimal(asked: float | None, default: float | None) -> float | None:
    value = default if asked is None else asked
    return None if value is None else float(value)


def _reasoning(body: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """Effort and summary in force; `auto` becomes what the model gives."""
    asked = body.get("reasoning") or {}
    reasons = profile.has("reasoning") and not profile.has("reasoning_effort_untold")
    effort = asked.get("effort") or (profile.facts.get("reasoning_effort", "medium") if reasons else None)
    summary = asked.get("summary") or asked.get("generate_summary") or profile.facts.get("reasoning_summary")
    told: dict[str, Any] = {}
    if profile.has("reasoning_mode"):
        context = asked.get("context")
        default = profile.facts.get("reasoning_context", "current_turn") if profile.has("reasoning") else None
        told["context"] = default if context in (None, "auto") else context
    told["effort"] = effort
    if profile.has("reasoning_mode") and profile.has("reasoning"):
        told["mode"] = asked.get("mode") or "standard"
    return told | {"summary": "detailed" if summary == "auto" else summary}


def _text(asked: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    form = dict(asked.get("format") or {"type": "text"})
    if form["type"] == "json_schema":
        strict = bool(form.get("strict")) if form.get("strict") is not None else False
        described = {"description": form.get("description"), "name": form["name"], "schema": form["schema"]}
        form = {"type": "json_schema"} | described | {"strict": strict}
    if profile.facts.get("verbosity", "medium") is False:
        return {"format": form}
    return {"format": form, "verbosity": asked.get("verbosity") or profile.facts.get("verbosity", "medium")}


def _tool(tool: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    more = {"output_schema": None} if profile.has("output_schema") else {}
    return tools.echoed(tool, not profile.has("lenient"), more)
