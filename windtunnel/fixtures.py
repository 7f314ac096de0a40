"""`windtunnel fixtures`: checking canned answers without a server, and asking which of them a prompt would get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from windtunnel.errors import UsageProblem
from windtunnel.screen import complain, out, print_json

SOURCES = click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")


def problems(sources: tuple[Path, ...]) -> list[str]:
    """What is wrong with these files and folders, a line each."""
    from simulator.faults import Flawed
    from simulator.fixtures import files

    try:
        files.load(sources)
    except Flawed as error:
        return [str(flaw) for flaw in error.flaws]
    return []


def warnings(sources: tuple[Path, ...]) -> list[str]:
    """What is sound in them and yet cannot be meant."""
    from simulator import providers
    from simulator.dialects import DIALECTS
    from simulator.fixtures import files

    rows = providers.load(providers.FILE, DIALECTS, 1)
    known = {"provider": list(rows), "dialect": list(DIALECTS), "region": sorted({row.region for row in rows.values()})}
    return files.warnings(files.load(sources), known)


@click.group()
def fixtures() -> None:
    """Check canned answers, and ask which one a prompt would get."""


@fixtures.command("check")
@SOURCES
@click.option("--json", "as_json", is_flag=True, help="One JSON document with every problem and warning.")
def check_command(sources: tuple[Path, ...], as_json: bool) -> int:
    """Check fixture files and folders. Exit code 2 and one line per problem when something is wrong."""
    wrong = problems(sources)
    doubts = [] if wrong else warnings(sources)
    if as_json:
        print_json({"problems": wrong, "warnings": doubts})
        return 2 if wrong else 0
    for line in wrong:
        complain(line)
    for line in doubts:
        out().print(f"warning: {line}", markup=False, highlight=False, soft_wrap=True)
    if not wrong:
        from simulator.fixtures import files

        found = files.load(sources)
        out().print(f"{len(found)} fixture{'s' if len(found) != 1 else ''}: sound", highlight=False)
    return 2 if wrong else 0


@fixtures.command("match")
@SOURCES
@click.option("--prompt", required=True, help="What the user says.")
@click.option("--model", default="", help="The model asked for.")
@click.option("--system", default="", help="The system prompt.")
@click.option("--step", default=0, type=click.IntRange(0), help="How often the model has answered since.")
@click.option("--tool-result", default="", help="What the tools told last.")
def match_command(sources: tuple[Path, ...], prompt: str, model: str, system: str, step: int, tool_result: str) -> int:
    """Which fixture would answer, and what. Exit code 1 when none does."""
    wrong = problems(sources)
    if wrong:
        raise UsageProblem(wrong[0])
    from simulator.ask import Ask, Turn
    from simulator.fixtures import files
    from simulator.rules.selectors import Subject

    turns = [Turn("system", system)] if system else []
    turns += [Turn("user", prompt)]
    for number in range(step):
        last = number == step - 1
        turns += [Turn("assistant", ""), Turn("tool", tool_result if last else "", 1)]
    subject = Subject("", "", "", "generate", model or None, False, "POST", "", "", None, "")
    found = files.load(sources).find(subject, Ask("generate", model, tuple(turns)))
    if found is None:
        out().print("No fixture answers that; the fleet would answer freely.")
        return 1
    fixture, spec = found
    told: dict[str, Any] = {"fixture": fixture.name, "say": spec.say, "reasoning": spec.thought}
    told["calls"] = [{"name": call.name, "arguments": call.arguments} for call in spec.calls]
    print_json({name: value for name, value in told.items() if value})
    return 0
