"""`python -m loadtests.bench.jobs`: what ten thousand jobs cost a fleet while each is polled every five seconds.

The fleet's journal is filled first, by the same polls as fast as they go: it is bounded, and only once it is full can
memory be seen to stay what it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from loadtests import jsonhttp, processes
from loadtests.bench import machine
from loadtests.bench.client import END_OF_HEAD, cpu
from loadtests.errors import LoadError, Unmeasurable
from loadtests.processes import Server

JOBS, EVERY_S, SECONDS = 10_000, 5.0, 30.0
CONNECTIONS = 50
ENTRIES = 100_000  # of the journal
FILL_S = 90.0  # in which it must be full
CPU_MAX = 0.6  # of one core
GROWTH_MAX = 0.05  # of memory, while polled
TIMES = "[[fault: job_times queue_s=1 cold_s=0 run_s=300]]"  # within the limit of a run


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run found."""

    jobs: int
    every_s: float
    wall_s: float
    polls: int
    cpu: float  # share of one core
    cpu_us_of_poll: float
    late_ms_max: float  # by which the client was late to send
    rss_mb_begin: float
    rss_mb_end: float
    client_cpu: float

    @property
    def growth(self) -> float:
        return self.rss_mb_end / self.rss_mb_begin - 1

    @property
    def reached(self) -> bool:
        return self.cpu <= CPU_MAX and self.growth <= GROWTH_MAX


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print it. 1 with `--check` when a target is missed; 2 or 3 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.jobs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=JOBS, help="jobs that are polled")
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="S", help="seconds from poll to poll of a job")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="how long they are polled")
    parser.add_argument("--fill", type=int, default=ENTRIES, help="polls before that, as fast as they go")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    try:
        found = uvloop.run(measure(options.jobs, options.every, options.seconds, options.fill))
    except LoadError as error:
        print(f"jobs: {error}", file=sys.stderr)
        return error.exit_code
    row = {"machine": machine(), **asdict(found), "growth": found.growth, "reached": found.reached}
    print(json.dumps(row, indent=2) if options.json else text(found))
    return 1 if options.check and not found.reached else 0


def text(found: Figures) -> str:
    """The figures in words."""
    due = f"due {CPU_MAX:.0%} of a core and memory within {GROWTH_MAX:.0%}"
    return (
        f"{found.jobs} jobs, each polled every {found.every_s:g} s for {found.wall_s:.0f} s ({machine()})\n"
        f"  {found.polls} polls, {found.polls / found.wall_s:.0f}/s, sent at most {found.late_ms_max:.0f} ms late\n"
        f"  CPU of the fleet {found.cpu:.0%}, {found.cpu_us_of_poll:.0f} us a poll; client {found.client_cpu:.0%}\n"
        f"  memory {found.rss_mb_begin:.0f} MB at the beginning, {found.rss_mb_end:.0f} MB at the end\n"
        f"  {'ok' if found.reached else 'MISSED'}: {due}"
    )


async def measure(jobs: int, every_s: float, seconds: float, fill: int) -> Figures:
    """Submit the jobs to a fleet of their own, fill its journal, and poll. Raises Unmeasurable."""
    with tempfile.TemporaryDirectory(prefix="windtunnel-jobs-") as name, _fleet(Path(name)) as fleet:
        polls = await asyncio.to_thread(_submitted, fleet, jobs)
        callers = await _callers(fleet, polls)
        await _filled(callers, fill)
        begin_mb, cpu_s, client_s, started = rss_mb(fleet), fleet.cpu_s(), cpu(), time.perf_counter()
        before = sum(caller.answers for caller in callers)
        for at, caller in enumerate(callers):
            caller.pace(every_s / jobs * len(callers), at / len(callers))
        await asyncio.sleep(seconds)
        wall_s = time.perf_counter() - started
        used_s, client_s = fleet.cpu_s() - cpu_s, cpu() - client_s
        answers, end_mb = sum(caller.answers for caller in callers) - before, rss_mb(fleet)
        late_ms = max(caller.late_ms for caller in callers)
        for caller in callers:
            caller.stop()
    failures = {caller.failure for caller in callers if caller.failure}
    if failures or not answers:
        raise Unmeasurable(f"polls were answered {', '.join(sorted(failures)) or 'by nothing'}")
    rates = (used_s / wall_s, used_s / answers * 1e6, late_ms, begin_mb, end_mb, client_s / wall_s)
    return Figures(jobs, every_s, wall_s, answers, *rates)


