"""The load model: its curve, what it does to delays on the wire, and a full queue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import Flawed
from simulator.quotas.load import Load
from tests.simulator.live import Line, Live, chat, message, running

CURVES = st.builds(
    Load,
    capacity=st.integers(1, 200),
    knee=st.floats(0.1, 0.95),
    factor_at_capacity=st.floats(1, 20),
    collapse_beyond=st.floats(1, 3),
)


@given(CURVES)
def test_more_load_is_never_faster_and_the_knee_is_a_knee(load: Load) -> None:
    paces = [load.pace(n) for n in range(1, 3 * load.capacity)]
    for less, more in pairwise(paces):
        assert more.ttft >= less.ttft - 1e-9
        assert more.gap >= less.gap - 1e-9
    assert load.pace(load.capacity).ttft == pytest.approx(load.factor_at_capacity)
    below = load.pace(int(load.capacity * load.knee))
    assert 1 <= below.ttft <= 1 + 0.1 * (load.factor_at_capacity - 1) + 1e-9
    assert 1 <= below.gap <= 1.05 + 1e-9


@given(CURVES)
def test_goodput_rises_to_the_knee_stays_and_collapses(load: Load) -> None:
    knee, collapse = load.capacity * load.knee, load.capacity * load.collapse_beyond
    for n in range(1, 4 * load.capacity):
        now, following = load.goodput(n), load.goodput(n + 1)
        if n + 1 <= knee:
            assert following > now
        elif n > knee and n + 1 <= collapse:
            assert following == pytest.approx(now)
        elif n > collapse:
            assert following < now


def steady(load: Load, concurrency: int) -> float:
    """Streams finished in a second, when each caller asks again as soon as it was answered; a stream takes a second."""
    queue: list[float] = []
    done = in_flight = 0
    now_s = 0.0
    while now_s < 200:
        while in_flight < concurrency:
            in_flight += 1
            heappush(queue, now_s + load.pace(in_flight).gap)
        now_s = heappop(queue)
        in_flight -= 1
        done += now_s > 100
    return done / (now_s - 100)


def test_callers_that_push_past_the_collapse_get_less_in_all() -> None:
    load = Load(capacity=20, knee=0.8, collapse_beyond=1.2)
    half, full, over, far = (steady(load, n) for n in (8, 20, 30, 60))
    assert full > 1.5 * half
    assert over < 0.9 * full
    assert far < 0.5 * full


# ---------------------------------------------------------------- over the wire


def row(**load: Any) -> dict[str, Any]:
    slow = {"kind": "latency", "ttft_ms": 1000, "tokens_per_s": 10}
    facts = {"vendors": ["openai"]}
    return {"name": "o", "dialect": "openai_chat", "region": "r", "facts": facts, "faults": [slow], "load": load}


@pytest.fixture
def fleet() -> Iterator[Live]:
    anthropic = {**row(capacity=1, max_queue=0, full=529), "name": "a", "dialect": "anthropic_messages"}
    anthropic |= {"facts": {"vendors": ["anthropic"]}}
    openai = row(capacity=4, knee=0.5, factor_at_capacity=3, max_queue=1)
    with running(Clock("manual"), rows={"providers": [openai, anthropic]}) as live:
        yield live


def start(fleet: Live, case: str) -> Line:
    """A stream of ten tokens that is under way."""
    line = fleet.line()
    line.send(chat(f"[[case:{case}]] [[answer: tokens=10]]", stream=True, provider="o"))
    assert fleet.seen(case)[0]["ended"] == "pending"
    return line


def test_each_request_is_paced_by_how_many_are_in_flight(fleet: Live) -> None:
    lines = [start(fleet, f"p-{n}") for n in range(5)]
    refused = fleet.call(chat("[[case:p-5]]", provider="o"))
    assert (refused.status, refused.json["error"]["type"]) == (503, "server_error")
    assert fleet.journal("p-5")[0]["faults"] == ["load"]
    fleet.control("POST", "clock", {"advance_ms": 100_000})
    for line in lines:
        line.reply()
    curve = Load(capacity=4, knee=0.5, factor_at_capacity=3)
    for n in range(5):
        (entry,) = fleet.journal(f"p-{n}")
        pace = curve.pace(n + 1)
        assert entry["head_sent_ms"] - entry["arrived_ms"] == pytest.approx(1000 * pace.ttft, abs=1)
        assert entry["ended_ms"] - entry["first_token_ms"] == pytest.approx(900 * pace.gap, abs=1)
    line = start(fleet, "p-6")  # all have left: as fast as the first
    fleet.control("POST", "clock", {"advance_ms": 100_000})
    line.reply()
    first, last = fleet.journal("p-0")[0], fleet.journal("p-6")[0]
    assert last["ended_ms"] - last["arrived_ms"] == pytest.approx(first["ended_ms"] - first["arrived_ms"], abs=1)


def test_whoever_hangs_up_is_no_load_any_more(fleet: Live) -> None:
    line = fleet.line()
    line.send(message("[[case:h-1]]", stream=True, provider="a"))
    fleet.seen("h-1")
    refused = fleet.call(message("hello", provider="a"))
    assert (refused.status, refused.json["error"]["type"]) == (529, "overloaded_error")
    assert "retry-after" not in refused.headers
    line.close()
    assert fleet.journal("h-1")[0]["ended"] == "peer_closed"
    again = fleet.line()
    again.send(message("[[case:h-2]]", provider="a"))
    assert fleet.seen("h-2")[0]["faults"] == ["latency"]


def test_load_survives_a_reset(fleet: Live) -> None:
    lines = [start(fleet, f"r-{n}") for n in range(5)]
    fleet.control("POST", "reset")
    assert fleet.call(chat("full", provider="o")).status == 503
    fleet.control("POST", "clock", {"advance_ms": 100_000})
    assert all(line.reply().body.endswith(b"[DONE]\n\n") for line in lines)
    assert start(fleet, "r-6")


@pytest.mark.parametrize("bad", [{}, {"capacity": 0}, {"capacity": 1, "knee": 1}, {"capacity": 1, "full": 500}])
def test_rows_that_make_no_load(bad: dict[str, Any]) -> None:
    with pytest.raises(Flawed) as caught:
        providers.read({"providers": [row(**bad)]}, DIALECTS, 1)
    assert caught.value.flaws[0].where.startswith("providers[0].load")


def test_the_rows_in_the_docs_are_sound() -> None:
    found = []
    for page in ("quotas", "latency"):
        text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text("utf-8")
        found += [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    for data in found:
        rows = data.get("providers") or [{"name": "x", "dialect": "openai_chat", "region": "r", **data}]
        assert providers.read({"providers": rows}, DIALECTS, 1)
    assert len(found) == 4
