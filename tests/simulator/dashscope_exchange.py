"""A client of DashScope's own wire: submit, poll, cancel, list, by bare HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-qwen", "content-type": "application/json"}
ASYNC = {"x-dashscope-async": "enable"}
TIMES = "[[fault: job_times queue_s=5 cold_s=0 run_s=60]]"  # a task that is predictable: it runs from 5 s to 65 s
PROMPT = "A lighthouse at dawn"
VIDEO = "video-generation/video-synthesis"
FRAMES = "image2video/video-synthesis"
IMAGE = "text2image/image-synthesis"
GENERATION = "image-generation/generation"
AT_ONCE = "multimodal-generation/generation"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call below /api/v1."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return fleet.call(request(method, f"/qwen/api/v1/{path}", content, KEY | told), method)


def asked(model: str, fault: str = "", text: str = PROMPT, given: Any = None, **parameters: Any) -> dict[str, Any]:
    """A body: `given` is laid over the input."""
    prompt = f"{text} {TIMES}" + (f"[[fault: {fault}]]" if fault else "")
    return {"model": model, "input": {"prompt": prompt} | (given or {}), "parameters": parameters}


def messages(model: str, *content: dict[str, str], **parameters: Any) -> dict[str, Any]:
    """A body with one message."""
    said = [{"role": "user", "content": list(content)}]
    return {"model": model, "input": {"messages": said}, "parameters": parameters}


def post(fleet: Live, path: str, body: object) -> Reply:
    """A submission as a task."""
    return call(fleet, "POST", f"services/aigc/{path}", body, **ASYNC)


def submit(fleet: Live, body: object, path: str = VIDEO) -> str:
    """The id of a new task."""
    reply = post(fleet, path, body)
    assert reply.status == 200, reply
    assert reply.json["output"]["task_status"] == "PENDING"
    found: str = reply.json["output"]["task_id"]
    return found


def poll(fleet: Live, task: str) -> dict[str, Any]:
    """How a task stands."""
    reply = call(fleet, "GET", f"tasks/{task}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})
