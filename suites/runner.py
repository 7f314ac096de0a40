"""`windtunnel conform`: judge one target, write the event log and the reports, return the exit code.

run(Options(target_file=Path("my.yaml")))          a gateway that somebody else started
run(Options(gateway=("python", "-m", "mutants", "settles_twice")))      one that this run starts, with a fleet
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

import reports
from reports.events import LOG_NAME, SCHEMA, EventWriter
from schemas.requirements import Requirement, load
from suites import verdict
from suites.conductor import Finished
from suites.edge import now_ms, utc_now
from suites.evidence import LONGEST, mask, short
from suites.launch import GATEWAY_COMMAND, launch
from suites.outcomes import Outcome
from suites.plugin import Checks, requirements_of
from suites.processes import StartError
from suites.progress import Progress
from suites.reply_schemas import REQUIREMENTS as SCHEMA_REQUIREMENTS
from suites.stores import Stores
from suites.target import Target, TargetError, profiles, read_target, target_of_url
from suites.waivers import Waiver, WaiverError, WaiverVerdict, applying, read_waivers, review

FOLDER: Final = Path(__file__).parent
REACH_S: Final = 10.0
PASSED_DETAIL: Final = 300  # characters of each detail of a check that passed


@dataclass(frozen=True, slots=True)
class Options:
    """What to judge and how. One of target_file, url or gateway says what; with none, the reference gateway."""

    target_file: Path | None = None
    url: str | None = None  # with `key`: a gateway of which nothing else is known
    key: str | None = None
    gateway: Sequence[str] = GATEWAY_COMMAND  # started with a fleet when neither target_file nor url is given
    name: str = "reference gateway"  # of that gateway, in the report
    stores: Stores | None = None  # where its data are, and how many workers it has; default: one process on SQLite
    profile: str | None = None  # default: the target's own
    only: Sequence[str] = ()  # requirement ids, areas, check ids, globs
    waivers: Path | None = None
    out: Path = Path("reports/out")
    seed: int | None = None  # of a fleet that this run starts
    concurrency: int = 24
    max_time_s: float | None = None
    argv: Sequence[str] = ()  # the command line, for the report
    version: str = "0.1.0"
    suites: Sequence[Path] = (FOLDER,)  # folders of checks
    quiet: bool = False  # no progress on stderr


class UsageError(Exception):
    """What was asked for cannot be run. One line."""


@dataclass(slots=True)
class Log:
    """Writes what happens to the event log and keeps what the verdict needs."""

    writer: EventWriter
    waivers: Sequence[Waiver]
    results: dict[str, verdict.Result] = field(default_factory=dict)
    schema_problems: dict[str, list[Finished]] = field(default_factory=dict)  # kind -> who saw one
    schema_seen: dict[str, int] = field(default_factory=dict)

    def requirement(self, row: Requirement) -> None:
        """One requirement of the run."""
        event = {"event": "requirement", "id": row.id, "level": row.level, "text": row.text, "source": row.source}
        event |= {"area": row.area, "feature": row.feature}
        excluded = {"excluded": row.excluded} if row.excluded else {}
        self.writer.write(event | {"needs": list(row.needs), "broken_by": list(row.broken_by)} | excluded)

    def finished(self, done: Finished) -> None:
        """One finished check."""
        self._check(done.check.requirement, done.check.id, done.outcome, done.message, done)
        for kind, count in done.findings.seen.items():
            self.schema_seen[kind] = self.schema_seen.get(kind, 0) + count
        for kind in done.findings.problems:
            self.schema_problems.setdefault(kind, []).append(done)

    def schema_layer(self) -> None:
        """What the schema layer found: a pass for a kind without problems, else a failure for each check with one."""
        for kind, count in self.schema_seen.items():
            row = load()[SCHEMA_REQUIREMENTS[kind]]
            for done in self.schema_problems.get(kind, ()):
                message = "\n".join(done.findings.problems[kind])
                self._check(row, f"{row.id}/seen_by[{done.check.id}]", Outcome.FAIL, message, done)
            if kind not in self.schema_problems:
                self._check(row, f"{row.id}/every_{kind}", Outcome.PASS, f"{count} looked at")

    def _check(
        self, row: Requirement, check: str, outcome: Outcome, message: str, done: Finished | None = None
    ) -> None:
        waiver = (
            applying(self.waivers, check, utc_now().date()) if outcome in (Outcome.FAIL, Outcome.UNTESTABLE) else None
        )
        self.results[check] = verdict.Result(row.level, outcome, waiver is not None)
        event: dict[str, Any] = {
            "event": "check_finished",
            "requirement": row.id,
            "check": check,
            "outcome": outcome,
            "waived": waiver is not None,
            "message": mask(message),
            "duration_ms": 0.0 if done is None else round(done.duration_ms, 1),
            "lanes": [] if done is None else _lanes(done, outcome),
            "curl": [] if done is None else done.evidence.curls,
        }  # fmt: skip
        self.writer.write(event | ({"waiver_reason": waiver.reason} if waiver else {}))

    def waivers_reviewed(self, known: Sequence[str]) -> WaiverVerdict:
        """Judge the waivers, and note those that rot."""
        executed = {
            check: result.outcome in (Outcome.FAIL, Outcome.UNTESTABLE)
            for check, result in self.results.items()
            if result.outcome is not Outcome.HARNESS_ERROR
        }
        found = review(self.waivers, executed, [*known, *load()], utc_now().date())
        for waiver, word in [*((w, "stale") for w in found.stale), *((w, "expired") for w in found.expired)]:
            self.writer.write(
                {"event": "note", "text": f"{word} waiver: {waiver.id} ({waiver.reason}), expires {waiver.expires}"}
            )
        return found


def _lanes(done: Finished, outcome: Outcome) -> list[dict[str, Any]]:
    """The transcript of a check: in full where something is to be explained, in short where all went well."""
    longest = PASSED_DETAIL if outcome is Outcome.PASS else LONGEST
    return [
        {"at_ms": moment.at_ms, "lane": moment.lane, "title": moment.title, "detail": short(moment.detail, longest)}
        for moment in done.evidence.moments
    ]


def run(options: Options) -> int:
    """Judge the target: the exit code. Everything else is in the reports and, for usage errors, one line on stderr."""
    try:
        if options.profile is not None and options.profile not in profiles():
            raise UsageError(f"unknown profile {options.profile!r}; known are {', '.join(sorted(profiles()))}")
        waivers = read_waivers(options.waivers) if options.waivers else ()
        with ExitStack() as stack:
            target = _target(options, stack)
            _reach(target)
            return _judge(options, target, waivers)
    except (UsageError, TargetError, WaiverError, StartError) as error:
        sys.stderr.write(f"windtunnel conform: {error}\n")
        return verdict.USAGE


def _target(options: Options, stack: ExitStack) -> Target:
    """What to judge, started if need be."""
    if options.target_file is not None:
        target = read_target(options.target_file)
        return replace(target, key=options.key) if options.key else target
    if options.url is not None:
        return target_of_url(options.url, options.key, options.profile)
    bench = launch(options.gateway, name=options.name, seed=options.seed, stores=options.stores)
    return stack.enter_context(bench).target


def _reach(target: Target) -> None:
    """Raise UsageError unless something answers HTTP at the target."""
    url = f"{target.openai_url}/models"
    try:
        urllib.request.urlopen(url, timeout=REACH_S).close()
    except urllib.error.HTTPError:
        return  # any answer shows that it is there
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UsageError(f"target {target.name} does not answer at {url}: {reason}") from error


def _judge(options: Options, target: Target, waivers: Sequence[Waiver]) -> int:
    profile = options.profile or target.profile
    features = profiles()[profile]
    rows = requirements_of(features)
    started_ms = now_ms()
    with EventWriter(options.out / LOG_NAME) as writer, Progress(options.quiet) as progress:
        writer.write(_run_started(options, target, profile))
        log = Log(writer, waivers)
        for row in rows:
            log.requirement(row)

        def on_finished(done: Finished) -> None:
            log.finished(done)
            progress.step(done, checks.planned)

        checks = Checks(
            target,
            features,
            on_finished,
            only=options.only,
            concurrency=options.concurrency,
            max_time_s=options.max_time_s,
        )
        status = pytest.main(_pytest_arguments(options), plugins=[checks])
        log.schema_layer()
        reviewed = log.waivers_reviewed(checks.known)
        code = verdict.exit_code(
            log.results.values(), waivers_rot=reviewed.fails_the_run, out_of_time=checks.out_of_time
        )
        if checks.unread or status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            writer.write({"event": "note", "text": "checks could not be read: " + "\n".join(checks.unread)})
            sys.stderr.write("windtunnel conform: checks could not be read\n" + "\n".join(checks.unread) + "\n")
            code = verdict.HARNESS
        if status == pytest.ExitCode.INTERRUPTED and code == verdict.CONFORMANT:
            code = verdict.SPENT
        duration_s = round((now_ms() - started_ms) / 1000, 2)
        writer.write({"event": "run_finished", "exit_code": code, "duration_s": duration_s})
        progress.end(log.results.values(), duration_s)
    reports.write_all(options.out / LOG_NAME, options.out)
    return code


def _run_started(options: Options, target: Target, profile: str) -> dict[str, Any]:
    policies = {name: getattr(target.policies, name) for name in target.policies.__dataclass_fields__}
    return {
        "event": "run_started",
        "schema": SCHEMA,
        "version": options.version,
        "target": {
            "name": target.name,
            "base_urls": {"openai": target.openai_url, "anthropic": target.anthropic_url, "api": target.api_url},
            "features": sorted(target.features),
            "policies": policies,
        },
        "profile": profile,
        "seed": options.seed,
        "started_at": utc_now().isoformat(timespec="seconds"),
        "argv": list(options.argv),
    }


def _pytest_arguments(options: Options) -> list[str]:
    """pytest as a library: no terminal, cache, capture, foreign plugins or configuration of whoever calls."""
    switched_off = ("terminal", "cacheprovider", "capture", "logging", "warnings", "junitxml", "faulthandler")
    return [
        "--disable-plugin-autoload",
        *(word for name in switched_off for word in ("-p", f"no:{name}")),
        *("-c", str(FOLDER / "pytest.ini"), "--rootdir", str(FOLDER.parent)),
        *(str(folder) for folder in options.suites),
    ]
