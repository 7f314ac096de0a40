"""A client of Kling's wire, both generations, by bare HTTP: tokens as gateways sign them, submit, poll, fetch."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import av
from PIL import Image

from tests.simulator.live import Live, Reply, request
from tests.simulator.runpod_exchange import later

KEY = "sk-fleet-kling"
ACCESS, SECRET = "fleet-kling-access", "fleet-kling-secret-key"
TIMES = "[[fault: job_times queue_s=5 run_s=20]]"  # a task that is predictable: it runs from 5 s to 25 s
SUBMITTED, PROCESSING, DONE = 0, 5, 25  # seconds at which it stands so
START_S = 1_767_225_600  # where a manual clock starts


def now_s(fleet: Live) -> int:
    """Now by the fleet's clock."""
    return int(fleet.control("GET", "clock")["now_ms"] // 1000)


def token(now: int, *, secret: str = SECRET, head: object = None, **claims: object) -> str:
    """A token by hand, as a gateway makes it: good for half an hour from five seconds ago on."""
    told = {"iss": ACCESS, "exp": now + 1800, "nbf": now - 5} | claims
    parts = [head or {"alg": "HS256", "typ": "JWT"}, {name: value for name, value in told.items() if value is not None}]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    mac = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def call(fleet: Live, method: str, path: str, content: object = None, key: str | None = KEY, **headers: str) -> Reply:
    """One call."""
    told = {"content-type": "application/json", **headers}
    if key is not None:
        told["authorization"] = f"Bearer {key}"
    return fleet.call(request(method, f"/kling{path}", content, told), method)


def submit(fleet: Live, path: str = "/v1/videos/text2video", fault: str = "", **body: Any) -> str:
    """The id of a new task on the first wire."""
    faults = f"[[fault: {fault}]]" if fault else ""
    given = {"model_name": "kling-v2-6", "prompt": f"a teapot {TIMES}{faults}"} | body
    reply = call(fleet, "POST", path, {name: value for name, value in given.items() if value is not None})
    assert reply.status == 200, reply
    assert reply.json["data"]["task_status"] == "submitted"
    found: str = reply.json["data"]["task_id"]
    return found


def task(fleet: Live, number: str, path: str = "/v1/videos/text2video") -> dict[str, Any]:
    """A task on the first wire."""
    reply = call(fleet, "GET", f"{path}/{number}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json["data"]
    return found


def begin(fleet: Live, path: str = "/text-to-video/kling-3.0", fault: str = "", **body: Any) -> str:
    """The id of a new task on the second wire."""
    faults = f"[[fault: {fault}]]" if fault else ""
    reply = call(fleet, "POST", path, {"prompt": f"a teapot {TIMES}{faults}"} | body)
    assert reply.status == 200, reply
    assert reply.json["data"]["status"] == "submitted"
    found: str = reply.json["data"]["id"]
    return found


def tasks(fleet: Live, *ids: str, by: str = "task_ids") -> list[dict[str, Any]]:
    """Tasks on the second wire."""
    reply = call(fleet, "GET", f"/tasks?{by}={','.join(ids)}")
    assert (reply.status, reply.json["code"]) == (200, 0), reply
    found: list[dict[str, Any]] = reply.json["data"]
    return found


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def made(fleet: Live, path: str = "/v1/videos/text2video", seconds: float = DONE, **body: Any) -> dict[str, Any]:
    """The result of a task that succeeded."""
    number = submit(fleet, path, **body)
    later(fleet, seconds)
    done = task(fleet, number, path)
    assert done["task_status"] == "succeed", done
    found: dict[str, Any] = done["task_result"]
    return found


def image(width: int = 480, height: int = 360, colour: tuple[int, int, int] = (200, 30, 30)) -> str:
    """A plain picture in base64."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def first_frame(data: bytes) -> Image.Image:
    """The first frame of a clip."""
    with av.open(io.BytesIO(data)) as box:
        frame = next(iter(box.decode(video=0)))
        found: Image.Image = frame.to_image()
        return found


@dataclass
class Receiver:
    """A server that takes callbacks."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers 200."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hooks/in?from=fleet"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(fleet: Live, seconds: float) -> None:
    """Move the clock, and wait until the callbacks that were due are over."""
    later(fleet, seconds)
    fleet.control("GET", "webhooks?wait_ms=10000")
