"""A report folder: the event log and everything rendered from it."""

from __future__ import annotations

import os
from pathlib import Path

from reports.as_html import render_html
from reports.as_json import render_json
from reports.as_junit import render_junit
from reports.as_markdown import render_markdown
from reports.events import read_log
from reports.model import Run, build_run

FILES = ("report.html", "report.json", "junit.xml", "summary.md")


def load_run(path: Path) -> Run:
    """The run told by the event log at `path` (a file or a report folder). Raises LogError."""
    return build_run(read_log(path))


def write_all(log: Path, folder: Path) -> Run:
    """Render the event log at `log` into `folder` and return the run. Raises LogError.

    Each file appears whole or not at all: a reader never meets a half-written report.
    """
    run = load_run(log)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.html": render_html(run).encode(),
        "report.json": render_json(run),
        "junit.xml": render_junit(run),
        "summary.md": render_markdown(run).encode(),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return run


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a file beside it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
