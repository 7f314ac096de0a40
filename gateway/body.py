"""The request body: a JSON object, read once, and the checks that every endpoint shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway import splice
from gateway.errors import InvalidRequest, shown

MODEL_LENGTH_MAX: Final = 256
DECISIVE: Final = tuple(
    f'"{name}"'.encode()
    for name in (
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "system"),
        *("input", "max_output_tokens", "previous_response_id", "store", "background", "conversation"),
        *("contents", "generationConfig", "generation_config"),
    )
)


def parse(raw: bytes) -> dict[str, Any]:
    """The body's members. Raises InvalidRequest for anything but one JSON object whose names are unique at the top.

    The body goes upstream as it came. Were a name there twice, we might price one value and the upstream obey another.
    """
    if not raw.strip():
        raise InvalidRequest("The request body is empty; a JSON object was due.")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if not isinstance(fields, dict):
        raise InvalidRequest(f"The request body is {json_type(fields)}; a JSON object was due.")
    if may_repeat(raw) and (name := splice.duplicate_name(raw)) is not None:
        raise InvalidRequest(f"The request body has {shown(name)!r} twice.")
    return fields


def may_repeat(raw: bytes) -> bool:
    """Whether a decisive name could be there twice: quick, and never wrong when it says no."""
    return b"\\u00" in raw or any(raw.count(name) > 1 for name in DECISIVE)


def json_type(value: Any) -> str:
    """What JSON calls a value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def model_name(fields: Mapping[str, Any]) -> str:
    """`model`, a text of some length. Raises InvalidRequest."""
    if "model" not in fields:
        raise InvalidRequest("`model` is missing.")
    value = fields["model"]
    if not isinstance(value, str):
        raise InvalidRequest(f"`model` is {json_type(value)}; a string was due.")
    if not value.strip():
        raise InvalidRequest("`model` is empty.")
    return value


def check_messages(fields: Mapping[str, Any]) -> None:
    """`messages`: a list of one or more objects, each with a role. Raises InvalidRequest."""
    if "messages" not in fields:
        raise InvalidRequest("`messages` is missing.")
    messages = fields["messages"]
    if not isinstance(messages, list):
        raise InvalidRequest(f"`messages` is {json_type(messages)}; an array was due.")
    if not messages:
        raise InvalidRequest("`messages` is empty; at least one message was due.")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest(f"`messages[{number}]` is {json_type(message)}; an object was due.")
        if not isinstance(message.get("role"), str):
            due = json_type(message.get("role")) if "role" in message else "missing"
            raise InvalidRequest(f"`messages[{number}].role` is {due}; a string was due.")


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """A boolean that may be absent or null (false). Raises InvalidRequest."""
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; a boolean was due.")
    return value


def whole_number(fields: Mapping[str, Any], name: str, least: int, most: int | None = None) -> int | None:
    """An integer in a range that may be absent or null. Raises InvalidRequest."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; an integer was due.")
    if value < least or (most is not None and value > most):
        due = f"{least} or more" if most is None else f"{least} to {most}"
        raise InvalidRequest(f"`{name}` is {value}; {due} was due.")
    return value


def check_object(fields: Mapping[str, Any], name: str) -> None:
    """An object that may be absent or null. Raises InvalidRequest."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; an object was due.")
