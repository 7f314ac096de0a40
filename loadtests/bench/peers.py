"""Other people's simulators and gateways that are measured in the same run, where this machine can install them."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib import request

from loadtests.bench import installs
from loadtests.bench.wires import ANSWER_TOKENS, WIRES, Wire
from loadtests.processes import Server

READY_S = 90.0
ANSWER = "teapot"  # the word by which a simulator's fixture knows the benchmark's question
KEY: Final = "sk-bench"
LITELLM: Final = ("litellm[proxy]", "1.106.2")
PORTKEY: Final = ("@portkey-ai/gateway", "1.15.2")
AIMOCK: Final = ("@copilotkit/aimock", "1.43.0")

Providers = Mapping[str, Mapping[str, Any]]  # of the fleet, by name: `base_url` and `key`


@dataclass(frozen=True, slots=True)
class Peer:
    """How one peer is installed, started and asked. `headers` are of a request on a wire."""

    name: str
    about: str  # "simulator" or "gateway"
    wires: tuple[str, ...]
    command: Callable[[Path, int, Providers], list[str]]  # (folder for its files, port, the fleet's providers)
    ready: str  # a path that answers once it is there
    headers: Callable[[Wire, Providers], dict[str, str]]
    base: str = ""  # before a wire's own path


def _aimock(folder: Path, port: int, _: Providers) -> list[str]:
    package = installs.npm(*AIMOCK)
    fixtures = folder / "aimock.json"
    answer = {"content": "word " * ANSWER_TOKENS}
    fixtures.write_text(json.dumps({"fixtures": [{"match": {"userMessage": ANSWER}, "response": answer}]}))
    options = ["-p", str(port), "-h", "127.0.0.1", "-f", str(fixtures), "--log-level", "warn"]
    return ["node", str(package / "dist" / "cli.js"), *options]


def _portkey(_: Path, port: int, __: Providers) -> list[str]:
    return ["node", str(installs.npm(*PORTKEY) / "build" / "start-server.js"), f"--port={port}", "--headless"]


def _litellm(folder: Path, port: int, providers: Providers) -> list[str]:
    programs, config = installs.pip(*LITELLM), folder / "litellm.json"
    wire = WIRES["chat"]
    upstream = {
        "model": f"openai/{wire.model}",
        "api_base": f"{providers[wire.provider]['base_url']}/v1",
        "api_key": providers[wire.provider]["key"],
    }
    rows = {
        "model_list": [{"model_name": wire.model, "litellm_params": upstream}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    config.write_text(json.dumps(rows))  # JSON is YAML
    return [str(programs / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]


def _of_wire(wire: Wire, _: Providers) -> dict[str, str]:
    return wire.headers(KEY)


def _of_portkey(wire: Wire, providers: Providers) -> dict[str, str]:
    upstream = providers[wire.provider]
    told = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream['base_url']}/v1"}
    return wire.headers(upstream["key"]) | told


PEERS: Final[tuple[Peer, ...]] = (
    Peer("aimock", "simulator", tuple(WIRES), _aimock, "/__aimock/health", _of_wire),
    Peer("portkey", "gateway", ("chat",), _portkey, "/", _of_portkey),
    Peer("litellm", "gateway", ("chat",), _litellm, "/health/liveliness", _of_wire),
)


@contextmanager
def started(peer: Peer, folder: Path, providers: Providers) -> Iterator[Server | str]:
    """The peer on a free port, or why it is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        command = peer.command(folder, port, providers)
    except installs.NotInstalled as error:
        yield str(error)
        return
    log = folder / f"{peer.name}.log"
    try:
        with log.open("w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True)
    except OSError as error:
        yield f"{error.filename}: {error.strerror}"
        return
    server = Server(peer.name, process, log, {"base_url": f"http://127.0.0.1:{port}{peer.base}"})
    try:
        yield server if _answers(server, peer.ready) else f"it did not answer within {READY_S:g} s"
    finally:
        server.stop()


def _answers(server: Server, path: str) -> bool:
    """Whether it is there before long."""
    opener = request.build_opener(request.ProxyHandler({}))
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and server.process.poll() is None:
        with suppress(OSError), opener.open(server.told["base_url"] + path, timeout=2):
            return True
        time.sleep(0.2)
    return False
