"""Fields that several media endpoints read. All raise InvalidRequest with what came and what was due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.body import json_type
from gateway.errors import InvalidRequest, shown
from schemas.catalogue.media import Takes

PROMPT_LENGTH_MAX: Final = 32_000
URL_LENGTH_MAX: Final = 8_192


def text(fields: Mapping[str, Any], name: str, *, required: bool = False, most: int = PROMPT_LENGTH_MAX) -> str | None:
    """A text that is not empty; None where it is absent or null and may be."""
    value = fields.get(name)
    if value is None:
        if required:
            raise InvalidRequest(f"`{name}` is missing.")
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; a string was due.")
    if not value.strip():
        raise InvalidRequest(f"`{name}` is empty.")
    if len(value) > most:
        raise InvalidRequest(f"`{name}` has {len(value)} characters; at most {most} were due.")
    return value


def one_of(fields: Mapping[str, Any], name: str, due: Sequence[str]) -> str | None:
    """A text that is one of these, where any are named."""
    value = text(fields, name)
    if value is not None and due and value not in due:
        raise InvalidRequest(f"`{name}` is {shown(value)!r}; one of {', '.join(due)} was due.")
    return value


def pixels(size: str | None) -> tuple[int, int] | None:
    """Width and height of `1024x768` or `1024*768`; None for any other text, which vendors may know.

    Raises InvalidRequest for a side of nothing.
    """
    if size is None:
        return None
    width, _, height = size.lower().replace("*", "x").partition("x")
    if not (size.isascii() and width.isdecimal() and height.isdecimal() and len(size) <= 16):
        return None
    if not (int(width) and int(height)):
        raise InvalidRequest(f"`size` is {size!r}; sides of one pixel or more were due.")
    return int(width), int(height)


def references(fields: Mapping[str, Any], takes: Takes) -> tuple[str, ...]:
    """The pictures that a request refers to, from all fields that may name them."""
    found: list[str] = []
    for name in takes.reference_fields:
        value = fields.get(name)
        for number, each in enumerate(value if isinstance(value, list) else [] if value is None else [value]):
            where = f"`{name}[{number}]`" if isinstance(value, list) else f"`{name}`"
            found.append(link(each, where, data_urls=takes.data_urls))
    if len(found) > takes.references_max:
        raise InvalidRequest(f"{len(found)} reference images were sent; at most {takes.references_max} were due.")
    return tuple(found)


def link(value: Any, where: str, *, data_urls: bool) -> str:
    """An https URL, or a data URL where that will do."""
    due = "an https URL or a base64 data URL was due" if data_urls else "a public https URL was due"
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} is {json_type(value)}; {due}.")
    if data_urls and value.startswith("data:") and ";base64," in value[:200]:
        return value
    if not value.startswith(("https://", "http://")) or len(value) > URL_LENGTH_MAX:
        raise InvalidRequest(f"{where} is {shown(value)!r}; {due}.")
    return value
