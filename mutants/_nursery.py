"""`python -m mutants._nursery`: reads the gateway's code once, and forks a broken gateway for each line of stdin.

A line is JSON: {"name": the mutant, "argv": the gateway's arguments, "out": a FIFO for stdout, "log": a file for
stderr}; the answer is a line with the child's process id. A start takes a fraction of what `python -m mutants` takes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

import gateway.app
import gateway.server
import gateway.services
import gateway.storage.store
import gateway.upstreams.http1  # noqa: F401 - all of them are what a gateway reads when it starts
from gateway.__main__ import gateway as run_gateway
from mutants import REGISTRY, find


def main() -> None:
    """Serves until stdin ends. Children that end are not waited for."""
    assert len(REGISTRY), "the first look reads every mutant"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        sys.stdout.write(f"{fork(json.loads(line))}\n")
        sys.stdout.flush()


def fork(asked: dict[str, Any]) -> int:
    """Forks one gateway: its process id."""
    out = os.open(asked["out"], os.O_WRONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    child = os.fork()
    if not child:
        become(asked, out, log)
    os.close(out)
    os.close(log)
    return child


def become(asked: dict[str, Any], out: int, log: int) -> None:
    """The child: the gateway, broken in the way asked for. Does not return."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (log, 2)):
            os.dup2(source, target)
            os.close(source)
        find(asked["name"]).apply()
        run_gateway(asked["argv"], standalone_mode=False)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
