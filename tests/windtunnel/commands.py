"""Runs the command and keeps what it wrote, in this process: most of it needs no other."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from windtunnel.command import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """A finished command."""

    returncode: int
    stdout: str
    stderr: str


def windtunnel(*words: str, cwd: Path | None = None) -> Done:
    """Run `windtunnel words…` in the folder `cwd`; neither stream is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(cwd or ROOT):
        code = run(words)
    return Done(code, out.getvalue(), err.getvalue())


def complaint(done: Done) -> str:
    """The one line on stderr; fails when it is not exactly one, or a traceback."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert lines[0].startswith("windtunnel"), lines[0]
    return lines[0]
