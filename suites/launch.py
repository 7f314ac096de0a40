"""Fleet and gateway as subprocesses on free ports and a temporary folder, and the target that describes them.

with launch() as bench:
    run(Options(target=bench.target))
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import yaml

from suites.processes import Server, StartError
from suites.stores import Stores, made
from suites.target import Target, TargetError, build_target

FLEET_COMMAND: Final = (sys.executable, "-m", "simulator")
GATEWAY_COMMAND: Final = (sys.executable, "-m", "gateway")
OWN_AT_ONCE: Final = 2  # gateways of checks' own with several workers each: a server has a hundred connections
TEMPLATE: Final = Path(__file__).parent / "targets" / "reference.yaml"

GATEWAY_CONFIG: Final[dict[str, Any]] = {
    "keepalive_s": 15,
    "first_byte_timeout_s": 20,
    "idle_timeout_s": 20,
    "total_timeout_s": 120,
    "retries": 1,
    "backoff_ms": 100,
    "retry_after_max_s": 2,
    "breaker_failures": 50,
    "breaker_cooldown_s": 2,
    "drain_s": 10,
    "poll_factor": 0.05,  # jobs of checks are done at once
    "gpu_deploy_s": 1,  # and deployments live soon
    "test_clock": True,
    "allow_private_hosts": ["127.0.0.1"],  # the fleet plays those whom users' URLs lead to
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A running fleet and gateway."""

    target: Target
    fleet: Server
    gateway: Server
    folder: Path


def mail_config(fleet: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings that hand mail to the fleet's own server; none where the fleet has none. Raises StartError.

    The server's certificate is left in `folder`.
    """
    smtp = fleet.get("smtp")
    if smtp is None:
        return {}
    url = f"{fleet['control_url']}/neighbours"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=10) as reply:
            certificate = json.load(reply)["neighbours"]["mail"]["certificate"]
    except (OSError, ValueError, KeyError) as error:
        raise StartError(f"{url} tells no certificate of the mail server: {error}") from error
    path = folder / "mail.pem"
    path.write_text(certificate)
    return {"smtp_url": f"smtp://{smtp['host']}:{smtp['port']}", "smtp_ca": str(path)}


def gateway_argv(
    command: Sequence[str], config: Path, fleet_url: str, folder: str, stores: Stores | None = None, name: str = ""
) -> list[str]:
    """The whole command of a gateway whose data live in `folder` (or in `{folder}`, to be filled in later).

    With `stores` they live there under `name` (or `{name}`), and only objects in the folder.
    """
    data = ["--database", f"sqlite:///{folder}/gateway.sqlite"] if stores is None else stores.options(name)
    return [
        *command,
        *("--port", "0", "--config", str(config), "--fleet", fleet_url),
        *(*data, "--set", f"objects={folder}/objects", "--json"),
    ]


def own_commands(start: Sequence[str], stores: Stores | None) -> dict[str, Any]:
    """How a check starts a gateway of its own, as a target file says it."""
    if stores is None:
        return {"start": list(start)}
    around = {"prepare": stores.command("make", "{name}"), "clean_up": stores.command("drop", "{name}")}
    return {"start": list(start), **around, "at_once": OWN_AT_ONCE}


def describe(
    ready: dict[str, Any], fleet: dict[str, Any], start: Sequence[str], name: str, stores: Stores | None = None
) -> dict[str, Any]:
    """The target, as plain data, of a gateway that printed `ready` in front of a fleet that printed `fleet`."""
    gateway = ready["gateway"]
    base = gateway["base_url"].rstrip("/").removesuffix("/api/v1").removesuffix("/api")
    data: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    return data | {
        "name": name,
        "base_urls": {"openai": f"{base}/api/v1", "anthropic": f"{base}/api", "api": f"{base}/api"},
        "provisioning": {
            "kind": "admin_api",
            "url": gateway["admin_url"],
            "token": gateway["admin_token"],
            "test_clock": True,
        },
        "fleet": {"control_url": fleet["fleet"]["control_url"]},
        "usage": {"url": f"{base}/api/api-usage"},
        "commands": own_commands(start, stores),
    }


@contextmanager
def launch(
    gateway: Sequence[str] = GATEWAY_COMMAND,
    fleet: Sequence[str] = FLEET_COMMAND,
    *,
    name: str = "reference gateway",
    seed: int | None = None,
    stores: Stores | None = None,
) -> Iterator[Bench]:
    """Start both, yield the bench, end both. Raises StartError.

    `gateway` may be any command that takes the same arguments: `python -m mutants NAME`. Its data are in the bench's
    folder, or in a database of its own in `stores`.
    """
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="windtunnel-", ignore_cleanup_errors=True))
        )
        config = folder / "gateway.yaml"
        seeded = [] if seed is None else ["--seed", str(seed)]
        providers = stack.enter_context(Server([*fleet, "--port", "0", "--json", *seeded], folder / "fleet.log"))
        fleet_url = _due(providers.ready, "fleet", "base_url")
        config.write_text(yaml.safe_dump(GATEWAY_CONFIG | mail_config(providers.ready["fleet"], folder)))
        shared = folder / "shared"
        shared.mkdir()
        database = "" if stores is None else stack.enter_context(made(stores))
        argv = gateway_argv(gateway, config, fleet_url, str(shared), stores, database)
        served = stack.enter_context(Server(argv, folder / "gateway.log"))
        _due(served.ready, "gateway", "admin_token")
        start = gateway_argv(gateway, config, fleet_url, "{folder}", stores, "{name}")
        try:
            target = build_target(describe(served.ready, providers.ready, start, name, stores), name)
        except TargetError as error:
            raise StartError(str(error)) from error
        yield Bench(target, providers, served, folder)


def _due(ready: dict[str, Any], part: str, key: str) -> str:
    value = ready.get(part, {}).get(key)
    if not isinstance(value, str):
        raise StartError(f"the ready line has no {part}.{key}: {ready}")
    return value
