"""A client of RunPod's wire: submit, poll, cancel, by bare HTTP."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from tests.simulator.live import Live, Reply, request

KEY = {"authorization": "Bearer sk-fleet-runpod", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=2 cold_s=0 run_s=8]]"  # a job that is predictable: it runs from 2 s to 10 s
PROMPT = "A lighthouse at dawn"


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    """One call below /v2."""
    return fleet.call(request(method, f"/runpod/v2/{path}", content, KEY | headers), method)


def submit(fleet: Live, fault: str = "", endpoint: str = "echo", text: str = "do it", **more: Any) -> str:
    """The id of a new job."""
    faults = f"[[fault: {fault}]]" if fault else ""
    body = {"input": {"prompt": f"{text} {TIMES}{faults}"}, **more}
    reply = call(fleet, "POST", f"{endpoint}/run", body)
    assert reply.status == 200, reply
    assert reply.json["status"] == "IN_QUEUE"
    found: str = reply.json["id"]
    return found


def status(fleet: Live, job: str, endpoint: str = "echo") -> dict[str, Any]:
    """How a job stands."""
    reply = call(fleet, "GET", f"{endpoint}/status/{job}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def told(fleet: Live, job: str, endpoint: str = "echo") -> str:
    """The state of a job in the wire's word, or the status of a refusal."""
    reply = call(fleet, "GET", f"{endpoint}/status/{job}")
    return str(reply.json["status"] if reply.status == 200 else reply.status)


def later(fleet: Live, seconds: float) -> None:
    """Move a manual clock."""
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def graph(prompt: str = PROMPT, width: int = 256, height: int = 192, batch: int = 1, **more: Any) -> dict[str, Any]:
    """A small text-to-image graph in ComfyUI's API format."""
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {"seed": 5, "steps": 20, "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
        },
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": width, "height": height, "batch_size": batch}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"}},
        **more,
    }


def opened(data: str | bytes) -> Image.Image:
    """A picture of the reply."""
    raw = base64.b64decode(data, validate=True) if isinstance(data, str) else data
    return Image.open(io.BytesIO(raw))
