"""`python -m simulator` as a process: a scenario from the start, and clear errors before it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.servers import start


def test_a_scenario_plays_from_the_start() -> None:
    server = start("simulator", "--scenario", "region-down")
    try:
        with urllib.request.urlopen(server.told["fleet"]["control_url"] + "/scenario") as reply:
            assert json.load(reply)["scenario"]["name"] == "region-down"
    finally:
        assert server.stop() == 0


def test_a_bad_scenario_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nrules: [{fault: {kind: nope}}]\n")
    command = [sys.executable, "-m", "simulator", "--port", "0", "--scenario", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"fleet: {path}: rules[0]")
    assert "nope" in done.stderr
