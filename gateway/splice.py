"""Edits of JSON text that leave every other byte as it was.

What a caller sends goes upstream as sent: re-encoding would change numbers, escapes and blanks, and so signed blocks.
All functions take text that a JSON parser has accepted before; offsets are in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)
BLANKS: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its decoded name, and where its value stands."""

    name: str
    value: Span


def members(text: bytes, start: int = 0) -> Iterator[Member]:
    """The members of the object that opens at or after `start`, in order, duplicates too."""
    name: str | None = None
    for opening, closing in parts(text, start):
        token = TOKEN.match(text, opening)
        assert token is not None, "a member begins with its name"
        name = orjson.loads(token.group())
        colon = text.index(b":", token.end())
        yield Member(name, trimmed(text, colon + 1, closing))


def elements(text: bytes, start: int = 0) -> Iterator[Span]:
    """The elements of the array that opens at or after `start`."""
    for opening, closing in parts(text, start):
        yield Span(opening, closing)


def parts(text: bytes, start: int) -> Iterator[tuple[int, int]]:
    """The comma-separated parts inside the bracket that opens at or after `start`, without blanks around."""
    depth = 0
    since = 0
    for token in TOKEN.finditer(text, start):
        match text[token.start()]:
            case 0x7B | 0x5B:  # { [
                depth += 1
                if depth == 1:
                    since = token.end()
            case 0x7D | 0x5D:  # } ]
                depth -= 1
                if depth == 0:
                    last = trimmed(text, since, token.start())
                    if last.end > last.start:
                        yield last.start, last.end
                    return
            case 0x2C if depth == 1:  # ,
                part = trimmed(text, since, token.start())
                yield part.start, part.end
                since = token.end()
            case _:
                pass


def trimmed(text: bytes, start: int, end: int) -> Span:
    """The span without blanks at either end."""
    while start < end and text[start] in BLANKS:
        start += 1
    while end > start and text[end - 1] in BLANKS:
        end -= 1
    return Span(start, end)


def duplicate_name(text: bytes) -> str | None:
    """A name that the top object has twice, if there is one."""
    seen: set[str] = set()
    for member in members(text):
        if member.name in seen:
            return member.name
        seen.add(member.name)
    return None


def replace(text: bytes, edits: Iterable[tuple[Span, bytes]]) -> bytes:
    """The text with each span replaced; spans must not overlap."""
    pieces: list[bytes] = []
    since = 0
    for span, value in sorted(edits, key=lambda edit: edit[0].start):
        pieces += (text[since : span.start], value)
        since = span.end
    pieces.append(text[since:])
    return b"".join(pieces)


def set_member(text: bytes, name: str, value: bytes) -> bytes:
    """The object with `name` set to `value` (JSON text): in its place, or added at the end."""
    for member in members(text):
        if member.name == name:
            return replace(text, [(member.value, value)])
    head = text.rstrip(BLANKS)[:-1].rstrip(BLANKS)
    comma = b"" if head.endswith(b"{") else b","
    return b"%b%b%b:%b}" % (head, comma, orjson.dumps(name), value)


def without_members(text: bytes, names: Collection[str]) -> bytes:
    """The object without the members of these names; the values of the others are left as they were."""
    kept = [member for member in members(text) if member.name not in names]
    pairs = (b"%b:%b" % (orjson.dumps(one.name), text[one.value.start : one.value.end]) for one in kept)
    return b"{" + b",".join(pairs) + b"}"


def without(text: bytes, array: Span, dropped: Iterable[Span]) -> bytes:
    """The text with some elements of the array at `array` left out, commas and all."""
    gone = {span.start for span in dropped}
    kept = [text[span.start : span.end] for span in elements(text, array.start) if span.start not in gone]
    return replace(text, [(array, b"[" + b",".join(kept) + b"]")])
