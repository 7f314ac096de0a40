"""JSON bodies and queries on MiniMax's wires: typed fields, or the refusal that names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from simulator.ask import Request
from simulator.dialects.minimax.problems import invalid
from simulator.media import results
from simulator.media.results import Given

FOLDER: Final = "/inference_output"  # of files behind links
FILE_SCHEME: Final = "mm_file://"  # a file that was uploaded: its bytes are not known here
_WORDS: Final = {str: "a string", int: "an integer", bool: "a boolean", list: "an array", dict: "an object"}


def read(request: Request, fields: Mapping[str, type]) -> dict[str, Any]:
    """The fields that came, without nulls; unknown ones are let be. Raises Refused."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise invalid("the request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise invalid("the request body must be an object")
    found = {name: value for name, value in body.items() if value is not None}
    for name, kind in fields.items():
        typed(found.get(name), kind, name)
    if not found.get("model"):
        raise invalid("model is required", "model")
    return found


def typed(value: Any, kind: type, name: str) -> None:
    """Raise Refused for a value of another type; None is of any."""
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise invalid(f"{name} must be {_WORDS[kind]}", name)


def query(request: Request) -> dict[str, str]:
    """The query; of a name that comes again, the last."""
    return dict(parse_qsl(request.query))


def picture(text: Any, name: str, style: str, facts: Mapping[str, Any]) -> Given:
    """A picture that was given as an address or a data URL. Raises Refused. `facts` are those of the mount."""
    if not isinstance(text, str) or not text:
        raise invalid(f"{name} must be a URL or a data URL", name)
    if text.startswith(FILE_SCHEME):
        return Given(results.SIDE, results.SIDE, "")
    if not text.startswith(("http://", "https://", "data:image/")):
        raise invalid(f"{name} must be a URL or begin with data:image/", name)
    try:
        return results.given(text, style, FOLDER, facts["signature_secret"])
    except results.Missing:
        raise invalid(f"{name} could not be downloaded", name) from None
    except ValueError:
        raise invalid(f"{name} could not be decoded as an image", name) from None


def sized(found: Given, name: str, short_px: int, low: float, high: float) -> None:
    """Raise Refused for a picture that is too small or too long."""
    if min(found.width, found.height) < short_px:
        raise invalid(f"{name} is too small, due at least {short_px} pixels on its shorter side", name)
    if not low <= found.width / found.height <= high:
        raise invalid(f"{name} has an aspect ratio that is not supported", name)
