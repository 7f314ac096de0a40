"""`windtunnel scenario`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
        assert row["name"] in windtunnel("scenario", "show", row["name"]).stdout
    if listed:
        assert windtunnel("scenario", "check", *(row["name"] for row in listed)).returncode == 0
