"""JSON templates: what an object of some vendor's wire looks like, as data with slots.

    model: $model            the value of a slot; a key (or an item) whose slot has none is left out
    content: $content|null   the same, but JSON stands in for a value that is not there
    usage when asked: null   a key only where a condition holds; `usage unless asked`: only where it does not

Values and conditions come from one mapping: what a reply consists of, laid over the facts of the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

Values = Mapping[str, Any]
Fill = Callable[[Values], Any]
ABSENT: Final = object()
SLOT: Final = "$"
_CONDITION: Final = re.compile(r"(\S+?)(?: (when|unless) (\S+))?")


def compiled(template: Any) -> Fill:
    """A function that fills the template. Raises ValueError for a default that is no JSON."""
    if isinstance(template, str) and template.startswith(SLOT):
        return _slot(template)
    if isinstance(template, dict):
        return _object([_key(key, below) for key, below in template.items()])
    if isinstance(template, list):
        items = [compiled(item) for item in template]
        return lambda values: [item for fill in items if (item := fill(values)) is not ABSENT]
    return lambda _: template


def _slot(text: str) -> Fill:
    name, has_default, default = text[len(SLOT) :].partition("|")
    if not has_default:
        return lambda values: values.get(name, ABSENT)
    try:
        fallback = orjson.loads(default)
    except orjson.JSONDecodeError:
        raise ValueError(f"{text!r}: {default!r} is no JSON") from None

    def fill(values: Values) -> Any:
        value = values.get(name, ABSENT)
        return fallback if value is ABSENT else value

    return fill


def _key(key: str, template: Any) -> tuple[str, str, bool, Fill]:
    """(key, its condition or "", whether that must hold, what fills the value)."""
    found = _CONDITION.fullmatch(str(key))
    if found is None:
        raise ValueError(f"{key!r}: neither KEY nor KEY when CONDITION nor KEY unless CONDITION")
    name, word, condition = found.groups("")
    return name, condition, word == "when", compiled(template)


def _object(rows: list[tuple[str, str, bool, Fill]]) -> Fill:
    def fill(values: Values) -> dict[str, Any]:
        out = {}
        for key, condition, wanted, below in rows:
            if condition and holds(values, condition) is not wanted:
                continue
            value = below(values)
            if value is not ABSENT:
                out[key] = value
        return out

    return fill


def holds(values: Values, condition: str) -> bool:
    """Whether a condition holds: its value is there and is true (or not empty)."""
    value = values.get(condition)
    return value is not ABSENT and bool(value)
