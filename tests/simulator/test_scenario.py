"""Scenario files: what is read, and what is said of what cannot be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from simulator import shapes
from simulator.faults import FAULTS, Flawed
from simulator.rules import scenario


def flaws(text: str) -> list[str]:
    with pytest.raises(Flawed) as caught:
        scenario.parse(text)
    return [str(flaw) for flaw in caught.value.flaws]


def test_a_scenario_is_read() -> None:
    found = scenario.parse(
        """
        name: outage
        about: One goes down.
        seed: 3
        ttl_s: 60
        rules:
          - name: down
            when: {provider: openai, attempt: [1, "3-4"]}
            at: 10s
            for: 1m
            every: 5m
            chance: 0.5
            fault: {kind: status, status: 503}
          - fault: [{kind: latency, ttft_ms: "lognormal p50=200 p99=900"}, {kind: crlf}]
        """
    )
    assert (found.name, found.about, found.seed, found.ttl_s) == ("outage", "One goes down.", 3, 60)
    first, second = found.rules
    window = first.window
    assert (window.at_ms, window.for_ms, window.every_ms, first.chance) == (10_000, 60_000, 300_000, 0.5)
    assert first.when.attempt == ((1, 1), (3, 4))
    assert second.name == "rule 1"
    assert [fault.kind for fault in second.faults] == ["latency", "crlf"]


def test_json_is_read_too() -> None:
    assert scenario.parse(b'{"name": "x", "rules": []}').rules == ()


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("", ["the file: came null; due an object"]),
        ("[]", ["the file: came []; due an object"]),
        ("name: x", ["the file: came no rules; due rules: a list"]),
        ("name: ''\nrules: []", ['name: came ""; due a text that is not empty']),
        ("name: x\nrules: {}", ["rules: came {}; due a list"]),
        (
            "name: x\nrulez: []\nrules: []",
            ["rulez: came an unknown key; due one of name, about, expect, sources, seed"],
        ),
        ("name: x\nttl_s: 0\nrules: []", ["ttl_s: came 0; due a number > 0"]),
        ("name: x\nrules: [{}]", ["rules[0]: came no fault; due fault: one fault with its kind"]),
        ("name: x\nrules: [{fault: {}}]", ["rules[0].fault: came no kind; due kind: one of "]),
        ("name: x\nrules: [{fault: []}]", ["rules[0].fault: came []; due"]),
        ("name: x\nrules: [{fault: {kind: stal}}]", ['rules[0].fault.kind: came "stal"; due one of ']),
        (
            "name: x\nrules: [{fault: [{kind: noop}, {kind: stall, after_frame: 1}]}]",
            ["rules[0].fault[1].after_frame: came an unknown key; due one of "],
        ),
        (
            "name: x\nrules: [{fault: {kind: status, status: 9}}]",
            ["rules[0].fault.status: came 9; due a whole number from 200 to 599"],
        ),
        (
            "name: x\nrules: [{fault: {kind: latency, ttft_ms: soon}}]",
            ["rules[0].fault.ttft_ms: came 'soon'; due one of constant, uniform"],
        ),
        (
            "name: x\nrules: [{fault: {kind: noop}, at: 5 parsecs}]",
            ['rules[0].at: came "5 parsecs"; due seconds, or a text such as "250ms"'],
        ),
        ("name: x\nrules: [{fault: {kind: noop}, every: 5}]", ["rules[0]: came every without for; due `for`"]),
        (
            "name: x\nrules: [{fault: {kind: noop}, every: 5, for: 10}]",
            ["rules[0].every: came 5000 ms; due at least `for`, 10000 ms, and more than 0"],
        ),
        ("name: x\nrules: [{fault: {kind: noop}, chance: 2}]", ["rules[0].chance: came 2; due a number from 0 to 1"]),
        (
            "name: x\nrules: [{fault: {kind: noop}, when: {provder: y}}]",
            ["rules[0].when.provder: came an unknown key; due one of provider, region"],
        ),
        (
            "name: x\nrules: [{fault: {kind: noop}, when: {attempt: 3-1}}]",
            ["rules[0].when.attempt: came '3-1'; due a number from 1, a range"],
        ),
        ("name: [", ["line 2, column 1: came did not find expected"]),
        ("a: b: c", ["line 1, column 5: came mapping values are not allowed"]),
    ],
)
def test_what_is_wrong_is_told(text: str, due: list[str]) -> None:
    found = flaws(text)
    assert len(found) == len(due)
    for flaw, start in zip(found, due, strict=True):
        assert flaw.startswith(start)


def test_every_flaw_is_told_at_once() -> None:
    found = flaws("name: x\nrules: [{fault: {kind: a}}, {at: -1, fault: {kind: noop}}, {fault: {kind: hang, x: 1}}]")
    assert [flaw.partition(":")[0] for flaw in found] == ["rules[0].fault.kind", "rules[1].at", "rules[2].fault.x"]


def test_check_gives_lines(tmp_path: Path) -> None:
    sound, broken = tmp_path / "sound.yaml", tmp_path / "broken.yaml"
    sound.write_text("name: x\nrules: []")
    broken.write_text("name: x\nrules: 5")
    assert scenario.check(sound) == []
    assert scenario.check(broken) == [f"{broken}: rules: came 5; due a list"]
    (missing,) = scenario.check(tmp_path / "missing.yaml")
    assert "came No such file or directory; due a file, or the name of one that ships" in missing
    (folder,) = scenario.check(tmp_path)
    assert "Is a directory" in folder


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"name: caf\xe9\nrules: []")
    (flaw,) = scenario.check(file)
    assert flaw.endswith("due YAML or JSON in UTF-8")


def test_what_was_meant_is_guessed() -> None:
    (flaw,) = scenario.check("brown-out")
    assert "perhaps brownout" in flaw


INNER = """
name: inner
about: Inside.
seed: 9
ttl_s: 30
rules:
  - {name: a, when: {region: us-east, stream: true}, at: 5s, for: 10s, chance: 0.5, fault: {kind: status, status: 503}}
