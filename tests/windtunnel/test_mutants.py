"""`windtunnel mutants`: what it asks for, prints and leaves. How mutants are judged is `windtunnel.kill`'s."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reports.kill_matrix import KillMatrix, MutantResult
from tests.windtunnel.commands import complaint, windtunnel
from windtunnel import kill, mutants

Hunt = dict[str, Any]


@pytest.fixture
def hunted(monkeypatch: pytest.MonkeyPatch) -> Hunt:
    """What the hunt was asked for; every second mutant survives."""
    seen: Hunt = {}

    def hunt(asked: Sequence[kill.Job], *, step: Callable[[str], None], **options: Any) -> KillMatrix:
        seen.update(options, asked=list(asked))
        for job in asked:
            step(job.name)
        results = [
            MutantResult(job.name, job.about, ("BIL-004",), () if number % 2 else ("BIL-004/a",))
            for number, job in enumerate(asked)
        ]
        return KillMatrix(tuple(results))

    monkeypatch.setattr(kill, "hunt", hunt)
    return seen


def names() -> list[str]:
    return [job.name for job in mutants.select(())]


def test_all_mutants_are_hunted_after_the_baseline(hunted: Hunt, tmp_path: Path) -> None:
    done = windtunnel("mutants", "--out", str(tmp_path), "--jobs", "3", "--limit", "2m")
    assert [job.name for job in hunted["asked"]] == names()
    assert (hunted["jobs"], hunted["limit_s"], hunted["baseline"], hunted["all_checks"]) == (3, 120.0, True, False)
    assert done.returncode == 1
    assert "survived; due: BIL-004" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"kill_matrix.html", "kill_matrix.json"}


def test_one_mutant_as_json(hunted: Hunt, tmp_path: Path) -> None:
    name = names()[0]
    done = windtunnel("mutants", "--only", name, "--skip-baseline", "--json", "--out", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert not hunted["baseline"]
    row = json.loads(done.stdout)["mutants"][0]
    assert (row["name"], row["killed"], row["by"]) == (name, True, ["BIL-004"])


def test_an_unknown_mutant_is_one_line_and_exit_2(hunted: Hunt) -> None:
    name = names()[0]
    done = windtunnel("mutants", "--only", name[:-1])
    assert done.returncode == 2
    assert f"did you mean {name}" in complaint(done)
    assert not hunted


def test_a_folder_that_cannot_be_written_is_one_line_and_exit_2(hunted: Hunt, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = windtunnel("mutants", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 2
    assert "--out" in complaint(done)
    assert hunted["asked"]


def test_every_mutant_says_what_is_broken() -> None:
    assert all(job.about for job in mutants.select(()))
