"""The page on official clients: every snippet runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Stack

PAGE = Path(__file__).parents[2] / "docs/clients.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(stack: Stack, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prints something for every call it makes."""
    names = {"FLEET": stack.fleet_url, "GATEWAY": stack.gateway_url, "KEY": stack.key}
    exec(compile(SNIPPETS[number], f"{PAGE.name}, snippet {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.count("\n") >= SNIPPETS[number].count("print(")
