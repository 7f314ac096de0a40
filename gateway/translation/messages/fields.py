"""Members of a Messages body, of the type that is due. What is of another type is named as the caller wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson

from gateway.body import json_type
from gateway.translation.prompt import Untranslatable

T = TypeVar("T")
Json = dict[str, Any]

NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


def due(value: Any, kind: type[T], where: str) -> T:
    """The value, if it is of the kind. Raises Untranslatable."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Untranslatable(f"`{where}` is {json_type(value)}; {NAMES[kind]} was due.")
    return value


def member(fields: Mapping[str, Any], name: str, kind: type[T], where: str = "") -> T:
    """A member that must be there. Raises Untranslatable."""
    path = f"{where}.{name}" if where else name
    if fields.get(name) is None:
        raise Untranslatable(f"`{path}` is missing; {NAMES[kind]} was due.")
    return due(fields[name], kind, path)


def optional(fields: Mapping[str, Any], name: str, kind: type[T], where: str = "") -> T | None:
    """A member that may be absent or null. Raises Untranslatable."""
    return None if fields.get(name) is None else member(fields, name, kind, where)


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """A number that may be absent or null. Raises Untranslatable."""
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else optional(fields, name, float)


def text_of(value: Mapping[str, Any], where: str) -> str:
    """The object as JSON text. Raises Untranslatable where it has too many levels to be sent."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise Untranslatable(f"`{where}` is nested too deeply.") from None


def plain(value: Json, where: str) -> Json:
    """The object, if it has not too many levels to be sent. Raises Untranslatable."""
    text_of(value, where)
    return value
