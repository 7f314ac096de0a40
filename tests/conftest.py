"""For every test: a running `windtunnel up`, and how properties are tested.

`make test` tries the same examples in every run, so that what it says of a change is due to the change; `make fuzz`
tries others each time, and more of them. Neither has a deadline, which a busy machine would miss.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

from tests.servers import ready_line

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None, max_examples=400)
settings.load_profile(os.environ.get("WINDTUNNEL_PROPERTIES", "repeatable"))


@dataclass(frozen=True, slots=True)
class Stack:
    """What `windtunnel up --json` printed."""

    gateway_url: str
    fleet_url: str
    providers: dict[str, dict[str, Any]]
    key: str


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Fleet and gateway as `windtunnel up` starts them, on free ports."""
    command = [sys.executable, "-m", "windtunnel", "up", "--json", "--port", "0", "--fleet-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = ready_line(process)
            yield Stack(
                gateway_url=told["gateway"]["base_url"],
                fleet_url=told["fleet"]["base_url"],
                providers=told["fleet"]["providers"],
                key=told["key"],
            )
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
