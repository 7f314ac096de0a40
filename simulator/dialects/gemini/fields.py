"""The messages of a Gemini request as data, and how JSON is read into them: Google's mapping of protobuf.

Keys may be camelCase or snake_case, one value may stand for a list of it, numbers may be texts and the other way round,
names of enums may be in any case, and null is nothing. What comes out has camelCase keys. Everything that is wrong is
told at once, each with its place in snake_case. Source: the official Python client's types (3.4), recorded requests and
public issues (the sentences).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import orjson

from simulator.dialects.gemini.messages import ENUMS, MESSAGES
from simulator.problem import Problem, Refused

GOOGLE: Final = "type.googleapis.com/google.ai.generativelanguage.v1beta."
INT_MAX: Final = 2**31
FLAWS_MAX: Final = 100
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_UNDERSCORE = re.compile(r"_([a-z0-9])")


class Flaw(NamedTuple):
    """One thing that is wrong, and where."""

    field: str
    description: str


class Misread(Exception):
    """A value is not of its type."""


@cache
def camel(name: str) -> str:
    """`max_output_tokens` as `maxOutputTokens`."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


@cache
def snake(name: str) -> str:
    """`maxOutputTokens` as `max_output_tokens`."""
    return _HUMP.sub(lambda found: "_" + found[1].lower(), name)


def message(data: Any, name: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """A body read as the message of that name, which here may also have the fields `more`. Raises Refused."""
    flaws: list[Flaw] = []
    if not isinstance(data, dict):
        raise Refused(_problem([Flaw("", f"Invalid value at '' ({GOOGLE}{name}), {_shown(data)}")]))
    read = _message(data, name, "", flaws, more)
    if flaws:
        raise Refused(_problem(flaws[:FLAWS_MAX]))
    return read


def _problem(flaws: list[Flaw]) -> Problem:
    """All flaws as one refusal: a line each, in the message and in `param`; a name may hold line breaks of its own."""
    descriptions = [flaw.description.replace("\n", "\\n") for flaw in flaws]
    return Problem("bad_request", "\n".join(descriptions), "\n".join(flaw.field.replace("\n", "\\n") for flaw in flaws))


def _message(
    data: Mapping[str, Any], name: str, path: str, flaws: list[Flaw], more: tuple[str, ...] = ()
) -> dict[str, Any]:
    fields = MESSAGES[name]
    out: dict[str, Any] = {}
    for key, value in data.items():
        field = key if key in fields else camel(key)
        if field in more:
            out[field] = value
        elif field not in fields:
            where = f" at '{path}'" if path else ""
            said = f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.'
            flaws.append(Flaw(path, said))
        elif value is not None:
            found = _field(value, fields[field], f"{path}.{snake(field)}" if path else snake(field), flaws)
            if found is not None:
                out[field] = found
    return out


def _field(value: Any, kind: str, path: str, flaws: list[Flaw]) -> Any:
    """The value of a field; None where it is wrong, which is noted."""
    if kind.startswith("[]"):
        items = value if isinstance(value, list) else [value]
        read = [_field(item, kind[2:], f"{path}[{at}]", flaws) for at, item in enumerate(items)]
        return [item for item in read if item is not None]
    if kind.startswith("{}"):
        if not isinstance(value, dict):
            flaws.append(_invalid(path, "Map", value))
            return None
        below = [f"{path}[{at}].value" for at in range(len(value))]
        pairs = [(key, _field(value[key], kind[2:], where, flaws)) for key, where in zip(value, below, strict=True)]
        return {key: item for key, item in pairs if item is not None}
    if isinstance(value, list) and kind != "any":
        name = path.rpartition(".")[2]
        said = f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}'"
        flaws.append(Flaw(path, f"{said}: Proto field is not repeating, cannot start list."))
        return None
    if kind in MESSAGES:
        if not isinstance(value, dict):
            flaws.append(_invalid(path, f"{GOOGLE}{kind}", value))
            return None
        return _message(value, kind, path, flaws)
    try:
        return _enum(value, kind) if kind in ENUMS else SCALARS[kind](value)
    except Misread:
        due = f"{GOOGLE}{kind}" if kind in ENUMS else TYPES[kind]
        flaws.append(_invalid(path, due, value))
    except binascii.Error:
        said = f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {_shown(value)}"
        flaws.append(Flaw(path, said))
    return None


def _invalid(path: str, due: str, value: Any) -> Flaw:
    return Flaw(path, f"Invalid value at '{path}' ({due}), {_shown(value)}")


def _shown(value: Any) -> str:
    """A value as a complaint shows it."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _enum(value: Any, kind: str) -> str:
    if isinstance(value, str) and value.upper() in ENUMS[kind]:
        return value.upper()
    raise Misread


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misread
    return value


def _bool(value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise Misread
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Misread
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise Misread from None


def _int(value: Any) -> int:
    number = _number(value)
    if not number.is_integer() or abs(number) > INT_MAX:
        raise Misread
    return int(number)


def _long(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise Misread
    return int(number)


def _bytes(value: Any) -> str:
    """Base64 of either alphabet, as it came."""
    decoded(_text(value))
    return str(value)


def decoded(text: str) -> bytes:
    """The bytes of base64 in either alphabet, padded or not. Raises binascii.Error."""
    bare = text.rstrip("=").translate(URL_SAFE)
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _struct(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misread
    return value


def _signature(value: Any) -> str:
    """Bytes, or one of the words that clients send in place of a signature: those are base64 of something, too."""
    return _text(value)


URL_SAFE: Final = str.maketrans("-_", "+/")
SCALARS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _text,
    "bool": _bool,
    "float": _number,
    "int": _int,
    "long": _long,
    "bytes": _bytes,
    "signature": _signature,
    "struct": _struct,
    "any": lambda value: value,
}
TYPES: Final[Mapping[str, str]] = {
    "string": "TYPE_STRING",
    "bool": "TYPE_BOOL",
    "float": "TYPE_FLOAT",
    "int": "TYPE_INT32",
    "long": "TYPE_INT64",
    "bytes": "TYPE_BYTES",
    "signature": "TYPE_BYTES",
    "struct": "type.googleapis.com/google.protobuf.Struct",
}
