"""Scenario files: what is read, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from simulator import scenario, shapes
from simulator.faults import FAULTS, Flawed

SHIPPED = sorted(scenario.SHIPPED.glob("*.yaml"))


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
    assert (first.at_ms, first.for_ms, first.every_ms, first.chance) == (10_000, 60_000, 300_000, 0.5)
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
        ("name: x\nrulez: []\nrules: []", ["rulez: came an unknown key; due one of name, about, seed, ttl_s, rules"]),
        ("name: x\nttl_s: 0\nrules: []", ["ttl_s: came 0; due a number > 0"]),
        ("name: x\nrules: [{}]", ["rules[0]: came no fault; due fault: one fault with its kind"]),
        ("name: x\nrules: [{fault: {}}]", ["rules[0].fault: came no kind; due kind: one of bom, byte_dribble"]),
        ("name: x\nrules: [{fault: []}]", ["rules[0].fault: came []; due"]),
        ("name: x\nrules: [{fault: {kind: stal}}]", ['rules[0].fault.kind: came "stal"; due one of bom']),
        (
            "name: x\nrules: [{fault: [{kind: noop}, {kind: stall, after_frame: 1}]}]",
            ["rules[0].fault[1].after_frame: came an unknown key; due one of after_frames, for_ms"],
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
    assert scenario.check(broken) == ["rules: came 5; due a list"]
    (missing,) = scenario.check(tmp_path / "missing.yaml")
    assert "came No such file or directory; due a file, or one of bad-deploy" in missing
    (folder,) = scenario.check(tmp_path)
    assert "Is a directory" in folder


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"name: caf\xe9\nrules: []")
    (flaw,) = scenario.check(file)
    assert flaw.endswith("due YAML or JSON in UTF-8")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios_are_sound_and_tell_their_story(file: Path) -> None:
    found = scenario.load(file.stem)
    assert found.name == file.stem
    assert len(found.about) > 60
    assert found.ttl_s is not None
    assert found.rules


def test_five_are_shipped() -> None:
    assert len(SHIPPED) >= 5


def test_the_schemas_are_schemas_and_know_every_kind() -> None:
    for make in (shapes.scenario_schema, shapes.rules_schema, shapes.fleet_schema):
        Draft202012Validator.check_schema(make())
    assert {f"fault_{kind}" for kind in FAULTS} <= set(shapes.definitions())
