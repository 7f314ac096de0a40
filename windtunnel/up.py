"""`windtunnel up`: fleet and gateway on this machine, a funded key, and a curl line that works."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from windtunnel.client import Refused, call
from windtunnel.errors import UsageProblem
from windtunnel.processes import Child, own_or_free, watch, workspace
from windtunnel.screen import err, out, print_json
from windtunnel.signals import stoppable

GATEWAY_PORT = 8100
FLEET_PORT = 8101
CREDITS = 100_000
UC_PER_CREDIT = 1_000_000
PREFERRED_MODELS = ("gpt-5.4-mini", "gpt-5.5")
KEY_CHARS_MIN = 16
KEY_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True, slots=True)
class Options:
    """How to start the two servers. A port of None: ours if free, else any."""

    host: str = "127.0.0.1"
    port: int | None = None
    fleet_port: int | None = None
    scenarios: tuple[Path, ...] = ()
    seed: int | None = None
    time_scale: float | None = None
    database: str | None = None  # None: gone with the command
    key: str | None = None
    latency: str | None = None  # of the models: "realistic"; None: the fleet's default


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs: the two ready lines, and a key with credit."""

    fleet: dict[str, Any]
    gateway: dict[str, Any]
    key: str
    children: tuple[Child, ...]

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"gateway": self.gateway, "fleet": self.fleet, "key": self.key}


@contextlib.contextmanager
def running(options: Options) -> Iterator[Stack]:
    """Start fleet and gateway, provision a user, and stop both at the end."""
    port = own_or_free(options.host, options.port, GATEWAY_PORT, "gateway")
    fleet_port = own_or_free(options.host, options.fleet_port, FLEET_PORT, "fleet")
    with contextlib.ExitStack() as cleanup:
        folder = cleanup.enter_context(workspace())
        fleet = Child("fleet", fleet_arguments(options, fleet_port), folder)
        cleanup.callback(fleet.stop)
        told = fleet.ready()["fleet"]
        token = secrets.token_urlsafe(24)
        words = [*gateway_arguments(options, port, told["base_url"], token, folder), *mail(told, folder)]
        gateway = Child("gateway", words, folder)
        cleanup.callback(gateway.stop)
        ready = gateway.ready()["gateway"]
        key = provision(ready["admin_url"], ready.get("admin_token") or token, options.key)
        yield Stack(told, ready, key, (fleet, gateway))


def fleet_arguments(options: Options, port: int) -> list[str]:
    """The command line of the fleet."""
    words = ["-m", "simulator", "--host", options.host, "--port", str(port), "--json"]
    words += [word for path in options.scenarios for word in ("--scenario", str(path))]
    words += ["--seed", str(options.seed)] if options.seed is not None else []
    words += ["--latency", options.latency] if options.latency is not None else []
    words += ["--clock", "real", "--time-scale", str(options.time_scale)] if options.time_scale is not None else []
    return words


def gateway_arguments(options: Options, port: int, fleet_url: str, token: str, folder: Path) -> list[str]:
    """The command line of the gateway."""
    database = options.database or f"sqlite:///{folder / 'gateway.sqlite3'}"
    words = ["-m", "gateway", "--host", options.host, "--port", str(port), "--json"]
    hosts = ", ".join(
        f'"{host}"' for host in dict.fromkeys(("127.0.0.1", options.host))
    )  # the fleet plays those whom users' URLs lead to
    words += ["--set", f"allow_private_hosts=[{hosts}]", *objects(options.database, folder)]
    if options.time_scale:  # jobs take less time here than the fleet says that they took
        words += ["--set", f"poll_factor={1 / options.time_scale:.9f}"]
    return [*words, "--database", database, "--fleet", fleet_url, "--admin-token", token]


def mail(fleet: Mapping[str, Any], folder: Path) -> list[str]:
    """Mail goes to the fleet's own server, where there is one: its certificate is left in `folder`."""
    smtp = fleet["smtp"]
    if smtp is None:
        return []
    told = call("GET", f"{fleet['control_url']}/neighbours")
    certificate = folder / "mail.pem"
    certificate.write_text(told["neighbours"]["mail"]["certificate"])
    return ["--set", f"smtp_url=smtp://{smtp['host']}:{smtp['port']}", "--set", f"smtp_ca={certificate}"]


def objects(database: str | None, folder: Path) -> list[str]:
    """Where files are kept: beside the database, and gone with it. Of a database server they stay with the default."""
    if database is None:
        return ["--set", f"objects={folder / 'objects'}"]
    file = database.removeprefix("sqlite:///")
    return [] if file == database else ["--set", f"objects={file}-objects"]


