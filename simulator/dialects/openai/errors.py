"""How the OpenAI-compatible vendors refuse: styles as data (`errors.yaml`), named by the fact `errors`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import yaml

from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import problems
from simulator.dialects.openai.ids import Letters
from simulator.dialects.openai.templates import ABSENT, Fill, compiled
from simulator.problem import Problem

FILE: Final = Path(__file__).parent / "errors.yaml"
NOBODY: Final = Profile("", "", "")  # no model is known where a request is refused
UNKNOWN_KEY: Final = "****"
_NUMBER: Final = re.compile(r"\d+")


class Refusal(NamedTuple):
    """A refusal as the vendor writes it."""

    status: int
    data: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What a vendor says of one kind of problem; what it does not say is as for all kinds."""

    facts: Mapping[str, Any]
    body: Fill | None


@dataclass(frozen=True, slots=True)
class Style:
    """One style."""

    facts: Mapping[str, Any]
    body: Fill
    frame: Fill | None
    kinds: Mapping[str, Row]

    def row(self, problem: Problem) -> Row:
        """The row of a problem: by its code, else by its kind."""
        kind = problems.kind(problem)
        names = (problem.code or "", problem.kind, kind)
        return next((self.kinds[name] for name in names if name in self.kinds), Row({}, None))


@cache
def _styles() -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(FILE.read_bytes(), Loader=loader)["styles"]
    return found


def names() -> list[str]:
    """Every style there is."""
    return sorted(_styles())


@cache
def _data(name: str) -> Mapping[str, Any]:
    styles = _styles()
    if name not in styles:
        raise ValueError(f"style of errors {name!r}: there is none among {', '.join(names())}")
    own: dict[str, Any] = styles[name]
    base = _data(own["like"]) if "like" in own else {}
    return {**base, **own, "kinds": {**base.get("kinds", {}), **own.get("kinds", {})}}


@cache
def named(name: str) -> Style:
    """The style of that name. Raises ValueError."""
    data = _data(name)
    kinds = {
        kind: Row(facts or {}, compiled(facts["body"]) if facts and "body" in facts else None)
        for kind, facts in data["kinds"].items()
    }
    frame = compiled(data["frame"]) if "frame" in data else None
    return Style(data, compiled(data["body"]), frame, kinds)


def refusal(name: str, problem: Problem, serving: Serving) -> Refusal:
    """The whole reply to what is refused, in a style."""
    style = named(name)
    row = style.row(problem)
    letters = Letters(serving, NOBODY)
    values = _values(style, row, problem, letters)
    status = style.facts.get("status", values["status"])
    text = row.facts.get("text")
    if text is not None:
        data = text.format_map(values).encode()
    else:
        data = _written((row.body or style.body)(values), style.facts.get("indent", 0))
    told = {"content-type": row.facts.get("content_type") or style.facts["content_type"]}
    for header, pattern in {**style.facts.get("headers", {}), **row.facts.get("headers", {})}.items():
        told[header] = letters.spell(pattern)
    told |= dict(problem.headers)
    return Refusal(status, data, tuple(told.items()))


def frame(name: str, problem: Problem, serving: Serving) -> bytes:
    """The same as the last event of a stream."""
    style = named(name)
    row = style.row(problem)
    body = (style.frame or row.body or style.body)(_values(style, row, problem, Letters(serving, NOBODY)))
    event = f"event: {style.facts['event']}\n" if "event" in style.facts else ""
    return event.encode() + b"data: " + _written(body, 0) + b"\n\n"


def _written(body: Any, indent: int) -> bytes:
    if indent:
        return json.dumps(body, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return orjson.dumps(body)


def _values(style: Style, row: Row, problem: Problem, letters: Letters) -> dict[str, Any]:
    """The slots of the body."""
    native = problems.native(problem)
    facts, said = style.facts, row.facts
    status = problem.status or said.get("status", native.status)
    codes = facts.get("codes", {})
    code = said.get("code") or codes.get(status, codes.get("default"))
    given = problem.code or native.code
    bare = problem.kind == "status"  # asked for as it is
    if (bare and problem.code) or (code is None and not facts.get("own_codes")):
        code = given
    key = problem.param or UNKNOWN_KEY
    number = _NUMBER.search(native.message)
    blanks = {"param": problem.param or "unknown", "key": key, "last4": key[-4:], "message": native.message}
    blanks["number"] = number[0] if number else "0"
    blanks["request_id"] = letters.spell(facts.get("request_id", ""))
    sentence = None if problem.message else said.get("message")
    if "sentence" in said and not (bare and problem.message):
        sentence = said["sentence"]
    types = facts.get("types", {})
    told = problem.param if native.param else None
    return {
        **dict(problem.details),
        **blanks,
        "message": sentence.format_map(blanks) if sentence else native.message,
        "given_message": native.message,
        "type": said.get("type") or types.get(status, types.get("default", native.type)),
        "code": ABSENT if code is None else code,
        "given_code": ABSENT if given is None else given,
        "vendor_code": said.get("vendor_code", ABSENT),
        "status": status,
        "status_text": str(status),
        "param": ABSENT if told is None else told,
        "number": int(blanks["number"]),
    }
