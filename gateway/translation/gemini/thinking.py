"""`thinkingConfig`: levels from Gemini 3 on, budgets of tokens before and where the name does not tell, never both.

Source: wire reference, 7.1; Google's page on thinking, and its table of efforts for the OpenAI-compatible endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.fields import due
from gateway.translation.gemini import fields
from gateway.translation.prompt import EFFORTS, Thinking, Untranslatable, budget_of, effort_of

UNSPECIFIED: Final = "thinking_level_unspecified"
THOUGHTLESS: Final = ("gemini-1", "gemini-2.0")
BUDGETS: Final = (  # models, least, most, whether they can do without
    ("gemini-2.5-pro", 128, 32768, False),
    ("gemini-2.5-flash-lite", 512, 24576, True),
    ("gemini-2", 1, 24576, True),
)
PRO: Final = {"none": "LOW", "minimal": "LOW", "low": "LOW", "medium": "MEDIUM"}
LEVELS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (  # by what is in a model's name; every other effort is HIGH
    ("gemini-3-pro", PRO | {"medium": "HIGH"}),
    ("flash", PRO | {"none": "MINIMAL", "minimal": "MINIMAL"}),
    ("", PRO),
)


def read(config: Any, where: str) -> Thinking | None:
    """How much the caller wants the model to think. Raises Untranslatable."""
    if config is None:
        return None
    told = fields.message(config, where)
    shows = due(told.get("includeThoughts", False), bool, f"{where}.includeThoughts")
    level: str | None = fields.text(told, "thinkingLevel", where).lower() or None
    if level == UNSPECIFIED:
        level = None
    if level is not None and level not in EFFORTS:
        raise Untranslatable(f"`{where}.thinkingLevel` is {shown(level)!r}; one of {', '.join(EFFORTS)} was due")
    budget = fields.whole(told, "thinkingBudget", where)
    return Thinking(level, None if budget is None or budget < 0 else budget, shows)


def write(thinking: Thinking, model: str) -> dict[str, Any]:
    """The config for a model; an empty one where nothing is to be said."""
    if model.startswith(THOUGHTLESS):
        return {}
    effort = effort_of(thinking)
    told: dict[str, Any] = {"includeThoughts": True} if thinking.shown and effort != "none" else {}
    budget = budget_of(thinking)
    for name, least, most, optional in BUDGETS:
        if model.startswith(name):
            if budget is not None:
                told["thinkingBudget"] = 0 if optional and budget == 0 else min(max(budget, least), most)
            return told
    if "gemini-3" not in model:  # another vendor's name for it: every model takes a budget
        return told if budget is None else told | {"thinkingBudget": budget}
    if effort is not None:
        levels = next(levels for name, levels in LEVELS if name in model)
        told["thinkingLevel"] = levels.get(effort, "HIGH")
    return told
