"""`windtunnel conform`: the conformance suite against one gateway."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from windtunnel import version
from windtunnel.errors import UsageProblem
from windtunnel.screen import err, out, print_json
from windtunnel.signals import stoppable
from windtunnel.times import Duration

if TYPE_CHECKING:
    from reports.model import Run
    from suites.runner import Options
    from suites.stores import Stores

OUT = Path("reports/out")


@click.command()
@click.option("--target", type=click.Path(path_type=Path), help="A target file. Default: fleet and reference gateway.")
@click.option("--url", help="Base URL of a gateway of which nothing else is known.")
@click.option("--key", help="A key for it.")
@click.option("--profile", help="What to check it for. [default: the target's own, else hypereal]")
@click.option("--only", multiple=True, metavar="ID|AREA", help="Only this requirement, area or check; may be repeated.")
@click.option("--waivers", type=click.Path(path_type=Path), help="Known failures, each with reason and expiry.")
@click.option("--out", "folder", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Report folder.")
@click.option("--seed", type=int, help="Seed of a fleet started for this run.")
@click.option("--concurrency", type=click.IntRange(1), default=24, show_default=True, help="Checks at the same time.")
@click.option("--max-time", "max_time_s", type=Duration(), help="Begin no check after this long, e.g. 5m; exit code 4.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes of the reference gateway; needs the next two.")
@click.option("--database", help="PostgreSQL server for the reference gateway: a database of its own is made there.")
@click.option("--redis", help="Redis for the reference gateway, which gets a prefix of its own.")
@click.option("--json", "as_json", is_flag=True, help="Verdict, counts and failures as one JSON document.")
def conform(
    target: Path | None,
    url: str | None,
    key: str | None,
    profile: str | None,
    only: tuple[str, ...],
    waivers: Path | None,
    folder: Path,
    seed: int | None,
    concurrency: int,
    max_time_s: float | None,
    workers: int | None,
    database: str | None,
    redis: str | None,
    as_json: bool,
) -> int:
    """Check a gateway against the API reference and write a report.

    Without --target or --url the reference gateway is started on the fake fleet, on free ports: one process on SQLite,
    or with --database and --redis so many --workers on those.
    """
    from suites.runner import Options

    if target and url:
        raise UsageProblem("--target and --url both say what to judge; give one of them")
    if key and not (target or url):
        raise UsageProblem("--key is of a gateway that --target or --url names")
    stores = own_stores(workers, database, redis)
    if stores and (target or url):
        raise UsageProblem("--workers, --database and --redis are of the reference gateway, not of --target or --url")
    options = Options(
        target_file=target,
        url=url,
        key=key,
        profile=profile,
        only=only,
        waivers=waivers,
        out=folder,
        seed=seed,
        concurrency=concurrency,
        max_time_s=max_time_s,
        stores=stores,
        name="reference gateway" if stores is None else f"reference gateway, {stores.workers} workers on PostgreSQL",
        argv=("windtunnel", *without_key(sys.argv[1:])),
        version=version(),
        quiet=as_json,
    )
    return judge(options, as_json=as_json)


def own_stores(workers: int | None, database: str | None, redis: str | None) -> Stores | None:
    """Where the reference gateway keeps its data; None: one process on SQLite. Raises UsageProblem."""
    from suites.stores import Stores

    if workers is None and database is None and redis is None:
        return None
    if database is None or redis is None:
        raise UsageProblem("--workers, --database and --redis go together: several processes need both servers")
    return Stores(database, redis, workers or 1)


def judge(options: Options, *, as_json: bool) -> int:
    """Run the suite and tell what came of it. The exit code is the runner's."""
    from reports import load_run
    from reports.terminal import print_summary
    from suites import runner

    clear(options.out)
    with stoppable():
        code = runner.run(options)
        if code == 2:
            return code
        run = load_run(options.out)
        if as_json:
            print_json(outcome(run, code, options.out))
        else:
            print_summary(run, out())
            err().print(Text.assemble(("Report: ", "dim"), str(options.out / "report.html")), soft_wrap=True)
    return code


def clear(folder: Path) -> None:
    """Remove the report of an earlier run, so that none is taken for this one's. Raises UsageProblem."""
    from reports import FILES
    from reports.events import LOG_NAME

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LOG_NAME, *FILES):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
    except OSError as error:
        raise UsageProblem(f"--out {folder}: {(error.strerror or str(error)).lower()}") from error


def without_key(words: list[str]) -> list[str]:
    """A command line whose `--key` is not repeated where reports would show it."""
    kept: list[str] = []
    for word in words:
        secret = bool(kept) and kept[-1] == "--key"
        kept.append("***" if secret else "--key=***" if word.startswith("--key=") else word)
    return kept


def outcome(run: Run, code: int, folder: Path) -> dict[str, Any]:
    """What `--json` prints: the verdict, the counts, each failure, and where the report is."""
    from reports import FILES
    from reports.as_json import report_document
    from reports.events import LOG_NAME

    document = report_document(run)
    failures = [
        {"requirement": requirement["id"], "check": check["id"], "state": check["state"], "message": check["message"]}
        for requirement in document["requirements"]
        for check in requirement["checks"]
        if check["state"] in ("fail", "stale", "untestable", "harness_error")
    ]
    return {
        "exit_code": code,
        **{name: document[name] for name in ("verdict", "target", "run", "statistics", "areas")},
        "failures": failures,
        "waivers": document["waivers"],
        "files": {name: str(folder / name) for name in (LOG_NAME, *FILES)},
    }
