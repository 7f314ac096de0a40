"""How much a Chat model is to think: every vendor has words of its own.

Source: wire reference 1.1 and chapter 8. A vendor that is not listed takes `reasoning_effort` as OpenAI does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.translation.chat.parts import Json
from gateway.translation.prompt import EFFORTS, Prompt, Thinking, ToolCall, budget_of, effort_of
from gateway.upstreams.reading import count
from schemas.catalogue import Model

OPENAI: Final = "OpenAI"
SWITCHED: Final = frozenset({"DeepSeek", "Moonshot", "Zhipu AI"})  # `thinking: {"type": "enabled" | "disabled"}`
BUDGETED: Final = frozenset({"Alibaba"})  # `enable_thinking`, `thinking_budget`
ALWAYS: Final = frozenset({"MiniMax"})  # thinks, and cannot be told how much
KEPT: Final = frozenset(
    {"DeepSeek", "Moonshot"}
)  # a call in the history must come with its thoughts, or thinking be off
PLAIN_EFFORTS: Final[Mapping[str, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


def read_thinking(fields: Mapping[str, Any]) -> Thinking | None:
    """What a caller asks for, in any vendor's words; None where nothing is, or nothing that is known."""
    reasoning = fields.get("reasoning")
    if isinstance(reasoning, dict):  # OpenRouter
        shown = reasoning.get("exclude") is not True
        return thinking_of(reasoning.get("effort"), reasoning.get("max_tokens"), reasoning.get("enabled"), shown)
    switch = fields.get("thinking")
    if isinstance(switch, dict):  # DeepSeek, GLM, Kimi
        enabled = {"enabled": True, "disabled": False}.get(str(switch.get("type")))
        return thinking_of(fields.get("reasoning_effort"), switch.get("budget_tokens"), enabled)
    return thinking_of(fields.get("reasoning_effort"), fields.get("thinking_budget"), fields.get("enable_thinking"))


def thinking_of(effort: Any, budget: Any, enabled: Any, shown: bool = True) -> Thinking | None:
    """An effort counts before a budget; being switched off before both."""
    if enabled is False:
        return Thinking(effort="none", shown=shown)
    if effort == "max":
        effort = "xhigh"
    if isinstance(effort, str) and (effort in EFFORTS or effort == "none"):
        return Thinking(effort=effort, shown=shown)
    if (tokens := count(budget)) is not None:
        return Thinking(budget_tokens=tokens, shown=shown)
    return Thinking(shown=shown) if enabled is True else None


def write_thinking(prompt: Prompt, model: Model) -> Json:
    """The members that say it to a model of this vendor."""
    if model.vendor in KEPT and any(isinstance(piece, ToolCall) for turn in prompt.turns for piece in turn.content):
        return {"thinking": {"type": "disabled"}}
    if prompt.thinking is None or model.vendor in ALWAYS:
        return {}
    effort = effort_of(prompt.thinking)
    budget = budget_of(prompt.thinking)
    if model.vendor in SWITCHED:
        return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
    if model.vendor in BUDGETED:
        return {"enable_thinking": effort != "none", **({"thinking_budget": budget} if budget else {})}
    if effort is not None and model.vendor != OPENAI:
        effort = PLAIN_EFFORTS.get(effort)
    return {} if effort is None else {"reasoning_effort": effort}
