"""Judges broken gateways: one fleet, checks collected once, and for each mutant a gateway and the checks it must fail.

A mutant is killed for the right reason when a check of a requirement that names it fails on it, and passes on the
unbroken gateway. A check that broke in the harness, or could not be run, kills nothing, and a gateway that logs a bug
of its own is not judged: it stumbled over the breaking.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import yaml

from reports.kill_matrix import BASELINE, KillMatrix, MutantResult
from schemas.requirements import load
from suites.conductor import Check, Conductor, Finished, OutOfTime
from suites.launch import FLEET_COMMAND, GATEWAY_COMMAND, GATEWAY_CONFIG, describe, gateway_argv, mail_config
from suites.outcomes import Outcome
from suites.processes import Server, StartError
from suites.reply_schemas import REQUIREMENTS as SCHEMA_REQUIREMENTS
from suites.requirement import check_id, facts_of
from suites.target import TargetError, build_target
from windtunnel import version
from windtunnel.errors import HarnessProblem
from windtunnel.nursery import Child, Nursery

SUITES: Final = Path(__file__).parent.parent / "suites"
CONCURRENCY: Final = 16  # checks of one mutant at the same time
LIMIT_S: Final = 600.0
# The schema layer looks at whatever other checks see: these show it one of each kind.
SEEN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_completion": ("CHT-001", "CHT-006"),
    "chat_chunk": ("CHT-001", "STR-001", "STR-003", "STR-008"),
    "message": ("MSG-001", "MSG-011"),
    "message_event": ("MSG-001", "STR-001", "STR-003", "STR-008"),
    "error": ("AUT-005", "FLV-013", "RTL-003", "MOD-004"),
    "models": ("MOD-001",),
    "usage_log": ("OBS-001",),
    "token_count": ("MSG-018",),
    "gpu_models": ("GPU-001",),
    "gpu_submission": ("GPU-003",),
    "gpu_job": ("GPU-002", "GPU-003"),
    "gpu_jobs": ("GPU-018",),
    "deployment": ("GPU-019",),
    "deployments": ("GPU-019",),
    "api_key": ("ACC-009",),
    "api_keys": ("ACC-001",),
    "organisation": ("ACC-021",),
    "members": ("ACC-023",),
    "audit_log": ("ACC-026",),
    "session": ("ACC-014",),
    "statement": ("BUD-012",),
    "credits": ("BUD-014",),
    "stored_file": ("STO-001",),
    "stored_files": ("STO-002",),
    "deleted_file": ("STO-004",),
    "identity_provider": ("SSO-010", "SSO-023"),
    "way_to_sign_in": ("SSO-019",),
    "response": ("RSP-001",),
    "response_event": ("RSP-002",),
    "gemini_reply": ("GEM-001",),
    "gemini_chunk": ("GEM-001",),
    "google_error": ("GEM-013",),
    "pictures": ("IMG-001",),
    "clip": ("VID-001",),
    "sound": ("AUD-001", "AUD-004"),
    "usage_export": ("ACC-034",),
    "response_token_count": ("RSP-011",),
    "gemini_token_count": ("GEM-011",),
    "gemini_models": ("GEM-012",),
    "gemini_model": ("GEM-012",),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One mutant and the requirements that are to notice it."""

    name: str
    about: str
    expected: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """What the checks found on one gateway: messages by check id."""

    failed: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # harness_error and untestable
    passed: set[str] = field(default_factory=set)
    bug: str = ""  # the end of the first trace in the gateway's own log

    @property
    def requirements(self) -> frozenset[str]:
        """Those that were seen to fail."""
        return frozenset(name.partition("/")[0] for name in self.failed)

    def add(self, done: Finished) -> None:
        """One check more, and what the schema layer saw in it."""
        match done.outcome:
            case Outcome.PASS:
                self.passed.add(done.check.id)
            case Outcome.FAIL:
                self.failed[done.check.id] = done.message
            case Outcome.HARNESS_ERROR | Outcome.UNTESTABLE:
                self.broken[done.check.id] = done.message
            case Outcome.NOT_APPLICABLE:
                return
        for kind, problems in done.findings.problems.items():
            self.failed[f"{SCHEMA_REQUIREMENTS[kind]}/seen_by[{done.check.id}]"] = "\n".join(problems)


