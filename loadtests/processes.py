"""Fleet and gateway as processes of their own, for loads and benchmarks that are given no target."""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.errors import Unreachable

READY_S = 60.0
STOP_S = 15.0
MODELS = {
    "chat": ["gpt-5.5", "gpt-5.4-mini", "gpt-5.2"],
    "messages": ["claude-sonnet-4-6", "claude-haiku-4-5"],
}
UPSTREAMS = {"chat": ["openai", "openai-eu"], "messages": ["anthropic", "anthropic-eu"]}


@dataclass(slots=True)
class Server:
    """A running server and what its ready line said."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    told: dict[str, Any]

    def cpu_s(self) -> float:
        """Processor seconds it has used so far. Linux only, 0.0 elsewhere."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> None:
        """End it, hard when it does not end by itself."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def server(name: str, command: list[str], folder: Path) -> Iterator[Server]:
    """A server that prints one JSON line once it is ready; its log goes to `folder`.

    Raises Unreachable when it ends or stays silent instead.
    """
    log = folder / f"{name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, text=True
        )
    started = Server(name, process, log, {})
    try:
        started.told = _ready_line(started)
        yield started
    finally:
        started.stop()


def _ready_line(started: Server) -> dict[str, Any]:
    stdout = started.process.stdout
    assert stdout is not None
    deadline = time.monotonic() + READY_S
    if select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = stdout.readline()
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict):
                return told
    started.stop()
    tail = "\n".join(started.log.read_text(errors="replace").splitlines()[-5:])
    raise Unreachable(f"{started.name} did not become ready: {tail or 'no log'}")


@contextlib.contextmanager
def fleet(folder: Path, *, seed: int = 0, name: str = "fleet") -> Iterator[Server]:
    """The fake provider fleet on a free port."""
    command = ["-m", "simulator", "--port", "0", "--json", "--seed", str(seed)]
    with server(name, command, folder) as started:
        yield started


@contextlib.contextmanager
def gateway(folder: Path, fleet_url: str, *words: str, name: str = "gateway") -> Iterator[Server]:
    """The reference gateway in front of a fleet, its ledger in a temporary folder and its log in `folder`.

    `words` are further ones of its command line.
    """
    with tempfile.TemporaryDirectory(prefix="windtunnel-load-") as ledger:
        command = ["-m", "gateway", "--port", "0", "--json", "--fleet", fleet_url]
        command += ["--admin-token", secrets.token_hex(16), "--database", f"sqlite:///{Path(ledger) / 'gateway.db'}"]
        command += ["--set", f"objects={Path(ledger) / 'objects'}", *words]
        with server(name, command, folder) as started:
            yield started


@contextlib.contextmanager
def stack(folder: Path, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Fleet and reference gateway, their logs in `folder`, as a target file's content."""
    with fleet(folder, seed=seed) as one, gateway(folder, one.told["fleet"]["base_url"]) as other:
        yield target_of(one.told["fleet"], other.told["gateway"])


def target_of(fleet_told: dict[str, Any], gateway_told: dict[str, Any]) -> dict[str, Any]:
    """The target file's content for a fleet and a gateway, from their ready lines."""
    base_url = str(gateway_told["base_url"]).rstrip("/")
    return {
        "name": "reference gateway",
        "base_urls": {"openai": f"{base_url}/api/v1", "anthropic": f"{base_url}/api", "api": f"{base_url}/api"},
        "provisioning": {
            "kind": "admin_api",
            "url": gateway_told["admin_url"],
            "token": gateway_told["admin_token"],
        },
        "fleet": {"control_url": fleet_told["control_url"]},
        "usage": {"url": f"{base_url}/api/api-usage"},
        "models": MODELS,
        "upstreams": UPSTREAMS,
    }
