"""`report.html`: one self-contained page, readable offline, on paper and without scripts.

The page carries a content security policy that forbids every request, and all text from the run goes through Jinja's
autoescaping: a transcript is what a stranger's gateway said.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.model import LABELS, LANES, SEVERITY, Check, Requirement, Run, State, Statistics
from reports.reproduce import reproduce
from reports.timeline import Timeline, duration, lay_out
from reports.verdict import conclude, plural

OPEN_REQUIREMENTS_MAX = 12  # beyond this many failures their transcripts start folded
BAR_ORDER = (
    State.PASS,
    State.WAIVED,
    State.HARNESS_ERROR,
    State.UNTESTABLE,
    State.STALE,
    State.FAIL,
    State.NOT_APPLICABLE,
)
DETAIL_CHARS = {State.PASS: 1000}
DETAIL_CHARS_DEFAULT = 6000
STATIC = frozenset({State.FAIL, State.STALE, State.HARNESS_ERROR})  # readable without scripts, and on paper
WORTH_A_LOOK = frozenset({State.UNTESTABLE, State.HARNESS_ERROR, State.WAIVED})
GROUPS: tuple[tuple[str, str, frozenset[State]], ...] = (
    ("Failing", "The target breaks these requirements.", frozenset({State.FAIL, State.STALE})),
    ("Untestable", "A hook the check needs is missing. This counts as not conformant.", frozenset({State.UNTESTABLE})),
    ("Harness errors", "These broke in the harness and say nothing of the target.", frozenset({State.HARNESS_ERROR})),
    ("Waived", "Known failures, excused by the waiver file until they expire.", frozenset({State.WAIVED})),
    ("Passing", "", frozenset({State.PASS})),
    ("Not run", "Part of the catalogue, left out of this run.", frozenset({State.NOT_RUN})),
    ("Not applicable", "The target does not claim these features.", frozenset({State.NOT_APPLICABLE})),
    ("Excluded", "What HTTP cannot show, with the reason.", frozenset({State.EXCLUDED})),
)


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check as the page shows it."""

    check: Check
    timeline: Timeline
    is_open: bool
    is_lazy: bool  # its evidence becomes part of the page when it is opened

    @property
    def rest(self) -> str:
        """The message after its first line, which the summary already shows."""
        return self.check.message.strip().partition("\n")[2].strip("\n")

    @property
    def has_more(self) -> bool:
        return bool(self.check.lanes or self.check.curl or self.rest)


@dataclass(frozen=True, slots=True)
class RequirementView:
    """A requirement as the page shows it, worst check first."""

    requirement: Requirement
    checks: tuple[CheckView, ...]
    is_open: bool
    command: str

    @property
    def passed(self) -> int:
        return sum(view.check.state is State.PASS for view in self.checks)


@dataclass(frozen=True, slots=True)
class Group:
    """One section of the list."""

    title: str
    about: str
    requirements: tuple[RequirementView, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A stretch of a stacked bar."""

    state: State
    count: int
    percent: float


def render_html(run: Run) -> str:
    """`report.html` as text."""
    script = source("report.js")
    conclusion = conclude(run)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            conclusion=conclusion,
            groups=list(groups(run)),
            shares=shares(run.statistics),
            areas=[(name, found, shares(found)) for name, found in sorted(run.areas.items()) if found.checks_total],
            states=[state for state in State if run.statistics.checks.get(state)],
            lanes=LANES,
            style=Markup(source("page.css") + source("report.css")),
            script=Markup(script),
            policy=content_policy(script),
        )
    )


def groups(run: Run) -> Iterator[Group]:
    """The sections of the list that have something in them, worst first."""
    broken = sum(requirement.state in GROUPS[0][2] for requirement in run.requirements)
    unfold = broken <= OPEN_REQUIREMENTS_MAX
    for title, about, states in GROUPS:
        members = sorted((r for r in run.requirements if r.state in states), key=lambda r: (SEVERITY[r.state], r.id))
        if members:
            is_open = states is GROUPS[0][2] or (states <= WORTH_A_LOOK and len(members) <= OPEN_REQUIREMENTS_MAX)
            yield Group(title, about, tuple(_requirement(r, run, is_open, unfold) for r in members))


def _requirement(requirement: Requirement, run: Run, is_open: bool, unfold: bool) -> RequirementView:
    ordered = sorted(requirement.checks, key=lambda check: SEVERITY[check.state])
    views = tuple(
        CheckView(
            check,
            lay_out(check.lanes, DETAIL_CHARS.get(check.state, DETAIL_CHARS_DEFAULT)),
            is_open=unfold and index == 0 and check.state is State.FAIL,
            is_lazy=not (unfold and check.state in STATIC),
        )
        for index, check in enumerate(ordered)
    )
    return RequirementView(requirement, views, is_open, reproduce(run.argv, requirement.id))


def shares(statistics: Statistics) -> list[Share]:
    """The stretches of the bar for these checks, good ones first."""
    total = statistics.checks_total or 1
    counted = [(state, statistics.checks[state]) for state in BAR_ORDER if statistics.checks[state]]
    return [Share(state, count, round(100 * count / total, 3)) for state, count in counted]


@cache
def environment() -> Environment:
    """The Jinja environment of all HTML pages: autoescaping, and an unknown name is an error."""
    env = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(duration=duration, words=words, moment=moment)
    env.globals.update(LABELS=LABELS, plural=plural)
    return env


def words(name: str) -> str:
    """`reply_schema` as `reply schema`."""
    return name.replace("_", " ")


def moment(text: str) -> str:
    """An ISO 8601 time for people: `2026-11-22 18:45:03 UTC`; what is none stays as it is."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return text
    return told.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if told.tzinfo else text.replace("T", " ")


def source(name: str) -> str:
    """The text of a file in `templates/`, as it stands."""
    env = environment()
    assert env.loader is not None
    return env.loader.get_source(env, name)[0]


def content_policy(script: str) -> str:
    """A policy that lets the page run its own script and fetch nothing at all."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ("default-src 'none'", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))
