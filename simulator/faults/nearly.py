"""Structured answers and tool arguments that nearly validate, or are nearly JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from simulator.answers import tokens
from simulator.answers.answer import Answer, Block, Text, ToolCall
from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.content import with_choices
from simulator.faults.payloads import Event, Json
from simulator.faults.tool_arguments import Piece, by_call, rewritten
from simulator.script import Script

Schema = Mapping[str, Any]

EXTRA: Final = "unexpected"
OTHER_TYPE: Final[Mapping[type, Any]] = {
    str: 7,
    int: "seven",
    float: "seven",
    bool: "yes",
    list: {},
    dict: [],
    type(None): 0,
}
SHAPES: Final = ("missing_required", "wrong_type", "extra_property")  # of the value
ABOUT: Final = "what is wrong: a property missing, of another type or too many; a comma too many, the end missing, "


def spoilt(value: Any, schema: Schema, how: str) -> Any:
    """A value that nearly validates; the same one where the schema forbids nothing near it."""
    if not isinstance(value, dict):
        return value
    if how == "extra_property":
        return value | {EXTRA: True}
    for made in _missing(value) if how == "missing_required" else _mistyped(value):
        if not _validates(made, schema):
            return made
    return value


def _missing(value: Json) -> Iterator[Json]:
    for name in value:
        yield {key: kept for key, kept in value.items() if key != name}


def _mistyped(value: Json) -> Iterator[Json]:
    for name, old in value.items():
        yield value | {name: OTHER_TYPE.get(type(old), 0)}


def _validates(value: Any, schema: Schema) -> bool:
    """Whether a value is valid; a schema that is none itself forbids nothing."""
    try:
        return Draft202012Validator(schema, registry=Registry()).is_valid(value)
    except (SchemaError, Unresolvable, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return True


def _repr(text: str) -> str:
    """JSON as Python writes it."""
    made = repr(orjson.loads(text))
    return made if made != text else "None"


TEXTS: Final[Mapping[str, Callable[[str], str]]] = {  # of an object's JSON
    "trailing_comma": lambda text: text[:-1] + ",}",
    "truncated": lambda text: text[: len(text) * 2 // 3],
    "fenced": lambda text: f"```json\n{text}\n```",
    "not_json": _repr,
}
HOWS: Final = (*SHAPES, *TEXTS)


def _json_object(text: str) -> Any:
    """The object that a text is; None when it is none."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NearlyValidOutput(Fault):
    """Give a structured answer that nearly validates, or is nearly JSON. No effect where no structure was asked for."""

    kind: ClassVar[str] = "nearly_valid_output"
    seen_at: ClassVar[str] = "models without constrained decoding"
    still: ClassVar[bool] = True
    how: str = options.one_of("missing_required", HOWS, about=f"{ABOUT}within a Markdown fence, or as Python writes it")

    def answer(self, answer: Answer, scene: Scene) -> Answer:
        schema = scene.ask.schema if scene.ask else None
        if schema is None:
            return answer
        choices = tuple(
            replace(choice, blocks=tuple(self._spoilt(block, schema) for block in choice.blocks))
            for choice in answer.choices
        )
        return answer if choices == answer.choices else with_choices(answer, choices)

    def _spoilt(self, block: Block, schema: Schema) -> Block:
        value = _json_object(block.text) if isinstance(block, Text) else None
        if not isinstance(block, Text) or value is None:
            return block
        if self.how in TEXTS:
            return Text(tuple(tokens.split(TEXTS[self.how](block.text))))
        made = spoilt(value, schema, self.how)
        return block if made == value else Text(tuple(tokens.split(orjson.dumps(made).decode())))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NearlyValidArguments(Fault):
    """Call a tool with arguments that nearly validate, or are nearly JSON.

    Where a wire sends arguments as an object, not as a text, they can only be of the wrong shape.
    """

    kind: ClassVar[str] = "nearly_valid_arguments"
    seen_at: ClassVar[str] = "models without constrained decoding"
    still: ClassVar[bool] = True
    how: str = options.one_of("missing_required", HOWS, about=f"{ABOUT}within a Markdown fence, or as Python writes it")

    def answer(self, answer: Answer, scene: Scene) -> Answer:
        if self.how in TEXTS or scene.ask is None:
            return answer
        schemas = {tool.name: tool.schema for tool in scene.ask.tools}
        choices = tuple(
            replace(choice, blocks=tuple(self._spoilt(block, schemas) for block in choice.blocks))
            for choice in answer.choices
        )
        return answer if choices == answer.choices else with_choices(answer, choices)

    def _spoilt(self, block: Block, schemas: Mapping[str, Schema]) -> Block:
        if not isinstance(block, ToolCall):
            return block
        schema = {"type": "object", **schemas.get(block.name, {})}
        return replace(block, arguments=spoilt(dict(block.arguments), schema, self.how))

    def script(self, script: Script, _: Scene) -> Script:
        change = TEXTS.get(self.how)
        if change is None:
            return script
        told = payloads.events(script)
        texts: dict[str, str] = {}
        if script.stream:
            for pieces in by_call(told).values():
                old = "".join(found.text for _, found in pieces)
                if _json_object(old) is not None:
                    texts[old] = change(old)
                    _spread(pieces, texts[old])
        for event in told:
            if _with_texts(event.json, texts, None if script.stream else change):
                event.put()
        return payloads.written(script, told)


def _spread(pieces: list[tuple[Event, Piece]], text: str) -> None:
    """Another text over the pieces of a call, each as long as before but for the last."""
    at = 0
    for event, found in pieces:
        last = event is pieces[-1][0]
        part = text[at:] if last else text[at : at + len(found.text)]
        at += len(found.text)
        if part != found.text:
            rewritten(event, found, part)
            event.frame = event.frame._replace(text_bytes=len(part.encode()))


def _with_texts(found: Json | None, texts: Mapping[str, str], change: Callable[[str], str] | None) -> bool:
    """Arguments told as a whole, changed in place: those known by their text, or (with `change`) all."""
    changed = False
    for row in payloads.walk(found):
        old = row.get("arguments")
        if not isinstance(old, str):
            continue
        new = texts.get(old) or (change(old) if change and _json_object(old) is not None else None)
        if new is not None and new != old:
            row["arguments"] = new
            changed = True
    return changed
