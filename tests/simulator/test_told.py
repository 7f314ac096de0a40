"""What the bytes told of usage, however they were cut or joined."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from simulator.answers.answer import Usage
from simulator.faults.streams import PART
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


def data(**usage: object) -> Frame:
    """A chunk with such a usage."""
    return Frame(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")


DETAILED = Usage(input_tokens=30, output_tokens=20, cached_tokens=10, cache_write_tokens=4, reasoning_tokens=8)
TOLD_AS: list[tuple[dict[str, object], Usage]] = [
    (
        {"prompt_tokens": 5, "completion_tokens": 6},
        replace(DETAILED, input_tokens=5, output_tokens=6, reasoning_tokens=6),
    ),
    ({"input_tokens": 5, "output_tokens": 9}, replace(DETAILED, input_tokens=5, output_tokens=9)),
    (
        {"prompt_tokens": 30, "completion_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 3}},
        replace(DETAILED, reasoning_tokens=3),
    ),
    ({"prompt_tokens": 30, "completion_tokens": 20, "completion_tokens_details": None}, Usage(30, 20)),
    (
        {"input_tokens": 16, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 4, "output_tokens": 20},
        DETAILED,
    ),
    (
        {"promptTokenCount": 26, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 12, "thoughtsTokenCount": 8},
        DETAILED,
    ),
]


@pytest.mark.parametrize(("usage", "told"), TOLD_AS)
def test_every_wire_s_words_are_read(usage: dict[str, object], told: Usage) -> None:
    assert usage_told([data(**usage)], DETAILED) == told


def test_counts_of_nothing_tell_nothing() -> None:
    assert usage_told([data()], DETAILED) is None
    assert usage_told([data(trafficType="ON_DEMAND")], DETAILED) is None
    assert usage_told([data(prompt_tokens=30, completion_tokens=20), data()], Usage(30, 20)) == Usage(30, 20)


def test_what_the_last_usage_leaves_out_was_told_before() -> None:
    assert usage_told([data(input_tokens=7, output_tokens=1), data(output_tokens=5)], Usage(9, 5)) == Usage(7, 5)
