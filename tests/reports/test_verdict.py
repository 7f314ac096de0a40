"""The verdict follows from the checks and is never better than the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from reports.model import Run
from reports.verdict import EXIT_CODES, Verdict, conclude
from tests.reports.conftest import Build
from tests.reports.sample import check, finished, requirement, started

PASS, FAIL = check("BIL-001/a"), check("BIL-001/b", "fail")
WAIVED = check("BIL-001/c", "fail", waived=True, waiver_reason="known")
STALE = check("BIL-001/d", "pass", waived=True)
BROKEN = check("BIL-001/e", "harness_error")
UNTESTABLE = check("BIL-001/f", "untestable")
UNCLAIMED = check("BIL-001/g", "not_applicable")
BAD_WAIVER = {"event": "waivers", "expired": [{"id": "BIL-009", "reason": "old", "expires": "2026-01-01"}]}


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([PASS, finished(0)], Verdict.CONFORMANT),
        ([PASS, UNCLAIMED, finished(0)], Verdict.CONFORMANT),
        ([PASS, FAIL, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, FAIL, finished(0)], Verdict.NOT_CONFORMANT),
        ([PASS, FAIL, BROKEN, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, UNTESTABLE, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, STALE, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, BAD_WAIVER, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, finished(1)], Verdict.NOT_CONFORMANT),
        ([PASS, WAIVED, finished(0)], Verdict.PARTIAL),
        ([PASS, requirement("BIL-002"), finished(0)], Verdict.PARTIAL),
        ([PASS, requirement("OPS-001", excluded="no"), finished(0)], Verdict.CONFORMANT),
        ([PASS, requirement("BIL-002", level="SHOULD"), finished(0)], Verdict.CONFORMANT),
        ([PASS, BROKEN, finished(3)], Verdict.INVALID),
        ([PASS, BROKEN, finished(0)], Verdict.INVALID),
        ([UNCLAIMED, finished(0)], Verdict.INVALID),
        ([finished(0)], Verdict.INVALID),
        ([PASS, finished(3)], Verdict.INVALID),
        ([PASS, finished(4)], Verdict.INCOMPLETE),
        ([PASS], Verdict.INCOMPLETE),
        ([PASS, FAIL], Verdict.NOT_CONFORMANT),
    ],
)
def test_the_verdict(build: Build, events: list[dict[str, Any]], verdict: Verdict) -> None:
    conclusion = conclude(build([started(), requirement("BIL-001"), *events]))
    assert conclusion.verdict is verdict
    assert conclusion.exit_code == EXIT_CODES[verdict]
    assert conclusion.sentence.endswith(".")


def test_a_failing_should_is_advice(build: Build) -> None:
    run = build([started(), requirement("BIL-001", level="SHOULD"), PASS, FAIL, finished(0)])
    conclusion = conclude(run)
    assert conclusion.verdict is Verdict.CONFORMANT
    assert conclusion.sentence == "Every MUST holds; 1 check of SHOULD and MAY fail."


def test_the_sample_says_how_much_fails(run: Run) -> None:
    assert conclude(run).sentence == (
        "Of 116 checks: 5 failed, 1 with a stale waiver, 2 untestable, in 7 requirements. "
        "1 more check broke in the harness."
    )
