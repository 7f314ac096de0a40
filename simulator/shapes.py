"""JSON Schemas of the fleet's files, derived from the registry of faults, and validation against them that says where,
what came and what was due.

`schemas/scenario.schema.json` and `schemas/fleet.schema.json` are written from here (`python -m simulator.faults`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, cast

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from simulator.faults import FAULTS, Flaw
from simulator.faults.base import is_required
from simulator.fixtures import shape
from simulator.quotas import load
from simulator.quotas import rows as quota_rows
from simulator.rules import shapes as rule_shapes

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TIME = {
    "description": 'seconds, or a text such as "250ms", "10s", "2m" or "1h"',
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*(ms|s|m|h)\s*$"}],
}
RANGE = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[0-9]+(-[0-9]+)?$"}]}
RANGES = {
    "description": 'a number from 1, a range "N-M", or a list of these',
    "anyOf": [*RANGE["anyOf"], {"type": "array", "items": {"$ref": "#/$defs/range"}, "minItems": 1}],
}


def fault_schema(kind: str) -> dict[str, Any]:
    """One kind with its options, closed."""
    cls = FAULTS[kind]
    properties: dict[str, Any] = {"kind": {"enum": FAULTS.names(kind)}}
    for field in fields(cls):
        properties[field.name] = {**field.metadata["schema"], "description": field.metadata["about"]}
    required = ["kind", *(field.name for field in fields(cls) if is_required(field))]
    summary = (cls.__doc__ or "").partition("\n")[0]
    return {"description": summary, "properties": properties, "required": required, "additionalProperties": False}


def definitions() -> dict[str, Any]:
    """What files of the fleet share: faults, rules, times, ranges."""
    kinds = sorted(FAULTS)
    branches = [
        {
            "if": {"properties": {"kind": {"enum": FAULTS.names(kind)}}, "required": ["kind"]},
            "then": {"$ref": f"#/$defs/fault_{kind}"},
        }
        for kind in kinds
    ]
    fault = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": FAULTS.names()}},
        "allOf": branches,
    }
    return {
        "time": TIME,
        "range": RANGE,
        "ranges": RANGES,
        "globs": rule_shapes.GLOBS,
        "when": rule_shapes.when(),
        "fault": fault,
        "faults": {"anyOf": [{"$ref": "#/$defs/fault"}, {"type": "array", "items": {"$ref": "#/$defs/fault"}}]},
        "rule": rule_shapes.rule(),
        **{f"fault_{kind}": fault_schema(kind) for kind in kinds},
    }


def scenario_schema() -> dict[str, Any]:
    """Of a scenario file."""
    return {
        "$schema": DRAFT,
        "title": "Windtunnel scenario",
        "description": "A named list of rules: when … fault …, on a timeline that begins when the scenario is set.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "if": {"required": ["include"]},
        "else": {"required": ["rules"], "properties": {"rules": {"type": "array"}}},
        "properties": rule_shapes.scenario(),
        "$defs": definitions(),
    }


def rules_schema() -> dict[str, Any]:
    """Of rules posted to the control API."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["rules"],
        "properties": {
            "ttl_s": {"type": "number", "exclusiveMinimum": 0},
            "rules": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/rule"}},
        },
        "$defs": definitions(),
    }


def _mount() -> dict[str, Any]:
    """A dialect of a row, and where it is."""
    root = {"type": "string", "pattern": r"^(/[A-Za-z0-9._~{}-]+)*$"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["dialect"],
        "properties": {
            "dialect": {"type": "string"},
            "at": {
                "description": 'Below which path or paths, e.g. "/api/paas/v4"; "" is the provider itself.',
                "anyOf": [root, {"type": "array", "items": root, "minItems": 1}],
            },
            "facts": {"type": "object", "description": "Facts that hold there only."},
        },
    }


