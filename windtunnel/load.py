"""`windtunnel load`, `windtunnel audit` and `windtunnel bench`: measurements, and the bill behind them."""

from __future__ import annotations

from pathlib import Path

import click

from windtunnel.errors import UsageProblem
from windtunnel.signals import stoppable
from windtunnel.targets import read_target
from windtunnel.times import Duration

OUT = Path("reports/out/load")


@click.command()
@click.argument("scenario")
@click.option("--users", type=click.IntRange(1), default=50, show_default=True, help="Most calls in flight at once.")
@click.option("--time", "time_s", type=Duration(), default=30.0, help="How long, e.g. 90s or 2m. [default: 30s]")
@click.option("--rate", "rate_hz", type=click.FloatRange(0, min_open=True), help="Calls a second. [default: users/2]")
@click.option(
    "--target", type=click.Path(path_type=Path), help="A target file. Default: a fleet and gateway of its own."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every draw.")
@click.option("--processes", type=click.IntRange(1), help="Worker processes on this machine.")
@click.option("--master", "role", flag_value="master", help="Be the master of workers on other machines.")
@click.option("--worker", "role", flag_value="worker", help="Work for a master on another machine.")
@click.option("--master-host", default="127.0.0.1", show_default=True, help="Where a worker finds its master.")
@click.option("--master-port", type=click.IntRange(1, 65535), help="The port they meet at.")
@click.option("--expect-workers", type=click.IntRange(1), default=1, show_default=True, help="Workers a master awaits.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Where results are left.")
@click.option("--json", "as_json", is_flag=True, help="The results as one JSON document.")
def load(
    scenario: str,
    users: int,
    time_s: float,
    rate_hz: float | None,
    target: Path | None,
    seed: int,
    processes: int | None,
    role: str | None,
    master_host: str,
    master_port: int | None,
    expect_workers: int,
    out: Path,
    as_json: bool,
) -> int:
    """Put a gateway under the load SCENARIO (billing), then audit every credit of it."""
    import loadtests

    if scenario not in loadtests.SCENARIOS:
        raise UsageProblem(f"no load is called {scenario!r}; there is {', '.join(loadtests.SCENARIOS)}")
    if role and processes:
        raise UsageProblem("--processes is its own master; it cannot be joined with --master or --worker")
    with stoppable():
        return loadtests.run(
            scenario,
            users=users,
            time_s=time_s,
            target=read_target(target) if target else None,
            processes=processes,
            out=out,
            seed=seed,
            as_json=as_json,
            rate_hz=rate_hz,
            role=role,
            master_host=master_host,
            master_port=master_port,
            expect_workers=expect_workers,
        )


@click.command()
@click.option(
    "--target", type=click.Path(path_type=Path), help=f"A target file. Default: {OUT}/target.json, the last load's."
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON document.")
def audit(target: Path | None, as_json: bool) -> int:
    """Recompute the bill from the fleet's journal and the price list; compare with ledger and usage log."""
    from loadtests import audit as audits

    last = OUT / "target.json"
    if target is None and not last.is_file():
        raise UsageProblem(f"name a --target: there is no {last} of an earlier load")
    return audits.main(read_target(target or last), as_json=as_json)


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds, each with a turn for every figure.")
@click.option("--window", "window_s", type=Duration(), help="Length of a turn.")
@click.option("--streams", type=click.IntRange(0), help="Paced streams to measure lateness with; 0 for none.")
@click.option("--no-peers", is_flag=True, help="Do not install and measure other simulators (npm).")
@click.option("--check", is_flag=True, help="Exit code 1 when a target is missed.")
@click.option("--json", "as_json", is_flag=True, help="The results as one JSON document.")
def bench(
    rounds: int | None, window_s: float | None, streams: int | None, no_peers: bool, check: bool, as_json: bool
) -> int:
    """Measure fleet and gateway as a ratio to a bare server, and how late the fleet sends."""
    from loadtests import bench as benches

    given = {"--rounds": rounds, "--window": window_s, "--streams": streams}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    switches = {"--no-peers": no_peers, "--check": check, "--json": as_json}
    with stoppable():
        return benches.main([*words, *(name for name, is_on in switches.items() if is_on)])
