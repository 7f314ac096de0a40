"""A call's way along its chain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import chain
from gateway.chain import Failure, Policy, Run, Verdict

AGAIN = Failure(Verdict.RETRY, "503")
GONE = Failure(Verdict.NEXT, "401")
WRONG = Failure(Verdict.STOP, "400")


def walk(run: Run, *failures: Failure) -> list[str]:
    """The targets asked when the attempts fail like this, the last failure for ever."""
    asked = []
    step = run.first()
    while step is not None:
        asked.append(step.target)
        step = run.after(failures[min(len(asked), len(failures)) - 1], 0.5)
    return asked


def test_every_target_gets_one_retry() -> None:
    assert walk(Run(["a", "b", "c"], Policy()), AGAIN) == ["a", "a", "b", "b", "c", "c"]


def test_a_dead_account_gets_no_retry() -> None:
    assert walk(Run(["a", "b"], Policy()), GONE) == ["a", "b"]
    assert walk(Run(["a", "b"], Policy()), AGAIN, GONE, AGAIN) == ["a", "a", "b", "b"]


def test_a_wrong_request_ends_the_call() -> None:
    assert walk(Run(["a", "b"], Policy()), WRONG) == ["a"]


@given(st.integers(0, 4), st.integers(0, 4), st.lists(st.sampled_from([AGAIN, GONE]), min_size=1))
def test_the_number_of_attempts_is_bounded(targets: int, retries: int, failures: list[Failure]) -> None:
    asked = walk(Run([str(n) for n in range(targets)], Policy(retries=retries)), *failures)
    assert len(asked) <= targets * (1 + retries)
    assert asked == sorted(asked)


def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not() -> None:
    run = Run(["a", "b"], Policy(retry_after_max_s=2))
    run.first()
    step = run.after(Failure(Verdict.RETRY, "429", 429, retry_after_s=1.5), 0.0)
    assert step is not None
    assert (step.target, step.wait_s) == ("a", 1.5)
    step = run.after(Failure(Verdict.RETRY, "429", 429, retry_after_s=30), 0.0)
    assert step is not None
    assert (step.target, step.wait_s) == ("b", 0.0)
    step = run.after(Failure(Verdict.RETRY, "429", 429, retry_after_s=30), 0.0)
    assert step is None


@given(st.integers(1, 6), st.floats(0, 1, exclude_max=True))
def test_the_backoff_doubles_with_jitter(number: int, draw: float) -> None:
    most = 0.25 * 2 ** (number - 1)
    assert most / 2 <= chain.backoff_s(Policy(backoff_ms=250), number, draw) <= most


def test_the_next_target_is_asked_at_once() -> None:
    run = Run(["a", "b"], Policy(retries=0))
    run.first()
    step = run.after(AGAIN, 0.9)
    assert step is not None
    assert step.wait_s == 0.0


def test_open_breakers_are_passed_by() -> None:
    assert walk(Run(["a", "b"], Policy(), lambda target: target != "a"), AGAIN) == ["b", "b"]


def test_a_chain_with_every_breaker_open_is_tried_all_the_same() -> None:
    assert walk(Run(["a", "b"], Policy(), lambda _target: False), AGAIN) == ["a", "a", "b", "b"]


def test_a_breaker_that_opens_meanwhile_forbids_the_retry() -> None:
    opened: set[str] = set()
    run = Run(["a", "b"], Policy(), lambda target: target not in opened)
    run.first()
    opened.add("a")
    step = run.after(AGAIN, 0.0)
    assert step is not None
    assert step.target == "b"


def test_a_mended_request_goes_to_the_same_target_and_costs_no_retry() -> None:
    run = Run(["a"], Policy())
    run.first()
    assert run.again().target == "a"
    step = run.after(AGAIN, 0.0)
    assert step is not None
    assert step.number == 3
    assert run.attempts == 3
    assert run.after(AGAIN, 0.0) is None


def test_an_empty_chain_has_no_attempt() -> None:
    assert Run([], Policy()).first() is None


@pytest.mark.parametrize(
    ("status", "code", "message", "verdict"),
    [
        *((status, "", "", Verdict.RETRY) for status in (500, 502, 503, 504, 520, 529, 408, 429, 302)),
        *((status, "", "", Verdict.NEXT) for status in (401, 402, 403)),
        *((status, "", "", Verdict.STOP) for status in (400, 404, 409, 413, 422)),
        (429, "insufficient_quota", "", Verdict.NEXT),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", Verdict.NEXT),
        (429, "rate_limit_exceeded", "You exceeded your current quota, please check your plan", Verdict.NEXT),
        (400, "content_policy_violation", "refused", Verdict.STOP),
    ],
)
def test_verdicts(status: int, code: str, message: str, verdict: Verdict) -> None:
    assert chain.verdict_of(status, code, message) is verdict
