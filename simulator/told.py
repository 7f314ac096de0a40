"""What the bytes that left told of usage, read off those bytes: a cut stream tells less than the answer knew.

Counts are cumulative on every wire that repeats them, so the last one told counts. What the wire has no word for (of an
older model, of a compatible server) is taken from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from simulator.answers.answer import Usage
from simulator.faults.streams import PART, Coded
from simulator.faults.usage import USAGE
from simulator.script import Frame

Counts = Mapping[str, Any]

INPUT: Final = (  # by wire: the counts that make the whole
    ("prompt_tokens",),
    ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    ("promptTokenCount", "toolUsePromptTokenCount"),
)
OUTPUT: Final = (("completion_tokens",), ("output_tokens",), ("candidatesTokenCount", "thoughtsTokenCount"))
CACHED: Final = ("cache_read_input_tokens", "cachedContentTokenCount", "cached_tokens")
WRITTEN: Final = ("cache_creation_input_tokens", "cache_write_tokens")
REASONING: Final = ("thoughtsTokenCount", "reasoning_tokens", "thinking_tokens")
BRACE: Final = re.compile(rb"[{}]")


def readable(frames: Sequence[Frame]) -> list[bytes]:
    """The stretches of bytes that may tell usage: whole frames, or all as one where some were cut or coded."""
    if any(frame.kind == PART or isinstance(frame.data, Coded) for frame in frames):
        return [b"".join(frame.data.plain if isinstance(frame.data, Coded) else frame.data for frame in frames)]
    return [frame.data for frame in frames if b'"usage' in frame.data]


def usage_told(frames: Sequence[Frame], told: Usage | None) -> Usage | None:
    """`told` as far as these frames say it; None when none of them tells a count."""
    if told is None:
        return None
    input_tokens: int | None = None
    output_tokens: int | None = None
    last: Counts | None = None
    for data in reversed(readable(frames)):
        for counts in reversed(_objects(data)):
            last = last or counts
            input_tokens = _sum(counts, INPUT) if input_tokens is None else input_tokens
            output_tokens = _output(counts) if output_tokens is None else output_tokens
        if input_tokens is not None and output_tokens is not None:
            break
    if last is None or (input_tokens is None and output_tokens is None):
        return None
    output_tokens = output_tokens or 0
    return replace(
        told,
        input_tokens=told.input_tokens if input_tokens is None else input_tokens,
        output_tokens=output_tokens,
        cached_tokens=_detail(last, CACHED, told.cached_tokens),
        cache_write_tokens=_detail(last, WRITTEN, told.cache_write_tokens),
        reasoning_tokens=min(_detail(last, REASONING, told.reasoning_tokens), output_tokens),
    )


def _objects(data: bytes) -> list[Counts]:
    """The usage objects in a stretch of bytes that are whole and not empty, in order."""
    found = []
    for match in USAGE.finditer(data):
        begin = match.end() - 1
        try:
            counts = orjson.loads(data[begin : _end(data, begin)])
        except orjson.JSONDecodeError:
            continue
        if counts:
            found.append(counts)
    return found


def _end(data: bytes, begin: int) -> int:
    """Where the object that begins there ends; no text in a usage has a brace."""
    depth = 0
    for brace in BRACE.finditer(data, begin):
        depth += 1 if brace[0] == b"{" else -1
        if not depth:
            return brace.end()
    return begin


def _sum(counts: Counts, wires: tuple[tuple[str, ...], ...]) -> int | None:
    """The counts that make a whole, on the first wire that has any of them; None when none is told."""
    for names in wires:
        told = [int(counts[name]) for name in names if isinstance(counts.get(name), int)]
        if told:
            return sum(told)
    return None


def _output(counts: Counts) -> int | None:
    """The output told. Some vendors leave the reasoning out of `completion_tokens`: their total tells."""
    output = _sum(counts, OUTPUT)
    total, prompt = counts.get("total_tokens"), counts.get("prompt_tokens")
    if output is None or not isinstance(total, int) or not isinstance(prompt, int):
        return output
    rest = total - prompt - output
    details = counts.get("completion_tokens_details", {"reasoning_tokens": rest}) or {}
    return output + rest if rest > 0 and details.get("reasoning_tokens") == rest else output


def _detail(counts: Counts, names: tuple[str, ...], known: int) -> int:
    """A part of a count, told beside it or in its details; `known` where the wire has no place for it."""
    details = [value for key, value in counts.items() if key.endswith("_tokens_details")]
    for row in (*filter(None, details), counts):
        for name in names:
            if isinstance(row.get(name), int):
                return int(row[name])
    return 0 if None in details else known
