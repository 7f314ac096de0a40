"""Directives: what a test asks of the fleet in the text of a prompt, or in a header of the same grammar.

    [[case:ab12]]                                   x-windtunnel-case: ab12
    [[fault: stall after_frames=5 attempt=1]]       x-windtunnel-fault: stall after_frames=5; status=503
    [[answer: tool_call tokens=40]]                 x-windtunnel-answer: tool_call tokens=40

In the prompt they survive any gateway; headers serve who calls the fleet directly. Of several cases the last wins
(headers come after the text), faults add up, and a later answer word overrides an earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

Value = int | float | bool | str

MARK = "[["  # text without it holds no directive
HEADERS = {"case": "x-windtunnel-case", "fault": "x-windtunnel-fault", "answer": "x-windtunnel-answer"}

CALLS_MAX = 128

_OPENING = re.compile(r"\[\[\s*(case|fault|answer)\s*:")
_CASE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PART = re.compile(r"""\s*(?:([A-Za-z_][A-Za-z0-9_.-]*)(?:=("[^"]*"|'[^']*'|[^\s"';]*))?|(;))(?=[\s;]|$)""")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_NUMBER = re.compile(r"[+-]?(?:\d+|\d*\.\d+(?:[eE][+-]?\d+)?)")


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault and whom it hits. Selectors left None hit everyone; ranges are inclusive and count from 1."""

    kind: str
    options: Mapping[str, Value] = field(default_factory=dict)
    provider: str | None = None  # a name or glob
    region: str | None = None  # a name or glob
    attempt: tuple[int, int] | None = None  # requests with this case at this provider
    call: tuple[int, int] | None = None  # requests with this case at the whole fleet
    chance: float | None = None  # in [0, 1]
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, word for word."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerSpec:
    """What the answer should be. The default leaves it to the request."""

    text: bool = False  # text, even where a tool would be called
    tool_call: bool = False
    tools: tuple[str, ...] = ()  # call these by name, in this order
    tool_calls: int = 1  # parallel calls, when no names are given
    refusal: bool = False
    length: bool = False  # cut by length
    reasoning: bool = False  # think, where the wire shows it
    tokens: int | None = None  # length of the text
    say: str | None = None  # the text itself
    input_tokens: int | None = None  # these five: usage, both true and told
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    calls: tuple[Call, ...] = ()  # exactly these, whatever was offered
    thought: str | None = None  # the reasoning itself, where the wire shows it
    native: tuple[str, ...] = ()  # server tools of the wire, e.g. "web_search"
    told_by_header: bool = False  # a header speaks of this very request; a prompt stays in the history of later ones


@dataclass(frozen=True, slots=True)
class Directives:
    """All directives of one request."""

    case: str | None = None
    faults: tuple[FaultSpec, ...] = ()
    answer: AnswerSpec = field(default_factory=AnswerSpec)


NONE = Directives()


def read(text: str, headers: Mapping[str, str]) -> Directives:
    """The directives in a prompt's text and in headers (names in lower case).

    Raises ValueError, saying what came and what was due, for a directive that is none.
    """
    case: str | None = None
    faults: list[FaultSpec] = []
    answer = NONE.answer
    for word, content in _found(text, headers):
        if word == "case":
            case = _case(content)
        elif word == "fault":
            faults.append(fault(content))
        else:
            answer = _answer(content, answer)
    if HEADERS["answer"] in headers:
        answer = replace(answer, told_by_header=True)
    if case is None and not faults and answer is NONE.answer:
        return NONE
    return Directives(case, tuple(faults), answer)


def _found(text: str, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(word, content) of every directive, in order."""
    if MARK in text:
        for match in _OPENING.finditer(text):
            end = text.find("]]", match.end())
            if end < 0:
                raise ValueError(f"directive {text[match.start() : match.start() + 60]!r} has no closing ']]'")
            yield match[1], text[match.end() : end].strip()
    for word, name in HEADERS.items():
        if name in headers:
            for content in _split(headers[name]) if word == "fault" else [headers[name].strip()]:
                yield word, content


def _split(header: str) -> list[str]:
    """The faults of a header value: separated by `;` or, where a client sent the header twice, by `,`."""
    parts = re.findall(r"""(?:"[^"]*"|'[^']*'|[^;,"'])+""", header)
    return [part.strip() for part in parts if part.strip()]


def _case(content: str) -> str:
    if not _CASE.fullmatch(content):
        raise ValueError(f"case token {content!r}: due 1 to 64 characters of [A-Za-z0-9._-]")
    return content


def _words(content: str, what: str) -> Iterator[tuple[str, str | None]]:
    """(name, raw value or None) of `name` and `name=value` words."""
    at = 0
    while at < len(content.rstrip()):
        match = _PART.match(content, at)
        if match is None or match[3]:
            raise ValueError(f"{what} {content!r}: {content[at:].strip()!r} is neither WORD nor NAME=VALUE")
        yield match[1], match[2]
        at = match.end()


def _unquoted(raw: str) -> str:
    return raw[1:-1] if raw[:1] in ("'", '"') else raw


def _value(raw: str) -> Value:
    """A number, a yes/no or a text; quotes make a text of anything."""
    if raw[:1] in ("'", '"'):
        return raw[1:-1]
    if raw in ("true", "false"):
        return raw == "true"
    if _NUMBER.fullmatch(raw):
        return float(raw) if any(c in raw for c in ".eE") else int(raw)
    return raw


def _range(raw: str, name: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(raw)
    if match is None:
        raise ValueError(f"{name}={raw}: due N or N-M")
    low, high = int(match[1]), int(match[2] or match[1])
    if not 1 <= low <= high:
        raise ValueError(f"{name}={raw}: due 1 <= N <= M")
    return low, high


def _chance(raw: str, name: str) -> float:
    value = _value(raw)
    if isinstance(value, (bool, str)) or not 0 <= value <= 1:
        raise ValueError(f"{name}={raw}: due a number from 0 to 1")
    return float(value)


def _yes_no(raw: str, name: str) -> bool:
    if raw not in ("true", "false"):
        raise ValueError(f"{name}={raw}: due true or false")
    return raw == "true"


_SELECTORS: dict[str, Callable[[str, str], Any]] = {
    "provider": lambda raw, _: _unquoted(raw),
    "region": lambda raw, _: _unquoted(raw),
    "attempt": _range,
    "call": _range,
    "chance": _chance,
    "stream": _yes_no,
}


def fault(content: str) -> FaultSpec:
    """One fault as in a directive: `KIND`, or `status=N`, then selectors and options. Raises ValueError."""
    kind: str | None = None
    options: dict[str, Value] = {}
    selectors: dict[str, Any] = {}
    for name, raw in _words(content, "fault"):
        if raw is None:
            if kind is not None:
                raise ValueError(f"fault {content!r}: two kinds, {kind!r} and {name!r}; due one")
            kind = name
        elif name in _SELECTORS:
            selectors[name] = _SELECTORS[name](raw, name)
        else:
            options[name] = _value(raw)
    if kind is None and "status" in options:
        kind = "status"
    if kind is None:
        raise ValueError(f"fault {content!r}: due a kind such as 'stall', or status=N")
    return FaultSpec(kind, options, **selectors)


def _count(raw: str, name: str) -> int:
    if not raw.isdecimal() or len(raw) > 7 or (name == "tool_calls" and int(raw) > CALLS_MAX):
        raise ValueError(f"answer {name}={raw}: due a whole number >= 0 that a model could reach")
    return int(raw)


_FLAGS = ("text", "tool_call", "refusal", "length", "reasoning")
_COUNTS = (
    "tokens",
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_WORDS = ", ".join([*_FLAGS, *(f"{name}=N" for name in _COUNTS), "tool=NAME", "say=TEXT", "native=NAME"])
_OVERRIDDEN: dict[str, dict[str, Any]] = {  # what a word takes back of earlier ones
    "text": {"tool_call": False, "tools": (), "refusal": False},
    "tool_call": {"text": False, "refusal": False},
    "refusal": {"text": False, "tool_call": False, "tools": ()},
}


@lru_cache(maxsize=1024)
def _answer(content: str, spec: AnswerSpec) -> AnswerSpec:
    """`spec` with the words of one answer directive laid over it."""
    told: dict[str, Any] = {}
    for name, raw in _words(content, "answer"):
        if raw is None and name in _FLAGS:
            told |= _OVERRIDDEN.get(name, {}) | {name: True}
        elif raw is not None and name in _COUNTS:
            told[name] = _count(raw, name)
        elif raw and name == "tool":
            told |= _OVERRIDDEN["tool_call"] | {"tool_call": True, "tools": (*told.get("tools", ()), _unquoted(raw))}
        elif raw and name == "native":
            told["native"] = (*told.get("native", ()), _unquoted(raw))
        elif raw is not None and name == "say":
            told["say"] = _unquoted(raw)
        else:
            came = name if raw is None else f"{name}={raw}"
            raise ValueError(f"answer {content!r}: {came!r} is unknown; due {_WORDS}")
    return replace(spec, **told)
