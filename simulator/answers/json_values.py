"""Values that validate against a JSON Schema (draft 2020-12): tool arguments and structured answers.

A value is built from the schema in one pass. Keywords that one pass cannot promise (`oneOf`, `not`, `contains`…) are
checked with a validator afterwards and drawn again, a few times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import UnknownType
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from simulator.answers import json_strings
from simulator.answers.prose import title

Schema = Mapping[str, Any] | bool
DEPTH_MAX: Final = 5  # below it only what is required
DEPTH_LIMIT: Final = 40  # a schema that requires itself has no value
ITEMS_MAX: Final = 10_000
ATTEMPTS: Final = 12
_INDIRECT: Final = ("$ref", "$dynamicRef", "anyOf", "oneOf", "if", "allOf")  # in the order they are resolved
_CHOICES: Final = frozenset(["allOf", "anyOf", "oneOf", "$ref", "if"])
CHECKED: Final = frozenset(
    """allOf anyOf oneOf not if $dynamicRef contains uniqueItems multipleOf patternProperties propertyNames
    minProperties maxProperties dependentSchemas dependentRequired unevaluatedProperties unevaluatedItems""".split()  # noqa: SIM905
)
_TYPES: Final = ("string", "integer", "boolean", "object", "array", "null")
_BY_KEYWORD: Final = (
    ("object", ("properties", "required", "additionalProperties", "patternProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems")),
    ("string", ("minLength", "maxLength", "pattern", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


# What comes of a caller's schema that is wrong in itself: keywords of other types, references to nowhere, circles.
_WRONG_SCHEMA: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(re.error, Unresolvable, UnknownType),
)


class NoValue(ValueError):
    """No value was found: the schema has none, or asks for more than this module knows."""


def value(schema: Schema, dice: Random) -> Any:
    """A value that validates against `schema`. Raises NoValue."""
    root: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {} if schema else {"not": {}}
    check = _validator(orjson.dumps(root)) if needs_check(root) else None
    why = "no attempt succeeded"
    for attempt in range(ATTEMPTS):
        try:
            made = _Maker(root, dice, guess=attempt > 0).make(root, 0, "")
            if check is None or check.is_valid(made):
                return made
        except _WRONG_SCHEMA as error:
            why = str(error)
    raise NoValue(f"no value found: {why}")


def needs_check(schema: Any) -> bool:
    """Whether a keyword anywhere in the schema needs a validator's word."""
    if isinstance(schema, Mapping):
        return not CHECKED.isdisjoint(schema) or any(needs_check(below) for below in schema.values())
    return isinstance(schema, list) and any(needs_check(below) for below in schema)


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Validator:
    loaded = orjson.loads(schema)
    try:
        Draft202012Validator.check_schema(loaded)
    except SchemaError as error:
        raise NoValue(f"not a JSON Schema: {error.message}") from None
    return _strict(loaded)


def _strict(schema: Any) -> Validator:
    """A validator that fetches nothing: a reference out of the schema is Unresolvable."""
    return Draft202012Validator(schema, registry=Registry())


