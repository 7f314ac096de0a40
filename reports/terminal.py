"""A run in a terminal: verdict, counts, and every failure with its message."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.model import BAD, LABELS, Check, Requirement, Run, State
from reports.reproduce import reproduce
from reports.timeline import duration
from reports.verdict import Verdict, conclude, plural

STYLES = {
    State.FAIL: "red",
    State.STALE: "yellow",
    State.UNTESTABLE: "yellow",
    State.HARNESS_ERROR: "magenta",
    State.WAIVED: "blue",
    State.PASS: "green",
    State.NOT_APPLICABLE: "dim",
    State.NOT_RUN: "dim",
    State.EXCLUDED: "dim",
}
MARKS = {State.FAIL: "✗", State.STALE: "◷", State.UNTESTABLE: "?", State.HARNESS_ERROR: "!", State.PASS: "✓"}
VERDICT_STYLES = {
    Verdict.CONFORMANT: "bold green",
    Verdict.PARTIAL: "bold blue",
    Verdict.NOT_CONFORMANT: "bold red",
    Verdict.INVALID: "bold magenta",
    Verdict.INCOMPLETE: "bold yellow",
}
MESSAGE_LINES_MAX = 12


def print_summary(run: Run, console: Console) -> None:
    """Print what a person needs after a run: failures first, the verdict last, where the eye is."""
    for requirement in run.requirements:
        if requirement.state in BAD or requirement.state is State.HARNESS_ERROR:
            _print_failure(requirement, run, console)
    for waiver in run.bad_waivers:
        console.print(Text.assemble(("◷ ", "yellow"), (waiver.id, "bold"), f"  {waiver.fault} waiver: {waiver.reason}"))
    console.print(verdict(run))


def _print_failure(requirement: Requirement, run: Run, console: Console) -> None:
    """One broken requirement: its rule, its broken checks with their messages, and how to see it again."""
    head = f"{MARKS[requirement.state]} {requirement.id}"
    console.print(Text.assemble((head, f"bold {STYLES[requirement.state]}"), ("  " + requirement.text, "bold")))
    for check in requirement.checks:
        if check.state in BAD or check.state is State.HARNESS_ERROR:
            slug = check.id.removeprefix(check.requirement + "/")
            _print_in(console, 2, Text.assemble((slug, STYLES[check.state]), (f"  {LABELS[check.state]}", "dim")))
            for line in _message(check):
                _print_in(console, 4, Text(line))
    _print_in(console, 2, Text(f"$ {reproduce(run.argv, requirement.id)}", style="dim"))
    console.print()


def _print_in(console: Console, indent: int, text: Text) -> None:
    """Print `text` indented: folded under itself in a terminal, as one line into a pipe."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent), expand=False))
    else:
        console.print(Text(" " * indent) + text, soft_wrap=True)


def _message(check: Check) -> list[str]:
    lines = (check.waiver_reason if check.state is State.STALE else check.message.strip()).splitlines()
    left = len(lines) - MESSAGE_LINES_MAX
    return lines if left <= 0 else [*lines[:MESSAGE_LINES_MAX], f"… {plural(left, 'more line')}"]


def verdict(run: Run) -> RenderableType:
    """The verdict, the counts behind it, and what was judged."""
    conclusion = conclude(run)
    counts = Text("  ").join(
        Text(f"{count} {LABELS[state]}", style=STYLES[state]) for state, count in run.statistics.checks.items() if count
    )
    facts = [run.target_name, plural(run.statistics.requirements_total, "requirement"), duration(run.duration_s * 1000)]
    facts += [f"seed {run.seed}"] if run.seed is not None else []
    return Group(
        Text.assemble((conclusion.title, VERDICT_STYLES[conclusion.verdict]), f". {conclusion.sentence}"),
        counts,
        Text(" · ".join(facts), style="dim"),
    )


def area_table(run: Run) -> Table:
    """Checks by area and state."""
    states = [state for state, count in run.statistics.checks.items() if count]
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("area")
    for state in states:
        table.add_column(LABELS[state], justify="right")
    for name, found in sorted(run.areas.items()):
        if found.checks_total:
            cells = (Text(str(found.checks[s] or ""), style=STYLES[s]) for s in states)
            table.add_row(name, *cells)
    return table
