"""`windtunnel scenario`: the outages that ship, checking your own, making one of a log, asking why nothing matched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
from rich.table import Table
from rich.text import Text

from windtunnel.errors import HarnessProblem, UsageProblem
from windtunnel.screen import complain, err, out, print_json
from windtunnel.times import Duration

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
    raise UsageProblem(f"{name}: there is no such scenario file, and none that ships has that name{_likely(name)}")


def _likely(name: Path) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.stem, library(), 3)
    return f" (perhaps {' or '.join(close)})" if close else " (windtunnel scenario list)"


def problems(path: Path) -> list[str]:
    """What is wrong with the scenario at `path`, one line each."""
    from simulator.rules.scenario import check

    return [" ".join(str(problem).split()) for problem in check(path)]


def warnings(path: Path, fleet: Path | None) -> list[str]:
    """What looks like a mistake in a sound scenario, given the providers of a fleet file. Raises UsageProblem."""
    from simulator import providers
    from simulator.dialects import DIALECTS
    from simulator.faults import Flawed
    from simulator.rules import scenario
    from simulator.rules.advice import advice

    try:
        rows = providers.load(fleet or providers.FILE, DIALECTS, 1)
    except Flawed as error:
        raise UsageProblem(str(error.flaws[0])) from error
    return advice(scenario.load(path), rows)


def usable(name: Path) -> Path:
    """The file meant by `name`, absolute. Raises UsageProblem with its first problem when it has any."""
    path = find(name)
    found = problems(path)
    if found:
        more = f" (and {len(found) - 1} more: windtunnel scenario check {path})" if len(found) > 1 else ""
        raise UsageProblem(f"scenario {found[0]}{more}")
    return path.absolute()


@click.group()
def scenario() -> None:
    """Scenario files: list and show those that ship, check your own, make one of a log, ask why nothing matched."""


@scenario.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The fleet's providers, as fleet.yaml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with every problem.")
def check_command(files: tuple[Path, ...], config: Path | None, as_json: bool) -> int:
    """Check scenario files. Exit code 2 and one line per problem when something is wrong; warnings cost nothing."""
    found: dict[str, list[str]] = {}
    odd: dict[str, list[str]] = {}
    for name in files:
        try:
            path = find(name)
            found[str(name)] = problems(path)
            odd[str(name)] = [] if found[str(name)] else [f"{path}: {line}" for line in warnings(path, config)]
        except UsageProblem as error:
            found[str(name)] = [str(error)]
    wrong = [problem for lines in found.values() for problem in lines]
    if as_json:
        rows = [{"file": name, "problems": lines, "warnings": odd.get(name, [])} for name, lines in found.items()]
        print_json({"files": rows})
        return 2 if wrong else 0
    for problem in wrong:
        complain(problem, "windtunnel scenario check")
    for line in (line for lines in odd.values() for line in lines):
        err().print(Text.assemble(("warning: ", "bold yellow"), line), soft_wrap=True)
    for sound in (name for name, lines in found.items() if not lines):
        err().print(Text.assemble(("✓ ", "green"), sound))
    return 2 if wrong else 0


@scenario.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_command(as_json: bool) -> None:
    """List the scenarios that ship: how long each lasts, whom it concerns, and the incident it reproduces."""
    from simulator.rules import outages

    found = outages.shipped()
    if as_json:
        print_json({"scenarios": [_row(each) for each in found]})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "lasts", "concerns", "reproduces"):
        table.add_column(title, header_style="dim", overflow="fold")
    for each in found:
        lasts = "open" if each.end_ms() is None else outages.length(each)
        table.add_row(Text(each.name, style="bold"), lasts, outages.concerns(each), Text(each.about))
    out().print(table)


def _row(found: Any) -> dict[str, Any]:
    from simulator.rules import outages

    end_ms = found.end_ms()
    return {
        "name": found.name,
        "about": found.about,
        "expect": found.expect,
        "sources": found.sources,
        "lasts_s": None if end_ms is None else end_ms / 1000,
        "concerns": outages.concerns(found).split(", "),
        "faults": outages.kinds(found),
    }


@scenario.command("show")
@click.argument("name", type=click.Path(path_type=Path))
def show_command(name: Path) -> None:
    """Print a scenario, a file or one that ships: its timeline, as comments, above its YAML."""
    from simulator.faults import Flawed
    from simulator.rules.scenario import load
    from windtunnel.timeline import draw

    path = find(name)
    try:
        lines = draw(load(path))
    except Flawed as error:
        lines = [f"cannot be drawn: {flaw}" for flaw in error.flaws]
    for line in lines:
        click.echo(f"# {line}".rstrip())
    click.echo()
    click.echo(path.read_text(encoding="utf-8").rstrip())


@scenario.command("from-log")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there, not to stdout.")
@click.option("--bucket", type=Duration(), default="60s", show_default=True, help="How long each stretch is.")
@click.option(
    "--columns", metavar="OURS=THEIRS,…", help="What the log calls provider, status, at, latency_ms, ttft_ms."
)
@click.option("--providers", metavar="THEIRS=OURS,…", help="What the fleet calls the providers of the log.")
@click.option("--name", default="from-log", show_default=True, help="Of the scenario.")
def from_log_command(
    file: Path, output: Path | None, bucket: float, columns: str | None, providers: str | None, name: str
) -> None:
    """Make a scenario of a gateway's usage log: the JSON of /api/api-usage, lines of it, or CSV. `-` reads stdin."""
    from simulator.faults import Flawed
    from simulator.rules.from_log import dump, read_log, to_scenario

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{file}: {getattr(error, 'strerror', None) or error}; a log was due") from error
    try:
        calls = read_log(text, _pairs("--columns", columns), _pairs("--providers", providers))
    except Flawed as error:
        raise UsageProblem(f"{file}: {'; '.join(map(str, error.flaws))}") from error
    made = dump(to_scenario(calls, bucket * 1000, name))
    if output is None:
        click.echo(made.rstrip())
        return
    try:
        output.write_text(made, encoding="utf-8")
    except OSError as error:
        raise UsageProblem(f"{output}: {error.strerror}; a place for the scenario was due") from error
    err().print(
        Text(f"{output}: {len(calls)} requests in stretches of {bucket:g} s; windtunnel up --scenario {output}")
    )


