"""How long a model takes: each moment as a function of what was read, thought and written; profiles; no drift."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import draws, providers
from simulator.answers.answer import Usage
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import FAULTS, Flawed
from simulator.journal import Entry, Outcome
from simulator.lateness import Lateness
from simulator.models import facts as models
from simulator.pacing import latency
from simulator.pacing import profiles as latency_profiles
from simulator.pacing.timing import Timing, paced
from simulator.player import Player
from simulator.quotas.load import UNLOADED, Pace
from simulator.rules.selectors import Subject
from simulator.script import Frame, Script
from tests.servers import start
from tests.simulator.live import Live, chat, message, request, running

USAGE = Usage(input_tokens=3000, output_tokens=107, cached_tokens=1000, reasoning_tokens=100)
STREAM = Script(
    200,
    (),
    (Frame(b"a", "start"), *(Frame(b"b", tokens=n) for n in (1, 2, 0, 4)), Frame(b"c", "stop"), Frame(b"d", "end")),
    stream=True,
)
BODY = Script(200, (), (Frame(b"{}", "body", tokens=7),))


def dues(script: Script, timing: Timing, usage: Usage | None = USAGE, pace: Pace = UNLOADED) -> list[float]:
    """When the head and each frame are due."""
    done = paced(script, timing, draws.dice("timing"), usage, pace)
    return [round(one, 6) for one in (done.head_due_ms or 0.0, *(frame.due_ms for frame in done.frames))]


def constant(ms: float) -> latency.Distribution:
    return latency.read(ms)


def test_tokens_come_at_the_models_speed() -> None:
    timing = Timing(ttft_ms=constant(500), tokens_per_s=100)
    assert dues(STREAM, timing, None) == [500, 500, 500, 520, 520, 560, 560, 560]
    assert dues(BODY, timing, None) == [500, 560]


def test_prefill_is_paid_for_what_no_cache_held() -> None:
    timing = Timing(ttft_ms=constant(500), prefill_ms_per_1k=200)
    assert dues(STREAM, timing)[0] == 900
    assert dues(STREAM, timing, replace(USAGE, cached_tokens=3000))[0] == 500
    assert dues(STREAM, timing, None)[0] == 500


def test_hidden_reasoning_and_thinking_delay_the_first_content() -> None:
    assert dues(STREAM, Timing(tokens_per_s=100)) == [0, 0, 1000, 1020, 1020, 1060, 1060, 1060]
    shown = replace(USAGE, output_tokens=7)  # every token is in a frame: nothing is hidden
    assert dues(STREAM, Timing(tokens_per_s=100), shown)[2] == 0
    both = Timing(ttft_ms=constant(10), thinking_ms=constant(300), tokens_per_s=100)
    assert dues(STREAM, both)[:3] == [10, 10, 1310]
    assert dues(BODY, both)[1] == 1370


def test_load_stretches_the_first_byte_and_the_gaps_apart() -> None:
    timing = Timing(ttft_ms=constant(100), prefill_ms_per_1k=50, tokens_per_s=100)
    assert dues(STREAM, timing, None, Pace(3, 2)) == [300, 300, 300, 340, 340, 420, 420, 420]
    assert dues(STREAM, timing, USAGE, Pace(3, 2))[:3] == [600, 600, 2600]
    gaps = Timing(ttft_ms=constant(100), gap_ms=constant(10))
    assert dues(STREAM, gaps, None, Pace(1, 2)) == [100, 100, 100, 120, 140, 160, 160, 160]
    assert dues(STREAM, Timing(total_ms=constant(90)), None, Pace(1, 2)) == [0, 0, 0, 60, 120, 180, 180, 180]


@given(st.floats(0, 1), st.floats(0.5, 1000), st.lists(st.integers(0, 5), min_size=2, max_size=30), st.integers())
def test_jitter_keeps_to_its_share(jitter: float, speed: float, counts: list[int], seed: int) -> None:
    script = Script(200, (), tuple(Frame(b"x", tokens=n) for n in counts), stream=True)
    timing = Timing(tokens_per_s=speed, jitter=jitter)
    done = paced(script, timing, draws.dice("jitter", seed), None, UNLOADED)
    at_ms = 0.0
    for tokens, frame in zip(counts[1:], done.frames[1:], strict=True):
        even_ms = tokens * 1000 / speed
        assert even_ms * (1 - jitter) - 1e-6 <= frame.due_ms - at_ms <= even_ms * (1 + jitter) + 1e-6
        at_ms = frame.due_ms


def test_delays_add_to_those_that_are_there() -> None:
    late = Script(200, (), (Frame(b"{}", "body", tokens=2, due_ms=40),), head_due_ms=30)
    assert dues(late, Timing(ttft_ms=constant(100), tokens_per_s=100), None) == [130, 150]
    assert paced(replace(late, head_due_ms=None), Timing(), draws.dice("x"), None, UNLOADED).head_due_ms is None


# ---------------------------------------------------------------- profiles


def test_profiles_say_where_their_numbers_come_from() -> None:
    found = latency_profiles.profiles()
    assert {"gpt-4o", "gpt-5", "o", "claude-haiku", "claude-sonnet", "claude-opus", "gemini-flash"} <= set(found)
    for profile in found.values():
        assert profile.source.startswith(("assumed", "TTFT", "speed"))
        assert profile.timing.ttft_ms is not None
        assert profile.timing.ttft_ms.shape == "lognormal"
        assert profile.timing.tokens_per_s is not None
        assert 5 < profile.timing.tokens_per_s < 1000
    assert list(found)[-1] == latency_profiles.fitting("what-nobody-knows").name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-5.5", "gpt-5"),
        ("gpt-5.4-mini", "gpt-5-mini"),
        ("gpt-5.5-pro", "gpt-5-pro"),
        ("o3", "o"),
        ("o4-mini", "o-mini"),
        ("claude-sonnet-4-5", "claude-sonnet"),
        ("claude-haiku-4-5-20251001", "claude-haiku"),
        ("claude-opus-4-8", "claude-opus"),
        ("gemini-3.1-fast", "gemini-flash"),
        ("gemini-3.1-pro", "gemini-pro"),
        ("deepseek-v3.2", "deepseek"),
        ("llama-3.1-8b-instant", "small-open"),
        ("glm-5", "large-open"),
    ],
)
def test_a_model_has_a_fitting_profile(model: str, name: str) -> None:
    assert latency_profiles.fitting(model).name == name


def test_every_profile_but_the_open_ones_fits_a_model_of_the_fleet_or_a_gemini() -> None:
    known = {name for row in models.rows() for name in row.snapshots} | {"gemini-2.5-pro", "gemini-2.5-flash"}
    used = {latency_profiles.fitting(model).name for model in known}
    assert set(latency_profiles.profiles()) - used <= {"small-open", "large-open"}


# ---------------------------------------------------------------- over the wire


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def played(fleet: Live, case: str, raw: bytes) -> dict[str, Any]:
    """What the journal says of a request once its time has passed."""
    line = fleet.line()
    line.send(raw)
    fleet.seen(case)
    fleet.control("POST", "clock", {"advance_ms": 600_000})
    line.reply()
    (entry,) = fleet.journal(case)
    return entry


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_takes_as_long_as_its_tokens(fleet: Live, stream: bool) -> None:
    case = f"t-{stream}"
    prompt = (
        f"[[case:{case}]] [[answer: tokens=21]] [[fault: latency ttft_ms=200 prefill_ms_per_1k=1000 tokens_per_s=50]]"
    )
    entry = played(fleet, case, chat(prompt, stream=stream))
    first_ms = 200 + entry["usage_true"]["input_tokens"]
    assert entry["head_sent_ms"] - entry["arrived_ms"] == pytest.approx(first_ms, abs=0.01)
    assert entry["ended_ms"] - entry["arrived_ms"] == pytest.approx(first_ms + 20 * 20, abs=0.01)
    assert entry["first_token_ms"] == pytest.approx(entry["head_sent_ms"] if stream else entry["ended_ms"], abs=0.01)


def test_reasoning_that_nobody_sees_takes_its_time(fleet: Live) -> None:
    raw = chat("[[case:hide]] [[fault: latency tokens_per_s=10]]", stream=True, model="gpt-5")
    entry = played(fleet, "hide", raw)
    hidden = entry["usage_true"]["output_tokens"] - entry["delivered"]["tokens"]
    assert hidden > 0
    assert entry["first_token_ms"] - entry["arrived_ms"] == pytest.approx(100 * hidden, abs=0.01)


def test_a_profile_slows_answers_and_nothing_else(fleet: Live) -> None:
    entry = played(fleet, "prof", message("[[case:prof]] [[fault: latency profile=claude-sonnet]]", stream=True))
    head_ms = entry["head_sent_ms"] - entry["arrived_ms"]
    assert 100 < head_ms < 20_000
    again = played(fleet, "prof2", message("[[case:prof2]] [[fault: latency profile=auto ttft_ms=5]]", stream=True))
    assert 5 < again["head_sent_ms"] - again["arrived_ms"] < 50  # prefill is still the profile's
    assert fleet.call(chat("[[fault: latency profile=gpt-4o]]", temperature=9)).status == 400
    rule = {"when": {"path": "/v1/models"}, "fault": {"kind": "latency", "profile": "auto"}}
    fleet.control("POST", "faults", {"rules": [rule]})
    assert (
        fleet.call(request("GET", "/openai/v1/models", None, {"authorization": "Bearer sk-fleet-openai"})).status == 200
    )
    fleet.control("DELETE", "faults")


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"profile": "gpt-99"}, "one of auto, gpt-4o-mini"),
        ({"tokens_per_s": 0}, "a number >= 0.001"),
        ({"tokens_per_s": 5, "jitter": 2}, "a number from 0 to 1"),
        ({"jitter": 0.5}, "jitter only with tokens_per_s or a profile"),
        ({"tokens_per_s": 5, "gap_ms": 5}, "one of gap_ms, tokens_per_s and total_ms"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], due: str) -> None:
    with pytest.raises(Flawed) as caught:
        FAULTS.build("latency", options)
    assert due in str(caught.value)


def test_a_realistic_fleet_is_slow_but_where_a_row_says_how() -> None:
    rows = providers.load(providers.FILE, DIALECTS, 1)
    own = FAULTS.build("latency", {"ttft_ms": 5})
    rows["openai-eu"] = replace(rows["openai-eu"], faults=(own,))
    slow = providers.realistic(rows)
    assert slow["openai"].faults[0] == FAULTS.build("latency", {"profile": "auto"})
    assert slow["openai-eu"].faults == (own,)
    assert rows["openai"].faults == ()


def test_the_command_makes_a_fleet_realistic() -> None:
    server = start("simulator", "--latency", "realistic", "--clock", "manual")
    try:
        told = server.told["fleet"]
        host, port = told["base_url"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(chat("[[case:real]] hello"))
            entries: list[dict[str, Any]] = []
            while not entries:
                with urllib.request.urlopen(told["control_url"] + "/journal?case=real") as reply:
                    entries = json.load(reply)["entries"]
            assert (entries[0]["ended"], entries[0]["faults"]) == ("pending", ["latency"])
    finally:
        assert server.stop() == 0


# ---------------------------------------------------------------- no drift


class Machine:
    """A machine on which every write takes 7 ms and every alarm rings 3 ms late."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.sent_ms: list[float] = []

    def alarm(self, delay_ms: float, action: Callable[[], None]) -> Callable[[], None]:
        self.alarms.append((self.now_ms + delay_ms + 3, action))
        return self.alarms.clear

    def run(self) -> None:
        while self.alarms:
            self.now_ms, action = self.alarms.pop(0)
            action()


