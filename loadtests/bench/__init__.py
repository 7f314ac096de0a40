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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from loadtests.bench import lateness, rates
from loadtests.bench.client import Failed
from loadtests.bench.lateness import Lateness
from loadtests.bench.rates import Against, Rate, against
from loadtests.bench.subjects import questions
from loadtests.bench.wires import ANSWER_TOKENS, WIRES
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
    parser.add_argument("--no-peers", action="store_true", help="do not install and measure others (npm, PyPI)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    started = time.monotonic()
    try:
        run = uvloop.run(_measure(options.rounds, options.window, options.streams, not options.no_peers))
    except (LoadError, Failed) as error:
        print(f"windtunnel bench: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 3)
    run.took_s = time.monotonic() - started
    print(json.dumps(as_json(run), indent=2) if options.json else text(run))
    return 1 if options.check and not run.reached else 0


@dataclass(slots=True)
class Run:
    """All that one run found."""

    rates: list[Rate]
    lateness: list[Lateness]
    missing: dict[str, str]  # peers that could not be measured, and why
    took_s: float = 0.0

    @property
    def against(self) -> list[Against]:
        """Ours against the peers."""
        return against(self.rates)

    @property
    def reached(self) -> bool:
        """Whether every target was."""
        punctual = all(one.fleet["p99_ms"] <= lateness.P99_MS for one in self.lateness)
        fast = all(rate.reached is not False for rate in self.rates)
        return punctual and fast and all(one.reached for one in self.against)


async def _measure(rounds: int, window_s: float, streams: int, with_peers: bool) -> Run:
    with tempfile.TemporaryDirectory(prefix="windtunnel-bench-") as name:
        folder = Path(name)
        with questions(folder, with_peers) as prepared:
            measured = await rates.measure(prepared.questions, rounds, window_s, progress())
        late = [await lateness.measure(folder, wire, streams) for wire in WIRES.values()] if streams else []
    return Run(measured, late, prepared.missing)


def progress() -> Callable[[str], None]:
    """Says on stderr what is being measured, when that is a terminal."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def machine() -> str:
    """Where this was measured."""
    return f"{os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}"


def as_json(run: Run) -> dict[str, Any]:
    """Everything, as data."""
    return {
        "machine": machine(),
        "took_s": round(run.took_s, 1),
        "rates": [_row(rate) for rate in run.rates],
        "against": [{**asdict(one), "reached": one.reached} for one in run.against],
        "lateness": [asdict(late) for late in run.lateness],
        "missing": run.missing,
    }


def _row(rate: Rate) -> dict[str, Any]:
    figures = asdict(rate)
    return {**figures.pop("cell"), **figures, "reached": rate.reached}


def text(run: Run) -> str:
    """The table."""
    head = (
        f"{'':<6}{'wire':<10}{'server':<11}{'answers/s':>10}{'events/s':>10}{'ratio':>8}{'per CPU':>9}   {'target':<12}"
    )
    lines = [
        f"Benchmark, {machine()}, answers of {ANSWER_TOKENS} tokens and more, {run.took_s:.0f} s",
        "",
        head + "CPU of client, server",
    ]
    for rate in run.rates:
        events = f"{rate.events_s:>10.0f}" if rate.events_s else f"{'':>10}"
        told = "" if rate.target is None else f">= {rate.target:<4g} {'ok' if rate.reached else 'MISSED'}"
        bound = "  (client-bound)" if rate.client_cpu > CLIENT_BOUND else ""
        lines.append(
            f"{rate.cell.mode:<6}{rate.cell.wire:<10}{rate.cell.subject:<11}{rate.answers_s:>10.0f}{events}"
            f"{rate.ratio:>8.2f}{rate.ratio_cpu:>9.2f}   {told:<12}"
            f"{rate.client_cpu:>10.0%}{rate.server_cpu:>8.0%}{bound}"
        )
    return "\n".join([*lines, *_against_lines(run), *_lateness_lines(run.lateness)])


def _against_lines(run: Run) -> list[str]:
    """Ours against the peers, and who could not be measured."""
    lines = []
    for one in run.against:
        due = "" if one.target is None else f">= {one.target:<4g} {'ok' if one.reached else 'MISSED'}"
        lines.append(f"  {one.ours:<9}{one.peer:<9}{one.wire:<11}{one.mode:<6}{one.ratio:>6.1f}   {due}".rstrip())
    told = ["", "Ours against others: answers a second (json), events a second (sse)", *lines] if lines else []
    return [*told, *(line for peer, why in run.missing.items() for line in ("", f"{peer} was not measured: {why}"))]


def _lateness_lines(lates: Sequence[Lateness]) -> list[str]:
    lines: list[str] = []
    for late in lates:
        lines += ["", f"Lateness of {late.streams} streams at {late.tokens_s:g} frames/s, {late.wire}, ms"]
        for who, told_by, share in (("fleet", late.fleet, late.fleet_cpu), ("client", late.client, late.client_cpu)):
            if told_by is not None:
                lines.append(
                    f"  by the {who + ':':<9} p50 {told_by['p50_ms']:.1f}  p99 {told_by['p99_ms']:.1f}  "
                    f"max {told_by['max_ms']:.1f}   ({told_by['frames']:.0f} frames, CPU {share:.0%})"
                )
    return lines
