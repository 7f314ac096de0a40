"""Forms: how each OpenAI-compatible vendor writes the answers that all of them give (`vendors/NAME.yaml`).

A form is data alone: a template for each object and chunk, and how the chunks of a stream follow one another. A profile
names its form in the fact `form`, or, where a provider's models differ, in `forms` (a map of globs); a form that is
`like` another one says only what differs.

    about           which vendor's, and when it was recorded
    ids             slot -> how it is spelled (openai_ids.LETTERS); `id` at least
    call_id         of a tool call: `{call}` (24 letters and digits), `{hex}` (32 digits), `{number}` (8 digits),
                    `{at}`, `{name}`
    fingerprint     how system_fingerprint is spelled, or null; without the key the model's fact `fingerprint` decides
    finishes        OpenAI's word for an end -> the vendor's
    whole, choice, message, call    the JSON reply and its parts; `indent`: over several lines
    call_opening, call_piece        a tool call in a stream: its beginning, and a piece of its arguments
    usage           the token counts, wherever they are told
    chunks, rows    the chunks of a stream and the items of their `choices`, by the part they are for, or `default`;
                    `chunks` may have `first` (the very first), `parallel` (of several calls) and `usage`
    deltas          what each part of a stream says: found (by a search), opening (of a text), opening_call (of a single
                    call, alone), opening_calls, waiting, thought, thought_end, text, text_after (a thought), refusal,
                    call, argument, closing (a text), closing_calls, finish, finish_after (a thought), again; first_PART
                    stands in for PART in the first chunk of a choice; null or absent: no such chunk
    stream          how they follow one another, see `Stream`
    headers         json, stream: the headers of a 200
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.dialects.base import Profile
from simulator.dialects.openai.templates import Fill, compiled

FOLDER: Final = Path(__file__).parent / "vendors"
DEFAULT: Final = "openai"
MERGED: Final = ("chunks", "rows", "deltas", "stream", "headers", "ids")  # laid over key by key; the other keys replace
_TEMPLATES: Final = ("whole", "choice", "message", "call", "call_opening", "call_piece", "usage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How the chunks of a stream follow one another."""

    arguments: str = "pieces"  # of a call: "pieces", "one" (a chunk for all), "whole" (in the call's own), "first"
    usage_chunk: str = "asked"  # a last chunk for the usage alone: when "asked", "always" or "never"
    usage_in_finish: bool = False  # the chunk that finishes tells the usage: such chunks come last
    finish_with: tuple[str, ...] = ()  # finish in the chunk of the last: "call", "text", "length" (a text that was cut)
    thoughts: str = "pieces"  # "pieces", "one" chunk, "tags" (in <think> within the text, whole or not), "hidden"
    padding: str = "aligned"  # the slot `padding`: to 16 bytes where the model has obfuscation, or the "alphabet"
    growing: bool = False  # every chunk tells the usage so far
    before: tuple[Any, ...] = ()  # chunks before all others, as they are
    waiting: int | str = 0  # so many chunks of the delta `waiting`, or as many as a value says ("reasoned")
    done: bool = True
    line_end: str = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form, its templates compiled."""

    name: str
    about: str
    ids: Mapping[str, str]
    call_id: str
    fingerprint: str | None
    has_fingerprint: bool  # of its own
    finishes: Mapping[str, str]  # how the words of OpenAI for an end differ
    indent: bool
    templates: Mapping[str, Fill]
    chunks: Mapping[str, Fill]
    rows: Mapping[str, Fill]
    deltas: Mapping[str, Fill]
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stream: Stream = field(default_factory=Stream)

    def chunk(self, part: str) -> Fill:
        """The template of the chunk for a part."""
        return self.chunks.get(part) or self.chunks["default"]

    def row(self, part: str) -> Fill:
        """The template of the item of `choices` for a part."""
        return self.rows.get(part) or self.rows["default"]


@cache
def data(name: str) -> Mapping[str, Any]:
    """A form as it stands in its file, laid over the one it is like. Raises ValueError when there is none."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"form {name!r}: there is no {path.name} among {', '.join(names())}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    own: dict[str, Any] = yaml.load(path.read_bytes(), Loader=loader)
    base = dict(data(own.pop("like"))) if "like" in own else {}
    for key, value in own.items():
        base[key] = {**base.get(key, {}), **value} if key in MERGED and isinstance(value, dict) else value
    return base


def names() -> list[str]:
    """Every form there is."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def named(name: str) -> Form:
    """The form of that name. Raises ValueError."""
    found = data(name)
    stream: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.get("stream", {}).items()
    }
    return Form(
        name=name,
        about=found["about"],
        ids=found["ids"],
        call_id=found["call_id"],
        fingerprint=found.get("fingerprint"),
        has_fingerprint="fingerprint" in found,
        finishes=found.get("finishes", {}),
        indent=found.get("indent", False),
        templates={key: compiled(found[key]) for key in _TEMPLATES if key in found},
        chunks=_compiled(found["chunks"]),
        rows=_compiled(found["rows"]),
        deltas=_compiled(found["deltas"]),
        headers=found.get("headers", {}),
        stream=Stream(**stream),
    )


def _compiled(templates: Mapping[str, Any]) -> dict[str, Fill]:
    return {key: compiled(template) for key, template in templates.items() if template is not None}


def of(profile: Profile) -> Form:
    """The form that a profile's answers have."""
    forms = profile.facts.get("forms")
    if forms:
        for glob, name in forms.items():
            if fnmatchcase(profile.model, glob):
                return named(name)
    return named(profile.facts.get("form", DEFAULT))
