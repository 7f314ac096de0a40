"""Runs a load and judges it: prepares the users, starts Locust in a process of its own, reads the journal
along, then audits.

Locust patches the standard library for gevent, so it never shares a process with its caller.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests import jsonhttp
from loadtests.audit import audit
from loadtests.driver_env import LOAD_ENV
from loadtests.errors import LoadError, Unmeasurable, Unreachable
from loadtests.journal import Journal
from loadtests.ledger import Gateway
from loadtests.processes import MODELS, UPSTREAMS, stack
from loadtests.results import Bounds, Results, judge

SCENARIOS = {"billing": Path(__file__).parent / "billing.py"}
OUT = Path("reports/out/load")
CALLS_PER_SECOND_AND_USER = 0.5
CALLS_PER_ACCOUNT = 400  # below the rows that one read of a usage log returns
FUNDS_UC = 1_000_000_000_000  # 1,000,000 credits an account: no call of a load may fail for want of money
HOURLY_LIMIT = 1_000_000
JOURNAL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a load runs."""

    scenario: str
    users: int = 50  # cap on concurrent calls
    time_s: float = 30.0
    rate_hz: float | None = None  # arrivals a second; None: half a call per user and second
    seed: int = 0
    processes: int | None = None  # None: one process; N: N workers and a master
    role: str | None = None  # "master" or "worker" of a load over many hosts
    master_host: str = "127.0.0.1"
    master_port: int | None = None
    expect_workers: int = 1
    out: Path = OUT
    as_json: bool = False
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def arrivals_hz(self) -> float:
        return self.rate_hz or self.users * CALLS_PER_SECOND_AND_USER

    @property
    def workers(self) -> int:
        """Worker processes, or 1 when master and worker are one process."""
        return self.expect_workers if self.role == "master" else self.processes or 1


