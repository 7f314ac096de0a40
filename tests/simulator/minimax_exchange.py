"""A client of MiniMax's two wires: submit, query, fetch, by bare HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-minimax", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=5 cold_s=0 run_s=60]]"  # a task that is predictable: it runs from 5 s to 65 s
PROMPT = "A lighthouse at dawn"
HAILUO, H3 = "MiniMax-Hailuo-2.3", "MiniMax-H3"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call at the provider."""
    return fleet.call(request(method, f"/minimax{path}", content, KEY | headers), method)


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def submit(fleet: Live, fault: str = "", text: str = PROMPT, **more: Any) -> str:
    """The id of a new task on the first wire."""
    reply = call(fleet, "POST", "/v1/video_generation", asked(fault, text, **more))
    assert reply.status == 200, reply
    assert reply.json["base_resp"] == {"status_code": 0, "status_msg": "success"}, reply.json
    found: str = reply.json["task_id"]
    return found


def asked(fault: str = "", text: str = PROMPT, **more: Any) -> dict[str, Any]:
    """The body of a submission on the first wire."""
    return {"model": HAILUO, "prompt": prompt(fault, text)} | more


def prompt(fault: str, text: str) -> str:
    """A prompt of a task that is predictable."""
    return f"{text} {TIMES}" + (f"[[fault: {fault}]]" if fault else "")


def query(fleet: Live, task: str) -> dict[str, Any]:
    """How a task stands."""
    reply = call(fleet, "GET", f"/v1/query/video_generation?task_id={task}&GroupId=123")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def retrieve(fleet: Live, file: str) -> dict[str, Any]:
    """A file's object."""
    reply = call(fleet, "GET", f"/v1/files/retrieve?GroupId=123&file_id={file}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def submit_h3(fleet: Live, fault: str = "", text: str = PROMPT, content: Any = (), **more: Any) -> str:
    """The id of a new task on the second wire."""
    reply = call(fleet, "POST", "/v2/video_generation", asked_h3(fault, text, content, **more))
    assert reply.status == 200, reply
    assert reply.json.keys() == {"task_id"}
    found: str = reply.json["task_id"]
    return found


def asked_h3(fault: str = "", text: str = PROMPT, content: Any = (), **more: Any) -> dict[str, Any]:
    """The body of a submission on the second wire."""
    said = {"type": "text", "text": prompt(fault, text)}
    return {"model": H3, "content": [said, *content], "resolution": "768P", "duration": 5, "ratio": "16:9"} | more


def task_h3(fleet: Live, task: str) -> dict[str, Any]:
    """How a task of the second wire stands."""
    reply = call(fleet, "GET", f"/v2/query/video_generation/{task}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json["task"]
    return found


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def code(reply: Reply) -> int:
    """MiniMax's code in a reply of the first wire, which must be HTTP 200."""
    assert reply.status == 200, reply
    found: int = reply.json["base_resp"]["status_code"]
    return found
