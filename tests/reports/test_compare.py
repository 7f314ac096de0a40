"""What changed between two runs."""

from __future__ import annotations

import io
import itertools
from typing import Any

from rich.console import Console

from reports.compare import WORRYING, compare, comparison_document, print_comparison
from reports.model import Outcome, Run, State
from tests.reports.conftest import Build
from tests.reports.sample import check, events, finished, started


def of(build: Build, *checks: dict[str, Any]) -> Run:
    return build([started(), *checks, finished(0)])


def test_a_run_equals_itself(build: Build) -> None:
    found = compare(build(events()), build(events()))
    assert found.unchanged == 116
    assert not found.has_regressed
    assert not (found.regressed)
    assert not (found.fixed)
    assert not (found.lost)
    assert not (found.added)
    assert not (found.other)


def test_every_change_of_outcome_is_in_one_pile(build: Build) -> None:
    words = [*(outcome.value for outcome in Outcome), None]
    for before, after in itertools.product(words, words):
        if before == after:
            continue
        old, new = (of(build, *([check("BIL-001/a", word)] if word else [])) for word in (before, after))
        found = compare(old, new)
        piles = [found.regressed, found.fixed, found.lost, found.added, found.other]
        assert sum(len(pile) for pile in piles) == 1, (before, after)
        was_bad, is_bad = (word in {state.value for state in WORRYING} for word in (before, after))
        assert bool(found.regressed) == (is_bad and not was_bad), (before, after)


def test_a_pass_that_is_no_longer_looked_at_is_a_regression(build: Build) -> None:
    for after in ((), (check("BIL-001/a", "not_applicable"),)):
        found = compare(of(build, check("BIL-001/a")), of(build, *after))
        assert found.has_regressed
        assert len(found.lost) == 1


def test_a_fix_is_no_regression(build: Build) -> None:
    old, new = of(build, check("BIL-001/a", "fail")), of(build, check("BIL-001/a"))
    assert not compare(old, new).has_regressed
    assert [change.before for change in compare(old, new).fixed] == [State.FAIL]


def test_the_words_and_the_data_agree(build: Build) -> None:
    old = of(build, check("BIL-001/a"), check("BIL-001/b", "fail"))
    new = of(build, check("BIL-001/a", "fail", message="charged twice"), check("BIL-001/b"))
    console = Console(file=io.StringIO(), width=100)
    print_comparison(old, new, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Started failing (1)\n  BIL-001/a  passed → failed\n      charged twice" in text
    assert "Stopped failing (1)\n  BIL-001/b  failed → passed" in text
    document = comparison_document(old, new)
    assert document["has_regressed"]
    assert document["regressed"] == [
        {"check": "BIL-001/a", "before": "pass", "after": "fail", "message": "charged twice"}
    ]
