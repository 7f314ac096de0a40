"""The sample run, and any other from a list of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from reports import load_run
from reports.model import Run
from tests.reports.sample import write_log

Build = Callable[[Iterable[dict[str, Any]]], Run]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The sample run."""
    return load_run(write_log(tmp_path / "sample.ndjson"))


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds the run that a list of events tells."""
    return lambda events: load_run(write_log(tmp_path / "events.ndjson", events))
