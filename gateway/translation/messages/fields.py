"""Members of a Messages body, of the type that is due. What is of another type is named as the caller wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from gateway.translation.fields import NAMES, due, json_text
from gateway.translation.fields import number as a_number
from gateway.translation.prompt import Untranslatable

T = TypeVar("T")
Json = dict[str, Any]


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
    return None if fields.get(name) is None else a_number(fields[name], name)


def plain(value: Json, where: str) -> Json:
    """The object, if it has not too many levels to be sent. Raises Untranslatable."""
    json_text(value, where)
    return value
