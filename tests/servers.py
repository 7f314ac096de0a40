"""Fleet and gateway as processes of their own, for tests that kill them."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

READY_S = 40  # bound on a start on a busy machine


def ready_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The one JSON line a server prints once it is ready."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], READY_S)[0]:
        process.kill()
        raise AssertionError(f"no ready line within {READY_S} s")
    line = process.stdout.readline()
    assert line, f"the process ended with {process.wait()} before it was ready"
    parsed: dict[str, Any] = json.loads(line)
    return parsed


@dataclass(slots=True)
class Server:
    """A running process and what its ready line told."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    def stop(self) -> int:
        """SIGTERM, then wait."""
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL: no handler runs."""
        self.process.kill()
        self.process.wait(10)


def start(module: str, *arguments: str) -> Server:
    """Run `python -m module --port 0 --json …` and wait until it is ready."""
    command = [sys.executable, "-m", module, "--port", "0", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return Server(process, ready_line(process))
