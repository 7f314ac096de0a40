"""The input of a model, held to the fields that its row tells.

    inputs: {width: {type: integer, default: 1024, min: 256, max: 1440, means: width, about: Width of the output}, …}

Types: string, uri, integer, number, boolean, array (`item`: what its members are), object (`fields`), and size (a word
of `enum`, or an object with width and height). `loads` lists what a name must be one of for the model to find it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

Fields = Mapping[str, Mapping[str, Any]]

_SIDE: Final[Mapping[str, Any]] = {"type": "integer", "default": 512, "min": 1, "max": 14142}
SIZE: Final[Fields] = {"width": _SIDE, "height": _SIDE}
_ABSENT: Final = object()
_YES: Final = ("true", "1", "yes", "on")
_NO: Final = ("false", "0", "no", "off")


class Flaw(NamedTuple):
    """One thing that is wrong with an input."""

    path: tuple[str | int, ...]
    kind: str  # "missing", "null", "type", "enum", "least", "most" or "loads"
    due: Any  # the type, the words or the bound
    came: Any = None


class Read(NamedTuple):
    """An input as the model sees it: with its defaults, and what is wrong with it."""

    values: Mapping[str, Any]
    flaws: tuple[Flaw, ...]


def read(fields: Fields, given: Mapping[str, Any], *, lenient: bool = False) -> Read:
    """The input under these fields. `lenient`: numbers in texts are taken as numbers, and null as absent."""
    flaws: list[Flaw] = []
    values = _object(fields, given, (), lenient, flaws)
    return Read(values, tuple(flaws))


def _object(
    fields: Fields, given: Mapping[str, Any], path: tuple[str | int, ...], lenient: bool, flaws: list[Flaw]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in fields.items():
        value, at = given.get(name, _ABSENT), (*path, name)
        if value is _ABSENT or (value is None and lenient and not field.get("required")):
            if field.get("required"):
                flaws.append(Flaw(at, "missing", name))
            elif "default" in field:
                values[name] = field["default"]
        elif value is None:
            flaws.append(Flaw(at, "null", field["type"]))
        else:
            values[name] = _value(field, value, at, lenient, flaws)
    return values


def _value(field: Mapping[str, Any], value: Any, at: tuple[str | int, ...], lenient: bool, flaws: list[Flaw]) -> Any:
    kind = field["type"]
    if kind == "size" and isinstance(value, Mapping):
        return _object(SIZE, value, at, lenient, flaws)
    if kind == "object" and isinstance(value, Mapping):
        return _object(field.get("fields", {}), value, at, lenient, flaws)
    if kind == "array" and isinstance(value, list):
        item = field.get("item", {"type": "any"})
        return [_value(item, each, (*at, index), lenient, flaws) for index, each in enumerate(value)]
    found = _scalar("string" if kind in ("uri", "size") else kind, value, lenient)
    if found is _ABSENT:
        flaws.append(Flaw(at, "type", kind, value))
        return None
    flaws += _bounds(field, found, at)
    return found


def _bounds(field: Mapping[str, Any], value: Any, at: tuple[str | int, ...]) -> Iterator[Flaw]:
    if "enum" in field and value not in field["enum"]:
        yield Flaw(at, "enum", field["enum"], value)
    if "loads" in field and value not in field["loads"]:
        yield Flaw(at, "loads", field["loads"], value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < field.get("min", value):
            yield Flaw(at, "least", field["min"], value)
        if value > field.get("max", value):
            yield Flaw(at, "most", field["max"], value)


def _scalar(kind: str, value: Any, lenient: bool) -> Any:
    """The value as this type, or _ABSENT."""
    if kind == "any":
        return value
    if kind == "boolean":
        return _flag(value, lenient)
    if kind == "string":
        if lenient and isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else _ABSENT
    if kind in ("integer", "number"):
        return _number(kind, value, lenient)
    return _ABSENT


def _flag(value: Any, lenient: bool) -> Any:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if lenient and isinstance(value, str | int) else ""
    return True if word in _YES else False if word in _NO else _ABSENT


def _number(kind: str, value: Any, lenient: bool) -> Any:
    if isinstance(value, str) and lenient:
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            return _ABSENT
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return _ABSENT
    if kind == "number":
        return value
    return int(value) if value == int(value) or lenient else _ABSENT


def texts(value: object) -> Iterator[str]:
    """All texts in an input, in order; long ones without blanks are data and hold none."""
    if isinstance(value, str):
        if len(value) < 4096 or " " in value[:256]:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
