"""How much a Claude model is to think: read from a caller's body, and written into a bounded answer.

Source: wire reference, 6.1 and 6.4; docs/decisions.md#thinking-room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.translation.messages.fields import member, optional
from gateway.translation.prompt import Thinking, Untranslatable, budget_of, effort_of

Json = dict[str, Any]
BUDGET_MIN: Final = 1024  # tokens; Anthropic takes no smaller budget
BUDGET_MAX: Final = 1_000_000  # tokens; one that is larger makes no room for itself
BUDGET_ONLY: Final = frozenset({"claude-haiku-4-5"})  # models of the catalogue that cannot think as they like
READ_EFFORTS: Final[Mapping[str, str]] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}
WRITTEN_EFFORTS: Final[Mapping[str, str]] = {"minimal": "low", "low": "low", "medium": "medium"}  # else high


def read(fields: Mapping[str, Any]) -> Thinking | None:
    """The thinking that a body asks for. Raises Untranslatable."""
    thinking = optional(fields, "thinking", dict)
    if thinking is None:
        return None
    shown = optional(thinking, "display", str, "thinking") != "omitted"
    match member(thinking, "type", str, "thinking"):
        case "disabled":
            return Thinking(effort="none")
        case "enabled":
            budget = member(thinking, "budget_tokens", int, "thinking")
            if budget < 1:
                raise Untranslatable(f"`thinking.budget_tokens` is {budget}; {BUDGET_MIN} or more was due.")
            return Thinking(budget_tokens=budget, shown=shown)
        case "adaptive" | "between_tools":
            effort = optional(optional(fields, "output_config", dict) or {}, "effort", str, "output_config")
            return Thinking(effort=READ_EFFORTS.get(effort or ""), shown=shown)
        case kind:
            raise Untranslatable(f"`thinking.type` is {kind!r}, which is not known.")


def with_room(limit: int, thinking: Thinking | None) -> int:
    """The limit of an answer that has room for its thinking too."""
    budget = (thinking.budget_tokens if thinking else None) or 0
    return limit + budget if limit <= budget <= BUDGET_MAX else limit


def write(thinking: Thinking, limit: int, model: str) -> Json:
    """`thinking`, and `output_config` where an effort goes with it; {} where the limit leaves no room to think."""
    budget = budget_of(thinking)
    if budget == 0:
        return {"thinking": {"type": "disabled"}}
    display = {} if thinking.shown else {"display": "omitted"}
    budget = None if budget is None else max(budget, BUDGET_MIN)
    if model in BUDGET_ONLY and (budget is None or budget >= limit):
        budget = limit // 2
    if budget is not None and BUDGET_MIN <= budget < limit:
        return {"thinking": {"type": "enabled", "budget_tokens": budget, **display}}
    if model in BUDGET_ONLY:
        return {}
    effort = effort_of(thinking)
    config = {} if effort is None else {"output_config": {"effort": WRITTEN_EFFORTS.get(effort, "high")}}
    return {"thinking": {"type": "adaptive", **display}, **config}
