"""From a run to one word, one sentence and one exit code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reports.model import BAD, Run, State


class Verdict(StrEnum):
    """What the run says of the target."""

    CONFORMANT = "conformant"
    PARTIAL = "partial"  # nothing failed, but something core was waived or never looked at
    NOT_CONFORMANT = "not_conformant"
    INVALID = "invalid"  # the harness failed or looked at nothing: says nothing of the target
    INCOMPLETE = "incomplete"  # the run stopped before its end


TITLES = {
    Verdict.CONFORMANT: "Conformant",
    Verdict.PARTIAL: "Conformant in part",
    Verdict.NOT_CONFORMANT: "Not conformant",
    Verdict.INVALID: "No verdict",
    Verdict.INCOMPLETE: "Incomplete",
}
EXIT_CODES = {
    Verdict.CONFORMANT: 0,
    Verdict.PARTIAL: 0,
    Verdict.NOT_CONFORMANT: 1,
    Verdict.INVALID: 3,
    Verdict.INCOMPLETE: 4,
}
BY_EXIT_CODE = {1: Verdict.NOT_CONFORMANT, 2: Verdict.INVALID, 3: Verdict.INVALID, 4: Verdict.INCOMPLETE}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The verdict, its title, and one sentence on why."""

    verdict: Verdict
    sentence: str

    @property
    def title(self) -> str:
        return TITLES[self.verdict]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


def conclude(run: Run) -> Conclusion:
    """The verdict on `run`: what its checks say, and never better than the exit code it ended with.

    A proven failure stands whatever else went wrong; a harness error voids only a run in which nothing failed.
    """
    verdict = _from_checks(run)
    if verdict in (Verdict.CONFORMANT, Verdict.PARTIAL) and run.exit_code:
        verdict = BY_EXIT_CODE.get(run.exit_code, Verdict.INVALID)
    return Conclusion(verdict, _sentence(run, verdict))


def _from_checks(run: Run) -> Verdict:
    core = [requirement for requirement in run.requirements if requirement.is_core]
    states = {check.state for requirement in core for check in requirement.checks}
    if states & BAD or run.bad_waivers:
        return Verdict.NOT_CONFORMANT
    if run.exit_code is None or run.exit_code == 4:
        return Verdict.INCOMPLETE
    if run.statistics.checks[State.HARNESS_ERROR] or not run.statistics.checks_executed:
        return Verdict.INVALID
    if states & {State.WAIVED} or any(requirement.state is State.NOT_RUN for requirement in core):
        return Verdict.PARTIAL
    return Verdict.CONFORMANT


def _sentence(run: Run, verdict: Verdict) -> str:
    checks = run.statistics.checks
    executed = run.statistics.checks_executed
    match verdict:
        case Verdict.CONFORMANT:
            advice = checks[State.FAIL]
            return (
                f"All {plural(executed, 'check')} pass."
                if not advice
                else (f"Every MUST holds; {plural(advice, 'check')} of SHOULD and MAY fail.")
            )
        case Verdict.PARTIAL:
            skipped = sum(1 for r in run.requirements if r.is_core and r.state is State.NOT_RUN)
            parts = [f"{plural(checks[State.WAIVED], 'failure')} waived"] if checks[State.WAIVED] else []
            parts += [f"{plural(skipped, 'requirement')} not run"] if skipped else []
            return f"Nothing fails, but {' and '.join(parts)}."
        case Verdict.NOT_CONFORMANT:
            return _failure_sentence(run)
        case Verdict.INVALID:
            if checks[State.HARNESS_ERROR]:
                broken = plural(checks[State.HARNESS_ERROR], "check")
                return f"{broken} broke in the harness itself. Run again before judging the target."
            return "No check looked at the target." if not executed else "The run ended with a harness error."
        case Verdict.INCOMPLETE:
            seen = plural(run.statistics.checks_total, "check")
            return f"The run stopped after {seen}. What it did not reach is unknown."


def _failure_sentence(run: Run) -> str:
    checks = run.statistics.checks
    worst = [r for r in run.requirements if r.state in BAD]
    words = {State.FAIL: "failed", State.STALE: "with a stale waiver", State.UNTESTABLE: "untestable"}
    parts = [f"{checks[state]} {name}" for state, name in words.items() if checks[state]]
    more = [f"{plural(len(run.bad_waivers), 'waiver')} stale or expired."] if run.bad_waivers else []
    if checks[State.HARNESS_ERROR]:
        more.append(f"{plural(checks[State.HARNESS_ERROR], 'more check')} broke in the harness.")
    if not parts:
        return " ".join(more) or "The run ended as not conformant."
    total, broken = plural(run.statistics.checks_total, "check"), plural(len(worst), "requirement")
    return " ".join([f"Of {total}: {', '.join(parts)}, in {broken}.", *more])


def plural(count: int, noun: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
