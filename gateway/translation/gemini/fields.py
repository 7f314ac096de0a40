"""Members of Gemini's messages: named in camelCase or snake_case, and of the types that are due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.translation.fields import due, json_text
from gateway.translation.fields import number as a_number
from gateway.translation.prompt import Untranslatable

SNAKE = re.compile(r"_([a-z])")
WHOLE_MAX: Final = 2**53


def message(value: Any, where: str) -> dict[str, Any]:
    """A message with its members named in camelCase, without those that are null; an empty one for null."""
    members = {} if value is None else due(value, dict, where)
    return {SNAKE.sub(lambda found: found[1].upper(), name): item for name, item in members.items() if item is not None}


def struct(value: Any, where: str) -> Mapping[str, Any]:
    """An object whose names are the caller's own; an empty one for null."""
    return {} if value is None else due(value, dict, where)


def messages(value: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Each message of a list, and where it stands."""
    items = [] if value is None else due(value, list, where)
    return [(f"{where}[{at}]", message(item, f"{where}[{at}]")) for at, item in enumerate(items)]


def text(fields: Mapping[str, Any], name: str, where: str) -> str:
    """A text; "" where it is absent."""
    return due(fields.get(name, ""), str, f"{where}.{name}")


def texts(fields: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """A list of texts, without those that are empty."""
    value = due(fields.get(name, []), list, f"{where}.{name}")
    return tuple(filter(None, (due(item, str, f"{where}.{name}[{at}]") for at, item in enumerate(value))))


def number(fields: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number; None where it is absent."""
    value = fields.get(name)
    return None if value is None else a_number(value, f"{where}.{name}")


def whole(fields: Mapping[str, Any], name: str, where: str) -> int | None:
    """A whole number; None where it is absent."""
    value = number(fields, name, where)
    if value is None:
        return None
    if abs(value) > WHOLE_MAX or value != int(value):
        raise Untranslatable(f"`{where}.{name}` is {value}; a whole number was due")
    return int(value)


def schema(fields: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any] | None:
    """A schema, as it is; None where it is absent."""
    value = fields.get(name)
    if value is None:
        return None
    json_text(value, f"{where}.{name}")  # it must be written again
    return due(value, dict, f"{where}.{name}")
