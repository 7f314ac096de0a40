"""Other simulators that are measured in the same run, where this machine can install them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib import request

from loadtests.processes import Server

AIMOCK = "@copilotkit/aimock"
AIMOCK_VERSION = "1.43.0"
INSTALL_S = 180.0
READY_S = 30.0
ANSWER = "teapot"  # the word by which its fixture knows the benchmark's question


def cache() -> Path:
    """Where peers are installed, once."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windtunnel" / "peers"


def install_aimock() -> Path | str:
    """The folder of the installed package, or why there is none."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "npm is not installed"
    folder = cache() / f"aimock-{AIMOCK_VERSION}"
    package = folder / "node_modules" / AIMOCK
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(
                [*command, f"{AIMOCK}@{AIMOCK_VERSION}"], capture_output=True, text=True, timeout=INSTALL_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"npm did not install it within {INSTALL_S:g} s"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["npm failed"])[-1]
    return package


@contextmanager
def aimock(folder: Path, answer: str) -> Iterator[Server | str]:
    """aimock on a free port, answering the benchmark's question with that text; or why it is not there."""
    package = install_aimock()
    if isinstance(package, str):
        yield package
        return
    fixtures = folder / "aimock.json"
    fixtures.write_text(json.dumps({"fixtures": [{"match": {"userMessage": ANSWER}, "response": {"content": answer}}]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "aimock.log"
    command = ["node", str(package / "dist" / "cli.js"), "-p", str(port), "-h", "127.0.0.1", "-f", str(fixtures)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--log-level", "warn"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True
        )
    server = Server("aimock", process, log, {"base_url": f"http://127.0.0.1:{port}"})
    try:
        yield server if _answers(port) else f"it did not answer within {READY_S:g} s"
    finally:
        server.stop()


def _answers(port: int) -> bool:
    """Whether it is there before long."""
    opener = request.build_opener(request.ProxyHandler({}))
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with suppress(OSError), opener.open(f"http://127.0.0.1:{port}/__aimock/health", timeout=2):
            return True
        time.sleep(0.1)
    return False
