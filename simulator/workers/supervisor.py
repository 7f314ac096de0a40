"""`--workers N`: one process that starts N workers on one socket, waits until all are ready, and ends them together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from simulator import edge
from simulator.workers.peers import Role

READY_S = 60.0
STOP_S = 10.0


class WorkerLost(RuntimeError):
    """A worker ended, or never became ready."""


class Place(NamedTuple):
    """Which worker a process is, on which socket, and when the clock of all began."""

    role: Role
    fileno: int
    start_ms: float
    zero_s: float  # of the machine's monotonic clock, which all processes share

    @classmethod
    def first(cls, workers: int, sock: socket.socket, start_ms: float, zero_s: float) -> Place:
        """That of the first worker of a new fleet."""
        return cls(Role(edge.token(), 0, workers), sock.fileno(), start_ms, zero_s)

    @classmethod
    def read(cls, text: str) -> Place:
        """What `str` wrote. Raises ValueError."""
        run, worker, workers, fileno, start_ms, zero_s = text.split("/")
        return cls(Role(run, int(worker), int(workers)), int(fileno), float(start_ms), float(zero_s))

    def __str__(self) -> str:
        return "/".join(map(str, (*self.role, self.fileno, repr(self.start_ms), repr(self.zero_s))))

    def socket(self) -> socket.socket:
        """The socket that the starting process bound."""
        return socket.socket(fileno=self.fileno)


def check_redis(url: str) -> None:
    """Raise ValueError unless Redis answers there."""
    try:
        with Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as redis:
            redis.ping()
    except (RedisError, ValueError, OSError) as error:
        raise ValueError(f"--workers needs Redis at {url} (--redis): {error}") from None


def forget(url: str, role: Role) -> None:
    """Take away what a fleet that has ended left in Redis; it would expire anyway."""
    with contextlib.suppress(RedisError, OSError), Redis.from_url(url, socket_timeout=3) as redis:
        keys = list(redis.scan_iter(role.key("*")))
        if keys:
            redis.delete(*keys)


class Workers:
    """The worker processes of one fleet."""

    def __init__(self, arguments: Sequence[str], place: Place) -> None:
        """`arguments`: what each worker is started with, besides which one it is."""
        self._stopping = False
        self._processes = [
            self._start(arguments, place._replace(role=place.role._replace(worker=worker)))
            for worker in range(place.role.workers)
        ]

    @staticmethod
    def _start(arguments: Sequence[str], place: Place) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "simulator", *arguments, "--worker", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=(place.fileno,),
            start_new_session=True,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def __enter__(self) -> Workers:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def ready(self) -> dict[str, Any]:
        """What the first of them tells of the fleet, once all are ready. Raises WorkerLost."""
        told: list[dict[str, Any]] = []
        for number, process in enumerate(self._processes):
            timer = threading.Timer(READY_S, process.kill)
            timer.start()
            line = process.stdout.readline() if process.stdout else ""
            timer.cancel()
            if not line:
                raise WorkerLost(f"worker {number} did not start (exit code {process.wait(STOP_S)})")
            told.append(json.loads(line))
        return told[0]

    def wait(self) -> None:
        """Return once `stop` was called. Raises WorkerLost when a worker ends before that."""
        pid, status = 0, 0
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, 0)
        for number, process in enumerate(self._processes):
            if process.pid == pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                if not self._stopping:
                    raise WorkerLost(f"worker {number} ended with exit code {process.returncode}; the fleet ends")

    def stop(self) -> None:
        """Tell all of them to end."""
        self._stopping = True
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