def provision(admin_url: str, token: str, key: str | None) -> str:
    """Make a user with credit and a key, and return the key. Raises UsageProblem for a key it refuses."""
    user = call("POST", f"{admin_url}/users", {"name": "up", "amount_uc": CREDITS * UC_PER_CREDIT}, token)
    wanted = {"name": "up"} | ({"key": key} if key else {})
    try:
        return str(call("POST", f"{admin_url}/users/{user['id']}/keys", wanted, token)["key"])
    except Refused as refusal:
        if key and refusal.status in (400, 409):
            raise UsageProblem(f"--key {key}: {refusal.said}") from refusal
        raise


def check_key(key: str | None) -> None:
    """Raise UsageProblem unless `key` is one a gateway can hand out."""
    if key is not None and not (key.startswith("ck_") and len(key) >= KEY_CHARS_MIN and KEY_CHARS.issuperset(key)):
        raise UsageProblem(
            f"--key {key}: a key has {KEY_CHARS_MIN} characters or more: ck_, then letters, digits, _ or -"
        )


def database_url(database: str | None) -> str | None:
    """A database URL as it stands; a plain path is meant as an SQLite file."""
    if database is None or "://" in database:
        return database
    return f"sqlite:///{Path(database).absolute()}"


def example_model() -> str:
    """A chat model of the catalogue for the curl line."""
    from schemas.catalogue import MODELS

    chat = [model.id for model in MODELS.values() if "chat" in model.endpoints]
    return next((name for name in PREFERRED_MODELS if name in chat), chat[0])


def curl_line(base_url: str, key: str, model: str) -> str:
    """A command to paste: one answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    url = shlex.quote(f"{base_url}/api/v1/chat/completions")
    return (
        f"curl {url} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body))}"
    )


def print_stack(stack: Stack, console: Console) -> None:
    """What a person needs to point an SDK at it."""
    base_url = str(stack.gateway["base_url"]).rstrip("/")
    rows = [
        ("OpenAI SDK", f"base_url={base_url}/api/v1"),
        ("Anthropic SDK", f"base_url={base_url}/api"),
        ("Google SDK", f"base_url={base_url}/api/v1/gemini"),
        ("API key", f"{stack.key}   ({CREDITS:,} credits)"),
        ("Fleet", f"{stack.fleet['base_url']}/PROVIDER   ({len(stack.fleet['providers'])} providers)"),
        ("Fleet control", f"{stack.fleet['control_url']}   (/providers lists them with their keys)"),
    ]
    neighbours = stack.fleet["neighbours"]
    rows += [
        ("OpenID Connect", ", ".join(neighbours["oidc"])),
        ("SAML", ", ".join(neighbours["saml"])),
        ("Webhooks", f"{neighbours['hooks']}   (any path below; /received lists what came)"),
    ]
    if stack.fleet["smtp"] is not None:
        rows.append(("Mail", "smtp://{host}:{port}   (/mails lists what came)".format(**stack.fleet["smtp"])))
    console.print(Text("Windtunnel is up", style="bold green"))
    console.print()
    for name, value in rows:
        console.print(Text.assemble((f"  {name:<15}", "dim"), value), soft_wrap=True)
    console.print()
    console.print(Text("  " + curl_line(base_url, stack.key, example_model())), soft_wrap=True)
    console.print()
    console.print(Text("Ctrl-C stops it.", style="dim"))


@click.command()
@click.option(
    "--scenario",
    "scenarios",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A scenario file, or the name of one that ships; several add up.",
)
@click.option("--seed", type=int, help="Seed of every draw and answer.")
@click.option("--time-scale", type=click.FloatRange(min=0, min_open=True), help="Make the fleet's clock run X times.")
@click.option("--latency", type=click.Choice(["instant", "realistic"]), help="How fast the fake models answer.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"The gateway's port; 0 is any. [default: {GATEWAY_PORT}]")
@click.option("--fleet-port", type=click.IntRange(0, 65535), help=f"The fleet's. [default: {FLEET_PORT}]")
@click.option("--key", metavar="ck_…", help="The API key to hand out, instead of a new one.")
@click.option("--database", metavar="URL", help="Keep the gateway's data there, instead of in a temporary folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once all is ready.")
def up(
    scenarios: tuple[Path, ...],
    seed: int | None,
    time_scale: float | None,
    latency: str | None,
    host: str,
    port: int | None,
    fleet_port: int | None,
    key: str | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Start fleet and gateway; print base URLs for the SDKs, a funded key, and a curl line to paste."""
    from windtunnel.scenario import usable

    check_key(key)
    found = tuple(usable(each) for each in scenarios)
    options = Options(host, port, fleet_port, found, seed, time_scale, database_url(database), key, latency)
    with stoppable(), contextlib.ExitStack() as cleanup:
        with contextlib.nullcontext() if as_json else err().status("Starting fleet and gateway…"):
            stack = cleanup.enter_context(running(options))
        if as_json:
            print_json(stack.document(), indent=False)
        else:
            print_stack(stack, out())
        watch(stack.children)
