"""`python -m suites`: the runner without the rest of the house."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from suites.launch import GATEWAY_COMMAND
from suites.runner import Options, run


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m suites", description="Judge a gateway; without a target, the reference gateway."
    )
    parser.add_argument("--target", type=Path, metavar="FILE")
    parser.add_argument("--url")
    parser.add_argument("--key")
    parser.add_argument("--profile")
    parser.add_argument("--only", action="append", default=[], metavar="ID|AREA|GLOB")
    parser.add_argument("--waivers", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("reports/out"), metavar="DIR")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--concurrency", type=int, default=24)
    parser.add_argument("--max-time", type=float, metavar="SECONDS")
    parser.add_argument(
        "--gateway", nargs=argparse.REMAINDER, metavar="ARGV", help="command of the gateway to start; last option"
    )
    given = parser.parse_args()
    return run(
        Options(
            target_file=given.target,
            url=given.url,
            key=given.key,
            gateway=tuple(given.gateway or GATEWAY_COMMAND),
            profile=given.profile,
            only=tuple(given.only),
            waivers=given.waivers,
            out=given.out,
            seed=given.seed,
            concurrency=given.concurrency,
            max_time_s=given.max_time,
            argv=tuple(sys.argv[1:]),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
