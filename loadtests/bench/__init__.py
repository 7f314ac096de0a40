"""The benchmark: fleet and gateway against a bare uvicorn application, and the fleet's punctuality, all from one run.

Ratios, because absolute rates say more of the machine than of the code. `python -m loadtests.bench [--json]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from loadtests.bench import lateness, rates
from loadtests.bench.client import Failed
from loadtests.bench.lateness import Lateness
from loadtests.bench.rates import Rate
from loadtests.bench.subjects import ANSWER_TOKENS, questions
from loadtests.errors import LoadError

ROUNDS = 3
WINDOW_S = 0.9
CLIENT_BOUND = 0.9  # a client that uses more of a core than this may itself be what was measured


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print it. 0 whatever the figures, unless `--check`; 2 or 3 when it could not be run."""
    parser = argparse.ArgumentParser(prog="windtunnel bench", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds, each with a turn for every figure")
    parser.add_argument("--window", type=float, default=WINDOW_S, metavar="S", help="seconds of a turn")
    parser.add_argument("--streams", type=int, default=lateness.STREAMS, help="paced streams for the lateness; 0: none")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    started = time.monotonic()
    try:
        measured, late = uvloop.run(_measure(options.rounds, options.window, options.streams))
    except (LoadError, Failed) as error:
        print(f"windtunnel bench: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 3)
    took_s = time.monotonic() - started
    print(json.dumps(as_json(measured, late, took_s), indent=2) if options.json else text(measured, late, took_s))
    missed = any(rate.reached is False for rate in measured)
    return 1 if options.check and missed else 0


async def _measure(rounds: int, window_s: float, streams: int) -> tuple[list[Rate], Lateness | None]:
    with tempfile.TemporaryDirectory(prefix="windtunnel-bench-") as name:
        folder = Path(name)
        with questions(folder) as asked:
            measured = await rates.measure(asked, rounds, window_s, progress())
        late = await lateness.measure(folder, streams) if streams else None
    return measured, late


def progress() -> Callable[[str], None]:
    """Says on stderr what is being measured, when that is a terminal."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def machine() -> str:
    """Where this was measured."""
    return f"{os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}"


def as_json(measured: Sequence[Rate], late: Lateness | None, took_s: float) -> dict[str, Any]:
    """Everything, as data."""
    return {
        "machine": machine(),
        "took_s": round(took_s, 1),
        "rates": [_row(rate) for rate in measured],
        "lateness": None if late is None else asdict(late),
    }


def _row(rate: Rate) -> dict[str, Any]:
    figures = asdict(rate)
    return {**figures.pop("cell"), **figures, "reached": rate.reached}


def text(measured: Sequence[Rate], late: Lateness | None, took_s: float) -> str:
    """The table."""
    head = (
        f"{'':<6}{'wire':<10}{'server':<11}{'answers/s':>10}{'events/s':>10}{'ratio':>8}{'per CPU':>9}   {'target':<12}"
    )
    lines = [
        f"Benchmark, {machine()}, {ANSWER_TOKENS}-token answers, {took_s:.0f} s",
        "",
        head + "CPU of client, server",
    ]
    for rate in measured:
        events = f"{rate.events_s:>10.0f}" if rate.events_s else f"{'':>10}"
        told = "" if rate.target is None else f">= {rate.target:<4g} {'ok' if rate.reached else 'MISSED'}"
        bound = "  (client-bound)" if rate.client_cpu > CLIENT_BOUND else ""
        lines.append(
            f"{rate.cell.mode:<6}{rate.cell.dialect:<10}{rate.cell.subject:<11}{rate.answers_s:>10.0f}{events}"
            f"{rate.ratio:>8.2f}{rate.ratio_cpu:>9.2f}   {told:<12}"
            f"{rate.client_cpu:>10.0%}{rate.server_cpu:>8.0%}{bound}"
        )
    if late is not None:
        lines += ["", f"Lateness of {late.streams} streams at {late.tokens_s:g} tokens/s, ms"]
        for who, told_by, share in (("fleet", late.fleet, late.fleet_cpu), ("client", late.client, late.client_cpu)):
            lines.append(
                f"  by the {who + ':':<9} p50 {told_by['p50_ms']:.1f}  p99 {told_by['p99_ms']:.1f}  "
                f"max {told_by['max_ms']:.1f}   ({told_by['frames']:.0f} frames, CPU {share:.0%})"
            )
    return "\n".join(lines)
