"""`windtunnel fixtures`: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.windtunnel.commands import windtunnel

WEATHER = {
    "name": "weather",
    "when": {"prompt": "*weather*"},
    "steps": [{"calls": [{"name": "look", "arguments": {"at": "$prompt"}}]}, {"say": "It is $tool_result"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "answers.yaml"
    found.write_text(yaml.safe_dump({"fixtures": [WEATHER]}))
    return found


def test_sound_files_are_counted(path: Path) -> None:
    done = windtunnel("fixtures", "check", str(path))
    assert done.returncode == 0
    assert done.stdout == "1 fixture: sound\n"


def test_problems_are_told_a_line_each(path: Path) -> None:
    path.write_text("fixtures: [{say: 1}, {when: {}}]")
    done = windtunnel("fixtures", "check", str(path), "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert len(told["problems"]) == 2
    assert told["problems"][0].startswith(f"{path}: fixtures[0]")


def test_a_fixture_that_can_never_answer_is_a_warning(path: Path) -> None:
    path.write_text(yaml.safe_dump({"fixtures": [{"name": "all", "say": "x"}, WEATHER]}))
    done = windtunnel("fixtures", "check", str(path), "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told == {
        "problems": [],
        "warnings": ["weather: never answers, all comes first and fits whatever it fits"],
    }


@pytest.mark.parametrize(
    ("more", "due"),
    [
        ((), {"fixture": "weather", "calls": [{"name": "look", "arguments": {"at": "the weather"}}]}),
        (("--step", "1", "--tool-result", "sunny"), {"fixture": "weather", "say": "It is sunny"}),
    ],
)
def test_which_one_a_prompt_gets(path: Path, more: tuple[str, ...], due: dict[str, object]) -> None:
    done = windtunnel("fixtures", "match", str(path), "--prompt", "the weather", *more)
    assert done.returncode == 0
    assert json.loads(done.stdout) == due


def test_no_fixture_for_a_prompt_is_exit_code_1(path: Path) -> None:
    done = windtunnel("fixtures", "match", str(path), "--prompt", "news")
    assert done.returncode == 1
    assert "No fixture answers that" in done.stdout
