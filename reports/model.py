"""The run as a report sees it: requirements joined with their checks, each in one state.

An *outcome* is what a check found. A *state* is what the report makes of it: a failure under a waiver is `waived`, a
waiver over a check that passes is `stale`, a requirement nobody looked at is `not_run`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from reports.events import Event, EventLog, LogError


class Outcome(StrEnum):
    """What one check found."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"  # the target does not claim the feature
    UNTESTABLE = "untestable"  # a needed hook is missing: counts as not conformant
    HARNESS_ERROR = "harness_error"  # our own fault, never the target's


class State(StrEnum):
    """What the report says of a check or requirement, worst first: the order decides which one a requirement takes."""

    FAIL = "fail"
    STALE = "stale"
    UNTESTABLE = "untestable"
    HARNESS_ERROR = "harness_error"
    WAIVED = "waived"
    PASS = "pass"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"
    EXCLUDED = "excluded"


SEVERITY = {state: rank for rank, state in enumerate(State)}
BAD = frozenset({State.FAIL, State.STALE, State.UNTESTABLE})  # what makes a target not conformant
LABELS: Mapping[State, str] = {
    State.FAIL: "failed",
    State.STALE: "stale waiver",
    State.UNTESTABLE: "untestable",
    State.HARNESS_ERROR: "harness error",
    State.WAIVED: "waived",
    State.PASS: "passed",
    State.NOT_APPLICABLE: "not applicable",
    State.NOT_RUN: "not run",
    State.EXCLUDED: "excluded",
}
LANES = ("client", "upstream", "ledger")


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a transcript: what a lane saw, `at_ms` after the check began."""

    at_ms: float
    lane: str  # one of LANES
    title: str
    detail: str


@dataclass(frozen=True)
class Check:
    """One finished check, e.g. `BIL-004/settles_to_usage[chat,stream]`."""

    id: str
    requirement: str
    outcome: Outcome
    waived: bool = False
    waiver_reason: str = ""
    message: str = ""
    duration_ms: float = 0.0
    lanes: tuple[Moment, ...] = ()
    curl: tuple[str, ...] = ()

    @cached_property
    def state(self) -> State:
        if self.waived and self.outcome is Outcome.PASS:
            return State.STALE
        if self.waived and self.outcome in (Outcome.FAIL, Outcome.UNTESTABLE):
            return State.WAIVED
        return State(self.outcome.value)

    @cached_property
    def name(self) -> str:
        """The slug in words: `settles to usage`."""
        return self._parts[0].replace("_", " ")

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The case in brackets: `("chat", "stream")`."""
        return tuple(part for part in self._parts[1].split(",") if part)

    @cached_property
    def _parts(self) -> tuple[str, str]:
        slug, _, rest = self.id.removeprefix(self.requirement + "/").partition("[")
        return slug, rest.removesuffix("]")

    @cached_property
    def reason(self) -> str:
        """The first line of the message, for tables."""
        return next((line.strip() for line in self.message.splitlines() if line.strip()), "")


@dataclass(frozen=True)
class Requirement:
    """One sentence of the contract and the checks that decided it."""

    id: str
    level: str
    text: str
    source: str = ""
    area: str = ""
    feature: str = ""
    needs: tuple[str, ...] = ()
    broken_by: tuple[str, ...] = ()
    excluded: str = ""  # why nothing can check it
    checks: tuple[Check, ...] = ()

    @property
    def is_core(self) -> bool:
        """Whether conformance hangs on it; SHOULD and MAY are advice."""
        return self.level.upper().startswith(("MUST", "SHALL", "REQUIRED"))

    @cached_property
    def state(self) -> State:
        if self.checks:
            return min((check.state for check in self.checks), key=SEVERITY.__getitem__)
        return State.EXCLUDED if self.excluded else State.NOT_RUN


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many checks and requirements are in each state."""

    checks: Mapping[State, int]
    requirements: Mapping[State, int]

    @classmethod
    def of(cls, requirements: Iterable[Requirement]) -> Statistics:
        found = list(requirements)
        checks = Counter(check.state for requirement in found for check in requirement.checks)
        return cls(_all_states(checks), _all_states(Counter(requirement.state for requirement in found)))

    @property
    def checks_total(self) -> int:
        return sum(self.checks.values())

    @property
    def checks_executed(self) -> int:
        """Checks that looked at the target, whatever they found."""
        return sum(self.checks[state] for state in (State.PASS, State.FAIL, State.STALE, State.WAIVED))

    @property
    def checks_claimed(self) -> int:
        """Checks of features that the target claims."""
        return self.checks_total - self.checks[State.NOT_APPLICABLE]

    @property
    def requirements_total(self) -> int:
        return sum(self.requirements.values())


def _all_states(counts: Mapping[State, int]) -> dict[State, int]:
    return {state: counts.get(state, 0) for state in State}


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver that fails the run: `stale` (nothing fails under it) or `expired`."""

    id: str
    reason: str
    expires: str
    fault: str