def _provider() -> dict[str, Any]:
    """One row."""
    name = {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "region"],
        "properties": {
            "name": {**name, "description": "The first segment of its URLs."},
            "about": {"type": "string"},
            "dialect": {"type": "string", "description": "The one wire it speaks, at its usual paths."},
            "tape": {
                "description": "A folder of recordings (`windtunnel record`) to play, instead of a dialect.",
                "type": "string",
                "minLength": 1,
            },
            "dialects": {
                "description": "The wires it speaks: names, or where each is mounted and what holds there.",
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [{"type": "string"}, _mount()]},
            },
            "region": name,
            "keys": {
                "description": "What it accepts; by default one that is made of its name.",
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "minLength": 1},
            },
            "facts": {
                "type": "object",
                "description": "Facts laid over those of every model (simulator/models/*.yaml).",
            },
            "faults": {
                "description": "What it always suffers from.",
                "type": "array",
                "items": {"$ref": "#/$defs/fault"},
            },
            "quotas": quota_rows.schema(),
            "load": dict(load.SCHEMA),
            "orgs": {
                "description": "Organisations and their keys, where quotas are counted by org.",
                "type": "object",
                "additionalProperties": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "string", "minLength": 1},
                },
            },
        },
    }


def fleet_schema() -> dict[str, Any]:
    """Of the fleet's file of providers."""
    return {
        "$schema": DRAFT,
        "title": "Windtunnel fleet",
        "description": "The providers that the fleet plays, one row each.",
        "type": "object",
        "additionalProperties": False,
        "required": ["providers"],
        "properties": {"providers": {"type": "array", "minItems": 1, "items": _provider()}},
        "$defs": definitions(),
    }


def fixtures_schema() -> dict[str, Any]:
    """Of files of canned answers."""
    return shape.schema(DRAFT)


def quotas_schema() -> dict[str, Any]:
    """Of quotas put over the control API."""
    return {
        "$schema": DRAFT,
        "description": "Quotas by provider.",
        "type": "object",
        "additionalProperties": quota_rows.schema(),
        "$defs": {"globs": rule_shapes.GLOBS},
    }


@cache
def _validator(name: str) -> Draft202012Validator:
    makers = {
        "scenario": scenario_schema,
        "rules": rules_schema,
        "fleet": fleet_schema,
        "fixtures": fixtures_schema,
        "quotas": quotas_schema,
    }
    return Draft202012Validator(makers[name]())


def flaws(name: str, data: object) -> list[Flaw]:
    """Everything wrong with `data` by the schema of that name: "scenario", "rules", "fleet" or "fixtures"."""
    errors = sorted(_validator(name).iter_errors(data), key=lambda error: list(map(str, error.absolute_path)))
    found: dict[tuple[str, str, str], Flaw] = {}
    for error in errors:
        for flaw in _explain(error):
            found.setdefault(flaw, flaw)
    return list(found.values())


def _explain(error: ValidationError) -> Iterator[Flaw]:
    """One schema error in our words."""
    where = place(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = [name for name in schema.get("properties", {}) if name != "kind"]
        for name in error.instance:
            if name not in schema.get("properties", {}):
                due = f"one of {', '.join(known)}" if known else "no option at all"
                yield Flaw(f"{where}.{name}".removeprefix("."), "an unknown key", due)
        return
    if error.validator == "required" and isinstance(error.instance, Mapping):
        for name in cast(list[str], error.validator_value):
            if name not in error.instance:
                yield Flaw(
                    where or "the file", f"no {name}", f"{name}: {_due(schema.get('properties', {}).get(name, {}))}"
                )
        return
    yield Flaw(where or "the file", _came(error.instance), _due(schema, error))


def place(path: Iterable[Any]) -> str:
    """`rules[2].fault.kind` of a path of keys and indices."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}"
    return out.removeprefix(".")


def _came(value: object) -> str:
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def _due(schema: Mapping[str, Any], error: ValidationError | None = None) -> str:
    """What a schema asks for, as words."""
    if "enum" in schema and (error is None or error.validator == "enum"):
        return f"one of {', '.join(map(str, schema['enum']))}"
    if error is not None and error.validator == "anyOf" and "description" in schema:
        return str(schema["description"])
    if "$ref" in schema:
        return _due(definitions()[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return str(schema.get("description") or " or ".join(_due(part) for part in schema["anyOf"]))
    words = _TYPES.get(str(schema.get("type"))) or str(schema.get("description", "something else"))
    if "minimum" in schema and "maximum" in schema:
        return f"{words} from {schema['minimum']} to {schema['maximum']}"
    if "minimum" in schema:
        return f"{words} >= {schema['minimum']}"
    if "exclusiveMinimum" in schema:
        return f"{words} > {schema['exclusiveMinimum']}"
    if "pattern" in schema:
        return f"{words} like {schema['pattern']}"
    if "minLength" in schema or "minItems" in schema:
        return f"{words} that is not empty"
    return words
