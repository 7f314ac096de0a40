"""Gemini's own schemas (a subset of OpenAPI 3.0, in `parameters` and `responseSchema`) as JSON Schema.

Source: wire reference, 7.1; Google's `Schema` message: types may be in upper case, and counts are texts or numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.translation.fields import due
from gateway.translation.gemini import fields
from gateway.translation.prompt import Untranslatable

AS_THEY_ARE: Final = ("title", "description", "enum", "required", "minimum", "maximum", "pattern", "default", "$ref")
COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
LISTS: Final = ("anyOf", "oneOf", "allOf")
MAPS: Final = ("properties", "$defs")
FORMATS: Final = frozenset({"date-time", "date", "time", "duration", "email", "uri", "uuid"})
NO_TYPE: Final = "type_unspecified"
DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 16


def json_schema(given: Any, where: str, depth: int = 0) -> dict[str, Any]:
    """The same rules in JSON Schema. Raises Untranslatable."""
    if depth > DEPTH_MAX:
        raise Untranslatable(f"`{where}` is nested too deep")
    schema = fields.message(given, where)
    made: dict[str, Any] = {}
    add_type(made, schema)
    made |= {name: schema[name] for name in AS_THEY_ARE if name in schema}
    made |= {name: count(schema[name]) for name in COUNTS if name in schema}
    if schema.get("format") in FORMATS:
        made["format"] = schema["format"]
    for name in MAPS:
        if name in schema:
            made[name] = below(schema[name], f"{where}.{name}", depth)
    if "items" in schema:
        made["items"] = json_schema(schema["items"], f"{where}.items", depth + 1)
    for name in LISTS:
        if isinstance(schema.get(name), list):
            made[name] = [json_schema(one, f"{where}.{name}[{at}]", depth + 1) for at, one in enumerate(schema[name])]
    if "additionalProperties" in schema:
        more = schema["additionalProperties"]
        inner = f"{where}.additionalProperties"
        made["additionalProperties"] = more if isinstance(more, bool) else json_schema(more, inner, depth + 1)
    return nullable(made) if schema.get("nullable") is True else made


def add_type(made: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """The type in JSON Schema's words; what is no word of Google's stays as it is."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind.lower() != NO_TYPE:
        made["type"] = kind.lower()
    elif isinstance(kind, list):
        made["type"] = kind


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, which null obeys, too."""
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if "anyOf" in schema:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def below(value: Any, where: str, depth: int) -> dict[str, Any]:
    """Schemas by name; the names are the caller's own."""
    named = due(value, dict, where).items()
    return {name: json_schema(inner, f"{where}.{name}", depth + 1) for name, inner in named}


def count(value: Any) -> Any:
    """A count, which protobuf's JSON writes as a text."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < DIGITS_MAX else value
