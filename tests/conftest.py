"""Fixtures for every test: a running `windtunnel up`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.servers import ready_line


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
