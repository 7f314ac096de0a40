"""The same scenario and seed give the same fate to the same requests, at concurrency 1 and 64, in any order."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.fleet import Fleet
from simulator.rules import scenario

HOUR_OF_TROUBLE = {
    "name": "an hour of trouble",
    "include": [
        "brownout",
        {"scenario": "region-down", "when": {"region": "eu-*"}},
        {"scenario": "bad-deploy", "at": "30s"},
    ],
    "rules": [
        {
            "name": "429",
            "chance": 0.3,
            "ramp": {"up": "60s", "down": "10s"},
            "for": "5m",
            "fault": {"kind": "status", "status": 429},
        },
        {"name": "cut", "chance": 0.4, "times": 1, "fault": {"kind": "cut_stream", "after_frames": 2}},
        {
            "name": "flapping",
            "flap": {"on": "9s", "off": "4s", "jitter": "3s"},
            "chance": 0.7,
            "fault": {"kind": "comments"},
        },
        {"name": "rest", "otherwise": True, "chance": 0.5, "fault": {"kind": "coalesced"}},
    ],
}
Request = tuple[str, str, bool]  # case, provider, stream
REQUESTS: list[Request] = [
    (f"case-{n % 15}", provider, n % 15 % 2 == 0)
    for n in range(30)
    for provider in ("openai", "openai-eu", "aggregator")
]
Fate = tuple[int, tuple[str, ...], str, tuple[float, ...]]


@cache
def rows() -> dict[str, providers.Provider]:
    return providers.load(providers.FILE, DIALECTS, 3)


def fates(order: list[Request], concurrency: int, at_ms: float) -> dict[Request, Counter[Fate]]:
    """What each request met: `concurrency` of them reach the fleet together, in an order of their own."""
    clock = Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None)
    fleet = Fleet(rows(), clock, 3)
    found = scenario.read(HOUR_OF_TROUBLE)
    fleet.plan.set_scenario(found.rules, None, found.seed, None, found.states)
    clock.advance(at_ms)
    dice = random.Random(concurrency)
    met: dict[Request, Counter[Fate]] = {}
    waiting = list(order)
    while waiting:
        batch = [waiting.pop(0) for _ in range(min(concurrency, len(waiting)))]
        dice.shuffle(batch)
        for request in batch:
            met.setdefault(request, Counter())[fate(fleet, request)] += 1
    return met


def fate(fleet: Fleet, request: Request) -> Fate:
    case, name, stream = request
    model = "gpt-4o" if name.startswith("openai") else "deepseek-v3.2"
    content = {"model": model, "stream": stream, "messages": [{"role": "user", "content": f"[[case:{case}]] hi"}]}
    headers = [(b"authorization", f"Bearer sk-fleet-{name}".encode())]
    row = fleet.providers[name]
    known = fleet.recognise(row, "POST", "/v1/chat/completions", b"", headers, json.dumps(content).encode())
    attempt, call = fleet.attempts.count(known.subject.key, name)
    script, outcome = fleet.script(known, fleet.clock.now_ms(), attempt, call)
    return script.status, outcome.faults, script.ending.value, tuple(frame.due_ms for frame in script.frames)


@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # a smaller order tells no more
@given(st.permutations(REQUESTS), st.sampled_from([1, 64]), st.sampled_from([7_000, 41_000, 130_500]))
def test_the_same_requests_meet_the_same_fate(order: list[Request], concurrency: int, at_ms: float) -> None:
    expected = _in_order(at_ms)
    assert fates(order, concurrency, at_ms) == expected
    assert len({fate for counter in expected.values() for fate in counter}) > 10


@cache
def _in_order(at_ms: float) -> dict[Request, Counter[Fate]]:
    return fates(REQUESTS, 1, at_ms)
