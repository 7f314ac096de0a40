"""Fleet and gateway as child processes: start, wait for the ready line, watch, stop.

A child gets a session of its own, so that Ctrl-C reaches this process alone, which then ends its children in order.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from windtunnel.errors import HarnessProblem, UsageProblem

READY_S = 60.0
STOP_S = 10.0  # what a child may take to end by itself
POLL_S = 0.2
TAIL_BYTES = 4000


class Child:
    """One server process. Its stderr goes to a file, of which `complaint` is the last line."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    def ready(self, timeout_s: float = READY_S) -> dict[str, Any]:
        """The JSON object of the ready line. Raises UsageProblem or HarnessProblem when none comes."""
        stdout = self.process.stdout
        assert stdout is not None
        line = _read_line(stdout, timeout_s)
        if line:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    threading.Thread(target=_drain, args=(stdout,), daemon=True).start()
                    return told
            self.stop()
            raise HarnessProblem(f"the {self.name} printed {line[:80]!r} where its ready line was due")
        code = self.process.poll() if line is None else self.process.wait(STOP_S)
        self.stop()
        if code is None:
            raise HarnessProblem(f"the {self.name} was not ready after {timeout_s:g} s{self._because()}")
        blame = UsageProblem if code == 2 else HarnessProblem
        raise blame(f"the {self.name} did not start (exit code {code}){self._because()}")

    @property
    def complaint(self) -> str:
        """The last line it wrote on stderr, or an empty text."""
        try:
            tail = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")

    def died(self) -> str | None:
        """One sentence when the process has ended, else None."""
        code = self.process.poll()
        if code is None:
            return None
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the {self.name} ended unexpectedly ({how}){self._because()}"

    def _because(self) -> str:
        return f": {self.complaint}" if self.complaint else ""

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to its whole session when that is not enough."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except BaseException as error:  # too long, or a second Ctrl-C
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
        if self.process.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdout.close()


def _read_line(stream: IO[bytes], timeout_s: float) -> bytes | None:
    """The first line of `stream`; b"" when it ends before one, None when nothing came in time."""
    deadline = time.monotonic() + timeout_s
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(stream.fileno(), 65536)
            line += part
            if not part or b"\n" in part:
                return line.partition(b"\n")[0] if b"\n" in line else b""
    return None


def _drain(stream: IO[bytes]) -> None:
    """Read what a server prints after its ready line, so that it never blocks on a full pipe."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(stream.fileno(), 65536):
            continue


def watch(children: Sequence[Child]) -> None:
    """Wait until a child dies (HarnessProblem); a signal ends the wait with KeyboardInterrupt."""
    while True:
        for child in children:
            gone = child.died()
            if gone:
                raise HarnessProblem(gone)
        time.sleep(POLL_S)


def check_port(host: str, port: int, what: str) -> None:
    """Raise UsageProblem when `port` cannot be had. 0 (any free one) always can."""
    if not port:
        return
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise UsageProblem(
            f"port {port} on {host} cannot be used for the {what}: {(error.strerror or str(error)).lower()}"
        ) from error


def own_or_free(host: str, port: int | None, preferred: int, what: str) -> int:
    """The port that was asked for; when none was, `preferred` if free, else any. Raises UsageProblem."""
    if port is not None:
        check_port(host, port, what)
        return port
    try:
        check_port(host, preferred, what)
    except UsageProblem:
        return 0
    return preferred


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="windtunnel-", ignore_cleanup_errors=True) as name:
        yield Path(name)
