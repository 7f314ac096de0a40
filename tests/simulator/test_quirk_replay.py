"""The same seed and request give the same bytes under every quirk, and what is still can be served ready-made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulator.faults import FAULTS, payloads
from simulator.fleet import Fleet
from simulator.head import whole
from tests.simulator import (
    test_chunk_quirks,
    test_content_faults,
    test_error_quirks,
    test_tool_quirks,
    test_usage_quirks,
)
from tests.simulator.playing import ROWS, known, scripted, still_clock
from tests.simulator.quirks import calling, chat, message, thinking, tool_use

MODULES = (test_chunk_quirks, test_usage_quirks, test_tool_quirks, test_error_quirks, test_content_faults)
KINDS = sorted({kind for module in MODULES for name in module.CATALOGUE if (kind := FAULTS.kind(name))})
STILL = [kind for kind in KINDS if FAULTS[kind].still]
REQUESTS: list[Callable[..., bytes]] = [chat, calling, thinking, message, tool_use]
MODELS = ("deepseek-chat", "glm-4.6", "deepseek-reasoner")
SECONDS_MS = (1_000_000.0, 1_000_500.0, 1_001_000.0, 1_002_000.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_and_request_give_the_same_bytes(kind: str) -> None:
    for make in REQUESTS:
        for stream in (True, False):
            raw = make(stream=stream)
            first, second = (scripted(raw, [{"kind": kind}]).script for _ in range(2))
            assert first == second
            assert whole(first, 0) == whole(second, 0)


@pytest.mark.parametrize("kind", STILL)
def test_the_quick_way_comes_to_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raws = [make(provider="aggregator", model=model) for make in (chat, calling) for model in MODELS]
    quick = [scripted(raw, [{"kind": kind}]).script for raw in raws]
    edit = payloads.edit
    monkeypatch.setattr(payloads, "edit", lambda script, change, _=None: edit(script, change))
    assert [scripted(raw, [{"kind": kind}]).script for raw in raws] == quick


@pytest.mark.parametrize("kind", STILL)
def test_a_provider_that_always_has_it_is_served_ready_made(kind: str) -> None:
    rows = {name: replace(row, faults=(FAULTS.build(kind, {}),)) for name, row in ROWS.items()}
    for make in REQUESTS:
        raw = make()
        kept, fresh = Fleet(rows, still_clock(), 7), Fleet(rows, still_clock(), 7)
        found = known(kept, raw)
        for attempt, now_ms in enumerate(SECONDS_MS, 1):
            ready = kept.ready(found, attempt, now_ms)
            assert ready is not None
            script, outcome = fresh.script(known(fresh, raw), now_ms, attempt, attempt)
            assert ready[0] == whole(script, int(now_ms // 1000))
            assert ready[1].usage_true == outcome.usage_true
