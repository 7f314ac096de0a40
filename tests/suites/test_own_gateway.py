"""A gateway of a check's own never outlives the check."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suites.own_gateway import OwnGateway

SLOW = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / "pid.new").write_text(str(os.getpid()))
(folder / "pid.new").rename(folder / "pid")
while not (folder / "go").exists():
    time.sleep(0.01)
print('{"gateway": {"base_url": "http://gateway", "admin_url": "http://gateway", "admin_token": "x"}}', flush=True)
time.sleep(60)
"""


def wait_for(path: Path) -> None:
    """Returns when the file is there; fails after half a minute."""
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"
        time.sleep(0.01)


def test_one_that_is_starting_when_its_check_is_cut_short_is_killed(tmp_path: Path) -> None:
    async def play() -> int:
        target = SimpleNamespace(
            start_command=[sys.executable, "-c", SLOW, "{folder}"], prepare_command=(), clean_up_command=()
        )
        case: Any = SimpleNamespace(target=target)
        own = OwnGateway(case, tmp_path)
        check = asyncio.create_task(own.start())
        await asyncio.to_thread(wait_for, tmp_path / "pid")
        check.cancel()
        await asyncio.gather(check, return_exceptions=True)
        assert check.cancelled()
        (tmp_path / "go").touch()
        await own.close()
        return int((tmp_path / "pid").read_text())

    pid = asyncio.run(play())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
