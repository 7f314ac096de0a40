"""`windtunnel report`: read a finished run again, and compare two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from windtunnel.errors import UsageProblem
from windtunnel.screen import out, print_json

if TYPE_CHECKING:
    from reports.model import Run


@click.group()
def report() -> None:
    """Show a report, or what changed between two."""


@report.command("show")
@click.argument("run", default="reports/out", type=click.Path(path_type=Path), metavar="[DIR|events.ndjson]")
@click.option("--areas", is_flag=True, help="Counts by area, too.")
@click.option("--write", is_flag=True, help="Write report.html and the other files again, beside the event log.")
@click.option("--json", "as_json", is_flag=True, help="The content of report.json.")
def show(run: Path, areas: bool, write: bool, as_json: bool) -> int:
    """Show the failures and the verdict of a run. The exit code is the run's verdict."""
    from reports.as_json import report_document
    from reports.events import find_log
    from reports.files import write_all
    from reports.terminal import area_table, print_summary
    from reports.verdict import conclude

    found = load(run)
    if write:
        write_all(find_log(run), find_log(run).parent)
    if as_json:
        print_json(report_document(found))
    else:
        console = out()
        if areas:
            console.print(area_table(found))
            console.print()
        print_summary(found, console)
    return conclude(found).exit_code


@report.command("diff")
@click.argument("before", type=click.Path(path_type=Path), metavar="A")
@click.argument("after", type=click.Path(path_type=Path), metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def diff(before: Path, after: Path, as_json: bool) -> int:
    """Show what started and what stopped failing from run A to run B. Exit code 1 when something regressed."""
    from reports.compare import compare, comparison_document, print_comparison

    old, new = load(before), load(after)
    if as_json:
        print_json(comparison_document(old, new))
    else:
        print_comparison(old, new, out())
    return 1 if compare(old, new).has_regressed else 0


def load(path: Path) -> Run:
    """The run at `path`. Raises UsageProblem."""
    from reports.events import LogError
    from reports.files import load_run

    try:
        return load_run(path)
    except LogError as error:
        raise UsageProblem(str(error)) from error
