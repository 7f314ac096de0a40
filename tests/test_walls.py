"""The walls of the house: who may import whom, and where time, chance and ids may come from."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulator", "gateway", "suites", "mutants", "loadtests", "schemas", "reports", "windtunnel")
EDGES = {"simulator/edge.py", "gateway/edge.py", "suites/edge.py"}
HARNESS = ("loadtests/", "windtunnel/")  # they measure and wait by nature
FORBIDDEN = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
    ("time", "sleep"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("asyncio", "sleep"),
    ("uuid", "uuid4"),
    ("os", "urandom"),
}
FORBIDDEN_MODULES = {"secrets"}


def test_imports_keep_to_the_walls() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def edge_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each use of a real clock, sleep or source of ids."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in FORBIDDEN:
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (node.module, alias.name) in FORBIDDEN or node.module in FORBIDDEN_MODULES:
                    yield node.lineno, f"from {node.module} import {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in FORBIDDEN_MODULES:
                    yield node.lineno, f"import {alias.name}"


@pytest.mark.parametrize("path", list(sources()), ids=lambda p: str(p.relative_to(ROOT)))
def test_time_chance_and_ids_come_from_the_edge(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    if where in EDGES or where.startswith(HARNESS):
        return
    found = list(edge_calls(ast.parse(path.read_text())))
    assert not found, f"{where}: {found}; take them as arguments, or from the package's edge.py"
