"""Starting a server as a subprocess that says in one JSON line on stdout when it is ready, and ending it by its id."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

READY_S = 30.0
STOP_S = 15.0


class StartError(RuntimeError):
    """A server did not become ready. The message is for whoever gave the command."""


class Server:
    """A running subprocess and its ready line. A context manager: leaving it ends the process."""

    def __init__(self, argv: Sequence[str], log: Path, limit_s: float = READY_S) -> None:
        self.argv = tuple(argv)
        self.log = log
        with log.open("ab") as errors:
            try:
                self._process = subprocess.Popen(
                    self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
                )
            except OSError as error:
                raise StartError(f"cannot start {argv[0]}: {error.strerror or error}") from error
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.ready: dict[str, Any] = self._wait_ready(limit_s)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        """Pass lines on, and keep the pipe empty for as long as the process lives."""
        assert self._process.stdout is not None, "opened with a pipe"
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _wait_ready(self, limit_s: float) -> dict[str, Any]:
        while True:
            try:
                line = self._lines.get(timeout=limit_s)
            except queue.Empty:
                raise StartError(f"{self._command}: not ready after {limit_s:g} s; {self._last_words()}") from None
            if not line:
                raise StartError(f"{self._command}: ended with {self._process.wait()}; {self._last_words()}")
            if line.lstrip().startswith(b"{"):
                found: dict[str, Any] = json.loads(line)
                return found

    @property
    def _command(self) -> str:
        return " ".join(self.argv[:4])

    def _last_words(self) -> str:
        words = self.log.read_text(errors="replace").strip().splitlines()
        return "its last words: " + words[-1] if words else "it said nothing"

    def is_running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process."""
        if self.is_running():
            os.kill(self.pid, number)

    def wait(self, limit_s: float = STOP_S) -> int | None:
        """The exit status once it has ended; None when it still runs after `limit_s`."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it, and what it started, at once: as the crash of a machine."""
        if self.is_running():
            os.killpg(self.pid, signal.SIGKILL)  # the session it was started in is its own
        self._process.wait()

    def stop(self) -> int:
        """End it in its own way; by force if that takes too long. The exit status."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        if status is None:
            self.kill()
            status = self._process.returncode
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
