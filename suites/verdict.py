"""From outcomes to the exit code of a run.

0  every MUST holds           1  a MUST fails or cannot be tested, or a waiver is stale or expired
2  usage, target unreachable  3  our own error, or nothing was executed: nothing is said of the target
4  the time for the run was spent
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from suites.outcomes import Outcome

CONFORMANT, NOT_CONFORMANT, USAGE, HARNESS, SPENT = range(5)
EXECUTED = frozenset({Outcome.PASS, Outcome.FAIL})


@dataclass(frozen=True, slots=True)
class Result:
    """One check's outcome as far as the verdict needs it."""

    level: str  # of its requirement
    outcome: Outcome
    waived: bool = False


def exit_code(results: Iterable[Result], *, waivers_rot: bool = False, out_of_time: bool = False) -> int:
    """The exit code. A proven failure stands whatever else went wrong."""
    known = list(results)
    bad = (Outcome.FAIL, Outcome.UNTESTABLE)
    if waivers_rot or any(r.outcome in bad and r.level == "MUST" and not r.waived for r in known):
        return NOT_CONFORMANT
    if any(r.outcome is Outcome.HARNESS_ERROR for r in known):
        return HARNESS
    if out_of_time:
        return SPENT
    return CONFORMANT if any(r.outcome in EXECUTED for r in known) else HARNESS
