"""What a check may find, and who is to blame when it raises.

    Violation       the target broke the rule                  -> fail
    NotApplicable   the target does not claim the feature      -> not_applicable
    Untestable      a needed hook is missing                   -> untestable (counts as not conformant)
    anything else   our own mistake, or the fleet is gone      -> harness_error

An `assert` written in a check speaks of the target. One that fails in our own modules does not.
"""

from __future__ import annotations

import traceback
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What one check found."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"
    UNTESTABLE = "untestable"
    HARNESS_ERROR = "harness_error"


class Violation(AssertionError):
    """The target broke the rule under test. The message says what came and what was due."""


class NotApplicable(Exception):
    """The target does not claim what the check is about."""


class Untestable(Exception):
    """The target gives no hook that the check needs."""


class HarnessError(Exception):
    """Our own fault or the fleet's: nothing is said of the target."""


def is_check_module(filename: str) -> bool:
    """Whether code in `filename` states verdicts: the modules of checks are named test_*.py."""
    return Path(filename).name.startswith("test_")


def judge(error: BaseException | None) -> tuple[Outcome, str]:
    """The outcome that a check ended with, and its message."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return judge(error.exceptions[0])
    match error:
        case None:
            return Outcome.PASS, ""
        case Violation():
            return Outcome.FAIL, str(error)
        case NotApplicable():
            return Outcome.NOT_APPLICABLE, str(error)
        case Untestable():
            return Outcome.UNTESTABLE, str(error)
        case AssertionError() if _raised_in_check(error):
            return Outcome.FAIL, _words(error)
        case _:
            return Outcome.HARNESS_ERROR, f"{type(error).__name__}: {error}\n{_trail(error)}"


def _raised_in_check(error: AssertionError) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and is_check_module(frames[-1].filename)


def _words(error: AssertionError) -> str:
    """The check's own words, and what was compared; not where pytest found the values."""
    words = str(error).partition("\n +")[0].strip()
    return words or f"assertion failed: {traceback.extract_tb(error.__traceback__)[-1].line}"


def _trail(error: BaseException) -> str:
    """Where it came from, innermost last, without the runner's own frames."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return "\n".join(f"  {Path(f.filename).name}:{f.lineno} {f.name}: {f.line}" for f in frames)
