"""The command itself: help, wrong words, and errors as one line with the right exit code."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.windtunnel.commands import ROOT, complaint, windtunnel
from windtunnel import command
from windtunnel.errors import HarnessProblem, Stopped, UsageProblem
from windtunnel.load import bench

HEAVY = ("simulator", "gateway", "suites", "mutants", "loadtests", "locust", "pytest", "sqlalchemy", "aiohttp")


def test_help_imports_none_of_the_parts() -> None:
    """So that help comes at once, whatever state the parts are in."""
    program = (
        "import sys; from windtunnel.command import run; code = run(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("[]")
    for name in command.SUBCOMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", list(command.SUBCOMMANDS))
def test_each_subcommand_is_a_click_command_with_help(name: str) -> None:
    module, _, attribute = command.SUBCOMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, click.Command)
    assert found.help


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("conforn",), "no command is called 'conforn'; did you mean conform?"),
        (("zzz",), "no command is called 'zzz'; there is up, fleet, gateway"),
        (("report", "show", "--nope"), "No such option"),
        (("up", "--port", "70000"), "--port"),
        (("up", "--port", "abc"), "--port"),
        (("load", "billing", "--time", "soon"), "'soon' is no length of time"),
        (("load", "billing", "--time", "0s"), "more than nothing"),
        (("scenario", "check"), "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(words: tuple[str, ...], message: str) -> None:
    done = windtunnel(*words)
    assert done.returncode == 2
    assert message in complaint(done)


def test_no_subcommand_shows_the_help() -> None:
    done = windtunnel()
    assert done.returncode == 2
    assert "conform" in done.stdout + done.stderr


def test_version() -> None:
    assert windtunnel("version").stdout.startswith("windtunnel ")
    assert json.loads(windtunnel("version", "--json").stdout)["windtunnel"]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("version")
    def broken() -> None:
        raise error

    monkeypatch.setattr(command, "version_command", broken)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageProblem("no such file"), 2, "windtunnel: no such file\n"),
        (HarnessProblem("the fleet\nwent away"), 3, "windtunnel: the fleet went away\n"),
        (Stopped(signal.SIGTERM), 143, ""),
        (Stopped(), 130, ""),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(4), 4, ""),
        (SystemExit("enough"), 1, "windtunnel: enough\n"),
    ],
)
def test_what_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    raising(monkeypatch, error)
    assert command.run(["version"]) == code
    assert capsys.readouterr().err.lstrip("\n") == message


def test_an_unexpected_error_is_one_line_and_its_details_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raising(monkeypatch, ZeroDivisionError("by\nzero"))
    assert command.run(["version"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("windtunnel: unexpected ZeroDivisionError: by zero (details: ")
    assert told.count("\n") == 1
    details = list(tmp_path.iterdir())
    assert str(details[0]) in told
    assert "Traceback" in details[0].read_text()


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, ZeroDivisionError("by zero"))
    assert command.run(["--debug", "version"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_part_that_cannot_be_imported_spoils_only_its_own_subcommand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(command.SUBCOMMANDS, "fleet", ("windtunnel.nothing_there:fleet", "Broken."))
    assert command.run(["fleet"]) == 3
    assert "fleet cannot be loaded: No module named" in capsys.readouterr().err
    assert command.run(["version"]) == 0


def test_colours_only_on_a_terminal() -> None:
    assert "\x1b" not in windtunnel("nothing").stderr


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "windtunnel", "version", "--json"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", list(command.SUBCOMMANDS))
def test_each_subcommand_has_its_section_in_the_docs(name: str) -> None:
    headings = [line for line in (ROOT / "docs" / "command.md").read_text().splitlines() if line.startswith("## ")]
    assert any(name in heading.removeprefix("## ").split(", ") for heading in headings)


def test_bench_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []
    monkeypatch.setattr("loadtests.bench.main", handed.extend)
    bench.main(["--rounds", "2", "--window", "1s", "--no-peers", "--check", "--json"], standalone_mode=False)
    assert handed == ["--rounds", "2", "--window", "1.0", "--no-peers", "--check", "--json"]