"""


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_scenario_includes_others_later_and_for_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        inner=INNER,
        outer="""
            name: outer
            include:
              - inner.yaml
              - {scenario: inner.yaml, at: 60s, when: {region: eu-west}}
              - {scenario: brownout, at: 1m}
            rules: [{name: own, fault: {kind: noop}}]
        """,
    )
    own, first, second, shipped = scenario.load(tmp_path / "outer.yaml").rules
    assert (own.name, own.seed, own.scenario) == ("own", None, "outer")
    assert (first.name, first.seed, first.scenario) == ("inner/a", 9, "outer/inner")
    assert (first.when.region, first.window.at_ms, first.window.end_ms()) == (("us-east",), 5_000, 15_000)
    assert (second.name, second.scenario) == ("inner 2/a", "outer/inner 2")
    assert (second.when.region, second.when.stream, second.window.at_ms) == (("eu-west",), True, 65_000)
    assert second.window.ends_ms == 90_000  # the ttl of what is included ends its rules
    assert shipped.name == "brownout/slow spell"


def test_scenarios_add_up(tmp_path: Path) -> None:
    write(tmp_path, one=INNER, two="name: two\nrules: [{name: b, fault: {kind: noop}}]")
    both = scenario.together([scenario.load(tmp_path / "one.yaml"), scenario.load(tmp_path / "two.yaml")])
    assert (both.name, both.ttl_s, both.about) == ("inner + two", None, "Inside.")
    assert [rule.name for rule in both.rules] == ["inner/a", "two/b"]
    assert [rule.window.ends_ms for rule in both.rules] == [30_000, None]
    assert scenario.read(both.data).rules == both.rules
    alone = scenario.load(tmp_path / "one.yaml")
    assert scenario.together([alone]) is alone


def test_a_list_is_several_scenarios() -> None:
    found = scenario.parse('["brownout", {name: x, rules: [{fault: {kind: noop}}]}]')
    assert [rule.name for rule in found.rules] == ["brownout/slow spell", "x/rule 0"]


def test_a_circle_of_scenarios_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a="name: a\ninclude: [b.yaml]", b="name: b\ninclude: [{scenario: a.yaml, at: 5}]")
    (flaw,) = scenario.check(tmp_path / "a.yaml")
    assert flaw == (
        f"{tmp_path}/a.yaml: include[0]: include[0].scenario: came 'a.yaml'; "
        "due a scenario that does not include itself (a → b → a)"
    )
    write(tmp_path, self="name: self\ninclude: [self.yaml]")
    assert "does not include itself (self → self)" in scenario.check(tmp_path / "self.yaml")[0]


@pytest.mark.parametrize(
    ("include", "due"),
    [
        ("[nowhere]", "include[0]: came 'nowhere'; due a file in "),
        ("[{scenario: brownout, at: soon}]", 'include[0].at: came "soon"; due seconds'),
        ("[{scenario: brownout, when: {attempt: 0-1}}]", "include[0].when.attempt: came '0-1'; due a number from 1"),
        ("[{scenario: brownout, when: {state: x}}]", "include[0].when.state: came a state; due a selector"),
        ("[{at: 5}]", "include[0]: came no scenario; due scenario: a name, a file"),
        ("[broken.yaml]", "include[0]: rules: came 5; due a list"),
        (
            "[{scenario: {name: x, rules: [{fault: {kind: hung}}]}}]",
            'include[0].scenario: rules[0].fault.kind: came "hung"',
        ),
        ("[]", "include: came []; due a list that is not empty"),
        ("[5]", "include[0]: came 5; due an object"),
    ],
)
def test_what_is_wrong_with_an_include_is_told(tmp_path: Path, include: str, due: str) -> None:
    write(tmp_path, broken="name: x\nrules: 5", outer=f"name: outer\ninclude: {include}")
    outer = tmp_path / "outer.yaml"
    assert scenario.check(outer)[0].startswith(f"{outer}: {due}")


def test_files_are_included_only_from_files(tmp_path: Path) -> None:
    path = write(tmp_path, inner=INNER) / "inner.yaml"
    with pytest.raises(Flawed) as caught:
        scenario.parse(f"name: x\ninclude: ['{path}', /etc/passwd, ../scenario]")
    assert [flaw.due[:20] for flaw in caught.value.flaws] == ["the name of one that"] * 3


def test_the_scenarios_in_the_documentation_are_sound() -> None:
    page = Path(__file__).parents[2] / "docs" / "scenarios.md"
    blocks = page.read_text("utf-8").split("```yaml\n")[1:]
    names = [scenario.parse(block.partition("```")[0]).name for block in blocks]
    assert len(names) == len(set(names)) >= 6


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ('{"name": "x", "rules": ' + "[" * 3000 + "]" * 3000 + "}", "more than 100 levels"),
        ("- " * 3000 + "x", "more than 100 levels"),
        ("name: x\nrules: &all [*all]", "an alias *all within itself"),
        (ALIASES, "more than 500000 nodes"),
    ],
)
def test_what_no_loader_could_hold_is_refused(text: str, came: str) -> None:
    assert flaws(text) == [f"the file: came {came}; due at most 100 levels, and no endless aliases"]


def test_on_and_off_are_words() -> None:
    data = scenario.parse_yaml("{on: off, yes: no, a: true, b: [False, y]}")
    assert data == {"on": "off", "yes": "no", "a": True, "b": [False, "y"]}


def test_the_schemas_are_schemas_and_know_every_kind() -> None:
    for make in (shapes.scenario_schema, shapes.rules_schema, shapes.fleet_schema):
        Draft202012Validator.check_schema(make())
    assert {f"fault_{kind}" for kind in FAULTS} <= set(shapes.definitions())
