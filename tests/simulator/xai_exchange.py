"""A client of xAI's media wires by bare HTTP: pictures, videos, speech, transcripts."""

from __future__ import annotations

import base64
import io
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-xai", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=0 cold_s=0 run_s=100]]"  # a job that is predictable: it runs for 100 s
IMAGE, VIDEO = "grok-imagine-image", "grok-imagine-video"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call below /v1."""
    return fleet.call(request(method, f"/xai/v1/{path}", content, KEY | headers), method)


def drawn(fleet: Live, path: str = "images/generations", **more: Any) -> Reply:
    """The reply to a request for pictures."""
    return call(fleet, "POST", path, {"model": IMAGE, "prompt": "A lighthouse", **more})


def submit(
    fleet: Live, fault: str = "", path: str = "videos/generations", prompt: str = "A lighthouse", **more: Any
) -> str:
    """The id of a new job, which runs for 100 s."""
    faults = f"[[fault: {fault}]]" if fault else ""
    reply = call(fleet, "POST", path, {"model": VIDEO, "prompt": f"{prompt} {TIMES}{faults}", **more})
    assert reply.status == 200, reply
    assert list(reply.json) == ["request_id"]
    found: str = reply.json["request_id"]
    return found


def poll(fleet: Live, job: str) -> tuple[int, Any]:
    """Status and body of a poll."""
    reply = call(fleet, "GET", f"videos/{job}")
    return reply.status, reply.json if reply.body else None


def done(fleet: Live, job: str) -> dict[str, Any]:
    """The video of a job that ended well, a day's clock moved by its 100 s."""
    later(fleet, 100)
    status, body = poll(fleet, job)
    assert (status, body["status"]) == (200, "done"), body
    found: dict[str, Any] = body["video"]
    return found


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    return fleet.call(request("GET", urlsplit(url).path), "GET")


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def png(width: int = 96, height: int = 64) -> str:
    """A small picture as a data URL."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def opened(data: bytes) -> Image.Image:
    """A picture that came."""
    return Image.open(io.BytesIO(data))


def form(parts: list[tuple[str, bytes]], mark: str = "windtunnel") -> tuple[bytes, dict[str, str]]:
    """Body and headers of a multipart form; the part `file` is a file."""
    out = b""
    for name, data in parts:
        more = '; filename="sound.wav"' if name == "file" else ""
        out += f'--{mark}\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
    return out + f"--{mark}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={mark}"}
