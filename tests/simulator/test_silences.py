"""Pings while a slow answer is awaited: by the fact `ping_ms`, on streams, and none where silence is the fault."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from simulator.pacing.silences import filled
from simulator.script import Frame, Script
from tests.simulator.live import chat, message
from tests.simulator.playing import scripted

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def gaps(script: Script) -> list[float]:
    return [after.due_ms - before.due_ms for before, after in pairwise(script.frames)]


def test_a_slow_message_pings_every_15_s() -> None:
    """The events themselves stay as they are and where they are."""
    slow = [{"kind": "latency", "gap_ms": 40_000}]
    fast = scripted(message("hi [[answer: tokens=30]]", stream=True), []).script
    script = scripted(message("hi [[answer: tokens=30]]", stream=True), slow).script
    pings = [frame for frame in script.frames if frame.data == PING]
    rest = [frame.data for frame in script.frames if frame.data != PING]
    assert rest == [frame.data for frame in fast.frames if frame.data != PING]
    deltas = sum(b"content_block_delta" in data for data in rest)
    assert len(pings) == 1 + 2 * (deltas - 1)
    assert {round(gap) for gap in gaps(script)} == {0, 10_000, 15_000}


def test_silence_that_is_the_fault_stays_silent() -> None:
    stalled = scripted(message("hi", stream=True), [{"kind": "stall", "after_frames": 1, "for_ms": 60_000}]).script
    assert max(gaps(stalled)) == 60_000


def test_json_and_wires_without_pings_are_left_alone() -> None:
    slow = [{"kind": "latency", "total_ms": 60_000}]
    assert len(scripted(message("hi"), slow).script.frames) == 1
    kinds = Counter(frame.kind for frame in scripted(chat("hi", stream=True), slow).script.frames)
    assert kinds["ping"] == 0


def test_a_gap_of_just_so_long_needs_no_ping() -> None:
    frames = (Frame(PING, "ping"), Frame(b"a", due_ms=100), Frame(b"b", due_ms=301))
    script = Script(200, (), frames, stream=True)
    assert [frame.due_ms for frame in filled(script, 100.5).frames] == [0, 100, 200.5, 301]
    assert [frame.due_ms for frame in filled(script, 200).frames] == [0, 100, 300, 301]
    assert filled(script, 201) is script
    assert filled(script, None) is script
