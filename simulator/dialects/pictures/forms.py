"""The forms of `forms.yaml`: what each vendor of pictures reads and writes, as data with compiled templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.dialects.openai import fields
from simulator.dialects.openai.templates import Fill, compiled

FILE: Final = Path(__file__).parent / "forms.yaml"
_KINDS: Final[Mapping[str, fields.Check]] = {
    "string": fields.string,
    "boolean": fields.boolean,
    "integer": fields.integer(),
    "number": fields.decimal(-1000, 1000),
    "array": fields.array,
    "object": fields.dictionary,
}


@dataclass(frozen=True, slots=True)
class Form:
    """One form."""

    facts: Mapping[str, Any]
    checks: Mapping[str, fields.Check]
    reply: Fill
    image: Fill
    usage: Fill | None

    def asked(self, body: Mapping[str, Any], role: str) -> Any:
        """What a request says in the field that has this role (`count`, `seed`, …)."""
        name = self.facts.get(role)
        return None if name is None else body.get(name)


@cache
def data() -> Mapping[str, Any]:
    """The file."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_bytes())
    return found


def names() -> list[str]:
    """Every form there is."""
    return sorted(data())


@cache
def named(name: str) -> Form:
    """The form of that name. Raises ValueError when there is none."""
    if name not in data():
        raise ValueError(f"form of pictures {name!r}: there is none among {', '.join(names())}")
    facts = data()[name]
    usage = compiled(facts["usage"]) if "usage" in facts else None
    checks = {field: _check(due) for field, due in facts["fields"].items()}
    return Form(facts, checks, compiled(facts["reply"]), compiled(facts["image"]), usage)


def _check(due: Any) -> fields.Check:
    if isinstance(due, str):
        return _KINDS[due]
    if isinstance(due, list):
        return fields.integer(*due)
    return fields.one_of(*map(str, due["words"]))
