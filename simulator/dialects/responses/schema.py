"""What OpenAI demands of a strict JSON Schema: every object is closed and requires all its properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.dialects.openai.problems import refuse

Steps = tuple[str, ...]


def strict(schema: Any, of: str, where: str, code: str) -> None:
    """Raise Refused for the first object that is open; `of` names what the schema belongs to."""
    for steps, found in _objects(schema, ()):
        complaint = _complaint(found)
        if complaint:
            shown = f"({steps[0]!r},)" if len(steps) == 1 else f"({', '.join(map(repr, steps))})"
            raise refuse(f"Invalid schema for {of}: In context={shown}, {complaint}", where, code)


def _complaint(found: Mapping[str, Any]) -> str | None:
    if found.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    required = found.get("required") or []
    lacking = next((name for name in found.get("properties") or {} if name not in required), None)
    if lacking is None:
        return None
    said = "'required' is required to be supplied and to be an array including every key in properties. Missing"
    return f"{said} '{lacking}'."


def _objects(schema: Any, at: Steps) -> Iterator[tuple[Steps, Mapping[str, Any]]]:
    """Every object schema and where it is."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties:
        yield at, schema
    for group in ("properties", "$defs", "definitions"):
        below = schema.get(group)
        for name, part in below.items() if isinstance(below, dict) else ():
            yield from _objects(part, (*at, group, name))
    yield from _objects(schema.get("items"), (*at, "items"))
    for at_option, option in enumerate(schema["anyOf"] if isinstance(schema.get("anyOf"), list) else ()):
        yield from _objects(option, (*at, "anyOf", str(at_option)))
