"""Options of faults: dataclass fields that know how to read themselves, what is due, their schema and a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field
from typing import Any

from simulator.pacing import latency

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def option(
    read: Callable[[object], Any], due: str, schema: Mapping[str, Any], about: str, default: Any = MISSING
) -> Any:
    """A field of a fault. `read` raises ValueError with what was due."""
    metadata = {"read": read, "due": due, "schema": dict(schema), "about": about}
    return field(default=default, metadata=metadata)


def whole(default: Any = MISSING, *, low: int = 0, high: int | None = None, about: str) -> Any:
    """A whole number."""
    due = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"
    schema: dict[str, Any] = {"type": "integer", "minimum": low}
    if high is not None:
        schema["maximum"] = high

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
            raise ValueError(due)
        return value

    return option(read, due, schema, about, default)


def number(default: Any = MISSING, *, low: float = 0, high: float | None = None, about: str) -> Any:
    """A number, whole or not."""
    due = f"a number >= {low:g}" if high is None else f"a number from {low:g} to {high:g}"
    most = 1e12 if high is None else high

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= most:
            raise ValueError(due)
        return float(value)

    schema = {"type": "number", "minimum": low} | ({} if high is None else {"maximum": high})
    return option(read, due, schema, about, default)


def text(default: Any = MISSING, *, header: bool = False, about: str) -> Any:
    """A text; with `header`, one that may be a header's value."""
    due = "a text that a header can hold" if header else "a text"

    def read(value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(due)
        if header and not HEADER_VALUE.fullmatch(str(value)):
            raise ValueError(due)
        return str(value)

    return option(read, due, {"type": "string"}, about, default)


def one_of(default: Any, words: tuple[str, ...], *, about: str) -> Any:
    """One of a few words."""
    due = f"one of {', '.join(words)}"

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(due)
        return str(value)

    return option(read, due, {"enum": list(words)}, about, default)


def delay(*, about: str) -> Any:
    """A delay in milliseconds, fixed or drawn; None when not given."""
    schema = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "object", "required": ["dist"]}]}
    return option(latency.read, "milliseconds, or a distribution", schema, about, None)


def headers(*, about: str) -> Any:
    """Headers: an object, or a text `name: value` with several parted by `|`."""
    due = 'an object of header names and values, or "name: value"'

    def read(value: object) -> tuple[tuple[str, str], ...]:
        if isinstance(value, str):
            pairs = [part.partition(":")[::2] for part in value.split("|")]
        elif isinstance(value, Mapping):
            pairs = [(str(name), str(content)) for name, content in value.items()]
        else:
            raise ValueError(due)
        found = tuple((name.strip().lower(), content.strip()) for name, content in pairs)
        for name, content in found:
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(content):
                raise ValueError(due)
            if name in ("content-length", "transfer-encoding", "connection"):
                raise ValueError(f"headers other than {name}, which the fleet writes")
        return found

    schema = {"anyOf": [{"type": "object", "additionalProperties": {"type": ["string", "number"]}}, {"type": "string"}]}
    return option(read, due, schema, about, ())
