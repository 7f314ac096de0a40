"""`python -m gateway`: runs the gateway."""

from __future__ import annotations

import os
import sys
import traceback
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
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that serve.")
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
    workers: int,
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
        run(load(config_file, os.environ, flags, providers), host, port, as_json, workers)
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


def run(config: Any, host: str, port: int, as_json: bool, workers: int = 1) -> None:
    """Serves until the process is told to end. Raises ConfigError, PortInUse, CannotOpen."""
    from gateway import edge, server

    token = config.admin_token or edge.token(32)
    if workers > 1:
        check_workers(config)
    check_redis(config)
    sock = server.listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    base_url = f"http://{shown}:{sock.getsockname()[1]}"

    def ready() -> None:
        if as_json:
            import json

            told = {"base_url": base_url, "admin_url": f"{base_url}/admin", "admin_token": token}
            click.echo(json.dumps({"gateway": told | ({"workers": workers} if workers > 1 else {})}))
        else:
            click.echo(f"gateway   {base_url}/api/v1\nadmin     {base_url}/admin   token {token}")

    if workers == 1:
        work(config, sock, token, ready)
    else:
        supervise(config, sock, token, ready, workers)


def work(config: Any, sock: Any, token: str, ready: Any, start: Any = None, board: Any = None) -> None:
    """One process's serving; `start` is what a supervisor tells it, `board` what it shares with the other workers."""
    import asyncio

    from gateway import edge, server
    from gateway.app import App
    from gateway.services import open_services
    from gateway.storage.store import Store
    from gateway.upstreams.http1 import Http1Transport

    owner = edge.new_id("proc") if start is None else start.owner
    store = Store(config.database, name=owner)
    parts = {} if board is None else board_parts(config, board, start.place)
    services = open_services(config, store, Http1Transport(), token, owner=owner, **parts)
    dead, lifeline = ((), None) if start is None else (start.dead, start.lifeline)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(server.serve(services, App(services), sock, ready, dead, lifeline))


def board_parts(config: Any, board: Any, place: int) -> dict[str, Any]:
    """The parts of the worker in this place that all workers share in memory."""
    from gateway.workers.board import BoardBreakers, BoardClock

    board.take(place)
    made: dict[str, Any] = {"workers": board.workers}
    made["breakers"] = BoardBreakers(board, place, config.breaker_failures, config.breaker_cooldown_s)
    return made | ({"clock": BoardClock(board, place)} if config.test_clock else {})


def supervise(config: Any, sock: Any, token: str, ready: Any, workers: int) -> None:
    """Serves with several processes."""
    import psycopg  # noqa: F401 -- this and the next: once for all workers, before they are forked

    from gateway import app, server, services  # noqa: F401
    from gateway.storage.engine import CannotOpen
    from gateway.storage.store import Store
    from gateway.upstreams import http1  # noqa: F401
    from gateway.workers import news, roll, shared  # noqa: F401
    from gateway.workers.board import Board
    from gateway.workers.supervisor import CannotStart, Start, Supervisor
    from schemas.catalogue import read_models

    Store(config.database).close()  # makes the schema, or says why not
    board = Board(workers, [(upstream.name, model) for model in read_models() for upstream in config.chain(model)])

    def one(start: Start) -> None:
        try:
            work(config, sock, token, start.ready, start, board)
        except CannotOpen as error:
            click.echo(f"gateway: {error}", err=True)
            sys.exit(2)
        except Exception:
            traceback.print_exc()
            sys.exit(1)

    try:
        Supervisor(workers, one, ready, sock, config.drain_s).run()
    except CannotStart:
        sys.exit(2)


def check_workers(config: Any) -> None:
    """Raises ConfigError where several workers cannot be one gateway."""
    from gateway.config import ConfigError
    from gateway.storage.engine import is_shared

    if not hasattr(os, "fork"):
        raise ConfigError("--workers: more than 1 needs a system with fork")
    if not is_shared(config.database):
        raise ConfigError("--workers: more than 1 needs PostgreSQL (`database`): SQLite lets one process write")
    if config.redis_url is None:
        raise ConfigError("--workers: more than 1 needs Redis (`redis_url`): limits and idempotency keys hold for all")


def check_redis(config: Any) -> None:
    """Raises ConfigError where there is to be a Redis and none answers."""
    if config.redis_url is None:
        return
    import asyncio

    from gateway.config import ConfigError
    from gateway.workers.remote import Remote, RemoteDown

    async def check() -> None:
        remote = Remote(config.redis_url, config.redis_prefix)
        try:
            await remote.check()
        finally:
            await remote.close()

    try:
        asyncio.run(check())
    except (RemoteDown, ValueError) as error:
        raise ConfigError(f"redis_url: {error}") from None


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
