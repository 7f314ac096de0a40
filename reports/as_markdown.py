"""`summary.md`: the run in the length of a pull request comment."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.model import BAD, LABELS, Check, Requirement, Run, State
from reports.reproduce import reproduce
from reports.timeline import duration
from reports.verdict import conclude, plural

FAILURES_MAX = 25  # a comment longer than this is not read
LINE_CHARS = 200
MARKS = {"conformant": "✅", "partial": "🟡", "not_conformant": "❌", "invalid": "⚠️", "incomplete": "⚠️"}


def render_markdown(run: Run) -> str:
    """`summary.md`, ending in a newline."""
    broken = [r for r in run.requirements if r.state in BAD or r.state is State.HARNESS_ERROR]
    return (
        environment()
        .get_template("summary.md.j2")
        .render(
            run=run,
            conclusion=conclude(run),
            mark=MARKS[conclude(run).verdict.value],
            failures=[(r, worst(r), reproduce(run.argv, r.id)) for r in broken[:FAILURES_MAX]],
            more=max(0, len(broken) - FAILURES_MAX),
            waived=[check for check in run.checks if check.state is State.WAIVED],
            areas=[(name, found.checks) for name, found in run.areas.items() if found.checks_total],
            columns=[state for state in State if run.statistics.checks.get(state)],
        )
    )


def worst(requirement: Requirement) -> list[Check]:
    """The checks of `requirement` that are in its own, worst, state."""
    return [check for check in requirement.checks if check.state is requirement.state]


@cache
def environment() -> Environment:
    env = Environment(loader=PackageLoader("reports"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(line=line, duration=duration, code=code)
    env.globals.update(LABELS=LABELS, plural=plural)
    return env


def line(text: str) -> str:
    """`text` as one line that Markdown shows as it stands: no markup, HTML, mention or table cell breaks out of it."""
    flat = " ".join(text.split())
    if len(flat) > LINE_CHARS:
        flat = flat[: LINE_CHARS - 1] + "…"
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return escaped.replace("@", "@\u2060").replace("://", ":\u2060//")


def code(text: str) -> str:
    """`text` as an inline code span, whatever backticks or bars are in it."""
    flat = " ".join(text.split()).replace("|", "¦")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"
