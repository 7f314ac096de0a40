"""`python -m simulator`: the fake provider fleet on one port."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, NoReturn

import click

from simulator import providers, scenario
from simulator.clock import Clock
from simulator.faults import Flawed
from simulator.runtime import Runtime, tame_collector

PORT = 8101
USAGE_ERROR = 2


def fail(message: str) -> NoReturn:
    """One line on stderr and exit code 2."""
    click.echo(f"fleet: {message}", err=True)
    raise SystemExit(USAGE_ERROR)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--config", "config_path", default=str(providers.FILE), metavar="FILE", help="Providers, as fleet.yaml.")
@click.option("--scenario", "scenario_path", metavar="FILE", help="A scenario file, or the name of a shipped one.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of every answer and every draw.")
@click.option("--clock", "mode", default="real", show_default=True, type=click.Choice(["real", "manual"]))
@click.option("--time-scale", default=1.0, show_default=True, type=float, help="Fleet seconds per real second.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON on stdout once ready.")
def fleet(
    host: str,
    port: int,
    config_path: str,
    scenario_path: str | None,
    seed: int,
    mode: str,
    time_scale: float,
    as_json: bool,
) -> None:
    """Play the fake provider fleet until interrupted."""
    try:
        clock = Clock(mode, time_scale)
        outage = None if scenario_path is None else scenario.load(scenario_path)
        runtime = Runtime.open(config_path, clock, seed, host, port)
    except Flawed as error:
        more = f" (and {len(error.flaws) - 1} more)" if len(error.flaws) > 1 else ""
        fail(f"{error.flaws[0]}{more}")
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}")
    except ValueError as error:
        fail(str(error))
    told = {"fleet": runtime.describe()}

    def ready() -> None:
        if outage is not None:
            runtime.control.set_scenario(outage)  # its timeline begins when the fleet can be reached
        if as_json:
            print(json.dumps(told), flush=True)
        elif sys.stderr.isatty():
            _greet(told["fleet"])

    tame_collector()
    with asyncio.Runner(loop_factory=runtime.loop_factory()) as runner:
        runner.run(runtime.serve(ready))


def _greet(told: dict[str, Any]) -> None:
    click.echo(f"Fleet on {told['base_url']}, control API at {told['control_url']}", err=True)
    for name, row in told["providers"].items():
        click.echo(
            f"  {name:<14} {row['dialect']:<19} {row['region']:<11} {row['base_url']}  key {row['key']}", err=True
        )
    click.echo("Ctrl-C ends it.", err=True)


if __name__ == "__main__":
    fleet()