class Line:
    """A connection that takes its time to write."""

    paused = gone = closes = head_only = False
    chunks = True
    buffered = 0

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def attend(self, listener: Player) -> None:
        self.listener = listener

    def write(self, data: bytes) -> None:
        self._machine.sent_ms.append(self._machine.now_ms)
        self._machine.now_ms += 7

    def finish(self) -> None: ...
    def cut(self) -> None: ...
    def reset(self) -> None: ...


def test_nothing_drifts_on_a_slow_machine() -> None:
    machine = Machine()
    clock = Clock("real", start_ms=0, read=lambda: machine.now_ms / 1000, alarm=machine.alarm)
    frames = tuple(Frame(b"x", tokens=1) for _ in range(1001))
    script = paced(Script(200, (), frames, stream=True), Timing(tokens_per_s=20), draws.dice("d"), None, UNLOADED)
    subject = Subject("p", "r", "d", "generate", "m", True, "POST", "/", "", None, "k")
    entry = Entry(subject, [], b"", 1, 1, 0.0, Outcome())

    async def play() -> None:
        playing = asyncio.ensure_future(Player(Line(machine), clock, script, entry, Lateness()).play())
        await asyncio.sleep(0)
        machine.run()
        await playing

    asyncio.run(play())
    assert entry.outcome.ended == "end"
    late_ms = [sent_ms - 50 * n for n, sent_ms in enumerate(machine.sent_ms[:1001])]
    assert len(late_ms) == 1001
    assert max(late_ms) <= 4  # the thousandth frame is no later than the second: lateness does not add up
