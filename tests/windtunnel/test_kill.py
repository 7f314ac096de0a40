"""How mutants are judged, with a bench that finds what a test says. Real ones: tests/mutants/test_kills.py."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

import pytest

from reports.kill_matrix import MutantResult
from suites.conductor import Check
from suites.processes import StartError
from windtunnel import kill
from windtunnel.kill import Bench, Found, Job, first_bug, judge

JOB = Job("settles_twice", "Every call is charged twice.", ("BIL-004",))


class FakeBench:
    """Finds what it was told to."""

    def __init__(self, found: Found | Exception) -> None:
        self._found = found

    def run(self, _name: str, _checks: Sequence[Check], _enough: Collection[str] = ()) -> Found:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


@pytest.fixture(scope="module")
def due() -> list[Check]:
    return kill.checks_for(kill.collect(), JOB.expected)


def judged(found: Found | Exception, due: list[Check], anyway: Collection[str] = ()) -> MutantResult:
    return judge(cast(Bench, FakeBench(found)), JOB, due, frozenset(anyway))


def test_a_failing_check_of_a_requirement_that_names_it_kills_it(due: list[Check]) -> None:
    result = judged(Found(failed={"BIL-004/a": "twice"}), due)
    assert (result.rightly, result.checks, result.messages) == (True, ("BIL-004/a",), {"BIL-004/a": "twice"})


def test_what_fails_anyway_does_not(due: list[Check]) -> None:
    result = judged(Found(failed={"BIL-004/a": "twice"}), due, anyway=["BIL-004/a"])
    assert (result.killed, result.error) == (False, "")


def test_a_check_that_broke_is_no_answer(due: list[Check]) -> None:
    result = judged(Found(broken={"BIL-004/a": "the fleet is gone"}), due)
    assert (result.killed, result.error) == (False, "BIL-004/a: the fleet is gone")


def test_a_gateway_that_stumbles_is_not_judged(due: list[Check]) -> None:
    result = judged(Found(failed={"BIL-004/a": "came 500"}, bug="KeyError: 'x'"), due)
    assert (result.killed, result.error) == (False, "the gateway stumbled: KeyError: 'x'")


def test_a_gateway_that_does_not_start_is_no_answer(due: list[Check]) -> None:
    assert judged(StartError("it ended with 1"), due).error == "it ended with 1"


def test_a_mutant_that_no_check_is_due_to_notice_is_no_answer() -> None:
    assert judged(Found(), []).error == "no check is due to notice it"


def test_the_first_bug_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text('{"at_ms":1,"level":"info","event":"call"}\nsomething else\n')
    assert first_bug(log) == ""
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x\nKeyError: 1\n'
    with log.open("a") as file:
        for event in ("bug", "sweep"):
            file.write(json.dumps({"level": "error", "event": event, "trace": trace}, separators=(",", ":")) + "\n")
    assert first_bug(log) == 'File "a.py", line 1, in f | x | KeyError: 1'