class Collector:
    """A pytest plugin that gathers the checks and runs none."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.unread: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember modules that could not be read."""
        if report.failed:
            self.unread.append(str(report.longrepr))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Make a Check of every test function that is one."""
        for item in session.items:
            facts = facts_of(item.function) if isinstance(item, pytest.Function) else None
            if isinstance(item, pytest.Function) and facts is not None:
                parameters = dict(item.callspec.params) if hasattr(item, "callspec") else {}
                identity = check_id(item.function, parameters)
                self.checks.append(Check(identity, load()[facts.requirement], facts, item.function, parameters))

    @pytest.fixture
    def case(self) -> None:
        """Stands for the `Case` that the conductor hands to a check."""


def collect(folders: Sequence[Path] = (SUITES,)) -> list[Check]:
    """Every check there is. Raises HarnessProblem when some cannot be read."""
    collector = Collector()
    switched_off = ("terminal", "cacheprovider", "capture", "logging", "warnings", "junitxml", "faulthandler")
    options = [word for name in switched_off for word in ("-p", f"no:{name}")]
    where = ["-c", str(SUITES / "pytest.ini"), "--rootdir", str(SUITES.parent), *map(str, folders)]
    pytest.main([*options, "--collect-only", *where], plugins=[collector])
    if collector.unread or not collector.checks:
        raise HarnessProblem("checks could not be read: " + "\n".join(collector.unread))
    return collector.checks


def checks_for(checks: Sequence[Check], expected: Sequence[str]) -> list[Check]:
    """The checks of these requirements; for one of the schema layer, those that show it what it looks at."""
    wanted = set(expected)
    for kind, name in SCHEMA_REQUIREMENTS.items():
        if name in wanted:
            wanted.update(SEEN_BY[kind])
    return [check for check in checks if check.requirement.id in wanted]


class Stopped(Exception):
    """Judging was told to end."""


class Bench:
    """A running fleet, in front of which gateways come and go."""

    def __init__(self, folder: Path, fleet: Server, nursery: Nursery, limit_s: float) -> None:
        self._folder = folder
        self._fleet = fleet
        self._fleet_url = fleet.ready["fleet"]["base_url"]
        self._nursery = nursery
        self._limit_s = limit_s
        self._config = folder / "gateway.yaml"
        self._config.write_text(yaml.safe_dump(GATEWAY_CONFIG | mail_config(fleet.ready["fleet"], folder)))
        self._lock = threading.Lock()
        self._conductors: set[Conductor] = set()
        self._stopped = False

    def run(self, name: str, checks: Sequence[Check], enough: Collection[str] = ()) -> Found:
        """What these checks find on a mutant (or the BASELINE), or until all of `enough` were seen to fail.

        Raises StartError, Stopped.
        """
        folder = self._folder / name
        folder.mkdir()
        gateway = self._start(name, folder)
        try:
            command = GATEWAY_COMMAND if name == BASELINE else mutant_command(name)
            start = gateway_argv(command, self._config, self._fleet_url, "{folder}")
            target = build_target(describe(gateway.ready, self._fleet.ready, start, name), name)
            conductor = Conductor(target, checks, CONCURRENCY, self._limit_s)
            with self._running(conductor):
                found = self._listen(conductor, checks, frozenset(enough))
            found.bug = first_bug(folder / "gateway.log")
            return found
        except (TargetError, KeyError) as error:
            raise StartError(f"{name}: {error}") from error
        finally:
            gateway.kill()  # nothing of it is wanted any more, least of all a broken way of ending

    def _start(self, name: str, folder: Path) -> Server | Child:
        if name == BASELINE:
            argv = gateway_argv(GATEWAY_COMMAND, self._config, self._fleet_url, str(folder))
            return Server(argv, folder / "gateway.log")
        return self._nursery.start(name, gateway_argv((), self._config, self._fleet_url, str(folder)), folder)

    def _listen(self, conductor: Conductor, checks: Sequence[Check], enough: frozenset[str]) -> Found:
        found = Found()
        conductor.start()
        for check in sorted(checks, key=lambda check: check.facts.slow or check.facts.exclusive):
            if enough and enough <= found.requirements:
                break
            try:
                found.add(conductor.result(check.id))
            except OutOfTime as late:
                if self._stopped:
                    raise Stopped from late
                found.broken[check.id] = str(late)
        return found

    @contextmanager
    def _running(self, conductor: Conductor) -> Iterator[None]:
        with self._lock:
            if self._stopped:
                raise Stopped
            self._conductors.add(conductor)
        try:
            yield
        finally:
            stop(conductor)
            with self._lock:
                self._conductors.discard(conductor)

    def stop(self) -> None:
        """End everything that runs; nothing begins after this."""
        with self._lock:
            self._stopped = True
            running = list(self._conductors)
        for conductor in running:
            stop(conductor)


def stop(conductor: Conductor) -> None:
    """End a conductor, whose loop may be closing by itself at this very moment."""
    with suppress(RuntimeError):
        conductor.stop()


def first_bug(log: Path) -> str:
    """What the gateway's log tells of its first own bug: where and what; "" where there is none."""
    for line in log.read_text(errors="replace").splitlines():
        if '"event":"bug"' in line:
            trace = str(json.loads(line)["trace"]).strip().splitlines()
            return " | ".join(part.strip() for part in trace[-3:])
    return ""


