"""Values in the body of a request, of the type that is due, in any dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson

from gateway.body import json_type
from gateway.translation.prompt import Untranslatable

T = TypeVar("T")

NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
}


def due(value: Any, kind: type[T], where: str) -> T:
    """The value, if it is of the kind. Raises Untranslatable, with the place as the caller wrote it."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Untranslatable(f"`{where}` is {json_type(value)}; {NAMES[kind]} was due.")
    return value


def number(value: Any, where: str) -> float:
    """The value, if it is a number, whole or not. Raises Untranslatable."""
    return value if isinstance(value, int) and not isinstance(value, bool) else due(value, float, where)


def json_text(value: Any, where: str) -> str:
    """A value as JSON text. Raises Untranslatable where it has too many levels to be sent."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise Untranslatable(f"`{where}` is nested too deeply.") from None
