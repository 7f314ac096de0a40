"""A sample of mutants, one of each area, really meets its checks: all are killed for the right reason, and only then.

The whole matrix is `windtunnel mutants`.
"""

from __future__ import annotations

import pytest

from reports.kill_matrix import KillMatrix, MutantResult
from suites.conductor import Check
from windtunnel import kill
from windtunnel.kill import Job
from windtunnel.mutants import select

SAMPLE = (
    "settles_twice",
    "reasoning_tokens_charged_twice",
    "unknown_key_accepted",
    "limit_off_by_one_high",
    "fallback_not_triggered_on_5xx",
    "done_marker_doubled",
    "error_body_has_code",
    "client_key_forwarded",
    "gpu_credits_rounded_down",
    "translated_usage_doubled",
)
MISJUDGED = Job("settles_twice", "Every call is charged twice, which no check of the limits can tell.", ("RTL-006",))
BROKEN = Job("no_such_mutant", "It does not start.", ("RTL-006",))


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    return kill.collect()


@pytest.fixture(scope="module")
def matrix(checks: list[Check]) -> KillMatrix:
    return kill.hunt(select(SAMPLE), jobs=2, checks=checks)


@pytest.mark.parametrize("name", SAMPLE)
def test_it_is_killed_by_a_requirement_that_names_it(matrix: KillMatrix, name: str) -> None:
    found = next(mutant for mutant in matrix.mutants if mutant.name == name)
    assert found.rightly, f"{found.error or 'it survived'}; due {found.expected}; failed {found.messages}"
    assert set(found.expected) <= set(found.requirements), "each requirement that names it notices it"


def test_the_unbroken_gateway_passes_the_same_checks(matrix: KillMatrix) -> None:
    assert matrix.baseline == ()


def test_a_mutant_that_no_check_notices_survives(checks: list[Check]) -> None:
    survivor, broken = kill.hunt([MISJUDGED, BROKEN], baseline=False, checks=checks).mutants
    assert (survivor.killed, survivor.error) == (False, "")
    assert "no mutant is called no_such_mutant" in broken.error


def test_what_the_unbroken_gateway_fails_too_kills_nothing(checks: list[Check]) -> None:
    due = kill.checks_for(checks, ("BIL-004",))
    job = Job("settles_twice", "Every call is charged twice.", ("BIL-004",))
    anyway = frozenset(check.id for check in due if "stream" in check.id)
    with kill.open_bench() as bench:
        found: MutantResult = kill.judge(bench, job, due, fails_anyway=anyway, whole=True)
    assert found.checks
    assert not anyway & set(found.checks)


def test_the_schema_layer_is_shown_what_it_looks_at(checks: list[Check]) -> None:
    shown = kill.checks_for(checks, ("SCH-002",))
    assert {check.requirement.id for check in shown} >= set(kill.SEEN_BY["chat_chunk"])
