"""Validation of a Chat Completions request's fields, complaining as OpenAI does.

Only the shape is looked at here; what depends on the model is in `openai.rules`. Every function raises `Refused` (400).
Source: the public specification (CreateChatCompletionRequest, 2.3.0) for fields and bounds, recorded replies for what
is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator.dialects.openai.problems import refuse

Check = Callable[[Any, str], object]  # raises; what it returns is for whoever wants it

ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
NAME: Final = "^[a-zA-Z0-9_-]+$"
_NAME = re.compile(NAME)
_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}


def came(value: Any) -> str:
    """The kind of a JSON value, with its article."""
    return _KINDS[type(value)]


def wrong_type(where: str, due: str, value: Any) -> Exception:
    """The complaint that something else was due."""
    shown = came(value) + ("" if value is None else " instead")
    return refuse(f"Invalid type for '{where}': expected {due}, but got {shown}.", where, "invalid_type")


def missing(where: str) -> Exception:
    return refuse(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")


def dictionary(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise wrong_type(where, "an object", value)


def string(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise wrong_type(where, "a string", value)


def boolean(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise wrong_type(where, "a boolean", value)


def array(value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise wrong_type(where, "an array", value)


def required(value: Mapping[str, Any], name: str, where: str, check: Check) -> Any:
    """The field is there and passes; returns it."""
    path = f"{where}.{name}" if where else name
    if value.get(name) is None:
        raise missing(path)
    check(value[name], path)
    return value[name]


def one_of(*words: str) -> Check:
    """A check that takes these words only."""
    quoted = [f"'{word}'" for word in words]
    due = quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f", and {quoted[-1]}"

    def check(value: Any, where: str) -> None:
        string(value, where)
        if value not in words:
            raise refuse(f"Invalid value: '{value}'. Supported values are: {due}.", where, "invalid_value")

    return check


def _bounded(kind: str, due: str, low: float | None, high: float | None) -> Check:
    def check(value: Any, where: str) -> None:
        number = isinstance(value, int) or (kind == "decimal" and isinstance(value, float))
        if isinstance(value, bool) or not number:
            raise wrong_type(where, due, value)
        if (low is None or low <= value) and (high is None or value <= high):
            return
        for bound, over, sign, word in ((low, -1, ">=", "below_min"), (high, 1, "<=", "above_max")):
            if bound is not None and (value - bound) * over > 0:
                side = "below minimum" if over < 0 else "above maximum"
                said = f"{kind} {side} value. Expected a value {sign} {bound}, but got {value} instead."
                raise refuse(f"Invalid '{where}': {said}", where, f"{kind}_{word}_value")

    return check


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A check that takes whole numbers from `low` to `high`."""
    return _bounded("integer", "an integer", low, high)


def decimal(low: int, high: int) -> Check:
    """A check that takes numbers from `low` to `high`."""
    return _bounded("decimal", "a decimal", low, high)


def filled(value: Any, where: str) -> None:
    """An array with at least one item."""
    array(value, where)
    if not value:
        raise refuse(
            f"Invalid '{where}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            where,
            "empty_array",
        )


def stop(value: Any, where: str) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong_type(where, "one of an array of strings or a string", value)
    if len(value) > 4:
        raise refuse(
            f"Invalid '{where}': array too long. Expected an array with maximum length 4, but got an array with length "
            f"{len(value)} instead.",
            where,
            "array_above_max_length",
        )
    for at, item in enumerate(value):
        string(item, f"{where}[{at}]")


def function_name(value: Any, where: str) -> None:
    string(value, where)
    if not value:
        said = "empty string. Expected a string with minimum length 1, but got an empty string instead."
        raise refuse(f"Invalid '{where}': {said}", where, "empty_string")
    if len(value) > 64:
        said = f"Expected a string with maximum length 64, but got a string with length {len(value)} instead."
        raise refuse(f"Invalid '{where}': string too long. {said}", where, "string_above_max_length")
    if not _NAME.search(value):
        raise refuse(
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern '{NAME}'.",
            where,
            "invalid_value",
        )


def tools(value: Any, where: str) -> None:
    filled(value, where)
    for at, tool in enumerate(value):
        path = f"{where}[{at}]"
        dictionary(tool, path)
        kind = required(tool, "type", path, one_of("function", "custom"))
        inner = required(tool, kind, path, dictionary)
        required(inner, "name", f"{path}.{kind}", function_name)
        parameters = inner.get("parameters")
        if parameters is None:
            continue
        dictionary(parameters, f"{path}.{kind}.parameters")
        if parameters.get("type", "object") != "object":
            said = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{parameters['type']}\"'."
            where = f"{path}.{kind}.parameters"
            raise refuse(f"Invalid schema for function '{inner['name']}': {said}", where, "invalid_function_parameters")


