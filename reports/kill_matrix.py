"""The kill matrix: which mutant fails which requirement. It is the proof that the checks can fail.

A mutant is *killed* when a check fails on it, and killed *for the right reason* when that check belongs to a
requirement that names the mutant in its `broken_by`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.files import write_whole
from reports.verdict import plural

SCHEMA = "windtunnel-kill-matrix/1"
BASELINE = "unbroken"  # the name of the row for the gateway as it is


@dataclass(frozen=True, slots=True)
class MutantResult:
    """What the checks made of one mutant."""

    name: str
    about: str = ""
    expected: tuple[str, ...] = ()  # requirements that name it in `broken_by`
    checks: tuple[str, ...] = ()  # ids of the checks that failed on it
    messages: Mapping[str, str] = field(default_factory=dict)  # check id -> what it said
    error: str = ""  # why nothing can be said: it did not start, or the harness broke
    duration_s: float = 0.0

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements whose checks failed."""
        return tuple(dict.fromkeys(check.partition("/")[0] for check in self.checks))

    @property
    def killed(self) -> bool:
        return bool(self.checks) and not self.error

    @property
    def rightly(self) -> bool:
        """Killed by a check of a requirement that was expected to."""
        return self.killed and bool(set(self.requirements) & set(self.expected))


@dataclass(frozen=True, slots=True)
class KillMatrix:
    """All mutants, and the checks that fail on the unbroken gateway (due: none)."""

    mutants: tuple[MutantResult, ...]
    baseline: tuple[str, ...] = ()
    version: str = ""
    duration_s: float = 0.0

    @property
    def survivors(self) -> tuple[MutantResult, ...]:
        return tuple(mutant for mutant in self.mutants if not mutant.killed and not mutant.error)

    @property
    def errors(self) -> tuple[MutantResult, ...]:
        return tuple(mutant for mutant in self.mutants if mutant.error)

    @property
    def stray(self) -> tuple[MutantResult, ...]:
        """Killed, but by no requirement that names them."""
        return tuple(mutant for mutant in self.mutants if mutant.killed and not mutant.rightly)

    @property
    def exit_code(self) -> int:
        """0: every mutant killed for the right reason. 1: one survived, or an unbroken gateway fails. 3: no answer."""
        if self.survivors or self.stray or self.baseline:
            return 1
        return 3 if self.errors or not self.mutants else 0

    @property
    def sentence(self) -> str:
        killed = sum(mutant.rightly for mutant in self.mutants)
        parts = [f"{killed} of {plural(len(self.mutants), 'mutant')} killed for the right reason"]
        parts += [f"{len(self.survivors)} survived"] if self.survivors else []
        parts += [f"{len(self.stray)} killed only by an unexpected requirement"] if self.stray else []
        parts += [f"{len(self.errors)} gave no answer"] if self.errors else []
        parts += [f"{plural(len(self.baseline), 'check')} fail on the unbroken gateway"] if self.baseline else []
        return ", ".join(parts) + "."


def matrix_document(matrix: KillMatrix) -> dict[str, Any]:
    """The matrix as plain data; the format is `schemas/report/kill_matrix.schema.json`."""
    return {
        "schema": SCHEMA,
        "version": matrix.version,
        "duration_s": round(matrix.duration_s, 3),
        "exit_code": matrix.exit_code,
        "sentence": matrix.sentence,
        "baseline": {"failed": list(matrix.baseline)},
        "mutants": [
            {
                "name": mutant.name,
                "about": mutant.about,
                "killed": mutant.killed,
                "rightly": mutant.rightly,
                "by": list(mutant.requirements),
                "checks": list(mutant.checks),
                "expected": list(mutant.expected),
                "messages": dict(mutant.messages),
                "error": mutant.error,
                "duration_s": round(mutant.duration_s, 3),
            }
            for mutant in matrix.mutants
        ],
    }


def read_matrix(document: Mapping[str, Any]) -> KillMatrix:
    """The matrix told by a document that `matrix_document` made."""
    mutants = tuple(
        MutantResult(
            name=row["name"],
            about=row.get("about", ""),
            expected=tuple(row.get("expected", ())),
            checks=tuple(row.get("checks", ())),
            messages=dict(row.get("messages", {})),
            error=row.get("error", ""),
            duration_s=float(row.get("duration_s", 0.0)),
        )
        for row in document["mutants"]
    )
    baseline = tuple(document.get("baseline", {}).get("failed", ()))
    return KillMatrix(mutants, baseline, str(document.get("version", "")), float(document.get("duration_s", 0.0)))


def render_matrix(matrix: KillMatrix, texts: Mapping[str, str] | None = None) -> str:
    """The matrix as one self-contained page: a row per mutant, a column per requirement.

    `texts`: the sentences of the requirements by id, for the columns' titles.
    """
    from markupsafe import Markup

    from reports.as_html import content_policy, environment, source

    columns = columns_of(matrix.mutants)
    ordered = sorted(matrix.mutants, key=lambda m: (m.rightly, m.killed, not m.error, m.expected, m.name))
    return (
        environment()
        .get_template("matrix.html.j2")
        .render(
            matrix=matrix,
            rows=ordered,
            columns=columns,
            texts=texts or {},
            style=Markup(source("page.css") + source("matrix.css")),
            policy=content_policy(""),
        )
    )


def columns_of(mutants: Iterable[MutantResult]) -> list[str]:
    """Every requirement that killed a mutant or should have, in order."""
    return sorted({name for mutant in mutants for name in (*mutant.requirements, *mutant.expected)})


def write_matrix(matrix: KillMatrix, folder: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write `kill_matrix.json` and `kill_matrix.html` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = orjson.dumps(matrix_document(matrix), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_whole(folder / "kill_matrix.json", document)
    write_whole(folder / "kill_matrix.html", render_matrix(matrix, texts).encode())


def print_matrix(matrix: KillMatrix, console: Console) -> None:
    """Print a line per mutant, survivors last, and one sentence."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("mutant", no_wrap=True)
    table.add_column("killed by", overflow="fold")
    for mutant in sorted(matrix.mutants, key=lambda m: (not m.rightly, not m.killed)):
        table.add_row(*_row(mutant))
    console.print(table)
    for check in matrix.baseline:
        console.print(Text.assemble(("✗ ", "red"), check, ("  fails on the unbroken gateway", "dim")))
    style = {0: "bold green", 1: "bold red"}.get(matrix.exit_code, "bold magenta")
    console.print(Text(matrix.sentence, style=style))


def _row(mutant: MutantResult) -> tuple[Text, Text, Text]:
    if mutant.error:
        return Text("!", "magenta"), Text(mutant.name), Text(mutant.error.splitlines()[0], "magenta")
    if not mutant.killed:
        due = ", ".join(mutant.expected) or "no requirement names it"
        return Text("✗", "red"), Text(mutant.name, "red"), Text(f"survived; due: {due}", "red")
    by = Text(", ").join(Text(name, "green" if name in mutant.expected else "dim") for name in _expected_first(mutant))
    if not mutant.rightly:
        by.append(f"  due: {', '.join(mutant.expected) or 'no requirement names it'}", "yellow")
        return Text("~", "yellow"), Text(mutant.name, "yellow"), by
    return Text("✓", "green"), Text(mutant.name), by


def _expected_first(mutant: MutantResult) -> list[str]:
    return sorted(mutant.requirements, key=lambda name: name not in mutant.expected)
