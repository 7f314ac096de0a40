"""The same seed and request meet the same bytes at the same moments, under every fault and however often."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from simulator import providers
from simulator.dialects import DIALECTS
from simulator.faults import FAULTS, Scene
from simulator.fleet import Fleet
from simulator.head import whole
from simulator.judge import Fate
from simulator.stage import with_nonce
from tests.simulator.live import chat, message
from tests.simulator.playing import ROWS, built, known, played, scripted, still_clock

Make = Callable[..., bytes]
WIRES: list[Make] = [chat, message]
PROMPT = "once more [[answer: tokens=8]]"
REPLAYS = 1_000
OPTIONS: dict[str, dict[str, object]] = {  # what a kind needs, or what makes it do the most
    "status": {"status": 429},
    "wrong_usage": {"factor": 2},
    "stall": {"after_frames": 2, "for_ms": 30},
    "byte_dribble": {"size": 40, "gap_ms": 0.5},
    "crlf_split": {"gap_ms": 1},
    "latency": {"ttft_ms": "lognormal p50=20 p99=90", "gap_ms": "gamma mean=5 shape=2"},
    "blank_lines_before_json": {"gap_ms": 7},
    "cut_stream": {"after_bytes": 500},
    "reset": {"after_ms": 0},
    "huge_data_line": {"line_bytes": 70_000},
}
KINDS = sorted(set(FAULTS) - {"gate"})  # a gate waits for other requests
STILL = [kind for kind in KINDS if FAULTS[kind].still]


def fault(kind: str) -> Mapping[str, object]:
    return {"kind": kind, **OPTIONS.get(kind, {})}


@pytest.mark.parametrize("make", WIRES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_fleets_of_one_seed_send_the_same(kind: str, make: Make) -> None:
    for stream in (False, True):
        raw = make(PROMPT, stream=stream)
        assert played(raw, [fault(kind)]) == played(raw, [fault(kind)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_the_same_a_thousand_times(kind: str) -> None:
    fleet = Fleet(ROWS, still_clock(), 7)
    found, now_ms = known(fleet, chat(PROMPT, stream=True)), fleet.clock.now_ms()
    fate = Fate(1, 1, built([fault(kind)]))
    first = fleet.fated(found, now_ms, fate)
    assert all(fleet.fated(found, now_ms, fate) == first for _ in range(REPLAYS))


def test_another_seed_sends_something_else() -> None:
    for kind in ("noop", "latency", "trailing_space_padding"):
        assert played(chat(PROMPT, stream=True), [fault(kind)], 7) != played(
            chat(PROMPT, stream=True), [fault(kind)], 8
        )


@pytest.mark.parametrize("make", WIRES)
@pytest.mark.parametrize("kind", STILL)
def test_a_still_fault_only_rewrites(kind: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dice, no delay, no ending, no pieces, and nothing but the nonce itself depends on the nonce."""
    monkeypatch.setattr(Scene, "dice", lambda *_: pytest.fail("a still fault drew"))
    for stream in (False, True):
        raw = make(PROMPT, stream=stream)
        first, second = scripted(raw, [fault(kind)]), scripted(raw, [fault(kind)], attempt=2)
        script = first.script
        assert (script.ending, script.head_due_ms, script.trickle) == ("end", 0.0, None)
        assert {(frame.due_ms, frame.alone) for frame in script.frames} <= {(0.0, False)}
        assert first.nonce != second.nonce
        assert whole(with_nonce(script, first.nonce, second.nonce), 0) == whole(second.script, 0)


@pytest.mark.parametrize("kind", STILL)
def test_a_provider_that_always_has_a_still_fault_is_served_ready_made(kind: str) -> None:
    """The same bytes as when each reply is played: the first, the one that is kept, and those made of it."""
    for dialect, name, make in (("openai_chat", "openai", chat), ("anthropic_messages", "anthropic", message)):
        row = {"name": name, "dialect": dialect, "region": "here", "faults": [dict(fault(kind))]}
        fleet = Fleet(providers.read({"providers": [row]}, DIALECTS, 7), still_clock(), 7)
        found, now_ms = known(fleet, make(PROMPT, stream=True)), fleet.clock.now_ms()
        for attempt in (1, 2, 3):
            ready = fleet.ready(found, attempt, now_ms)
            script, _ = fleet.fated(found, now_ms, Fate(attempt, attempt))
            assert ready is not None
            assert ready[0] == whole(script, int(now_ms // 1000))


def test_most_quirks_are_still() -> None:
    assert len(STILL) >= 25
    assert not {"latency", "stall", "reset", "byte_dribble", "gzip_sse", "crlf_split"} & set(STILL)
