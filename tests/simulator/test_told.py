"""What the bytes told of usage, however they were cut or joined."""

from __future__ import annotations

import pytest

from simulator.answer import Usage
from simulator.faults.segments import PART
from simulator.script import Frame
from simulator.told import usage_told

TOLD = Usage(input_tokens=210, output_tokens=77)
START = b'data: {"type":"message_start","message":{"usage":{"input_tokens":210,"output_tokens":7}}}\n\n'
DELTA = b'data: {"type":"message_delta","usage":{"input_tokens":210,"output_tokens":77}}\n\n'


def test_the_last_usage_counts() -> None:
    assert usage_told([Frame(START), Frame(DELTA)], TOLD) == TOLD
    assert usage_told([Frame(START + DELTA)], TOLD) == TOLD


def test_a_cut_stream_told_less() -> None:
    told = usage_told([Frame(START)], TOLD)
    assert told is not None
    assert told.output_tokens == 7


@pytest.mark.parametrize("size", [1, 7, 64])
def test_frames_in_pieces_tell_as_much_as_whole_ones(size: int) -> None:
    data = START + DELTA
    cut = [Frame(data[at : at + size], PART) for at in range(0, len(data), size)]
    assert usage_told(cut, TOLD) == TOLD


def test_nothing_told() -> None:
    assert usage_told([Frame(b'data: {"usage":null}\n\n')], TOLD) is None
    assert usage_told([Frame(START)], None) is None
