"""Values from JSON Schemas: each validates, by an independent validator with formats switched on."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulator.answers.json_strings import FORMATS, matching
from simulator.answers.json_values import NoValue, merged, value

CHECKER = Draft202012Validator.FORMAT_CHECKER
NAMES = st.sampled_from(["city", "count", "items", "when", "note", "kind", "x-y", "ünï"])


def validates(schema: Any, made: Any) -> None:
    Draft202012Validator(schema, format_checker=CHECKER).validate(made)


def strings() -> st.SearchStrategy[dict[str, Any]]:
    bounded = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(
        lambda pair: {"type": "string", "minLength": min(pair), "maxLength": max(pair)}
    )
    formats = st.sampled_from(sorted(FORMATS)).map(lambda name: {"type": "string", "format": name})
    patterns = st.sampled_from(
        [r"^[A-Z]{3}-\d{4}$", r"^(red|green)$", r"^\w+@\w+\.com$", r"^[^ ]{2,5}$", r"colou?r", r"^a+b*$"]
    ).map(lambda pattern: {"type": "string", "pattern": pattern})
    return st.one_of(st.just({"type": "string"}), bounded, formats, patterns)


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    pair = st.tuples(st.integers(-1000, 1000), st.integers(0, 500))
    whole = pair.map(lambda p: {"type": "integer", "minimum": p[0], "maximum": p[0] + p[1]})
    open_ended = pair.map(lambda p: {"type": "number", "exclusiveMinimum": p[0], "exclusiveMaximum": p[0] + p[1] + 1})
    one_side = st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]).flatmap(
        lambda word: st.integers(-500, 500).map(lambda n: {"type": "integer", word: n})
    )
    steps = st.integers(1, 50).map(lambda n: {"type": "integer", "multipleOf": n, "minimum": 0})
    return st.one_of(whole, open_ended, one_side, steps)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    enums = st.lists(st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=5), st.none()), min_size=1, max_size=4)
    return st.one_of(
        strings(),
        numbers(),
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}]),
        enums.map(lambda values: {"enum": values}),
        st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=5)).map(lambda const: {"const": const}),
    )


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def objects(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, inner, max_size=4))
        required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
        schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
        if draw(st.booleans()):
            schema["additionalProperties"] = False
        return schema

    arrays = st.tuples(inner, st.integers(0, 3), st.integers(0, 2)).map(
        lambda t: {"type": "array", "items": t[0], "minItems": t[1], "maxItems": t[1] + t[2]}
    )
    tuples = st.lists(inner, min_size=1, max_size=3).map(
        lambda parts: {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    both = inner.map(lambda part: {"allOf": [part, {"description": "the same"}]})
    return st.one_of(objects(), arrays, tuples, unions, both)


SCHEMAS = st.recursive(leaves(), nested, max_leaves=12)


@given(SCHEMAS, st.integers(0, 2**32))
def test_a_value_validates(schema: dict[str, Any], seed: int) -> None:
    validates(schema, value(schema, Random(seed)))


@given(SCHEMAS, st.integers(0, 2**32))
def test_the_same_dice_give_the_same_value(schema: dict[str, Any], seed: int) -> None:
    assert value(schema, Random(seed)) == value(schema, Random(seed))


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "number"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["v", "kids"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
LIST = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "id": {"type": "string", "format": "uuid"}},
    "required": ["next", "id"],
}
CONDITIONAL = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "x": {"type": "integer"}, "y": {"type": "string"}},
    "required": ["kind"],
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["x"]},
    "else": {"required": ["y"]},
}


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        LIST,
        CONDITIONAL,
        {"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]},
        {
            "allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}],
            "type": "object",
        },
        {"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "integer"}]}]},
        {"not": {"type": "string"}},
        {"type": "array", "contains": {"const": 5}, "items": {"type": "integer"}, "minItems": 2},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
        {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        {
            "type": "object",
            "patternProperties": {"^n_": {"type": "integer"}},
            "additionalProperties": False,
            "minProperties": 1,
        },
        {"type": "object", "propertyNames": {"pattern": "^[a-z]{4}$"}, "minProperties": 2},
        {
            "type": "object",
            "properties": {"a": {}, "b": {"const": 1}},
            "dependentRequired": {"a": ["b"]},
            "required": ["a"],
        },
        {"type": "object", "properties": {"a": {}}, "required": ["a"], "dependentSchemas": {"a": {"required": ["z"]}}},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 1},
        {"enum": [1, "a", None], "type": ["string", "null"]},
        {"type": "integer", "minimum": 1e30, "maximum": 2e30},
        {"type": "string", "minLength": 30, "maxLength": 31},
        {
            "$defs": {"a/b": {"$anchor": "here", "type": "boolean"}},
            "properties": {"p": {"$ref": "#/$defs/a~1b"}, "q": {"$ref": "#here"}},
            "required": ["p", "q"],
            "type": "object",
        },
        {},
        True,
    ],
)
def test_hard_schemas(schema: Any) -> None:
    for seed in range(30):
        validates(schema, value(schema, Random(seed)))


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$ref": "https://example.com/elsewhere.json"},
        {"$ref": "#/$defs/none"},
        {"type": "teapot"},
        {"enum": [], "not": {}},
        {"not": {"$ref": "#/nowhere"}, "type": "integer"},
        {"not": {"$ref": "http://127.0.0.1:9/schema"}, "type": "integer"},
        {"enum": [1], "$ref": "http://127.0.0.1:9/schema"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "pattern": "("},
        {"type": "string", "pattern": "[\\ud800-\\udbff]"},
        {"type": "string", "pattern": "a{100000}"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"properties": ["not", "a", "mapping"]},
    ],
)
def test_a_schema_without_a_value_says_so(schema: Any) -> None:
    with pytest.raises(NoValue):
        value(schema, Random(1))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "not",
                        "if",
                        "properties",
                        "items",
                        "enum",
                        "anyOf",
                        "$ref",
                        "pattern",
                        "minimum",
                        "required",
                    ]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=10,
    )
)
def test_no_nonsense_breaks_it(schema: Any) -> None:
    """Callers send anything as a schema: a value or NoValue, never another exception."""
    if isinstance(schema, (dict, bool)):
        with suppress(NoValue):
            value(schema, Random(3))


def test_merging_keeps_both_sides() -> None:
    both = merged({"required": ["a"], "minimum": 1, "oneOf": [1]}, {"required": ["b"], "minimum": 3, "oneOf": [2]})
    assert both == {"required": ["a", "b"], "minimum": 3, "oneOf": [1], "allOf": [{"oneOf": [2]}]}


@given(st.integers(0, 2**32), st.integers(0, 12))
def test_a_pattern_without_an_end_grows_to_the_length(seed: int, low: int) -> None:
    assert len(matching("^ab", Random(seed), low)) >= max(low, 2)
