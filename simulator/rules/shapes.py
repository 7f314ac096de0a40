"""JSON Schemas of rules and scenarios, but for their faults: what editors complete, with a sentence for everything.

`simulator.shapes` puts them together with the faults; what is referred to as `#/$defs/…` is defined there.
"""

from __future__ import annotations

from typing import Any

NAME = {"type": "string", "minLength": 1}
GLOBS = {
    "description": "a text that may be a glob, or a list of these",
    "anyOf": [NAME, {"type": "array", "items": NAME, "minItems": 1}],
}


def when() -> dict[str, Any]:
    """Whom a rule concerns."""

    def globs(about: str) -> dict[str, Any]:
        return {"$ref": "#/$defs/globs", "description": f"{about}: a glob, or a list of globs."}

    ranges = "a number from 1, a range such as 2-4, or a list of these."
    return {
        "description": "Whom the rule concerns; all that is said must fit. Nothing said: everyone.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "provider": globs("Name of a row of the fleet"),
            "region": globs("Region of the provider"),
            "dialect": globs("Wire that the provider speaks"),
            "operation": globs("What is asked, such as generate, count_tokens or list_models"),
            "model": globs("Model as the request names it"),
            "path": globs("Path below the provider's prefix"),
            "case": globs("Case token of the prompt"),
            "stream": {"type": "boolean", "description": "Only streams, or only what is no stream."},
            "attempt": {
                "$ref": "#/$defs/ranges",
                "description": f"The how-manieth request of this case at this provider: {ranges}",
            },
            "call": {
                "$ref": "#/$defs/ranges",
                "description": f"The how-manieth request of this case at the whole fleet: {ranges}",
            },
            "state": globs("State in which the scenario is (its `states`)"),
        },
    }


def rule() -> dict[str, Any]:
    """One rule."""
    count = {"type": "integer", "minimum": 1}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["fault"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "Part of the key of every draw."},
            "when": {"$ref": "#/$defs/when"},
            "at": {"$ref": "#/$defs/time", "description": "When it begins, from when it was set."},
            "for": {"$ref": "#/$defs/time", "description": "How long it lasts."},
            "every": {"$ref": "#/$defs/time", "description": "After how long it comes back (a burst); needs `for`."},
            "flap": _flap(),
            "ramp": _ramp(),
            "chance": {"type": "number", "minimum": 0, "maximum": 1, "description": "Share of requests it hits."},
            "times": {**count, "description": "It hits at most so many requests of one case at one provider."},
            "first": {**count, "description": "It hits at most so many requests in all, in the order of arrival."},
            "succeed_first": {**count, "description": "So many requests pass before it hits, in the order of arrival."},
            "otherwise": {"type": "boolean", "description": "Only requests that no earlier rule of the scenario hit."},
            "then": {
                "description": "What a hit does to the scenario.",
                "type": "object",
                "additionalProperties": False,
                "required": ["state"],
                "properties": {"state": {**NAME, "description": "The state that it is in from then on."}},
            },
            "fault": {
                "description": "one fault with its kind, or a list of them that add up in order",
                "if": {"type": "array"},
                "then": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/fault"}},
                "else": {"$ref": "#/$defs/fault"},
            },
        },
    }


def _flap() -> dict[str, Any]:
    return {
        "description": "On and off, again and again, inside the window.",
        "type": "object",
        "additionalProperties": False,
        "required": ["on", "off"],
        "properties": {
            "on": {"$ref": "#/$defs/time", "description": "How long it is on; it begins so."},
            "off": {"$ref": "#/$defs/time", "description": "How long it is off."},
            "jitter": {"$ref": "#/$defs/time", "description": "Each edge comes up to so much later, drawn by seed."},
        },
    }


def _ramp() -> dict[str, Any]:
    edges = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "up": {"$ref": "#/$defs/time", "description": "It grows from nothing over this time."},
            "down": {"$ref": "#/$defs/time", "description": "It shrinks to nothing at the end of `for`."},
            "of": {
                "description": "chance, or numeric options of the faults: one name or a list",
                "anyOf": [NAME, {"type": "array", "items": NAME, "minItems": 1}],
            },
        },
    }
    return {
        "description": "Edges that are not sudden: a time, or up and down. Grows the chance, else the delays.",
        "if": {"type": "object"},
        "then": edges,
        "else": {"$ref": "#/$defs/time"},
    }


def scenario() -> dict[str, Any]:
    """What a scenario file may say."""
    return {
        "name": NAME,
        "about": {"type": "string", "description": "What it reproduces, in a sentence or two."},
        "expect": {"type": "string", "description": "What a good gateway does, in a sentence."},
        "sources": {
            "description": "Where that was reported.",
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": "^https?://"},
        },
        "seed": {"type": "integer", "minimum": 0, "description": "Of its draws, in place of the fleet's."},
        "ttl_s": {"type": "number", "exclusiveMinimum": 0, "description": "After this it is taken off."},
        "states": {
            "description": "What when.state looks at and then.state leads to; the first is where it begins.",
            "type": "array",
            "minItems": 1,
            "items": NAME,
        },
        "transitions": {
            "description": "What time does to the state.",
            "type": "array",
            "minItems": 1,
            "items": _transition(),
        },
        "include": {
            "description": "Scenarios that belong to it: a name, a file beside it, or one with offset and selectors.",
            "type": "array",
            "minItems": 1,
            "items": {"if": {"type": "string"}, "then": NAME, "else": _included()},
        },
        "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
    }


def _transition() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["after", "from", "to"],
        "properties": {
            "after": {"$ref": "#/$defs/time", "description": "How long the scenario stays in `from`."},
            "from": NAME,
            "to": NAME,
        },
    }


def _included() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["scenario"],
        "properties": {
            "scenario": {
                "description": "a name, a file beside this one, or a scenario written out",
                "if": {"type": "string"},
                "then": NAME,
                "else": {"type": "object"},
            },
            "at": {"$ref": "#/$defs/time", "description": "How much later it begins."},
            "when": {"$ref": "#/$defs/when", "description": "Selectors laid over those of its rules."},
        },
    }
