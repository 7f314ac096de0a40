"""Reading the JSON of a request, field by field, with Ark's own complaints. A `null` counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator.ask import Request
from simulator.dialects.ark.problems import missing, refuse
from simulator.media import results
from simulator.problem import Problem, Refused

BODY_BYTES_MAX: Final = 64 << 20
WEB: Final = ("http://", "https://")
STYLE: Final = "tos"  # of links
KINDS: Final[Mapping[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


def parsed(request: Request) -> dict[str, Any]:
    """The body without its nulls. Raises Refused."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Refused(Problem("invalid_request", "The request body is not valid JSON.")) from None
    if not isinstance(body, dict):
        raise Refused(Problem("invalid_request", "The request body must be a JSON object."))
    return {name: value for name, value in body.items() if value is not None}


def of_kind(value: object, kind: type, param: str) -> Any:
    """The value, of that kind. Raises Refused."""
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise refuse(param, f"expected {KINDS[kind]}, but got {_kind(value)} instead")
    return value


def _kind(value: object) -> str:
    return KINDS.get(type(value), "null")


def required(body: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field that must be there. Raises Refused."""
    if name not in body:
        raise missing(name)
    found = of_kind(body[name], kind, name)
    if found in ("", []):
        raise missing(name)
    return found


def whole(value: object, param: str, low: int, high: int) -> int:
    """A whole number within bounds. Raises Refused."""
    found: int = of_kind(value, int, param)
    if not low <= found <= high:
        raise refuse(param, f"the value must be between {low} and {high}")
    return found


def one_of(value: object, param: str, *due: str) -> str:
    """One of some words. Raises Refused."""
    found: str = of_kind(value, str, param)
    if found not in due:
        raise refuse(param, f"the value must be one of {', '.join(due)}")
    return found


def picture(value: object, param: str, folder: str, secret: bytes) -> results.Given:
    """A picture by its address, or inlined as a `data:` URI. Raises Refused."""
    address: str = of_kind(value, str, param)
    if address.startswith("asset://"):
        return results.Given(results.SIDE, results.SIDE, "")
    if not address.startswith((*WEB, "data:image/")):
        raise refuse(param, "invalid url specified")
    try:
        return results.given(address, STYLE, folder, secret)
    except results.Missing:
        raise refuse(param, "resource download failed") from None
    except ValueError:
        raise refuse(param, "the image could not be decoded") from None
