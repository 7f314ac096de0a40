"""`windtunnel mutants`: break the reference gateway on purpose, and print which requirement notices which mutant."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from windtunnel.errors import HarnessProblem, UsageProblem
from windtunnel.screen import err, out, print_json
from windtunnel.signals import stoppable
from windtunnel.times import Duration

if TYPE_CHECKING:
    from windtunnel.kill import Job

OUT = Path("reports/out/mutants")
LIMIT_S = 600.0


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Only this mutant; may be repeated.")
@click.option("--all-checks", is_flag=True, help="Run every check on every mutant, not only those due to notice it.")
@click.option("--skip-baseline", is_flag=True, help="Do not check first that the unbroken gateway passes.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Mutants judged at the same time.")
@click.option(
    "--limit", "limit_s", type=Duration(), default=LIMIT_S, help="Longest time for one mutant. [default: 10m]"
)
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where it is left."
)
@click.option("--json", "as_json", is_flag=True, help="The kill matrix as one JSON document.")
def mutants(
    only: tuple[str, ...],
    all_checks: bool,
    skip_baseline: bool,
    jobs: int,
    limit_s: float,
    folder: Path,
    as_json: bool,
) -> int:
    """Break the reference gateway in one named way at a time; exit code 1 when no check notices.

    A mutant is killed for the right reason when a requirement that names it in `broken_by` fails.
    """
    from reports.kill_matrix import matrix_document, print_matrix, write_matrix
    from windtunnel import kill

    asked = select(only)
    is_first = not skip_baseline
    with stoppable():
        with progress(len(asked) + is_first) as step:
            matrix = kill.hunt(asked, jobs=jobs, all_checks=all_checks, baseline=is_first, limit_s=limit_s, step=step)
        try:
            write_matrix(matrix, folder, texts())
        except OSError as error:
            raise UsageProblem(f"--out {folder}: {(error.strerror or str(error)).lower()}") from error
        if as_json:
            print_json(matrix_document(matrix))
        else:
            print_matrix(matrix, out())
            err().print(Text(f"Kill matrix: {folder / 'kill_matrix.html'}", style="dim"), soft_wrap=True)
        return matrix.exit_code


def select(only: Sequence[str]) -> list[Job]:
    """The mutants asked for, each with the requirements that name it. Raises UsageProblem for an unknown name."""
    from mutants import REGISTRY, UnknownMutant, find
    from schemas.requirements import load
    from windtunnel.kill import Job

    expected: dict[str, list[str]] = {}
    for requirement in load().values():
        for name in requirement.broken_by:
            expected.setdefault(name, []).append(requirement.id)
    try:
        chosen = [find(name) for name in dict.fromkeys(only)] if only else list(REGISTRY.values())
    except UnknownMutant as error:
        raise UsageProblem(str(error)) from error
    if not chosen:
        raise HarnessProblem("there is no mutant to run")
    return [Job(mutant.name, mutant.about, tuple(expected.get(mutant.name, ()))) for mutant in chosen]


def texts() -> Mapping[str, str]:
    """The sentence of every requirement, by id."""
    from schemas.requirements import load

    return {requirement.id: requirement.text for requirement in load().values()}


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr when it is a terminal; call what it yields with the name of each mutant that is done."""
    console = err()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("mutants", total=total)

        def step(name: str) -> None:
            bar.update(task, advance=1, description=name)

        yield step