@contextmanager
def open_bench(limit_s: float = LIMIT_S) -> Iterator[Bench]:
    """A bench whose fleet ends with it. Raises HarnessProblem when the fleet does not start."""
    with tempfile.TemporaryDirectory(prefix="windtunnel-mutants-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            fleet_argv = [*FLEET_COMMAND, "--port", "0", "--json"]
            with Server(fleet_argv, folder / "fleet.log") as fleet, Nursery(folder) as nursery:
                yield Bench(folder, fleet, nursery, limit_s)
        except StartError as error:
            raise HarnessProblem(str(error)) from error


def mutant_command(name: str) -> tuple[str, ...]:
    """What starts the gateway broken in that way."""
    return (sys.executable, "-m", "mutants", name)


def judge(
    bench: Bench, job: Job, checks: Sequence[Check], fails_anyway: frozenset[str] = frozenset(), whole: bool = False
) -> MutantResult:
    """What the checks make of one mutant; all of them `whole`. What the unbroken gateway fails, too, kills nothing."""
    started = time.monotonic()
    failed: dict[str, str] = {}
    error = ""
    if not checks:
        error = "no check is due to notice it"
    else:
        try:
            good = [check for check in checks if check.id not in fails_anyway]
            found = bench.run(job.name, good, () if whole else job.expected)
            failed = {name: message for name, message in found.failed.items() if name not in fails_anyway}
            if found.bug:
                error = f"the gateway stumbled: {found.bug}"
            elif not failed and found.broken:
                name, message = next(iter(found.broken.items()))
                error = f"{name}: {message}"
        except StartError as problem:
            error = str(problem)
    took_s = time.monotonic() - started
    return MutantResult(job.name, job.about, job.expected, tuple(failed), failed, error, took_s)


def hunt(
    asked: Sequence[Job],
    *,
    jobs: int = 2,
    all_checks: bool = False,
    baseline: bool = True,
    limit_s: float = LIMIT_S,
    step: Callable[[str], None] = lambda _name: None,
    checks: Sequence[Check] | None = None,
) -> KillMatrix:
    """Judge the mutants, `jobs` at a time and as many more that mostly wait.

    With `baseline` the unbroken gateway comes first, judged by every check that is run on any mutant. With
    `all_checks` every mutant is judged by every check, otherwise by those due to notice it and only until one of each
    requirement has. `step` is called with the name of each gateway that is done. Raises HarnessProblem.
    """
    started = time.monotonic()
    every = collect() if checks is None else list(checks)
    due = {job.name: every if all_checks else checks_for(every, job.expected) for job in asked}
    union = {check.id: check for chosen in due.values() for check in chosen}
    failing: frozenset[str] = frozenset()
    with open_bench(limit_s) as bench:
        if baseline and union:
            try:
                found = bench.run(BASELINE, list(union.values()))
            except StartError as error:
                raise HarnessProblem(str(error)) from error
            if found.bug:
                raise HarnessProblem(f"the unbroken gateway stumbled: {found.bug}")
            failing = frozenset(found.failed) | frozenset(found.broken)
            step(BASELINE)
        results = _judge_all(bench, asked, due, jobs, failing, all_checks, step)
    mutants = tuple(results[job.name] for job in asked)
    return KillMatrix(mutants, tuple(sorted(failing)), version(), time.monotonic() - started)


def _judge_all(
    bench: Bench,
    asked: Sequence[Job],
    due: Mapping[str, Sequence[Check]],
    jobs: int,
    failing: frozenset[str],
    whole: bool,
    step: Callable[[str], None],
) -> dict[str, MutantResult]:
    """Those whose checks mostly wait are judged beside the others, not before or after them."""
    found: dict[str, MutantResult] = {}
    with ThreadPoolExecutor(jobs) as busy, ThreadPoolExecutor(jobs) as patient:
        try:
            waiting = {}
            for job in asked:
                pool = patient if any(check.facts.slow for check in due[job.name]) else busy
                waiting[pool.submit(judge, bench, job, due[job.name], failing, whole)] = job
            for done in as_completed(waiting):
                found[waiting[done].name] = done.result()
                step(waiting[done].name)
        except BaseException:
            bench.stop()
            for pool in (busy, patient):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
