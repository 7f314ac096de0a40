"""`python -m gateway`: runs the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click


class Unreachable(Exception):
    """The fleet does not answer (the operator's fault)."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8100, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="YAML file laid over the defaults.")
@click.option("--database", help="SQLAlchemy URL.")
@click.option("--fleet", help="Base URL of a fleet: the upstreams are pointed at its providers.")
@click.option("--admin-token", help="Token of the /admin API.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--json", "as_json", is_flag=True, help="Tell readiness as one line of JSON.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any option of the configuration.")
def gateway(
    host: str,
    port: int,
    config_file: Path | None,
    database: str | None,
    fleet: str | None,
    admin_token: str | None,
    log_level: str | None,
    as_json: bool,
    settings: tuple[str, ...],
) -> None:
    """Run the reference gateway."""
    from gateway.config import ConfigError, load, setting
    from gateway.server import PortInUse
    from gateway.storage.engine import CannotOpen

    try:
        flags: dict[str, Any] = dict(setting(text) for text in settings)
        named = {"database": database, "admin_token": admin_token, "log_level": log_level}
        flags.update({name: value for name, value in named.items() if value is not None})
        providers = {} if fleet is None else ask_fleet(fleet)
        run(load(config_file, os.environ, flags, providers), host, port, as_json)
    except (ConfigError, PortInUse, CannotOpen, Unreachable) as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(2)


def ask_fleet(url: str) -> dict[str, dict[str, Any]]:
    """The fleet's providers by name. Raises Unreachable."""
    import json
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    where = f"{url.rstrip('/')}/__fleet/providers"
    try:
        with urlopen(Request(where, headers={"accept": "application/json"}), timeout=10) as reply:
            told = json.loads(reply.read())
        providers = told.get("providers", told.get("fleet", {}).get("providers", told))
        return {str(name): dict(row) for name, row in providers.items()}
    except (URLError, OSError, ValueError, AttributeError, TypeError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"no fleet at {url}: {reason}") from None


def run(config: Any, host: str, port: int, as_json: bool) -> None:
    """Serves until the process is told to end."""
    import asyncio

    from gateway import edge, server
    from gateway.app import App
    from gateway.services import open_services
    from gateway.storage.store import Store
    from gateway.upstreams.http1 import Http1Transport

    sock = server.listen(host, port)
    store = Store(config.database)
    token = config.admin_token or edge.token(32)
    services = open_services(config, store, Http1Transport(), token)
    shown = f"[{host}]" if ":" in host else host
    base_url = f"http://{shown}:{sock.getsockname()[1]}"

    def ready() -> None:
        if as_json:
            import json

            told = {"base_url": base_url, "admin_url": f"{base_url}/admin", "admin_token": token}
            click.echo(json.dumps({"gateway": told}))
        else:
            click.echo(f"gateway   {base_url}/api/v1\nadmin     {base_url}/admin   token {token}")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(server.serve(services, App(services), sock, ready))


def new_loop() -> Any:
    """uvloop's event loop where there is one."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    gateway(prog_name="python -m gateway")