class _Maker:
    """One pass over one schema. Where nothing tells the type it is a string, or with `guess` any."""

    def __init__(self, root: Mapping[str, Any], dice: Random, guess: bool) -> None:
        self.root = root
        self.dice = dice
        self.guess = guess

    def make(self, schema: Schema, depth: int, name: str) -> Any:
        """A value; `name` is the property it is for."""
        if depth > DEPTH_LIMIT:
            raise NoValue("the schema requires itself without end")
        flat = self._flat(schema, depth)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            return self._member(flat)
        match self._type(flat):
            case "object":
                return self._object(flat, depth)
            case "array":
                return self._array(flat, depth)
            case "string":
                return json_strings.text(flat, self.dice, name)
            case "integer":
                return self._integer(flat)
            case "number":
                return self._number(flat)
            case "boolean":
                return self.dice.random() < 0.5
            case "null":
                return None
            case unknown:
                raise NoValue(f"type {unknown!r} is unknown")

    def _flat(self, schema: Schema, depth: int) -> dict[str, Any]:
        """The schema with references followed, parts merged and one branch taken of each choice."""
        if isinstance(schema, bool):
            if not schema:
                raise NoValue("a part of the schema allows nothing")
            return {}
        flat = dict(schema)
        for _ in range(DEPTH_LIMIT):
            word = next((word for word in _INDIRECT if word in flat), None)
            if word is None:
                return flat
            found = flat.pop(word)
            match word:
                case "$ref" | "$dynamicRef":
                    flat = merged(self._target(found), flat)
                case "anyOf" | "oneOf":
                    flat = merged(flat, self._option(found, depth))
                case "if":
                    then, other = flat.pop("then", True), flat.pop("else", True)
                    flat = merged(merged(flat, found), then) if self.dice.random() < 0.7 else merged(flat, other)
                case _:
                    for part in found:
                        flat = merged(flat, part)
        raise NoValue("references go in a circle")

    def _option(self, options: Sequence[Schema], depth: int) -> Schema:
        """One of a choice: mostly what is not null; deep down what does not refer further."""
        full = [o for o in options if not (isinstance(o, Mapping) and o.get("type") == "null")]
        if depth > DEPTH_MAX:
            plain = [o for o in options if not (isinstance(o, Mapping) and "$ref" in o)]
            return self.dice.choice(plain or list(options))
        return self.dice.choice(full or list(options))

    def _target(self, ref: str) -> Schema:
        """What a reference within the schema points to."""
        if not ref.startswith("#"):
            raise NoValue(f"$ref {ref!r} leaves the schema")
        if ref in ("#", "#/"):
            return self.root
        if not ref.startswith("#/"):
            return self._anchor(self.root, ref[1:])
        at: Any = self.root
        for step in ref[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~").replace("%25", "%").replace("%22", '"')
            at = at[int(step)] if isinstance(at, list) else at[step]
        if not isinstance(at, (bool, Mapping)):
            raise NoValue(f"$ref {ref!r} is no schema")
        return at

    def _anchor(self, at: Any, name: str) -> Schema:
        todo: list[Any] = [at]
        while todo:
            here = todo.pop()
            if isinstance(here, Mapping):
                if name in (here.get("$anchor"), here.get("$dynamicAnchor")):
                    return here
                todo += here.values()
            elif isinstance(here, list):
                todo += here
        raise NoValue(f"$ref '#{name}' names no anchor")

    def _type(self, flat: Mapping[str, Any]) -> str:
        kinds = flat.get("type")
        if isinstance(kinds, list):
            full = [kind for kind in kinds if kind != "null"] or kinds
            if not full:
                raise NoValue("no type is left")
            return str(self.dice.choice(full))
        if kinds is not None:
            return str(kinds)
        told = next((kind for kind, words in _BY_KEYWORD if any(word in flat for word in words)), None)
        return told or (self.dice.choice(_TYPES) if self.guess else "string")

    def _member(self, flat: Mapping[str, Any]) -> Any:
        """A value of the enumeration that the other keywords allow too."""
        rest = {k: v for k, v in flat.items() if k not in ("enum", "$defs", "definitions", "$schema", "$id")}
        allowed = list(flat["enum"])
        if rest.keys() - {"type", "description", "title", "default"}:
            allowed = [v for v in allowed if _strict(rest | _defs(self.root)).is_valid(v)]
        elif "type" in rest:
            full = [v for v in allowed if _strict({"type": rest["type"]}).is_valid(v)]
            allowed = [v for v in full if v is not None] or full
        if not allowed:
            raise NoValue("no value of the enumeration is allowed")
        return self.dice.choice(allowed)

    def _integer(self, flat: Mapping[str, Any]) -> int | float:
        """A whole number; beyond 64 bits as a float, which is how JSON writes it."""
        low, high = self._bounds(flat)
        step = flat.get("multipleOf")
        first, last = math.floor(low), math.ceil(high)
        first += first < low or first == flat.get("exclusiveMinimum")
        last -= last > high or last == flat.get("exclusiveMaximum")
        if step:
            whole = step if float(step).is_integer() else 1
            first, last = math.ceil(first / whole), math.floor(last / whole)
        if first > last:
            raise NoValue(f"no whole number between {low} and {high}")
        drawn = self.dice.randint(first, last) * (int(whole) if step else 1)
        return drawn if abs(drawn) < 1 << 63 else float(drawn)

    def _number(self, flat: Mapping[str, Any]) -> float | int:
        low, high = self._bounds(flat)
        if step := flat.get("multipleOf"):
            first, last = math.ceil(low / step), math.floor(high / step)
            if first * step == flat.get("exclusiveMinimum"):
                first += 1
            if last * step == flat.get("exclusiveMaximum"):
                last -= 1
            if first > last:
                raise NoValue(f"no multiple of {step} between {low} and {high}")
            return self.dice.randint(first, last) * float(step)
        drawn = self.dice.uniform(low, high)
        for digits in (1, 2, 4, 8):
            near = round(drawn, digits)
            if low < near < high:
                return near
        inside = "exclusiveMinimum" in flat or "exclusiveMaximum" in flat
        return (low + high) / 2 if inside else drawn

    def _bounds(self, flat: Mapping[str, Any]) -> tuple[float, float]:
        lows = [flat[k] for k in ("minimum", "exclusiveMinimum") if k in flat]
        highs = [flat[k] for k in ("maximum", "exclusiveMaximum") if k in flat]
        low = max(lows) if lows else min(1, *highs, 1) if highs else 1
        if highs and not lows and low == min(highs):
            low = min(highs) - 100
        high = min(highs) if highs else low + max(100, flat.get("multipleOf", 0) * 10)
        if low > high:
            raise NoValue(f"no number between {low} and {high}")
        return low, high

    def _array(self, flat: Mapping[str, Any], depth: int) -> list[Any]:
        least, most = flat.get("minItems", 0), flat.get("maxItems", math.inf)
        if least > ITEMS_MAX:
            raise NoValue(f"minItems {least} is above {ITEMS_MAX}")
        prefix = list(flat.get("prefixItems", []))
        items = flat.get("items", True)
        contains = flat.get("contains")
        needed = flat.get("minContains", 1) if contains is not None else 0
        if depth > DEPTH_MAX or items is False:
            count = max(least, needed)
        else:
            count = self.dice.randint(max(least, needed, 1), max(least, needed, 1) + 2)
        count = int(min(max(count, min(len(prefix), most)), most)) if items is not False else min(len(prefix), most)
        out = [self.make(part, depth + 1, "") for part in prefix[: int(count)]]
        for at in range(len(out), int(count)):
            part = merged(items, contains) if contains is not None and at - len(prefix) < needed else items
            for _ in range(ATTEMPTS):
                made = self.make(part, depth + 1, "")
                if not flat.get("uniqueItems") or made not in out:
                    break
            if flat.get("uniqueItems") and made in out and len(out) >= least:
                break
            out.append(made)
        return out

    def _object(self, flat: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Schema] = flat.get("properties", {})
        required = list(flat.get("required", []))
        if flat.get("minProperties", 0) > ITEMS_MAX:
            raise NoValue(f"minProperties {flat['minProperties']} is above {ITEMS_MAX}")
        most = flat.get("maxProperties", math.inf)
        names = [name for name in properties if name in required]
        names += [name for name in required if name not in properties]
        if depth <= DEPTH_MAX:
            for name, below in properties.items():
                if name not in names and below is not False and len(names) < most and self._wanted(depth):
                    names.append(name)
            names = [n for n in properties if n in names] + [n for n in names if n not in properties]
        for name, more in flat.get("dependentRequired", {}).items():
            names += [n for n in more if name in names and n not in names]
        while len(names) < flat.get("minProperties", 0):
            names.append(self._new_name(flat, names))
        out = {name: self.make(self._below(flat, name), depth + 1, name) for name in names}
        for name, more in flat.get("dependentSchemas", {}).items():
            if name in out:
                out |= self.make(merged({"type": "object"}, more), depth + 1, "")
        return out

    def _wanted(self, depth: int) -> bool:
        """Whether a property that need not be there is: near the top mostly, further down rarely."""
        return self.dice.random() < (0.6 if depth < 2 else 0.25)

    def _below(self, flat: Mapping[str, Any], name: str) -> Schema:
        """The schema of one property."""
        found: Schema | None = flat.get("properties", {}).get(name)
        for pattern, part in flat.get("patternProperties", {}).items():
            if json_strings.finds(pattern, name):
                found = part if found is None else merged(found, part)
        if found is None:
            found = flat.get("additionalProperties", True)
        return found

    def _new_name(self, flat: Mapping[str, Any], taken: Sequence[str]) -> str:
        """A name that is not taken yet, for an object that must have more properties."""
        for _ in range(ATTEMPTS):
            free = [name for name in flat.get("properties", {}) if name not in taken]
            patterns = list(flat.get("patternProperties", {}))
            if free:
                name = str(free[0])
            elif "propertyNames" in flat:
                name = str(self.make(merged({"type": "string"}, flat["propertyNames"]), 1, ""))
            elif patterns and flat.get("additionalProperties") is False:
                name = json_strings.matching(self.dice.choice(patterns), self.dice)
            else:
                name = title(self.dice, 1)
            if name not in taken:
                return name
        raise NoValue("no further property name was found")


def _defs(root: Mapping[str, Any]) -> dict[str, Any]:
    return {k: root[k] for k in ("$defs", "definitions") if k in root}


def _both(low: Any, high: Any, key: str) -> Any:
    """What two values of one keyword come to together."""
    if key == "required":
        return list(dict.fromkeys([*low, *high]))
    if key in ("properties", "patternProperties"):
        return {n: merged(low[n], high[n]) if n in low and n in high else (low | high)[n] for n in low | high}
    if key in ("items", "additionalProperties", "contains", "propertyNames"):
        return merged(low, high)
    if key == "enum":
        return [v for v in low if v in high]
    if key == "type":
        return _types(low, high)
    if key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        return max(low, high)
    if key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        return min(low, high)
    return high


def _types(low: Any, high: Any) -> Any:
    left = [low] if isinstance(low, str) else list(low)
    right = [high] if isinstance(high, str) else list(high)
    both = [t for t in left if t in right or (t == "integer" and "number" in right)]
    both += ["integer"] if "number" in left and "integer" in right and "integer" not in both else []
    return both[0] if len(both) == 1 else both


def merged(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema that allows what both allow, as far as one pass can tell. Raises NoValue when one allows nothing."""
    if first is False or second is False:
        raise NoValue("a part of the schema allows nothing")
    left = dict(first) if isinstance(first, Mapping) else {}
    right = dict(second) if isinstance(second, Mapping) else {}
    if clash := _CHOICES & left.keys() & right.keys():
        parts = [*left.pop("allOf", []), *right.pop("allOf", [])]
        left["allOf"] = [*parts, {key: right.pop(key) for key in sorted(clash) if key in right}]
    return left | {k: _both(left[k], v, k) if k in left else v for k, v in right.items()}
