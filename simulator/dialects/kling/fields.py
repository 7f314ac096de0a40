"""How fields of Kling's requests are read. Each function raises Refused (1201) for what is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from simulator.ask import Request
from simulator.dialects.kling.problems import bad
from simulator.media import results
from simulator.media.results import Given
from simulator.problem import Problem, Refused

STYLE: Final = "cdn"  # of links to results
FOLDER: Final = "/bs2/upload-kling-api"
PROMPT_LENGTH: Final = 2500
BODY_BYTES: Final = 32 << 20
SIDE_MIN, RATIO_MAX = 300, 2.5  # of a picture
ID_LENGTH: Final = 18  # digits

Json = Mapping[str, Any]


def body(request: Request) -> dict[str, Any]:
    """The JSON object of a request."""
    if len(request.body) > BODY_BYTES:
        raise Refused(Problem("too_large", "request body too large"))
    try:
        found = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Refused(Problem("bad_json", "The request body is not in valid JSON format")) from None
    if not isinstance(found, dict):
        raise Refused(Problem("bad_json", "The request body is not a JSON object"))
    return found


def text(given: Json, name: str, most: int = PROMPT_LENGTH, *, due: bool = False) -> str:
    """A text; "" where it may be left out."""
    value = given.get(name)
    if value is None or value == "":
        if due:
            raise bad(f"{name} is required")
        return ""
    if not isinstance(value, str):
        raise bad(f"{name} must be a string")
    if len(value) > most:
        raise bad(f"{name}: size must be between 0 and {most}")
    return value


def choice(given: Json, name: str, values: Sequence[str], default: str = "") -> str:
    """One of some words."""
    value = given.get(name)
    if value is None or value == "":
        return default
    if value not in values:
        raise bad(f"{name} value '{_said(value)}' is invalid, allowed values: {', '.join(values)}")
    return str(value)


def number(given: Json, name: str, low: float, high: float, default: float) -> float:
    """A number within a range."""
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(f"{name} must be a number")
    if not low <= value <= high:
        raise bad(f"{name}: must be between {low:g} and {high:g}")
    return value


def whole(given: Json, name: str, low: int, high: int, default: int) -> int:
    """A whole number within a range."""
    value = given.get(name)
    if isinstance(value, float) or value is True or value is False:
        raise bad(f"{name} must be an integer")
    return int(number(given, name, low, high, default))


def yes(given: Json, name: str) -> bool:
    """Yes or no."""
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(f"{name} must be a boolean")
    return bool(value)


def inner(given: Json, name: str) -> dict[str, Any]:
    """An object; {} where it is left out."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(f"{name} must be an object")
    return value


def rows(given: Json, name: str, most: int, *, least: int = 0) -> list[dict[str, Any]]:
    """A list of objects."""
    value = given.get(name)
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise bad(f"{name} must be a list of objects")
    if not least <= len(found) <= most:
        raise bad(f"{name}: size must be between {least} and {most}")
    return found


def seconds(given: Json, *, strict: bool) -> int:
    """The duration in the legacy form: a text of digits; a number only where nobody is strict about it."""
    value = given.get("duration")
    if value is None:
        return 5
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 4:
        return int(value)
    if not strict and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise bad(f"duration value '{_said(value)}' is invalid")


def picture(value: object, name: str, facts: Json) -> Given:
    """A picture: an address, or base64 without a `data:` prefix."""
    if not isinstance(value, str) or not value:
        raise bad(f"{name} must be a URL or a base64 string")
    if value.startswith("data:"):
        raise bad("File is not in a valid base64 format")
    try:
        found = results.given(value, STYLE, FOLDER, facts["signature_secret"])
    except results.Missing:
        raise bad(f"Failed to download {name}") from None
    except ValueError:
        raise bad("File is not in a valid base64 format") from None
    side_min = facts.get("side_min", SIDE_MIN)
    sides = sorted((found.width, found.height))
    if sides[0] < side_min or sides[1] > RATIO_MAX * sides[0]:
        raise bad("Image pixel is invalid")
    return found


def address(value: object, name: str) -> str:
    """A web address."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise bad(f"{name} must be a URL")
    if results.MISSING in value:
        raise bad(f"Failed to download {name}")
    return value


def _said(value: object) -> str:
    return str(value)[:64]