def _pairs(option: str, text: str | None) -> dict[str, str]:
    """`a=b,c=d` as a mapping. Raises UsageProblem."""
    found: dict[str, str] = {}
    for part in filter(None, (text or "").split(",")):
        name, mark, value = part.partition("=")
        if not (name.strip() and mark and value.strip()):
            raise UsageProblem(f"{option} {text}: {part!r} is no NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


@scenario.command("explain")
@click.option("--fleet", "url", required=True, metavar="URL", help="The fleet, or its control API.")
@click.option("--case", help="The case token of the requests; may end in `*`.")
@click.option("--n", "number", type=click.IntRange(1), help="The number of a journal entry, in place of a case.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def explain_command(url: str, case: str | None, number: int | None, as_json: bool) -> int:
    """Say why each rule hit a request, or the first selector that did not fit. Exit code 2: no such request."""
    from windtunnel.client import Refused, call

    if (case is None) == (number is None):
        raise UsageProblem("explain: either --case or --n was due")
    base = url.rstrip("/").removesuffix("/__fleet")
    asked = {"case": case} if case is not None else {"n": number}
    try:
        found = call("GET", f"{base}/__fleet/explain?{urlencode(asked)}")
    except Refused:
        raise
    except HarnessProblem as error:
        raise UsageProblem(f"--fleet {url}: {error}; the address of a running fleet was due") from error
    if as_json:
        print_json(found)
    for request in [] if as_json else found["requests"]:
        _print_request(request)
    if not found["requests"] and not as_json:
        which = f"of case {case}" if case is not None else f"number {number}"
        complain(f"the fleet saw no request {which}", "windtunnel scenario explain")
    return 0 if found["requests"] else 2


def _print_request(request: dict[str, Any]) -> None:
    met = ", ".join(request["faults"]) or "nothing"
    words = [f"#{request['n']}", request["case"] or "no case", request["provider"], request["model"] or "no model"]
    console = out()
    console.print(Text(f"{' · '.join(words)} · attempt {request['attempt']} · met {met}", style="bold"))
    width = max((len(rule["rule"]) for rule in request["rules"]), default=0)
    for rule in request["rules"]:
        mark = ("  ✓ ", "green") if rule["hit"] else ("  ✗ ", "dim")
        console.print(
            Text.assemble(mark, f"{rule['rule']:{width}}  ", (rule["why"], ""), (f"  ({rule['source']})", "dim"))
        )
    if not request["rules"]:
        console.print(Text("  no rules are in force", style="dim"))
