"""`windtunnel record`: the recording proxy on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import uvicorn

from simulator import edge
from simulator.server import SHUTDOWN_S, Quiet, base_url, bind
from simulator.tape.recorder import Recorder

PORT = 8102
USAGE_ERROR = 2


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="The real provider, e.g. https://api.openai.com")
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="Where the recordings go.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON on stdout once ready.")
def record(upstream: str, folder: Path, host: str, port: int, as_json: bool) -> None:
    """Record a real provider: point your client here with its own key, and each exchange becomes a file.

    Keys, cookies and account ids are left out of the files. Play them back with a row `tape: FOLDER` in a fleet file.
    """
    parts = urlsplit(upstream)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fail(f"--upstream {upstream}: due a URL such as https://api.openai.com")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sock = bind(host, port)
        sock.listen()  # whoever reads the ready line may connect
    except OSError as error:
        fail(f"{error.filename or f'{host}:{port}'}: {error.strerror or error}")
    url = base_url(sock)

    def told(line: str) -> None:
        if not as_json:
            click.echo(line, err=True)

    recorder = Recorder(upstream, folder, edge.monotonic_ms, told)
    config = server_config(recorder)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a reply that broke off is told already

    async def serve() -> None:
        if as_json:
            print(json.dumps({"recorder": {"base_url": url, "upstream": upstream, "folder": str(folder)}}), flush=True)
        elif sys.stderr.isatty():
            click.echo(f"Recording {upstream} on {url} into {folder}. Ctrl-C ends it.", err=True)
        try:
            await Quiet(config).serve([sock])
        finally:
            await recorder.close()

    asyncio.run(serve())


def server_config(recorder: Recorder) -> uvicorn.Config:
    """A server that adds no header of its own to what the provider sent."""
    quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "date_header": False}
    return uvicorn.Config(recorder, ws="none", lifespan="off", timeout_graceful_shutdown=SHUTDOWN_S, **quiet)


def fail(message: str) -> None:
    """One line on stderr and exit code 2."""
    click.echo(f"record: {message}", err=True)
    raise SystemExit(USAGE_ERROR)


if __name__ == "__main__":
    record()
