"""`python -m simulator`: the fake provider fleet on one port."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from simulator import edge, providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import Flawed
from simulator.rules import scenario
from simulator.runtime import Runtime, tame_collector
from simulator.server import bind
from simulator.workers import supervisor
from simulator.workers.supervisor import Place, WorkerLost

PORT = 8101
USAGE_ERROR, HARNESS_ERROR = 2, 3
REDIS = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True)
class Options:
    """What every process of a fleet must know."""

    config: str
    scenarios: tuple[str, ...]
    fixtures: tuple[Path, ...]
    seed: int
    mode: str
    time_scale: float
    latency: str
    redis: str
    smtp_port: int | None  # None: no mail server

    def arguments(self) -> list[str]:
        """The same as a command line."""
        words = ["--config", self.config, "--seed", str(self.seed), "--clock", self.mode, "--latency", self.latency]
        words += ["--time-scale", repr(self.time_scale), "--redis", self.redis]
        words += ["--no-smtp"] if self.smtp_port is None else ["--smtp-port", str(self.smtp_port)]
        for name, paths in (("--scenario", self.scenarios), ("--fixtures", self.fixtures)):
            for path in paths:
                words += [name, str(path)]
        return words


def fail(message: str, code: int = USAGE_ERROR) -> NoReturn:
    """One line on stderr, and an exit code."""
    click.echo(f"fleet: {message}", err=True)
    raise SystemExit(code)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--config", "config_path", default=str(providers.FILE), metavar="FILE", help="Providers, as fleet.yaml.")
@click.option(
    "--scenario",
    "scenario_paths",
    metavar="FILE",
    multiple=True,
    help="A scenario file, or the name of a shipped one; several add up.",
)
@click.option(
    "--fixtures",
    "fixture_paths",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file or folder of canned answers, read again when it changes.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of every answer and every draw.")
@click.option("--clock", "mode", default="real", show_default=True, type=click.Choice(["real", "manual"]))
@click.option("--time-scale", default=1.0, show_default=True, type=float, help="Fleet seconds per real second.")
@click.option(
    "--latency",
    default="instant",
    show_default=True,
    type=click.Choice(["instant", "realistic"]),
    help="How fast models answer: at once, or as their profiles say.",
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes; above 1 needs Redis."
)
@click.option("--redis", default=REDIS, show_default=True, metavar="URL", help="What several workers share.")
@click.option(
    "--smtp-port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Of the mail server; 0 is any."
)
@click.option("--no-smtp", is_flag=True, help="No mail server.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON on stdout once ready.")
@click.option("--worker", "place", hidden=True, type=Place.read, help="Which of several workers this process is.")
def fleet(
    host: str,
    port: int,
    config_path: str,
    scenario_paths: tuple[str, ...],
    fixture_paths: tuple[Path, ...],
    seed: int,
    mode: str,
    time_scale: float,
    latency: str,
    workers: int,
    redis: str,
    smtp_port: int,
    no_smtp: bool,
    as_json: bool,
    place: Place | None,
) -> None:
    """Play the fake provider fleet until interrupted."""
    mail = None if no_smtp else smtp_port
    options = Options(config_path, scenario_paths, fixture_paths, seed, mode, time_scale, latency, redis, mail)
    try:
        if place is not None:
            _worker(options, place)
        elif workers > 1:
            _many(options, workers, host, port, as_json)
        else:
            _one(options, host, port, as_json)
    except Flawed as error:
        more = f" (and {len(error.flaws) - 1} more)" if len(error.flaws) > 1 else ""
        fail(f"{error.flaws[0]}{more}")
    except WorkerLost as error:
        fail(str(error), HARNESS_ERROR)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}")
    except ValueError as error:
        fail(str(error))


def _one(options: Options, host: str, port: int, as_json: bool) -> None:
    """The fleet in this process."""
    clock = Clock(options.mode, options.time_scale)
    outage = _outage(options)
    runtime = _runtime(options, clock, bind(host, port))
    _open_mail(runtime, options)
    told = {"fleet": runtime.describe()}
    tame_collector()
    with asyncio.Runner(loop_factory=runtime.loop_factory()) as runner:
        runner.run(runtime.serve(_ready(runtime, outage, lambda: _tell(told, as_json))))


def _worker(options: Options, place: Place) -> None:
    """One of the processes of a fleet."""
    from simulator.workers.keeper import KEEPER
    from simulator.workers.worker import Worker

    clock = Clock(options.mode, options.time_scale, start_ms=place.start_ms, zero_s=place.zero_s)
    outage = _outage(options)
    runtime = _runtime(options, clock, place.socket())
    if place.role.worker == KEEPER:
        _open_mail(runtime, options)
    told = {"fleet": runtime.describe()}
    tame_collector()

    async def serve() -> None:
        worker = Worker(runtime, place.role, options.redis)
        await worker.join()
        try:
            await runtime.serve(_ready(runtime, outage, lambda: _tell(told, as_json=True)))
        finally:
            await worker.leave()

    with asyncio.Runner(loop_factory=runtime.loop_factory()) as runner:
        runner.run(serve())


def _many(options: Options, workers: int, host: str, port: int, as_json: bool) -> None:
    """Several processes on one socket, which this one starts, watches and ends."""
    clock = Clock(options.mode, options.time_scale)  # only to see that it can be
    _outage(options)
    providers.load(options.config, DIALECTS, options.seed)
    supervisor.check_redis(options.redis)
    sock = bind(host, port)
    sock.listen(4096)
    place = Place.first(workers, sock, clock.now_ms(), edge.monotonic_s())
    try:
        with supervisor.Workers(options.arguments(), place) as running:
            _tell(running.ready(), as_json)
            running.wait()
    finally:
        supervisor.forget(options.redis, place.role)


def _runtime(options: Options, clock: Clock, sock: Any) -> Runtime:
    runtime = Runtime.open(options.config, clock, options.seed, sock, realistic=options.latency == "realistic")
    if options.fixtures:
        runtime.use_fixtures(options.fixtures)
    return runtime


def _open_mail(runtime: Runtime, options: Options) -> None:
    """Bind the mail server beside the fleet. Raises ValueError when its port cannot be had."""
    if options.smtp_port is None:
        return
    host = runtime.sock.getsockname()[0]
    try:
        runtime.use_mail(bind(host, options.smtp_port))
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"cannot take mail on {host}:{options.smtp_port} (--smtp-port): {why}") from None


def _outage(options: Options) -> scenario.Scenario | None:
    if not options.scenarios:
        return None
    return scenario.together([scenario.load(path) for path in options.scenarios])


def _ready(runtime: Runtime, outage: scenario.Scenario | None, tell: Callable[[], None]) -> Callable[[], None]:
    """What to do once the fleet can be reached: its timeline begins then."""

    def ready() -> None:
        if outage is not None:
            runtime.control.set_scenario(outage)
        tell()

    return ready


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(told), flush=True)
    elif sys.stderr.isatty():
        _greet(told["fleet"])


def _greet(told: dict[str, Any]) -> None:
    click.echo(f"Fleet on {told['base_url']}, control API at {told['control_url']}", err=True)
    for name, row in told["providers"].items():
        click.echo(f"  {name:<18} {row['region']:<11} {row['base_url']}  key {row['key']}", err=True)
        click.echo(f"  {'':<18} {', '.join(row['dialects'])}", err=True)
    for name, where in told["neighbours"].items():
        click.echo(f"  {name:<18} {where if isinstance(where, str) else ', '.join(where)}", err=True)
    if told["smtp"] is not None:
        click.echo(f"  {'smtp':<18} {told['smtp']['host']}:{told['smtp']['port']}", err=True)
    click.echo("Ctrl-C ends it.", err=True)


if __name__ == "__main__":
    fleet()
