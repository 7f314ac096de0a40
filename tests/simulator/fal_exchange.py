"""A client of fal's wires by bare HTTP: held runs, and the queue."""

from __future__ import annotations

from typing import Any

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Key sk-fleet-fal", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=2 cold_s=0 run_s=8]]"  # a run from 2 s to 10 s
FLUX = "fal-ai/flux/dev"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fleet.call(request(method, f"/fal/{path}", content, KEY | named), method)


def submit(
    fleet: Live, model: str = FLUX, fault: str = "", text: str = "a cat", query: str = "", **given: Any
) -> dict[str, Any]:
    """What the queue says of a new request."""
    faults = f"[[fault: {fault}]]" if fault else ""
    reply = call(fleet, "POST", f"queue/{model}{query}", {"prompt": f"{text} {TIMES}{faults}", **given})
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def at(fleet: Live, method: str, url: str) -> Reply:
    """What is at an address of the fleet's own."""
    path = "/" + url.removeprefix("http://").partition("/")[2]
    return fleet.call(request(method, path, None, KEY), method)


def told(fleet: Live, begun: dict[str, Any]) -> str:
    """The state of a request in the wire's word, or the status of a refusal."""
    reply = at(fleet, "GET", begun["status_url"])
    return str(reply.json["status"] if reply.status < 300 else reply.status)


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})
