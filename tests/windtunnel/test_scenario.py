"""`windtunnel scenario`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.simulator.live import chat, running
from tests.windtunnel.commands import complaint, windtunnel

GOOD = """
name: openai-down
about: OpenAI answers 503 for a minute.
rules:
  - when: {provider: openai}
    at: 10s
    for: 60s
    fault: {kind: status, status: 503}
"""


def test_a_sound_file_passes(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    done = windtunnel("scenario", "check", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert "good.yaml" in done.stderr


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (GOOD.replace("kind: status", "kind: statuz"), "statuz"),
        (GOOD.replace("60s", "soon"), "soon"),
        ("rules: [", "line 2, column 1"),
        ("name: x\n", "rules"),
        ("", ""),
        ("- 1\n", ""),
    ],
)
def test_a_bad_file_is_named_with_its_problem_and_exit_2(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    for words in (
        ("scenario", "check", str(path)),
        ("up", "--scenario", str(path), "--port", "0", "--fleet-port", "0"),
    ):
        done = windtunnel(*words)
        assert done.returncode == 2
        told = complaint(done)
        assert str(path) in told
        assert word in told


def test_each_problem_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("kind: status", "kind: statuz").replace("60s", "soon"))
    done = windtunnel("scenario", "check", str(path), str(tmp_path / "none.yaml"), "--json")
    assert done.returncode == 2
    first, second = json.loads(done.stdout)["files"]
    assert first["problems"]
    assert "no such scenario" in second["problems"][0]
    lines = windtunnel("scenario", "check", str(path)).stderr.splitlines()
    assert len(lines) == len(first["problems"])


def test_a_missing_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    for name in (tmp_path / "none.yaml", tmp_path):
        done = windtunnel("scenario", "check", str(name))
        assert done.returncode == 2
        assert str(name) in complaint(done)


def test_what_ships_is_sound_listed_and_shown() -> None:
    listed = json.loads(windtunnel("scenario", "list", "--json").stdout)["scenarios"]
    for row in listed:
        assert row["about"], row
        assert row["expect"], row
        assert all(url.startswith("https://") for url in row["sources"])
        assert row["name"] in windtunnel("scenario", "show", row["name"]).stdout
    done = windtunnel("scenario", "check", *(row["name"] for row in listed))
    assert done.returncode == 0
    assert done.stderr.count("✓") == len(listed)


def test_the_list_tells_how_long_whom_and_what() -> None:
    row = next(line for line in windtunnel("scenario", "list").stdout.splitlines() if line.startswith("bad-deploy"))
    assert "185s" in row
    assert "us-east" in row
    (told,) = [
        row
        for row in json.loads(windtunnel("scenario", "list", "--json").stdout)["scenarios"]
        if row["name"] == "bad-deploy"
    ]
    assert (told["lasts_s"], told["concerns"]) == (185, ["us-east"])
    assert "missing_usage" in told["faults"]


TIMELINE = """
name: drawn
rules:
  - {name: early, for: 60s, when: {provider: openai, attempt: "1-2"}, chance: 0.5, fault: {kind: status, status: 503}}
  - {name: rising, at: 60s, for: 60s, ramp: {up: 60s}, fault: {kind: latency, ttft_ms: "uniform min=1 max=9"}}
"""


def test_a_timeline_is_drawn_above_the_yaml_as_comments(tmp_path: Path) -> None:
    path = tmp_path / "drawn.yaml"
    path.write_text(TIMELINE)
    shown = windtunnel("scenario", "show", str(path)).stdout
    axis, early, rising, *_ = shown.splitlines()
    assert axis.split() == ["#", "0s", "30s", "1m", "90s", "2m"]
    assert early == f"# early   {'█' * 24}{' ' * 24}  50 % of provider openai, attempt 1-2: status status=503"
    bar = rising.removeprefix("# rising  ")[:48]
    assert bar == f"{' ' * 24}{'░' * 6}{'▒' * 6}{'▓' * 6}{'█' * 6}"
    assert rising.endswith('  all: latency ttft_ms="uniform min=1 max=9"')
    assert yaml.safe_load(shown)["name"] == "drawn"  # what is printed is a scenario file still


def test_a_file_that_cannot_be_drawn_is_shown_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nrules: 5\n")
    done = windtunnel("scenario", "show", str(path))
    assert done.returncode == 0
    assert "cannot be drawn" in done.stdout.splitlines()[0]
    assert "rules: 5" in done.stdout


ODD = """
name: odd
ttl_s: 60
rules:
  - {name: a, when: {provider: openay}, fault: {kind: noop}}
  - {name: a, when: {provider: [openai, openay], region: mars}, fault: {kind: noop}}
  - {name: c, when: {provider: openai, model: nothing-5}, at: 90s, fault: {kind: noop}}
  - {name: d, when: {provider: openai, region: eu-west}, fault: {kind: noop}}
  - {name: e, when: {provider: ["openai*", "future-*"], model: "gpt-*", operation: generate}, fault: {kind: noop}}
