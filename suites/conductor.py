"""Runs all checks at once against one gateway, in an event loop of its own; who wants a result waits for it.

Slow checks (they mostly wait) begin first and take no slot; the others share `concurrency` slots; exclusive ones run
alone after everything else, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from schemas.requirements import Requirement
from suites.case import Case
from suites.edge import now_ms
from suites.evidence import Evidence
from suites.outcomes import HarnessError, NotApplicable, Outcome, Untestable, judge
from suites.reply_schemas import Findings
from suites.requirement import CheckFacts
from suites.rig import Rig, open_rig
from suites.target import Target


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists (Windows has none)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its parameters, ready to run."""

    id: str
    requirement: Requirement
    facts: CheckFacts
    function: Callable[..., Awaitable[None]]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a check."""

    check: Check
    outcome: Outcome
    message: str
    duration_ms: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)
    findings: Findings = field(default_factory=Findings)
    error: BaseException | None = None


class OutOfTime(Exception):
    """The run's time was spent before the check began."""


class Conductor:
    """Owns the loop, its thread and every check's future."""

    def __init__(
        self, target: Target, checks: Sequence[Check], concurrency: int, max_time_s: float | None = None
    ) -> None:
        if len({check.id for check in checks}) < len(checks):
            raise ValueError("two checks have the same id")
        self._target = target
        self._checks = checks
        self._slots = concurrency
        self._deadline_ms = None if max_time_s is None else now_ms() + max_time_s * 1000
        self._results: dict[str, Future[Finished]] = {check.id: Future() for check in checks}
        self._thread = threading.Thread(target=self._main, name="checks", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with all checks."""
        self._thread.start()

    def result(self, check: str) -> Finished:
        """What came of a check, once it ended. Raises OutOfTime when it never began."""
        return self._results[check].result()

    def stop(self) -> None:
        """End what still runs and wait for the thread."""
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: everything has ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(timeout=10)

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._conduct())
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._give_up(OutOfTime("the run was stopped"))
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        for check in self._checks:
            if not self._results[check.id].done():
                if isinstance(error, OutOfTime):
                    self._results[check.id].set_exception(error)
                else:
                    outcome, message = judge(error)
                    self._results[check.id].set_result(Finished(check, outcome, message, error=error))

    async def _conduct(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        async with open_rig(self._target) as rig:
            slots = asyncio.Semaphore(self._slots)
            numbered = list(enumerate(self._checks))
            shared = [(n, check) for n, check in numbered if not check.facts.exclusive]
            shared.sort(key=lambda pair: not pair[1].facts.slow)
            async with asyncio.TaskGroup() as group:
                for number, check in shared:
                    group.create_task(self._in_slot(rig, check, number, slots))
            for number, check in numbered:
                if check.facts.exclusive:
                    await self._run(rig, check, number)

    async def _in_slot(self, rig: Rig, check: Check, number: int, slots: asyncio.Semaphore) -> None:
        if check.facts.slow:
            await self._run(rig, check, number)
            return
        async with slots:
            await self._run(rig, check, number)

    async def _run(self, rig: Rig, check: Check, number: int) -> None:
        if self._deadline_ms is not None and now_ms() > self._deadline_ms:
            self._results[check.id].set_exception(OutOfTime("the time for the run was spent"))
            return
        self._results[check.id].set_result(await run_check(rig, check, number))


async def run_check(rig: Rig, check: Check, number: int) -> Finished:
    """Run one check to its outcome; whatever it raises becomes one."""
    case = Case(rig, check.id, number)
    started = now_ms()
    error: Exception | None = None
    try:
        claim(rig.target, check.requirement)
        async with asyncio.timeout(check.facts.limit_s):
            await check.function(case=case, **check.parameters)
    except TimeoutError as late:
        error = HarnessError(f"the check took longer than its {check.facts.limit_s:g} s") if not str(late) else late
    except Exception as raised:
        error = raised
    finally:
        await case.end()
    outcome, message = judge(error)
    duration_ms = now_ms() - started
    if outcome in (Outcome.FAIL, Outcome.HARNESS_ERROR):
        await _gather_evidence(case)
    return Finished(check, outcome, message, duration_ms, case.evidence, case.findings, error)


def claim(target: Target, requirement: Requirement) -> None:
    """Raise NotApplicable or Untestable unless the target claims the feature and gives every hook."""
    if requirement.feature not in target.features:
        raise NotApplicable(f"the target does not claim {requirement.feature}")
    missing = sorted(set(requirement.needs) - target.hooks)
    if missing:
        raise Untestable(f"the target gives no {', '.join(missing)}")


async def _gather_evidence(case: Case) -> None:
    """Complete the three lanes of a failed check, as far as they can still be had."""
    try:
        async with asyncio.timeout(8):
            if case.rig.fleet is not None:
                await case.upstream(wait_ms=500)
            if case.rig.admin is not None and case.owner is not None:
                await case.books(case.owner)
    except (Exception, TimeoutError) as error:
        case.evidence.note("client", "the evidence is incomplete", f"{type(error).__name__}: {error}")
