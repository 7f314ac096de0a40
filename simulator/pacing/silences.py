"""What a slow stream sends so that nobody thinks it dead: the wire's own keepalive, between two events far apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil

from simulator.script import Frame, Script

PINGS_MAX = 10_000  # in one silence


def filled(script: Script, ping_ms: float | None) -> Script:
    """A stream with a ping after each `ping_ms` of silence, like the one it has; None: the wire sends none."""
    ping = next((frame.data for frame in script.frames if frame.kind == "ping" and frame.data), None)
    if not ping_ms or ping is None or not script.stream:
        return script
    frames = list(script.frames[:1])
    for before, after in pairwise(script.frames):
        count = min(ceil((after.due_ms - before.due_ms) / ping_ms) - 1, PINGS_MAX)
        frames += [Frame(ping, "ping", due_ms=before.due_ms + ping_ms * number) for number in range(1, count + 1)]
        frames.append(after)
    return script if len(frames) == len(script.frames) else replace(script, frames=tuple(frames))
