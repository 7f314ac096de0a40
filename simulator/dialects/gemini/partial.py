"""A call's arguments piece by piece, as Vertex streams them when asked: a JSON path and a value for each leaf.

A text comes in pieces of a few words that say `willContinue`, and ends with an empty one. Source: a recorded stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.answers import tokens

PIECE_TOKENS: Final = 6


def pieces_of(value: Any, path: str = "$") -> Iterator[dict[str, Any]]:
    """The `partialArgs` of a value."""
    match value:
        case Mapping() if value or path == "$":
            for name, below in value.items():
                yield from pieces_of(below, f"{path}.{name}")
        case list() if value:
            for at, below in enumerate(value):
                yield from pieces_of(below, f"{path}[{at}]")
        case str():
            parts = tokens.split(value)
            for at in range(0, len(parts), PIECE_TOKENS):
                text = "".join(parts[at : at + PIECE_TOKENS])
                yield {"jsonPath": path, "stringValue": text, "willContinue": True}
            yield {"jsonPath": path, "stringValue": ""}
        case bool():
            yield {"jsonPath": path, "boolValue": value}
        case int() | float():
            yield {"jsonPath": path, "numberValue": value}
        case None:
            yield {"jsonPath": path, "nullValue": "NULL_VALUE"}
        case _:  # an empty list or object has no leaf to tell
            return
