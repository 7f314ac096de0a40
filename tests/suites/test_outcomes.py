"""Who is to blame for what a check raises."""

from __future__ import annotations

import pytest

from suites.outcomes import HarnessError, NotApplicable, Outcome, Untestable, Violation, is_check_module, judge


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.PASS),
        (Violation("came 3, due 4"), Outcome.FAIL),
        (NotApplicable("not claimed"), Outcome.NOT_APPLICABLE),
        (Untestable("no clock"), Outcome.UNTESTABLE),
        (HarnessError("the fleet is gone"), Outcome.HARNESS_ERROR),
        (KeyError("x"), Outcome.HARNESS_ERROR),
        (TimeoutError(), Outcome.HARNESS_ERROR),
        (ExceptionGroup("one", [Violation("inside")]), Outcome.FAIL),
        (ExceptionGroup("two", [Violation("a"), KeyError("b")]), Outcome.HARNESS_ERROR),
    ],
)
def test_outcome(error: BaseException | None, outcome: Outcome) -> None:
    assert judge(error)[0] is outcome


def raised_in(filename: str, source: str = "assert 1 == 2, 'came 1, due 2'") -> AssertionError:
    try:
        exec(compile(source, filename, "exec"), {})
    except AssertionError as error:
        return error
    raise LookupError("nothing was raised")


def test_assert_of_a_check_speaks_of_the_target() -> None:
    assert judge(raised_in("/x/suites/billing/test_charges.py")) == (Outcome.FAIL, "came 1, due 2")


def test_assert_of_our_own_does_not() -> None:
    assert judge(raised_in("/x/suites/case.py"))[0] is Outcome.HARNESS_ERROR


def test_assert_below_a_check_does_not() -> None:
    names: dict[str, object] = {}
    exec(compile("def helper():\n    assert False", "/x/suites/case.py", "exec"), names)
    with pytest.raises(AssertionError) as caught:
        exec(compile("helper()", "/x/suites/test_x.py", "exec"), names)
    assert judge(caught.value)[0] is Outcome.HARNESS_ERROR


def test_message_is_the_checks_own_words() -> None:
    message = judge(raised_in("test_x.py", "raise AssertionError('came 1\\nassert 1 == 2\\n +  where 1 = f()')"))[1]
    assert message == "came 1\nassert 1 == 2"


def test_bare_assert_shows_its_line() -> None:
    with pytest.raises(AssertionError) as caught:
        raise AssertionError
    assert judge(caught.value) == (Outcome.FAIL, "assertion failed: raise AssertionError")


@pytest.mark.parametrize(
    ("filename", "due"), [("/a/test_b.py", True), ("/a/case.py", False), ("/test_a/case.py", False)]
)
def test_check_modules(filename: str, due: bool) -> None:
    assert is_check_module(filename) is due
