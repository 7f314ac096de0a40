"""The kill matrix: who noticed which mutant."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from reports.kill_matrix import KillMatrix, MutantResult, matrix_document, print_matrix, read_matrix, write_matrix
from tests.reports.test_as_html import Tree
from tests.reports.test_renderings import validator

KILLED = MutantResult("settles_twice", "It settles twice.", ("BIL-004",), ("BIL-004/a[chat]", "BIL-004/b", "OBS-001/c"))
SURVIVED = MutantResult("keeps_hold", "It keeps holds.", ("BIL-005",))
STRAY = MutantResult("no_ping", "It sends no ping.", ("STR-002",), ("OBS-001/c",))
ERROR = MutantResult("crashes", "It crashes.", ("CRS-001",), error="it did not start")


@pytest.mark.parametrize(
    ("matrix", "exit_code"),
    [
        (KillMatrix((KILLED,)), 0),
        (KillMatrix((KILLED, SURVIVED)), 1),
        (KillMatrix((KILLED, STRAY)), 1),
        (KillMatrix((KILLED,), baseline=("BIL-001/a",)), 1),
        (KillMatrix((KILLED, ERROR)), 3),
        (KillMatrix((SURVIVED, ERROR)), 1),
        (KillMatrix(()), 3),
    ],
)
def test_the_exit_code(matrix: KillMatrix, exit_code: int) -> None:
    assert matrix.exit_code == exit_code


def test_a_kill_counts_only_for_the_right_reason() -> None:
    assert (KILLED.killed, KILLED.rightly) == (True, True)
    assert (STRAY.killed, STRAY.rightly) == (True, False)
    assert (SURVIVED.killed, SURVIVED.rightly) == (False, False)
    assert (ERROR.killed, ERROR.rightly) == (False, False)
    assert KILLED.requirements == ("BIL-004", "OBS-001")


def test_the_document_fits_its_schema_and_reads_back(tmp_path: Path) -> None:
    matrix = KillMatrix((KILLED, SURVIVED, STRAY, ERROR), ("BIL-001/a",), "0.1.0", 3.5)
    write_matrix(matrix, tmp_path, {"BIL-004": "A rule."})
    document = json.loads((tmp_path / "kill_matrix.json").read_text())
    validator("kill_matrix").validate(document)
    assert document["mutants"][0]["by"] == ["BIL-004", "OBS-001"]
    assert matrix_document(read_matrix(document)) == document


def test_the_page_has_a_row_per_mutant_and_a_column_per_requirement(tmp_path: Path) -> None:
    write_matrix(KillMatrix((KILLED, SURVIVED, STRAY, ERROR)), tmp_path)
    page = Tree((tmp_path / "kill_matrix.html").read_text()).root
    heads = [head.content for head in page.all("thead")[0].all("th")]
    assert heads == ["Mutant", "BIL-004", "BIL-005", "CRS-001", "OBS-001", "STR-002"]
    rows = page.all("tbody")[0].all("tr")
    assert len(rows) == 4
    assert "keeps_hold" in rows[0].content or "crashes" in rows[0].content
    assert [len(row.all("td")) for row in rows] == [5] * 4
    last = rows[-1]
    assert "settles_twice" in last.content
    assert [bool(cell.children) for cell in last.all("td")] == [True, False, False, True, False]


def test_the_table_names_survivors_and_what_was_due() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_matrix(KillMatrix((SURVIVED, KILLED, STRAY)), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "survived; due: BIL-005" in text
    assert "1 of 3 mutants killed for the right reason, 1 survived, 1 killed only by an unexpected requirement." in text
    assert text.index("settles_twice") < text.index("keeps_hold")
