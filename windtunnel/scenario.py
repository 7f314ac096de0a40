"""`windtunnel scenario`: the outages that ship with the fleet, and checking one of your own."""

from __future__ import annotations

from pathlib import Path

import click
import yaml
from rich.table import Table
from rich.text import Text

from windtunnel.errors import UsageProblem
from windtunnel.screen import complain, err, out, print_json

ENDINGS = (".yaml", ".yml", ".json")


def library() -> dict[str, Path]:
    """The scenarios that ship, by name."""
    import simulator

    folder = Path(simulator.__path__[0]) / "scenarios"
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS} if folder.is_dir() else {}


def find(name: Path) -> Path:
    """The file meant by a path or by the name of a shipped scenario. Raises UsageProblem."""
    if name.is_file():
        return name
    shipped = library()
    if str(name) in shipped:
        return shipped[str(name)]
    if name.is_dir():
        raise UsageProblem(f"{name} is a folder; a scenario file was due")
    names = ", ".join(shipped) or "none"
    raise UsageProblem(f"{name}: there is no such scenario file, and none that ships has that name ({names})")


def problems(path: Path) -> list[str]:
    """What is wrong with the scenario at `path`, one line each."""
    from simulator.scenario import check

    return [" ".join(str(problem).split()) for problem in check(path)]


def usable(name: Path) -> Path:
    """The file meant by `name`, absolute. Raises UsageProblem with its first problem when it has any."""
    path = find(name)
    found = problems(path)
    if found:
        more = f" (and {len(found) - 1} more: windtunnel scenario check {path})" if len(found) > 1 else ""
        raise UsageProblem(f"scenario {_named(path, found[0])}{more}")
    return path.absolute()


def _named(path: Path, problem: str) -> str:
    return problem if str(path) in problem else f"{path}: {problem}"


@click.group()
def scenario() -> None:
    """List, show and check scenario files."""


@scenario.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with every problem.")
def check_command(files: tuple[Path, ...], as_json: bool) -> int:
    """Check scenario files. Exit code 2 and one line per problem when something is wrong."""
    found: dict[str, list[str]] = {}
    for name in files:
        try:
            path = find(name)
            found[str(name)] = [_named(path, problem) for problem in problems(path)]
        except UsageProblem as error:
            found[str(name)] = [str(error)]
    wrong = [problem for lines in found.values() for problem in lines]
    if as_json:
        print_json({"files": [{"file": name, "problems": lines} for name, lines in found.items()]})
        return 2 if wrong else 0
    for problem in wrong:
        complain(problem, "windtunnel scenario check")
    for sound in (name for name, lines in found.items() if not lines):
        err().print(Text.assemble(("✓ ", "green"), sound))
    return 2 if wrong else 0


@scenario.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_command(as_json: bool) -> None:
    """List the scenarios that ship, each with the incident it reproduces."""
    rows = [(name, about(path)) for name, path in library().items()]
    if as_json:
        print_json({"scenarios": [{"name": name, "about": text} for name, text in rows]})
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for name, text in rows:
        table.add_row(Text(name, style="bold"), Text(text))
    out().print(table)


def about(path: Path) -> str:
    """The sentence that a scenario says of itself; empty when it says none or cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    return " ".join(str(content.get("about") or "").split()) if isinstance(content, dict) else ""


@scenario.command("show")
@click.argument("name", type=click.Path(path_type=Path))
def show_command(name: Path) -> None:
    """Print a scenario: a file, or one that ships."""
    click.echo(find(name).read_text(encoding="utf-8").rstrip())
