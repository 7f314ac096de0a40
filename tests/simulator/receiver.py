"""A server on this machine that takes webhooks, and answers with what it was told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.simulator.live import Live
from tests.simulator.runpod_exchange import later

WAIT_MS = 10_000


@dataclass
class Receiver:
    """What came, and what is answered."""

    url: str = ""
    got: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # of the next calls; then 200
    silent: threading.Event | None = None  # held until this is set
    says: bytes | None = b""  # the body of answers; None: what came

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append(body)
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            if found.silent is not None:
                found.silent.wait(20)
            said = body if found.says is None else found.says
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        if found.silent is not None:
            found.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


def calls(fleet: Live, query: str = "") -> list[dict[str, Any]]:
    """The webhooks on record, once none is under way."""
    found: list[dict[str, Any]] = fleet.control("GET", f"webhooks?wait_ms={WAIT_MS}{query}")["webhooks"]
    return found


def after(fleet: Live, seconds: float) -> list[dict[str, Any]]:
    """The webhooks on record so many seconds later."""
    later(fleet, seconds)
    return calls(fleet)
