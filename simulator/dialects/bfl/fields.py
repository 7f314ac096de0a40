"""Validation of a request by the fields of its model, with the complaints of Pydantic, all of them at once.

A model's row says its `fields`: {kind, required, values, ge, le, multiple_of}. Kinds are str, int, float, bool, image,
ratio ("16:9" within `ge` and `le`), seconds (a whole number, or one of `values`) and keyframes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, Final

from simulator.dialects.bfl.problems import flaw
from simulator.media import results

Row = Mapping[str, Any]
Flaws = list[dict[str, Any]]
Picture = Callable[[str], results.Given]
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}")
_RATIO: Final = re.compile(r"(\d{1,4}):(\d{1,4})")
TYPES: Final[Mapping[str, str]] = {
    "str": "string",
    "image": "string",
    "ratio": "string",
    "int": "integer",
    "seconds": "integer",
    "float": "number",
    "bool": "boolean",
}
PARSED: Final[Mapping[str, str]] = {  # what Pydantic adds of a text that it could not read
    "int": "unable to parse string as an integer",
    "float": "unable to parse string as a number",
    "bool": "unable to interpret input",
}


def checked(body: Row, fields: Mapping[str, Row], picture: Picture, *, strict: bool) -> Flaws:
    """What is wrong with a request; `picture` reads an image, raising ValueError."""
    flaws: Flaws = []
    for name, row in fields.items():
        value = body.get(name)
        if value is None:
            if row.get("required"):
                flaws.append(flaw("missing", ("body", name), "Field required", dict(body)))
            continue
        flaws += _value(value, row, ("body", name), picture)
    if strict:
        flaws += [
            flaw("extra_forbidden", ("body", name), "Extra inputs are not permitted", value)
            for name, value in body.items()
            if name not in fields
        ]
    return flaws


def _value(value: object, row: Row, where: tuple[str, ...], picture: Picture) -> Flaws:
    kind = row["kind"]
    if kind == "keyframes":
        return _keyframes(value, where, picture)
    if kind == "seconds" and value in row.get("values", ()):
        return []
    number = _number(value, kind)
    if kind in ("int", "float", "seconds"):
        return [_type(kind, where, value)] if number is None else _bounds(number, value, row, where)
    if kind == "bool":
        return [] if isinstance(value, bool) else [_type(kind, where, value)]
    if not isinstance(value, str):
        return [_type(kind, where, value)]
    if "values" in row and value not in row["values"]:
        due = " or ".join(filter(None, (", ".join(f"'{one}'" for one in row["values"][:-1]), f"'{row['values'][-1]}'")))
        return [flaw("enum", where, f"Input should be {due}", value, expected=due)]
    if kind == "ratio":
        return _ratio(value, row, where)
    return _image(value, where, picture) if kind == "image" else []


def _number(value: object, kind: str) -> float | None:
    """The number that Pydantic makes of a value; None: none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    if not isinstance(value, int | float) or not isfinite(value):
        return None
    return value if kind == "float" or value == int(value) else None


def whole(value: object, default: int) -> int:
    """A valid value as a whole number."""
    number = None if value is None else _number(value, "int")
    return default if number is None else int(number)


def _type(kind: str, where: tuple[str, ...], value: object) -> dict[str, Any]:
    name = {"int": "int", "seconds": "int", "float": "float", "bool": "bool"}.get(kind, "string")
    said = f"Input should be a valid {TYPES[kind]}"
    if isinstance(value, str) and name in PARSED:
        return flaw(f"{name}_parsing", where, f"{said}, {PARSED[name]}", value)
    return flaw(f"{name}_type", where, said, value)


def _bounds(number: float, value: object, row: Row, where: tuple[str, ...]) -> Flaws:
    if "ge" in row and number < row["ge"]:
        said = f"Input should be greater than or equal to {row['ge']}"
        return [flaw("greater_than_equal", where, said, value, ge=row["ge"])]
    if "le" in row and number > row["le"]:
        said = f"Input should be less than or equal to {row['le']}"
        return [flaw("less_than_equal", where, said, value, le=row["le"])]
    if "multiple_of" in row and number % row["multiple_of"]:
        said = f"Input should be a multiple of {row['multiple_of']}"
        return [flaw("multiple_of", where, said, value, multiple_of=row["multiple_of"])]
    return []


def _ratio(value: str, row: Row, where: tuple[str, ...]) -> Flaws:
    found = _RATIO.fullmatch(value)
    parts = [] if found is None else [int(found[1]), int(found[2])]
    if 0 in parts or not parts or not row["ge"] <= parts[0] / parts[1] <= row["le"]:
        return [flaw("value_error", where, "Value error, Invalid aspect ratio", value, error={})]
    return []


def _image(value: str, where: tuple[str, ...], picture: Picture) -> Flaws:
    try:
        picture(value)
    except ValueError:
        return [flaw("value_error", where, "Value error, Invalid image: no URL, and no base64", value[:64], error={})]
    return []


def _keyframes(value: object, where: tuple[str, ...], picture: Picture) -> Flaws:
    """One picture, some, or pairs of a second and a picture with the seconds growing."""
    frames = frames_of(value)
    if not frames or len(frames) > 10:
        return [flaw("value_error", where, "Value error, 1 to 10 keyframes are expected", None, error={})]
    times = [at for at, _ in frames if at is not None]
    if times and (len(times) < len(frames) or any(after <= at for at, after in pairwise(times))):
        return [flaw("value_error", where, "Value error, keyframe times must increase", None, error={})]
    return [entry for _, source in frames for entry in _image(source, where, picture)]


def frames_of(value: object) -> Sequence[tuple[float | None, str]]:
    """Keyframes as pairs; nothing for what is none."""
    rows = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    found: list[tuple[float | None, str]] = []
    for row in rows:
        if isinstance(row, str):
            found.append((None, row))
        elif isinstance(row, list) and len(row) == 2 and isinstance(row[1], str) and _seconds(row[0]):
            found.append((float(row[0]), row[1]))
        else:
            return []
    return found


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 3600
