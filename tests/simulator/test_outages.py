"""The library of outages: every file is sound, says what it reproduces and what to expect, and its faults bite."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import document
from simulator.fleet import Fleet
from simulator.memory import Known
from simulator.rules import scenario
from simulator.rules.rule import Rule
from simulator.rules.scenario import Scenario
from simulator.rules.selectors import like
from tests.simulator.live import chat, message

FILES = sorted(scenario.SHIPPED.glob("*.yaml"))
TRIES = 150  # cases asked of a rule with a small chance
MODELS = {"openai": "gpt-4o", "openai-eu": "gpt-4o"}  # the others': whatever their wire has first
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = "[[answer: tool_call tool_calls=2]]"
THINKS = {"type": "enabled", "budget_tokens": 1024}


@cache
def rows() -> dict[str, providers.Provider]:
    return providers.load(providers.FILE, DIALECTS, 5)


def new_fleet() -> Fleet:
    return Fleet(rows(), Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None), 5)


@cache
def load(file: Path) -> Scenario:
    return scenario.load(file)


def test_there_are_enough() -> None:
    assert len(FILES) >= 27


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_says_what_it_reproduces_and_what_to_expect(file: Path) -> None:
    found = load(file)
    assert found.name == file.stem
    assert 40 < len(found.about) < 400
    assert found.about.endswith(".")
    assert 40 < len(found.expect) < 300
    assert found.expect.endswith(".")
    assert found.sources, "cite where it was reported"
    assert found.ttl_s is not None
    assert len({rule.name for rule in found.rules}) == len(found.rules)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_issues_that_are_named_are_cited(file: Path) -> None:
    """owner/name#123 in the story is a source, too."""
    found = load(file)
    for word in found.about.replace("(", " ").replace(")", " ").replace(",", " ").replace(";", " ").split():
        repository, mark, number = word.rstrip(".:").partition("#")
        if mark and "/" in repository and number.isdecimal():
            assert any(
                url.endswith((f"/{repository}/issues/{number}", f"/{repository}/pull/{number}"))
                for url in found.sources
            )


def meant(rule: Rule) -> list[providers.Provider]:
    """The rows that a rule concerns."""
    when = rule.when
    return [
        row
        for row in rows().values()
        if (not when.provider or like(when.provider, row.name))
        and (not when.region or like(when.region, row.region))
        and (not when.dialect or any(like(when.dialect, mount.dialect.name) for mount in row.mounts))
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_rule_concerns_a_provider_that_exists(file: Path) -> None:
    for rule in load(file).rules:
        assert meant(rule), rule.name


def requests(row: providers.Provider, case: str) -> Iterator[bytes]:
    """Requests of many kinds."""
    dialects = {mount.dialect.name for mount in row.mounts}
    for stream in (True, False):
        if "openai_chat" in dialects:
            model = MODELS.get(row.name, "deepseek-v3.2")
            tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("one", "two")]
            for prompt, more in (("[[answer: tokens=60]]", {}), (TOOLS, {"tools": tools})):
                yield chat(f"[[case:{case}]] {prompt}", provider=row.name, model=model, stream=stream, **more)
        if "anthropic_messages" in dialects:
            tools = [{"name": name, "input_schema": SCHEMA} for name in ("one", "two")]
            history = [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}]},
                {"role": "user", "content": f"[[case:{case}]]"},
            ]
            for prompt, more in (("[[answer: tokens=60]]", {}), (TOOLS, {"tools": tools})):
                yield message(f"[[case:{case}]] {prompt}", provider=row.name, stream=stream, **more)
            yield message("", provider=row.name, stream=stream, messages=history, thinking=THINKS, max_tokens=2048)


def known(fleet: Fleet, raw: bytes) -> Known:
    """What the fleet makes of a request in bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    _, name, path = target.split("/", 2)
    headers = [(bytes(key), bytes(value)) for key, value in (line.split(b": ", 1) for line in lines)]
    return fleet.recognise(fleet.providers[name], method, f"/{path}", b"", headers, body)


def moments(rule: Rule) -> list[float]:
    """Within the first spans in which the rule is on: in the middle, early and late."""
    found: list[float] = []
    for begin, end in rule.window.spans(0.0, (5, rule.name)):
        long = min(end, begin + 600_000) - begin
        found += [begin + long * part for part in (0.5, 0.05, 0.95)]
        if len(found) >= 6 or end == float("inf"):
            break
    return found


def alone(file: Path, rule: Rule, at_ms: float) -> Fleet:
    """A fleet with that rule alone, in a state that it wants, so long after it was set."""
    found = load(file)
    fleet = new_fleet()
    ttl_ms = None if found.ttl_s is None else found.ttl_s * 1000
    fleet.plan.set_scenario((rule,), ttl_ms, found.seed, None, found.states)
    fleet.clock.advance(at_ms)
    if rule.when.state and fleet.plan.machines:
        fleet.plan.machines[rule.scenario].go(rule.when.state[-1], fleet.clock.now_ms())
    return fleet


def bites(file: Path, rule: Rule, row: providers.Provider, at_ms: float) -> bool:
    """Whether all its faults meet one reply of that provider at that moment."""
    fleet = alone(file, rule, at_ms)
    state = rule.when.state[-1] if rule.when.state else None
    wanted = {fault.kind for fault in rule.faults}
    for attempt in range(TRIES):
        for raw in requests(row, f"case-{attempt}"):
            request = known(fleet, raw)
            if rule.misfit(request.subject, 1, 1, at_ms, 5, state) is None:
                outcome = fleet.script(request, fleet.clock.now_ms(), 1, 1)[1]
                if wanted <= set(outcome.faults):
                    return True
    return False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_rule_meets_a_request_inside_its_window(file: Path) -> None:
    for rule in load(file).rules:
        assert any(bites(file, rule, row, at) for at in moments(rule)[:2] for row in meant(rule)[:2]), rule.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_rule_meets_a_request_outside_its_window(file: Path) -> None:
    for rule in load(file).rules:
        ends = rule.window.end_ms()
        outside = [rule.window.at_ms - 1] if rule.window.at_ms else []
        for at_ms in [*outside, *([ends + 1] if ends is not None else []), 3_600_001.0]:
            fleet = alone(file, rule, at_ms)
            for row in meant(rule)[:1]:
                for case in range(10):
                    for raw in requests(row, f"case-{case}"):
                        assert fleet.plan.fate(known(fleet, raw).subject, 1, 1, (), ()) == (), (rule.name, at_ms)


def test_the_page_of_outages_is_current() -> None:
    for path, content in document.files().items():
        if path.name == "outages.md":
            assert path.read_text("utf-8") == content, "run python -m simulator.faults"
            return
    raise AssertionError("no page of outages is written")