@dataclass(frozen=True)
class Run:
    """One conformance run. `exit_code` is None when the log ends before the run did."""

    version: str
    target: Mapping[str, Any]
    profile: str
    seed: int | None
    started_at: str
    argv: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    exit_code: int | None
    duration_s: float
    digest: str = ""
    notes: tuple[str, ...] = ()
    bad_waivers: tuple[Waiver, ...] = ()

    @property
    def target_name(self) -> str:
        return str(self.target.get("name") or "unnamed target")

    @property
    def checks(self) -> list[Check]:
        return [check for requirement in self.requirements for check in requirement.checks]

    @cached_property
    def statistics(self) -> Statistics:
        return Statistics.of(self.requirements)

    @cached_property
    def areas(self) -> dict[str, Statistics]:
        """Statistics per area, in order of first appearance."""
        names = dict.fromkeys(requirement.area for requirement in self.requirements)
        return {name: Statistics.of(r for r in self.requirements if r.area == name) for name in names}


def build_run(log: EventLog) -> Run:
    """The run told by `log`. Raises LogError when an event lacks what its kind requires.

    A check told twice keeps its worse outcome, so that a repetition cannot hide a failure. A check of a requirement
    that the log does not list gets a requirement of its own, named as such.
    """
    by_kind: dict[str, list[Event]] = {}
    for event in log.events:
        by_kind.setdefault(event["event"], []).append(event)
    started = log.events[0]
    finished = by_kind.get("run_finished", [{}])[-1]
    review = by_kind.get("waivers", [None])[-1]
    requirements = _join(by_kind.get("requirement", []), by_kind.get("check_finished", []), reviewed=review is not None)
    exit_code = finished.get("exit_code")
    target = started.get("target")
    spent_s = sum(check.duration_ms for requirement in requirements for check in requirement.checks) / 1000
    return Run(
        version=str(started.get("version", "")),
        target=target if isinstance(target, dict) else {"name": str(target or "")},
        profile=str(started.get("profile") or ""),
        seed=started.get("seed"),
        started_at=str(started.get("started_at") or ""),
        argv=tuple(str(word) for word in started.get("argv") or ()),
        requirements=requirements,
        exit_code=None if exit_code is None else int(exit_code),
        duration_s=float(finished.get("duration_s") or spent_s),
        digest=log.digest,
        notes=tuple(str(event.get("text", "")) for event in by_kind.get("note", [])),
        bad_waivers=tuple(
            _waiver(row, fault) for fault in ("stale", "expired") for row in (review or {}).get(fault) or ()
        ),
    )


def _join(rows: Iterable[Event], finished: Iterable[Event], *, reviewed: bool) -> tuple[Requirement, ...]:
    """The requirements in order of id, each with its checks.

    `reviewed`: the runner told which waivers are stale, so a waiver over a single passing check says nothing more.
    """
    listed: dict[str, Event] = {}
    for row in rows:
        listed.setdefault(_due(row, "id"), row)
    checks: dict[str, dict[str, Check]] = {}
    for event in finished:
        check = _check(event)
        if reviewed and check.waived and check.outcome is Outcome.PASS:
            check = replace(check, waived=False)
        siblings = checks.setdefault(check.requirement, {})
        known = siblings.get(check.id)
        if known is None or SEVERITY[check.state] < SEVERITY[known.state]:
            siblings[check.id] = check
    for name in sorted(checks.keys() - listed.keys()):
        listed[name] = {"event": "requirement", "id": name, "text": "This requirement is not in the catalogue."}
    return tuple(_requirement(row, checks.get(name, {})) for name, row in sorted(listed.items()))


def _waiver(row: Event, fault: str) -> Waiver:
    return Waiver(str(row.get("id", "")), str(row.get("reason") or ""), str(row.get("expires") or ""), fault)


def _due(event: Event, key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not value:
        raise LogError(f"event {event['event']}: {key!r} must be a non-empty string, got {value!r}")
    return value


def _check(event: Event) -> Check:
    outcome = _due(event, "outcome")
    try:
        known = Outcome(outcome)
    except ValueError as error:
        raise LogError(f"check {event.get('check')}: outcome {outcome!r} is none of {', '.join(Outcome)}") from error
    identity = _due(event, "check")
    return Check(
        id=identity,
        requirement=str(event.get("requirement") or identity.partition("/")[0]),
        outcome=known,
        waived=bool(event.get("waived")),
        waiver_reason=str(event.get("waiver_reason") or ""),
        message=str(event.get("message") or ""),
        duration_ms=float(event.get("duration_ms") or 0.0),
        lanes=_lanes(event.get("lanes") or ()),
        curl=tuple(str(line) for line in event.get("curl") or ()),
    )


def _lanes(rows: Iterable[Event]) -> tuple[Moment, ...]:
    """The transcript in order of time; what was seen at the same moment stays in order of telling."""
    moments = [
        Moment(
            float(row.get("at_ms") or 0.0),
            str(row.get("lane") or ""),
            str(row.get("title") or ""),
            _text(row.get("detail")),
        )
        for row in rows
    ]
    return tuple(sorted(moments, key=lambda moment: moment.at_ms))


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _requirement(row: Event, checks: Mapping[str, Check]) -> Requirement:
    identity = _due(row, "id")
    return Requirement(
        id=identity,
        level=str(row.get("level") or "MUST"),
        text=str(row.get("text") or ""),
        source=str(row.get("source") or ""),
        area=str(row.get("area") or re.split(r"[-/]", identity)[0]),
        feature=_words(row.get("feature") or row.get("features")),
        needs=_list(row.get("needs")),
        broken_by=_list(row.get("broken_by")),
        excluded=str(row.get("excluded") or ""),
        checks=tuple(checks[name] for name in sorted(checks)),
    )


def _list(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def _words(value: Any) -> str:
    return ", ".join(_list(value))
