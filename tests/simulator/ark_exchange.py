"""A client of Ark's wire by bare HTTP: tasks, pictures, and what links lead to."""

from __future__ import annotations

import base64
import io
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from tests.simulator.live import Live, Reply, request

TASKS = "/contents/generations/tasks"
IMAGES = "/images/generations"
MODEL = "doubao-seedance-1-0-pro-250528"
PAINTER = "doubao-seedream-4-5-251128"
TIMES = "[[fault: job_times queue_s=5 cold_s=0 run_s=60]]"  # it runs from 5 s to 65 s
AT_ONCE = "[[fault: job_times queue_s=0 cold_s=0 run_s=0]]"


def call(fleet: Live, method: str, path: str, content: object = None, provider: str = "ark", **headers: str) -> Reply:
    """One call below /api/v3."""
    head = {"authorization": f"Bearer sk-fleet-{provider}", "content-type": "application/json"} | headers
    return fleet.call(request(method, f"/{provider}/api/v3{path}", content, head), method)


def body(prompt: str = "A lighthouse at dawn", fault: str = "", times: str = TIMES, **more: Any) -> dict[str, Any]:
    """A task of text alone."""
    faults = f"[[fault: {fault}]]" if fault else ""
    return {"model": MODEL, "content": [{"type": "text", "text": f"{prompt} {times}{faults}"}], **more}


def submit(fleet: Live, prompt: str = "A lighthouse at dawn", fault: str = "", **more: Any) -> str:
    """The id of a new task."""
    reply = call(fleet, "POST", TASKS, body(prompt, fault, **more))
    assert reply.status == 200, reply
    assert list(reply.json) == ["id"]
    found: str = reply.json["id"]
    return found


def task(fleet: Live, job: str) -> dict[str, Any]:
    """How a task stands."""
    reply = call(fleet, "GET", f"{TASKS}/{job}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def told(fleet: Live, job: str) -> str:
    """The state of a task, or the status of a refusal."""
    reply = call(fleet, "GET", f"{TASKS}/{job}")
    return str(reply.json["status"] if reply.status == 200 else reply.status)


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def inlined(width: int, height: int, colour: str = "teal") -> str:
    """A picture as a data URI."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def frame(url: str, role: str | None = "first_frame") -> dict[str, Any]:
    """A picture in the content of a task."""
    item: dict[str, Any] = {"type": "image_url", "image_url": {"url": url}}
    return item if role is None else item | {"role": role}
