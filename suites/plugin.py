"""The pytest plugin: pytest collects, selects and reports the checks, the conductor runs them.

Without a conductor's target (`windtunnel conform` gives one) nothing is collected as a test.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from schemas.requirements import Requirement, load
from suites.conductor import Check, Conductor, Finished, OutOfTime
from suites.outcomes import Outcome
from suites.requirement import check_id, facts_of
from suites.target import Target


def is_wanted(check: str, requirement: Requirement, only: Sequence[str]) -> bool:
    """Whether `--only` asks for a check: by requirement, area, id prefix or glob. No pattern asks for all."""
    area = requirement.id.partition("-")[0]
    names = (check, check.partition("[")[0], requirement.id, area, requirement.area)
    return not only or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in only)


class Checks:
    """Turns collected functions into checks, and their outcomes into pytest's."""

    def __init__(
        self,
        target: Target,
        features: frozenset[str],
        on_finished: Callable[[Finished], None],
        *,
        only: Sequence[str] = (),
        concurrency: int = 24,
        max_time_s: float | None = None,
    ) -> None:
        self.target = target
        self.features = features
        self.on_finished = on_finished
        self.only = only
        self.concurrency = concurrency
        self.max_time_s = max_time_s
        self.known: list[str] = []  # ids of all checks, wanted or not
        self.unread: list[str] = []  # what could not be collected
        self.out_of_time = False
        self.planned = 0
        self._by_node: dict[str, Check] = {}
        self._conductor: Conductor | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the wanted checks, exclusive ones last."""
        wanted: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            check = self._check(item)
            self.known.append(check.id)
            asked = is_wanted(check.id, check.requirement, self.only) and check.requirement.feature in self.features
            (wanted if asked else dropped).append(item)
            if asked:
                self._by_node[item.nodeid] = check
        wanted.sort(key=lambda item: self._by_node[item.nodeid].facts.exclusive)
        config.hook.pytest_deselected(items=dropped)
        items[:] = wanted
        self.planned = len(wanted)

    def _check(self, item: pytest.Item) -> Check:
        if not isinstance(item, pytest.Function) or (facts := facts_of(item.function)) is None:
            raise pytest.UsageError(f"{item.nodeid}: a check must name its requirement with @requirement")
        requirement = load().get(facts.requirement)
        if requirement is None:
            raise pytest.UsageError(f"{item.nodeid}: there is no requirement {facts.requirement}")
        callspec = getattr(item, "callspec", None)
        parameters: dict[str, Any] = dict(callspec.params) if callspec is not None else {}
        return Check(self._unique(check_id(item.function, parameters)), requirement, facts, item.function, parameters)

    def _unique(self, identity: str) -> str:
        """The id, numbered when another check has it already (parameters that look alike once shortened)."""
        taken = set(self.known)
        candidates = (identity, *(f"{identity}~{number}" for number in range(2, 1000)))
        return next(candidate for candidate in candidates if candidate not in taken)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember modules that could not be read."""
        if report.failed:
            self.unread.append(str(report.longrepr))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start all checks."""
        checks = [self._by_node[item.nodeid] for item in session.items]
        self._conductor = Conductor(self.target, checks, self.concurrency, self.max_time_s)
        self._conductor.start()

    @pytest.fixture
    def case(self) -> None:
        """Stands for the `Case` that the conductor hands to a check."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Wait for the check's outcome."""
        assert self._conductor is not None, "checks are collected before they are called"
        try:
            finished = self._conductor.result(self._by_node[pyfuncitem.nodeid].id)
        except OutOfTime as late:
            self.out_of_time = True
            pytest.skip(str(late))
        self.on_finished(finished)
        if finished.outcome in (Outcome.NOT_APPLICABLE, Outcome.UNTESTABLE):
            pytest.skip(f"{finished.outcome}: {finished.message}")
        if finished.outcome is not Outcome.PASS:
            pytest.fail(finished.message, pytrace=False)
        return True

    def pytest_sessionfinish(self) -> None:
        """End what still runs."""
        if self._conductor is not None:
            self._conductor.stop()


def requirements_of(features: Iterable[str]) -> list[Requirement]:
    """The requirements that belong to any of these features."""
    wanted = frozenset(features)
    return [requirement for requirement in load().values() if requirement.feature in wanted]
