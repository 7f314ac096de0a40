"""Broken gateways from one process that has read their code: each start is a fork, and saves most of a second."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from suites.processes import READY_S, StartError

COMMAND: Final = (sys.executable, "-m", "mutants._nursery")


class Child:
    """A running gateway and its ready line."""

    def __init__(self, pid: int, ready: dict[str, Any]) -> None:
        self.pid = pid
        self.ready = ready

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """The process that forks. A context manager: leaving it ends the process, not its children."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with (self._folder / "nursery.log").open("ab") as log:
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, name: str, argv: list[str], folder: Path) -> Child:
        """A mutant of that name, logging to `folder`/gateway.log, once it is ready. Raises StartError."""
        fifo, log = folder / "ready", folder / "gateway.log"
        os.mkfifo(fifo)
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            pid = self._fork({"name": name, "argv": argv, "out": str(fifo), "log": str(log)})
            line = read_line(reading)
        finally:
            os.close(reading)
        if not line:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            words = log.read_text(errors="replace").strip().splitlines()
            raise StartError(f"mutant {name} did not start; " + (words[-1] if words else "it said nothing"))
        return Child(pid, json.loads(line))

    def _fork(self, asked: dict[str, Any]) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "opened with a pipe"
        assert stdout is not None, "opened with a pipe"
        with self._lock:
            try:
                stdin.write(json.dumps(asked) + "\n")
                stdin.flush()
                return int(stdout.readline())
            except (OSError, ValueError) as error:
                raise StartError(f"the process that forks mutants has ended: {self._process.poll()}") from error


def read_line(descriptor: int) -> bytes:
    """The first line that comes, b"" when the writer ends or READY_S pass before there is one."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([descriptor], [], [], READY_S)[0] or not (piece := os.read(descriptor, 65536)):
            return b""
        line += piece
    return line
