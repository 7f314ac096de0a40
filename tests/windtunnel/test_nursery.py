"""The process that forks broken gateways."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from suites.processes import StartError
from windtunnel.nursery import Nursery


def test_a_fork_is_a_gateway_broken_in_that_way(tmp_path: Path) -> None:
    argv = ["--port", "0", "--database", f"sqlite:///{tmp_path}/gateway.sqlite", "--json"]
    with Nursery(tmp_path) as nursery:
        child = nursery.start("metrics_missing", argv, tmp_path)
        try:
            url = child.ready["gateway"]["base_url"]
            with urllib.request.urlopen(f"{url}/healthz") as reply:
                assert json.load(reply) == {"status": "ok"}
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{url}/metrics")
        finally:
            child.kill()
        child.kill()  # once more does no harm


def test_a_gateway_that_does_not_start_tells_its_last_words(tmp_path: Path) -> None:
    with Nursery(tmp_path) as nursery, pytest.raises(StartError, match=r"metrics_missing did not start; .*--nonsense"):
        nursery.start("metrics_missing", ["--nonsense"], tmp_path)


def test_when_the_nursery_is_gone_nothing_starts(tmp_path: Path) -> None:
    with Nursery(tmp_path) as nursery:
        nursery._process.kill()
        nursery._process.wait()
        with pytest.raises(StartError, match="the process that forks mutants has ended"):
            nursery.start("metrics_missing", [], tmp_path)
