"""What the bytes that left told of usage, read off those bytes: a cut stream tells less than the answer knew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from simulator.answer import Usage
from simulator.faults.segments import PART
from simulator.faults.usage import USAGE
from simulator.script import Frame

OUTPUT = re.compile(rb'"(?:completion_tokens|output_tokens)":\s*(\d+)')


def readable(frames: Sequence[Frame]) -> list[bytes]:
    """The stretches of bytes that may tell usage: whole frames, or everything where frames were cut to pieces."""
    if any(frame.kind == PART for frame in frames):
        return [b"".join(frame.data for frame in frames)]
    return [frame.data for frame in frames if b'"usage"' in frame.data]


def usage_told(frames: Sequence[Frame], told: Usage | None) -> Usage | None:
    """`told` as far as these frames say it; None when none of them bears a usage object."""
    if told is None:
        return None
    for data in reversed(readable(frames)):
        found = None
        for found in USAGE.finditer(data):  # noqa: B007 - the last one counts
            pass
        if found is None:
            continue
        output = OUTPUT.search(data, found.start())
        tokens = int(output[1]) if output else 0
        if tokens == told.output_tokens >= told.reasoning_tokens:
            return told
        return replace(told, output_tokens=tokens, reasoning_tokens=min(told.reasoning_tokens, tokens))
    return None
