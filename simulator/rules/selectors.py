"""Whom a rule concerns: what is known of a request, and the selectors that look at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

Ranges = tuple[tuple[int, int], ...]
Globs = tuple[str, ...]

GLOBS = ("provider", "region", "dialect", "operation", "model", "path", "case")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a request before its fate: the part rules look at, and the journal shows."""

    provider: str
    region: str
    dialect: str
    operation: str | None  # None: no operation of the wire
    model: str | None
    stream: bool
    method: str
    path: str  # below the provider's prefix
    query: str
    case: str | None
    key: str  # the case, else the digest of the request: what attempts are counted by


class Misfit(NamedTuple):
    """The selector that keeps a rule from a request: what it wants, and what came."""

    selector: str
    wants: Any
    came: Any


@dataclass(frozen=True, slots=True)
class When:
    """Whom a rule concerns. None and () concern everyone; texts are globs, one of which must fit."""

    provider: Globs = ()
    region: Globs = ()
    dialect: Globs = ()
    operation: Globs = ()
    model: Globs = ()
    path: Globs = ()
    case: Globs = ()
    stream: bool | None = None
    attempt: Ranges = ()
    call: Ranges = ()
    state: Globs = ()  # of the scenario's states

    def misfit(self, subject: Subject, attempt: int, call: int, state: str | None = None) -> Misfit | None:
        """The first selector that the request does not fit; None when it is meant."""
        for name in GLOBS:
            globs = getattr(self, name)
            if globs and not like(globs, getattr(subject, name)):
                return Misfit(name, globs, getattr(subject, name))
        if self.stream is not None and self.stream != subject.stream:
            return Misfit("stream", self.stream, subject.stream)
        if not within(self.attempt, attempt):
            return Misfit("attempt", self.attempt, attempt)
        if not within(self.call, call):
            return Misfit("call", self.call, call)
        if self.state and not like(self.state, state):
            return Misfit("state", self.state, state)
        return None

    def given(self) -> Iterator[tuple[str, Any]]:
        """The selectors that are set."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != ():
                yield field.name, value

    def but(self, other: When) -> When:
        """These selectors, those of `other` laid over them."""
        return When(**{**dict(self.given()), **dict(other.given())})


def like(globs: Globs, value: str | None) -> bool:
    """Whether one of the globs fits; nothing fits None."""
    if value is None:
        return False
    return any(glob == value or fnmatchcase(value, glob) for glob in globs)


def within(ranges: Ranges, number: int) -> bool:
    """Whether a number is in one of the ranges, or there are none."""
    return not ranges or any(low <= number <= high for low, high in ranges)


RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?")
RANGES_DUE = 'a number from 1, a range "N-M", or a list of these'


def read_ranges(value: object) -> Ranges:
    """Inclusive ranges of a number, "N-M", or a list of these. Raises ValueError with what was due."""
    ranges: list[tuple[int, int]] = []
    for part in value if isinstance(value, list) else [value]:
        found = None if isinstance(part, bool) else RANGE.fullmatch(str(part))
        if found is None:
            raise ValueError(RANGES_DUE)
        ranges.append((int(found[1]), int(found[2] or found[1])))
        if not 1 <= ranges[-1][0] <= ranges[-1][1]:
            raise ValueError(RANGES_DUE)
    if not ranges:
        raise ValueError(RANGES_DUE)
    return tuple(ranges)


def read_globs(value: object) -> Globs:
    """One glob or a list of them."""
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def ranges_text(ranges: Ranges) -> str:
    """Ranges as files write them: `1, 3-4`."""
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ranges)
