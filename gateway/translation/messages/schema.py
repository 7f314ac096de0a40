"""The JSON Schema of an answer as Anthropic takes one: every object says that it has no other members.

Source: the official Python client's transformation of schemas (lib/_parse).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from gateway.translation.fields import json_text

LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")  # of schemas
NAMED: Final = ("properties", "$defs", "definitions")  # schemas by name
SINGLE: Final = ("items", "not")


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, with `additionalProperties: false` in every object that does not speak of them.

    Raises Untranslatable.
    """
    made: dict[str, Any] = orjson.loads(json_text(dict(schema), "schema"))
    left = [made]
    while left:
        one = left.pop()
        kind = one.get("type")
        if kind == "object" or (isinstance(kind, list) and "object" in kind):
            one.setdefault("additionalProperties", False)
        left.extend(inner for inner in _inner(one) if isinstance(inner, dict))
    return made


def _inner(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that a schema is made of."""
    for name in LISTS:
        yield from value if isinstance(value := schema.get(name), list) else ()
    for name in NAMED:
        yield from value.values() if isinstance(value := schema.get(name), dict) else ()
    yield from (schema.get(name) for name in SINGLE)
