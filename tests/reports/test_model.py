"""Events become requirements with states; nothing can hide a failure."""

from __future__ import annotations

import itertools

import pytest

from reports.events import LogError
from reports.model import SEVERITY, Outcome, Run, State
from tests.reports.conftest import Build
from tests.reports.sample import check, finished, requirement, started

STATE_OF = {
    (Outcome.PASS, False): State.PASS,
    (Outcome.PASS, True): State.STALE,
    (Outcome.FAIL, False): State.FAIL,
    (Outcome.FAIL, True): State.WAIVED,
    (Outcome.UNTESTABLE, False): State.UNTESTABLE,
    (Outcome.UNTESTABLE, True): State.WAIVED,
    (Outcome.NOT_APPLICABLE, False): State.NOT_APPLICABLE,
    (Outcome.NOT_APPLICABLE, True): State.NOT_APPLICABLE,
    (Outcome.HARNESS_ERROR, False): State.HARNESS_ERROR,
    (Outcome.HARNESS_ERROR, True): State.HARNESS_ERROR,
}


def test_the_sample_is_counted_by_state(run: Run) -> None:
    counts = run.statistics.checks
    assert counts[State.FAIL] == 5
    assert counts[State.STALE] == 1
    assert counts[State.UNTESTABLE] == 2
    assert counts[State.HARNESS_ERROR] == 1
    assert counts[State.WAIVED] == 2
    assert counts[State.NOT_APPLICABLE] == 7
    assert run.statistics.checks_total == sum(counts.values()) == len(run.checks)
    for state in State:
        assert sum(found.checks[state] for found in run.areas.values()) == counts[state]


@pytest.mark.parametrize(("outcome", "waived"), list(STATE_OF))
def test_outcome_and_waiver_make_the_state(build: Build, outcome: Outcome, waived: bool) -> None:
    run = build([started(), requirement("BIL-001"), check("BIL-001/a", outcome.value, waived=waived), finished(0)])
    assert run.checks[0].state is STATE_OF[outcome, waived]


def test_a_requirement_takes_its_worst_check(build: Build) -> None:
    for first, second in itertools.product(Outcome, Outcome):
        checks = [check("BIL-001/a", first.value), check("BIL-001/b", second.value)]
        run = build([started(), requirement("BIL-001"), *checks, finished(0)])
        worst = min((STATE_OF[first, False], STATE_OF[second, False]), key=SEVERITY.__getitem__)
        assert run.requirements[0].state is worst


def test_a_repeated_check_cannot_hide_its_failure(build: Build) -> None:
    for order in itertools.permutations(("pass", "fail", "not_applicable")):
        run = build([started(), requirement("BIL-001"), *(check("BIL-001/a", word) for word in order), finished(0)])
        assert [found.state for found in run.checks] == [State.FAIL]


def test_a_check_without_its_requirement_is_kept(build: Build) -> None:
    run = build([started(), check("XXX-009/a", "fail"), finished(1)])
    assert run.requirements[0].id == "XXX-009"
    assert "not in the catalogue" in run.requirements[0].text
    assert run.requirements[0].state is State.FAIL


def test_unchecked_requirements_are_not_run_or_excluded(build: Build) -> None:
    rows = [requirement("BIL-001"), requirement("OPS-001", excluded="An e-mail.")]
    run = build([started(), *rows, finished(0)])
    assert [found.state for found in run.requirements] == [State.NOT_RUN, State.EXCLUDED]


def test_reviewed_waivers_say_which_are_stale(build: Build) -> None:
    """A waiver over a whole requirement covers its passing checks too, so only the review can call it stale."""
    review = {"event": "waivers", "used": [], "stale": [{"id": "BIL-002", "reason": "old"}], "expired": []}
    log = [started(), requirement("BIL-001"), check("BIL-001/a", waived=True), review, finished(1)]
    run = build(log)
    assert run.checks[0].state is State.PASS
    assert [(waiver.id, waiver.fault) for waiver in run.bad_waivers] == [("BIL-002", "stale")]


def test_names_and_parameters_come_from_the_id(build: Build) -> None:
    run = build([started(), check("BIL-004/settles_to_usage[chat,stream]"), check("BIL-004/plain"), finished(0)])
    plain, settles = run.checks
    assert (plain.name, plain.parameters) == ("plain", ())
    assert (settles.name, settles.parameters) == ("settles to usage", ("chat", "stream"))


def test_transcripts_are_in_order_of_time(build: Build) -> None:
    rows = [
        {"at_ms": 5, "lane": "ledger", "title": "late", "detail": {"amount_uc": 3}},
        {"at_ms": 1, "lane": "client", "title": "early", "detail": None},
        {"at_ms": 5, "lane": "client", "title": "same moment"},
    ]
    moments = build([started(), check("BIL-004/a", lanes=rows), finished(0)]).checks[0].lanes
    assert [moment.title for moment in moments] == ["early", "late", "same moment"]
    assert '"amount_uc": 3' in moments[1].detail


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"event": "check_finished", "check": "A/b", "outcome": "maybe"}, "outcome 'maybe' is none of"),
        ({"event": "check_finished", "outcome": "pass"}, "'check' must be a non-empty string"),
        ({"event": "check_finished", "check": "A/b"}, "'outcome' must be a non-empty string"),
        ({"event": "requirement", "text": "no id"}, "'id' must be a non-empty string"),
    ],
)
def test_an_event_that_lacks_something_is_refused(build: Build, event: dict[str, object], message: str) -> None:
    with pytest.raises(LogError, match=message):
        build([started(), event])


def test_unknown_events_and_keys_are_passed_over(build: Build) -> None:
    run = build([started(later=1), {"event": "weather"}, check("BIL-001/a", mood="good"), finished(0)])
    assert [found.state for found in run.checks] == [State.PASS]