@contextmanager
def _fleet(folder: Path) -> Iterator[Server]:
    with processes.fleet(folder, name="jobs") as started:
        yield started


def _submitted(fleet: Server, jobs: int) -> list[bytes]:
    """The polls of so many new jobs, as bytes."""
    told = fleet.told["fleet"]["providers"]["runpod"]
    url = urlsplit(told["base_url"])
    key = {"authorization": f"Bearer {told['key']}"}
    found: list[bytes] = []
    for number in range(jobs):
        body = {"input": {"prompt": f"job {number} {TIMES}"}}
        reply = jsonhttp.call("POST", f"{told['base_url']}/v2/echo/run", body=body, headers=key)
        path = f"{url.path}/v2/echo/status/{reply['id']}"
        found.append(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: {key['authorization']}".encode())
    return [poll + END_OF_HEAD for poll in found]


@dataclass(slots=True)
class Caller(asyncio.Protocol):
    """One connection, which polls its own jobs in turn: as fast as it is answered, or at a pace."""

    polls: Iterator[bytes]
    answers: int = 0
    left: int = 0  # polls still to be made as fast as they go
    gap_s: float = 0.0
    due_s: float = 0.0
    late_ms: float = 0.0
    failure: str = ""
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    transport: Any = None
    timer: Any = None
    _unread: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def fill(self, count: int) -> None:
        """Make so many polls, one after the other."""
        self.left = count
        self._ask()

    def pace(self, gap_s: float, share: float) -> None:
        """Poll at this pace from now on, beginning after a share of a gap."""
        self.gap_s = gap_s
        self.due_s = asyncio.get_running_loop().time() + share * gap_s
        self._wait()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.transport.close()

    def _wait(self) -> None:
        self.timer = asyncio.get_running_loop().call_at(self.due_s, self._due)

    def _due(self) -> None:
        self.late_ms = max(self.late_ms, (asyncio.get_running_loop().time() - self.due_s) * 1000)
        self.due_s += self.gap_s
        self._ask()
        self._wait()

    def _ask(self) -> None:
        self.transport.write(next(self.polls))

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(END_OF_HEAD)) >= 0:
            head = self._unread[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            whole = end + len(END_OF_HEAD) + length
            if len(self._unread) < whole:
                return
            self._unread = self._unread[whole:]
            self._answered(head)

    def _answered(self, head: bytes) -> None:
        if not head.startswith(b"http/1.1 200"):
            self.failure = head.split(b"\r\n", 1)[0].decode("latin-1")
        self.answers += 1
        if self.left:
            self.left -= 1
            if self.left:
                self._ask()
            else:
                self.filled.set()


async def _callers(fleet: Server, polls: list[bytes]) -> list[Caller]:
    url = urlsplit(fleet.told["fleet"]["base_url"])
    count = min(CONNECTIONS, len(polls))
    callers: list[Caller] = []
    for at in range(count):
        make = partial(Caller, cycle(polls[at::count]))
        _, caller = await asyncio.get_running_loop().create_connection(make, url.hostname, url.port)
        callers.append(caller)
    return callers


async def _filled(callers: list[Caller], polls: int) -> None:
    """Make so many polls, as fast as they are answered."""
    share = polls // len(callers)
    if not share:
        return
    for caller in callers:
        caller.fill(share)
    try:
        async with asyncio.timeout(FILL_S):
            for caller in callers:
                await caller.filled.wait()
    except TimeoutError:
        raise Unmeasurable(f"{polls} polls took longer than {FILL_S:g} s") from None


def rss_mb(server: Server) -> float:
    """The memory that a process holds. Linux only, 0.0 elsewhere."""
    try:
        lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    return int(found) / 1024


if __name__ == "__main__":
    sys.exit(main())
