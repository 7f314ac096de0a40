"""A client of Replicate's wire by bare HTTP: create, poll, cancel."""

from __future__ import annotations

from typing import Any

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-replicate", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=2 cold_s=0 run_s=8]]"  # a prediction that runs from 2 s to 10 s
SDXL = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc"
FLUX = "black-forest-labs/flux-schnell"
LLAMA = "meta/meta-llama-3-8b-instruct"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call below /v1."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fleet.call(request(method, f"/replicate/v1/{path}", content, KEY | named), method)


def run(fleet: Live, model: str = FLUX, fault: str = "", text: str = "a cat", **given: Any) -> dict[str, Any]:
    """A new prediction of a model, by its name."""
    faults = f"[[fault: {fault}]]" if fault else ""
    reply = call(
        fleet, "POST", f"models/{model}/predictions", {"input": {"prompt": f"{text} {TIMES}{faults}", **given}}
    )
    assert reply.status == 201, reply
    found: dict[str, Any] = reply.json
    return found


def told(fleet: Live, prediction: dict[str, Any]) -> dict[str, Any]:
    """The prediction as it stands."""
    reply = call(fleet, "GET", f"predictions/{prediction['id']}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def follow(fleet: Live, url: str) -> Reply:
    """What is behind a link of the fleet's own."""
    host, port = fleet.address
    return fleet.call(request("GET", url.removeprefix(f"http://{host}:{port}").removeprefix("http://fleet")), "GET")


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})
