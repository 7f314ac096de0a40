"""Outcomes to exit codes."""

from __future__ import annotations

import pytest

from suites.outcomes import Outcome
from suites.verdict import Result, exit_code

MUST_PASS = Result("MUST", Outcome.PASS)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([MUST_PASS], 0),
        ([MUST_PASS, Result("SHOULD", Outcome.FAIL)], 0),
        ([MUST_PASS, Result("MUST", Outcome.FAIL)], 1),
        ([MUST_PASS, Result("MUST", Outcome.FAIL, waived=True)], 0),
        ([MUST_PASS, Result("MUST", Outcome.UNTESTABLE)], 1),
        ([MUST_PASS, Result("SHOULD", Outcome.UNTESTABLE)], 0),
        ([MUST_PASS, Result("MUST", Outcome.NOT_APPLICABLE)], 0),
        ([MUST_PASS, Result("MUST", Outcome.HARNESS_ERROR)], 3),
        ([Result("MUST", Outcome.FAIL), Result("MUST", Outcome.HARNESS_ERROR)], 1),
        ([Result("MUST", Outcome.NOT_APPLICABLE)], 3),
        ([], 3),
    ],
)
def test_exit_code(results: list[Result], code: int) -> None:
    assert exit_code(results) == code


def test_rotten_waivers_fail_the_run() -> None:
    assert exit_code([MUST_PASS], waivers_rot=True) == 1


def test_spent_time_is_told_unless_something_failed() -> None:
    assert exit_code([MUST_PASS], out_of_time=True) == 4
    assert exit_code([Result("MUST", Outcome.FAIL)], out_of_time=True) == 1
