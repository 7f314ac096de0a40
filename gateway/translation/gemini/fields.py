"""Members of Gemini's messages: named in camelCase or snake_case, and of the types that are due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.body import json_type
from gateway.translation.prompt import Untranslatable

SNAKE = re.compile(r"_([a-z])")
WHOLE_MAX: Final = 2**53


def odd(where: str, value: Any, due: str) -> Untranslatable:
    """What is to be said of a value of the wrong type."""
    return Untranslatable(f"`{where}` is {json_type(value)}; {due} was due")


def message(value: Any, where: str) -> dict[str, Any]:
    """A message with its members named in camelCase, without those that are null; an empty one for null."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise odd(where, value, "an object")
    return {SNAKE.sub(lambda found: found[1].upper(), name): item for name, item in value.items() if item is not None}


def struct(value: Any, where: str) -> Mapping[str, Any]:
    """An object whose names are the caller's own; an empty one for null."""
    if value is not None and not isinstance(value, Mapping):
        raise odd(where, value, "an object")
    return value or {}


def messages(value: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Each message of a list, and where it stands."""
    if not isinstance(value, list):
        if value is None:
            return []
        raise odd(where, value, "an array")
    return [(f"{where}[{at}]", message(item, f"{where}[{at}]")) for at, item in enumerate(value)]


def text(fields: Mapping[str, Any], name: str, where: str) -> str:
    """A text; "" where it is absent."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise odd(f"{where}.{name}", value, "a string")
    return value


def texts(fields: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """A list of texts, without those that are empty."""
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise odd(f"{where}.{name}", value, "an array")
    for at, item in enumerate(value):
        if not isinstance(item, str):
            raise odd(f"{where}.{name}[{at}]", item, "a string")
    return tuple(filter(None, value))


def number(fields: Mapping[str, Any], name: str, where: str) -> float | None:
    """A number; None where it is absent."""
    value = fields.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise odd(f"{where}.{name}", value, "a number")
    return value


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
    if value is not None and not isinstance(value, Mapping):
        raise odd(f"{where}.{name}", value, "an object")
    json_text(value, f"{where}.{name}")  # it must be written again
    return value


def json_text(value: Any, where: str) -> str:
    """A JSON value as text."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise Untranslatable(f"`{where}` is nested too deep") from None
