"""Options of faults: what is wrong is told, with what came and what was due."""

from __future__ import annotations

import pytest

from simulator.faults import FAULTS, Flawed


@pytest.mark.parametrize(
    ("kind", "options", "flaw"),
    [
        ("nope", {}, "fault.kind: came 'nope'; due perhaps noop"),
        ("stall", {"after_frames": -1}, "fault.after_frames: came -1; due a whole number >= 0"),
        ("stall", {"after_frames": True}, "fault.after_frames: came True; due a whole number >= 0"),
        ("stall", {"frames": 1}, "fault.frames: came an unknown option; due an option of stall: when, after_frames, "),
        ("hang", {"frames": 1}, "fault.frames: came an unknown option; due no option: hang has none"),
        ("status", {}, "fault: came status without status; due status: a whole number from 200 to 599"),
        ("status", {"status": 700}, "fault.status: came 700; due a whole number from 200 to 599"),
        ("status", {"status": 429, "headers": {"a b": "c"}}, "fault.headers: came {'a b': 'c'}; due an object"),
        ("status", {"status": 429, "headers": "x: a\r\nevil: 1"}, "fault.headers: came 'x: a\\r\\nevil: 1'; due"),
        ("status", {"status": 429, "headers": {"Content-Length": 1}}, "due headers other than content-length"),
        ("reset", {"when": "later"}, "fault.when: came 'later'; due one of before_headers, within_headers, "),
        ("reset", {"after_frames": 1, "after_bytes": 1}, "due after_frames or after_bytes, not both"),
        ("wrong_usage", {}, "due factor, input_tokens or output_tokens"),
        ("latency", {"gap_ms": 1, "total_ms": 1}, "due one of gap_ms, tokens_per_s and total_ms"),
        (
            "latency",
            {"gap_ms": "lognormal p50=1"},
            "fault.gap_ms: came 'lognormal p50=1'; due lognormal with p50 and p99",
        ),
        ("byte_dribble", {"gap_ms": "x"}, "fault.gap_ms: came 'x'; due a number >= 0"),
        ("comments", {"text": "a\nb"}, "due a text that a header can hold"),
    ],
)
def test_options_are_checked(kind: str, options: dict[str, object], flaw: str) -> None:
    with pytest.raises(Flawed) as caught:
        FAULTS.build(kind, options)
    assert flaw in str(caught.value)