def tool_choice(value: Any, where: str) -> None:
    if isinstance(value, str):
        one_of("none", "auto", "required")(value, where)
        return
    if not isinstance(value, dict):
        raise wrong_type(where, "one of a string or an object", value)
    kind = required(value, "type", where, one_of("function", "custom", "allowed_tools"))
    inner = required(value, kind, where, dictionary)
    if kind != "allowed_tools":
        required(inner, "name", f"{where}.{kind}", string)
        return
    required(inner, "tools", f"{where}.{kind}", filled)
    if inner.get("mode") is not None:
        one_of("auto", "required")(inner["mode"], f"{where}.{kind}.mode")


def response_format(value: Any, where: str) -> None:
    inner = loose_response_format(value, where)
    if inner.get("strict") and inner.get("schema") is not None:
        _strict(inner["schema"], (), inner["name"], where)


def loose_response_format(value: Any, where: str) -> Mapping[str, Any]:
    """The form without the rules of strict schemas; returns what it says of the schema."""
    dictionary(value, where)
    if required(value, "type", where, one_of("json_object", "json_schema", "text")) != "json_schema":
        return {}
    inner = required(value, "json_schema", where, dictionary)
    path = f"{where}.json_schema"
    required(inner, "name", path, function_name)
    if inner.get("schema") is not None:
        dictionary(inner["schema"], f"{path}.schema")
    return inner  # type: ignore[no-any-return]


def _strict(schema: Any, at: tuple[str, ...], name: str, where: str) -> None:
    """Every object of a strict schema forbids further properties and requires all its own."""
    if not isinstance(schema, dict):
        return
    shown = f"({', '.join(repr(step) for step in at)})" if len(at) != 1 else f"({at[0]!r},)"
    properties = schema.get("properties", {})
    if schema.get("type") == "object" or properties:
        complaint = None
        if schema.get("additionalProperties") is not False:
            complaint = "'additionalProperties' is required to be supplied and to be false."
        elif lacking := [key for key in properties if key not in schema.get("required", [])]:
            complaint = (
                "'required' is required to be supplied and to be an array including every key in properties. Missing "
                f"'{lacking[0]}'."
            )
        if complaint:
            raise refuse(f"Invalid schema for response_format '{name}': In context={shown}, {complaint}", where)
    for key, below in properties.items():
        _strict(below, (*at, "properties", key), name, where)
    _strict(schema.get("items"), (*at, "items"), name, where)
    for key in ("$defs", "definitions"):
        for sub, below in (schema.get(key) or {}).items():
            _strict(below, (*at, key, sub), name, where)


def stream_options(value: Any, where: str) -> None:
    dictionary(value, where)
    for name in value:
        if name not in ("include_usage", "include_obfuscation"):
            raise refuse(f"Unknown parameter: '{where}.{name}'.", f"{where}.{name}", "unknown_parameter")
        boolean(value[name], f"{where}.{name}")


def nothing(value: Any, where: str) -> None:
    """A field that the fleet passes by."""


OPTIONAL: Final[Mapping[str, Check]] = {
    "audio": dictionary,
    "frequency_penalty": decimal(-2, 2),
    "function_call": nothing,
    "functions": filled,
    "logit_bias": dictionary,
    "logprobs": boolean,
    "max_completion_tokens": integer(1),
    "max_tokens": integer(1),
    "messages": filled,
    "metadata": dictionary,
    "modalities": filled,
    "model": string,
    "moderation": nothing,
    "n": integer(1, 128),
    "parallel_tool_calls": boolean,
    "prediction": dictionary,
    "presence_penalty": decimal(-2, 2),
    "prompt_cache_key": string,
    "prompt_cache_options": dictionary,
    "prompt_cache_retention": string,
    "reasoning_effort": one_of(*EFFORTS),
    "response_format": response_format,
    "safety_identifier": string,
    "seed": integer(),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": stop,
    "store": boolean,
    "stream": boolean,
    "stream_options": stream_options,
    "temperature": decimal(0, 2),
    "tool_choice": tool_choice,
    "tools": tools,
    "top_logprobs": integer(0, 20),
    "top_p": decimal(0, 1),
    "user": string,
    "verbosity": one_of("low", "medium", "high"),
    "web_search_options": dictionary,
}
LOOSE: Final[Mapping[str, Check]] = {**OPTIONAL, "response_format": loose_response_format}  # of compatible servers
