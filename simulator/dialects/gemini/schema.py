"""Gemini's own schemas (a subset of OpenAPI 3.0, as read by `gemini.fields`) as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KEPT: Final = frozenset(
    {"maxItems", "minItems", "required", "minProperties", "maxProperties", "minimum", "maximum"}
    | {"minLength", "maxLength", "pattern"}
)
FORMATS: Final = frozenset({"date-time", "date", "time", "email", "uri", "uuid"})


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same rules in JSON Schema; properties in the order that the schema asks for."""
    out: dict[str, Any] = {name: value for name, value in schema.items() if name in KEPT}
    if schema.get("format") in FORMATS:
        out["format"] = schema["format"]
    if "enum" in schema:
        out["enum"] = [*schema["enum"], None] if schema.get("nullable") else schema["enum"]
    kind = schema.get("type", "TYPE_UNSPECIFIED").lower()
    if kind != "type_unspecified":
        out["type"] = [kind, "null"] if schema.get("nullable") and kind != "null" else kind
    if "items" in schema:
        out["items"] = json_schema(schema["items"])
    if "anyOf" in schema:
        options = [json_schema(option) for option in schema["anyOf"]]
        out["anyOf"] = [*options, {"type": "null"}] if schema.get("nullable") else options
        out.pop("type", None)
    if "properties" in schema:
        first = [name for name in schema.get("propertyOrdering", ()) if name in schema["properties"]]
        names = dict.fromkeys([*first, *schema["properties"]])
        out["properties"] = {name: json_schema(schema["properties"][name]) for name in names}
        out["additionalProperties"] = False
    return out