"""


def test_names_that_nobody_has_are_warnings(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(ODD)
    done = windtunnel("scenario", "check", str(path))
    assert done.returncode == 0
    assert "✓" in done.stderr
    (told,) = json.loads(windtunnel("scenario", "check", str(path), "--json").stdout)["files"]
    assert told["problems"] == []
    lines = [line.removeprefix(f"{path}: ") for line in told["warnings"]]
    starts = [
        'rule "a": no provider of the fleet is called openay; there are ',
        'rule "a": no provider of the fleet is called openay; there are ',
        'rule "a": no region of the fleet is called mars; there are ',
        'rule "c": no provider that it concerns has a model nothing-5',
        'rule "d": no provider of the fleet fits all of its selectors',
        'rule "a": two rules have this name, so they draw alike',
        'rule "c": begins when the scenario is over, after 60 s',
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_the_fleet_to_check_against_is_chosen(tmp_path: Path) -> None:
    fleet, path = tmp_path / "fleet.yaml", tmp_path / "good.yaml"
    fleet.write_text("providers: [{name: other, dialect: openai_chat, region: here}]")
    path.write_text(GOOD)
    done = windtunnel("scenario", "check", str(path), "--config", str(fleet), "--json")
    (told,) = json.loads(done.stdout)["files"]
    assert "there are other" in told["warnings"][0]


LOG = {
    "logs": [
        {
            "upstream": "openai",
            "createdAt": f"2026-01-01T00:00:{at:02d}.000Z",
            "statusCode": status,
            "latencyMs": 100 + at,
        }
        for at, status in enumerate([200, 200, 503, 200, 429, 200, 200, 200, 200, 200])
    ]
}


def test_a_log_becomes_a_scenario(tmp_path: Path) -> None:
    log, made = tmp_path / "log.json", tmp_path / "made.yaml"
    log.write_text(json.dumps(LOG))
    done = windtunnel("scenario", "from-log", str(log), "-o", str(made), "--bucket", "30s", "--name", "yesterday")
    assert (done.returncode, done.stdout) == (0, "")
    assert "10 requests in stretches of 30 s" in done.stderr
    assert windtunnel("scenario", "check", str(made)).returncode == 0
    data = yaml.safe_load(made.read_text())
    assert data["name"] == "yesterday"
    assert [rule["fault"][0].get("status") for rule in data["rules"]] == [503, 429, None]
    assert (
        windtunnel("scenario", "from-log", str(log), "--bucket", "30s", "--name", "yesterday").stdout
        == made.read_text()
    )


def test_columns_and_providers_of_a_log_are_named(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("vendor,when,code\nOAI,2026-01-01T00:00:00Z,500\n")
    columns = "provider=vendor,at=when,status=code"
    done = windtunnel("scenario", "from-log", str(log), "--columns", columns, "--providers", "OAI=openai")
    (rule,) = yaml.safe_load(done.stdout)["rules"]
    assert (rule["when"], rule["fault"]) == ({"provider": "openai"}, [{"kind": "status", "status": 500}])


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (None, (), "a log was due"),
        ("", (), "came no rows"),
        ("a,b\n1,2\n", (), "columns.provider: came no such column"),
        ("a,b\n1,2\n", ("--columns", "provider"), "'provider' is no NAME=VALUE"),
        ("provider,at,status\nx,1,200\n", ("-o", "no/such/folder/x.yaml"), "a place for the scenario was due"),
    ],
)
def test_a_log_that_cannot_be_used_is_one_line_and_exit_2(
    tmp_path: Path, text: str | None, words: tuple[str, ...], said: str
) -> None:
    log = tmp_path / "log"
    if text is not None:
        log.write_text(text)
    done = windtunnel("scenario", "from-log", str(log), *words)
    assert done.returncode == 2
    assert said in complaint(done)


def test_a_fleet_says_why_nothing_matched() -> None:
    with running() as fleet:
        url = f"http://127.0.0.1:{fleet.address[1]}"
        rules = [
            {"name": "elsewhere", "when": {"provider": "openai-eu"}, "fault": {"kind": "hang"}},
            {"name": "here", "fault": {"kind": "status", "status": 503}},
        ]
        fleet.control("PUT", "scenario", {"name": "x", "rules": rules})
        fleet.call(chat("[[case:asked]]"))
        for base in (url, f"{url}/__fleet/"):
            done = windtunnel("scenario", "explain", "--fleet", base, "--case", "asked")
            title, elsewhere, here = done.stdout.splitlines()
            assert done.returncode == 0
            assert "asked · openai · gpt-4o · attempt 1 · met status" in title
            assert " ".join(elsewhere.split()) == '✗ elsewhere provider: wants "openai-eu", came "openai" (scenario)'
            assert here.split() == ["✓", "here", "hit", "(scenario)"]
        (request,) = json.loads(windtunnel("scenario", "explain", "--fleet", url, "--n", "1", "--json").stdout)[
            "requests"
        ]
        assert request["case"] == "asked"
        assert "no request" in complaint(windtunnel("scenario", "explain", "--fleet", url, "--case", "never"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", ("--case", "a", "--n", "1")),
        ("http://127.0.0.1:9", ()),
        ("http://127.0.0.1:9", ("--case", "a")),
        ("nonsense", ("--case", "a")),
    ],
    ids=["both", "neither", "no fleet", "no address"],
)
def test_an_explanation_that_cannot_be_had(url: str, words: tuple[str, ...]) -> None:
    done = windtunnel("scenario", "explain", "--fleet", url, *words)
    assert done.returncode == 2
    assert "unexpected" not in complaint(done)