def run(
    scenario: str,
    *,
    users: int = 50,
    time_s: float = 30.0,
    target: Mapping[str, Any] | None = None,
    processes: int | None = None,
    out: Path | str = OUT,
    seed: int = 0,
    as_json: bool = False,
    rate_hz: float | None = None,
    role: str | None = None,
    master_host: str = "127.0.0.1",
    master_port: int | None = None,
    expect_workers: int = 1,
    bounds: Bounds | None = None,
) -> int:
    """Run a load against a target (None: fleet and reference gateway, started here) and return its exit code.

    0 as it should be, 1 wrong bill or unexpected answers, 2 usage or target unreachable, 3 invalid
    measurement. Leaves results.json, results.txt, calls.jsonl and target.json (for another audit) in `out`.
    """
    options = Options(
        scenario, users, time_s, rate_hz, seed, processes, role, master_host, master_port, expect_workers,
        Path(out), as_json, bounds or Bounds(),
    )  # fmt: skip
    try:
        _check(options)
        if role == "worker":
            with _locust(options, [], {}) as worker:
                _show_progress(worker, quiet=True)
                return worker.wait()
        results = _run(options, target)
    except LoadError as error:
        print(f"windtunnel load: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(results.to_json(), indent=2) if as_json else results.text())
    return results.exit_code


def _check(options: Options) -> None:
    if options.scenario not in SCENARIOS:
        raise Unreachable(f"no load is called {options.scenario!r}; there is: {', '.join(SCENARIOS)}")
    if options.users < 1 or options.time_s <= 0 or options.arrivals_hz <= 0:
        raise Unreachable(f"users, time and rate must be positive, got {options.users}, {options.time_s}")
    if options.role and options.processes:
        raise Unreachable("--processes is its own master; it cannot be joined with --master or --worker")


def _run(options: Options, target: Mapping[str, Any] | None) -> Results:
    options.out.mkdir(parents=True, exist_ok=True)
    fresh = target is None
    with stack(options.out, options.seed) if target is None else contextlib.nullcontext(target) as used:
        prepared = prepare(options, dict(used), fresh)
        journal = Journal(prepared["fleet"]["control_url"], prepared["audit"]["cases"])
        journal.skip()
        measured = measure(options, prepared, journal)
        prepared["audit"] |= callers_view(measured["calls"])
        _write(options.out / "target.json", prepared)
        with (options.out / "calls.jsonl").open("w") as file:
            file.writelines(json.dumps(call) + "\n" for call in measured["calls"])
        audited = audit(prepared, journal)
        lateness = jsonhttp.call("GET", f"{prepared['fleet']['control_url']}/lateness")
    facts = {
        "scenario": options.scenario,
        "target": prepared.get("name", ""),
        "seed": options.seed,
        "users": options.users,
        "time_s": options.time_s,
        "rate_hz": options.arrivals_hz,
        "workers": options.workers,
    }
    results = judge(facts, measured, lateness, audited, options.bounds)
    _write(options.out / "results.json", results.to_json())
    (options.out / "results.txt").write_text(results.text() + "\n")
    return results


def callers_view(calls: list[list[str]]) -> dict[str, Any]:
    """What the audit needs to know of the callers: their request ids, and which of them were answered with an error."""
    return {
        "requests": {case: request for case, request, *_ in calls if request},
        "refused": [case for case, _, status, *_ in calls if int(status) >= 400],
    }


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def prepare(options: Options, target: dict[str, Any], fresh: bool) -> dict[str, Any]:
    """The target with funded users of our own under `audit`.

    On servers of our own the users' names follow from the seed; elsewhere they must be new, because the fleet
    counts attempts by case.
    """
    for needed in ("base_urls", "fleet"):
        if not target.get(needed):
            raise Unreachable(f"the target has no {needed}")
    gateway = Gateway(target)
    if gateway.admin_url is None:
        raise Unreachable(
            "the target offers no provisioning API (provisioning.kind: admin_api): a load needs its own users"
        )
    jsonhttp.call("GET", f"{target['fleet']['control_url']}/health")
    run_tag = f"load{options.seed}" if fresh else f"load{secrets.token_hex(4)}"
    wanted = max(min(options.users, 50), math.ceil(options.arrivals_hz * options.time_s * 1.2 / CALLS_PER_ACCOUNT))
    accounts = [gateway.provision(f"{run_tag}-u{i}", FUNDS_UC, HOURLY_LIMIT) for i in range(wanted)]
    users = [{"tag": account.tag, "id": account.id, "key": account.key} for account in accounts]
    models = {wire: list((target.get("models") or MODELS).get(wire) or ()) for wire in ("chat", "messages")}
    upstreams = {**UPSTREAMS, **(target.get("upstreams") or {})}
    return {
        **target,
        "models": models,
        "upstreams": upstreams,
        "audit": {"cases": f"{run_tag}-*", "users": users, "requests": {}},
    }


def measure(options: Options, target: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Run Locust to its end, reading the fleet's journal meanwhile; what it measured."""
    measured = options.out / "measured.json"
    measured.unlink(missing_ok=True)
    load = {
        "users": options.users,
        "time_s": options.time_s,
        "rate_hz": options.arrivals_hz,
        "seed": options.seed,
        "base_urls": target["base_urls"],
        "models": target["models"],
        "upstreams": target["upstreams"],
        "accounts": target["audit"]["users"],
        "measured": str(measured.resolve()),
    }
    load_file = options.out / "load.json"
    _write(load_file, load)
    with _locust(options, _locust_options(options), {LOAD_ENV: str(load_file.resolve())}) as locust:
        try:
            with _reading(journal):
                _show_progress(locust, options.as_json)
                locust.wait()
        except BaseException:
            locust.terminate()
            raise
    if not measured.exists():
        raise Unmeasurable(
            f"Locust ended with {locust.returncode} and left no measurements; see {options.out}/locust.log"
        )
    told: dict[str, Any] = json.loads(measured.read_text())
    measured.unlink()
    load_file.unlink()
    return told


def _show_progress(locust: subprocess.Popen[str], quiet: bool) -> None:
    """Locust's progress, line by line, until it ends: on stderr, in place, when that is a terminal."""
    assert locust.stdout is not None
    shown = sys.stderr.isatty() and not quiet
    for line in locust.stdout:
        if shown:
            sys.stderr.write(f"\r\x1b[K{line.rstrip()}")
            sys.stderr.flush()
    if shown:
        sys.stderr.write("\r\x1b[K")


def _locust_options(options: Options) -> list[str]:
    own = ["--users", str(options.workers), "--spawn-rate", str(options.workers), "--only-summary"]
    if options.role == "master":
        port = ["--master-bind-port", str(options.master_port)] if options.master_port else []
        return [*own, "--master", "--expect-workers", str(options.expect_workers), *port]
    if options.processes:
        port_number = str(options.master_port or _free_port())
        ports = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port_number, "--master-port", port_number]
        return [*own, "--processes", str(options.processes), *ports]
    return own


def _locust(options: Options, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """Locust on the scenario's file, headless: its own tables in `out`, its progress on a pipe."""
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIOS[options.scenario]), "--headless"]
    if options.role == "worker":
        port = ["--master-port", str(options.master_port)] if options.master_port else []
        arguments = ["--worker", "--master-host", options.master_host, *port]
    options.out.mkdir(parents=True, exist_ok=True)
    arguments = [*arguments, "--loglevel", "WARNING", "--logfile", str(options.out / "locust.log")]
    with (options.out / "locust.txt").open("w") as tables:
        return subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=tables,
            text=True,
            env={**os.environ, **environment},
        )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _reading(journal: Journal) -> Iterator[None]:
    """Read the journal along in a thread; a failure to do so is raised at the end."""
    stop = threading.Event()
    failed: list[LoadError] = []

    def follow() -> None:
        try:
            while not stop.wait(JOURNAL_EVERY_S):
                journal.read()
        except LoadError as error:
            failed.append(error)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
