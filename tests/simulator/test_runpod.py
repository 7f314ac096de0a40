"""RunPod serverless: submitted, polled, held open, streamed, cancelled, retried, purged; and worker-comfyui."""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from simulator.clock import Clock
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.runpod_exchange import PROMPT, TIMES, call, graph, later, opened, status, submit, told

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-u1")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def test_a_job_is_submitted_polled_and_fetched(fleet: Live) -> None:
    job = submit(fleet, text="three words here")
    assert UUID.fullmatch(job)
    assert status(fleet, job) == {"id": job, "status": "IN_QUEUE"}
    later(fleet, 2)
    running_job = status(fleet, job)
    worker = running_job["workerId"]
    assert running_job == {"id": job, "status": "IN_PROGRESS", "delayTime": 2000, "workerId": worker}
    later(fleet, 7.999)
    assert told(fleet, job) == "IN_PROGRESS"
    later(fleet, 0.001)
    done = status(fleet, job)
    assert done.pop("output")["input"]["prompt"].startswith("three words here")
    head = {"id": job, "status": "COMPLETED", "delayTime": 2000, "executionTime": 8000}
    assert done == head | {"workerId": worker}
    assert call(fleet, "POST", f"echo/status/{job}").json["status"] == "COMPLETED"


def test_a_result_is_kept_for_half_an_hour(fleet: Live) -> None:
    job = submit(fleet)
    later(fleet, 10 + 30 * 60 - 0.001)
    assert told(fleet, job) == "COMPLETED"
    later(fleet, 0.001)
    assert told(fleet, job) == "404"


def test_policies_time_a_job_out_or_delete_it(fleet: Live) -> None:
    limited = submit(fleet, policy={"executionTimeout": 5000})
    deleted = submit(fleet, "job_times run_s=60", policy={"ttl": 11_000})
    later(fleet, 7)
    out = status(fleet, limited)
    assert (out["status"], out["executionTime"]) == ("TIMED_OUT", 5000)
    assert told(fleet, deleted) == "IN_PROGRESS"
    later(fleet, 4)
    assert told(fleet, deleted) == "404"


def test_the_same_body_twice_is_two_jobs(fleet: Live) -> None:
    assert len({submit(fleet, text="again") for _ in range(3)}) == 3


def test_runsync_is_held_until_the_job_ends(fleet: Live) -> None:
    reply = held(fleet, "echo/runsync", {"input": {"prompt": f"[[case:held]]{TIMES}"}}, "held", 10)
    assert (reply["status"], reply["executionTime"], reply["delayTime"]) == ("COMPLETED", 8000, 2000)
    assert reply["id"].startswith("sync-")
    assert told(fleet, reply["id"]) == "COMPLETED"
    later(fleet, 60)
    assert told(fleet, reply["id"]) == "404"


def test_a_runsync_that_waits_too_long_tells_how_it_stands(fleet: Live) -> None:
    body = {"input": {"prompt": f"[[case:short]]{TIMES}"}}
    reply = held(fleet, "echo/runsync?wait=5000", body, "short", 5)
    assert reply["status"] == "IN_PROGRESS"
    later(fleet, 5)
    assert told(fleet, reply["id"]) == "COMPLETED"


def held(fleet: Live, path: str, body: object, case: str, seconds: float) -> Any:
    """The reply to a request that is held for so long by the fleet's clock."""
    found: list[Reply] = []
    thread = threading.Thread(target=lambda: found.append(call(fleet, "POST", path, body)))
    thread.start()
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, seconds - 0.001)
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, 0.001)
    thread.join(20)
    assert found[0].status == 200
    return found[0].json


def test_a_job_is_cancelled_once(fleet: Live) -> None:
    job = submit(fleet)
    later(fleet, 3)
    assert call(fleet, "POST", f"echo/cancel/{job}").json == {"id": job, "status": "CANCELLED"}
    later(fleet, 20)
    after = status(fleet, job)
    assert (after["status"], after["executionTime"]) == ("CANCELLED", 1000)
    done = submit(fleet)
    later(fleet, 10)
    assert call(fleet, "POST", f"echo/cancel/{done}").json == {"id": done, "status": "COMPLETED"}


def test_a_retry_begins_the_same_job_anew(fleet: Live) -> None:
    job = submit(fleet, "job_fails percent=25 attempt=1", text="[[case:retried]]")
    later(fleet, 4)
    failed = status(fleet, job)
    assert (failed["status"], failed["executionTime"]) == ("FAILED", 2000)
    assert call(fleet, "POST", f"echo/retry/{job}").json == {"id": job, "status": "IN_QUEUE"}
    assert status(fleet, job) == {"id": job, "status": "IN_QUEUE"}
    later(fleet, 10)
    assert told(fleet, job) == "COMPLETED"
    refused = call(fleet, "POST", f"echo/retry/{job}")
    assert (refused.status, refused.json) == (400, {"error": "cannot retry a job that is COMPLETED"})
    (row,) = fleet.control("GET", "jobs?case=retried")["jobs"]
    assert (row["tries"], row["state"], row["run_ms"]) == (2, "succeeded", 8000)
    assert {entry["operation"] for entry in fleet.journal("retried")} == {"run", "status", "retry"}


def test_a_stream_gives_each_item_once(fleet: Live) -> None:
    job = submit(fleet, endpoint="stream", text="one two three four")
    items: list[str] = []
    states: list[str] = []
    while not states or states[-1] != "COMPLETED":
        later(fleet, 3)
        reply = call(fleet, "GET", f"stream/stream/{job}").json
        states.append(reply["status"])
        items += [item["output"] for item in reply["stream"]]
    assert items[:4] == ["one", "two", "three", "four"]
    assert status(fleet, job, "stream")["output"] == items
    assert call(fleet, "GET", f"stream/stream/{job}").json == {"status": "COMPLETED", "stream": []}
    assert states[0] == "IN_PROGRESS"


def test_a_handler_may_tell_its_progress(fleet: Live) -> None:
    job = submit(fleet, endpoint="progress", text="a b c d")
    later(fleet, 2 + 4)
    done, total = map(int, status(fleet, job, "progress")["output"].split("/"))
    assert done == total // 2


def test_health_requests_and_purge_see_one_endpoint() -> None:
    with running(Clock("manual")) as fleet:
        done, cancelled = submit(fleet), submit(fleet)
        call(fleet, "POST", f"echo/cancel/{cancelled}")
        later(fleet, 8)
        busy = submit(fleet)
        later(fleet, 2)
        queued, elsewhere = submit(fleet), submit(fleet, endpoint="stream")
        health = call(fleet, "GET", "echo/health").json
        assert health["jobs"] == {"completed": 1, "failed": 0, "inProgress": 1, "inQueue": 1, "retried": 0}
        assert health["workers"]["running"] == 1
        rows = call(fleet, "GET", "echo/requests").json["requests"]
        words = ["COMPLETED", "CANCELLED", "IN_PROGRESS", "IN_QUEUE"]
        assert {row["id"]: row["status"] for row in rows} == dict(
            zip([done, cancelled, busy, queued], words, strict=True)
        )
        assert call(fleet, "POST", "echo/purge-queue").json == {"removed": 1, "status": "completed"}
        assert (told(fleet, queued), told(fleet, busy)) == ("404", "IN_PROGRESS")
        assert told(fleet, elsewhere, "stream") == "IN_QUEUE"


@pytest.mark.parametrize(
    ("path", "body", "code", "error"),
    [
        ("echo/run", {"inputs": {}}, 400, "input is required"),
        ("echo/run", b"{", 400, "request body is not JSON"),
        ("echo/run", {"input": {}, "policy": {"ttl": 5}}, 400, "policy.ttl must be a whole number"),
        ("echo/run", {"input": {}, "policy": 5}, 400, "policy must be an object"),
        ("echo/run", {"input": {}, "webhook": 5}, 400, "webhook must be a URL"),
        ("echo/runsync?wait=1", {"input": {}}, 400, "wait must be a whole number"),
        ("nowhere/run", {"input": {}}, 404, "endpoint not found"),
        ("echo/cancel/b0c1", None, 404, "job not found"),
        ("echo/retry/00000000-0000-4000-8000-000000000000-u1", None, 404, "job not found"),
        ("echo/run", b'{"input":"%s"}' % (b"x" * (10 << 20)), 413, "request body too large"),
    ],
)
def test_what_is_refused(fleet: Live, path: str, body: object, code: int, error: str) -> None:
    reply = call(fleet, "POST", path, body)
    assert reply.status == code
    assert reply.json["error"].startswith(error)


def test_a_job_is_known_at_its_endpoint_and_by_its_whole_id(fleet: Live) -> None:
    job = submit(fleet)
    assert told(fleet, job, "stream") == "404"
    other = ("0" if job[0] != "0" else "1") + job[1:]
    assert told(fleet, other) == "404"
    assert told(fleet, job) == "IN_QUEUE"


def test_keys(fleet: Live) -> None:
    assert call(fleet, "GET", "echo/health", authorization="sk-fleet-runpod").status == 200
    for path in ("echo/health", "bucket/health", "echo/status/bucket"):
        refused = call(fleet, "GET", path, authorization="Bearer sk-other")
        assert (refused.status, refused.body) == (401, b"")


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("status=429", 429, {"error": "too many requests"}),
        ("status=500", 500, {"error": "internal server error"}),
        ("status=418", 418, {"error": "error"}),
        ("status=401", 401, None),
    ],
)
def test_faults_of_the_wire_speak_its_words(fleet: Live, fault: str, code: int, said: object) -> None:
    refused = call(fleet, "GET", "echo/health", **{"x-windtunnel-fault": fault})
    assert refused.status == code
    assert (refused.json if refused.body else None) == said


def test_the_documented_limits_as_quotas() -> None:
    with running(Clock("manual")) as fleet:
        rows = [{"limit": 2, "per": "10s", "of": "requests", "operations": ["run"], "by": ["key", "model"]}]
        fleet.control("PUT", "quotas", {"runpod": rows})
        submit(fleet)
        job = submit(fleet)
        refused = call(fleet, "POST", "echo/run", {"input": {"prompt": "one more"}})
        assert refused.status == 429
        assert isinstance(refused.json["error"], str)
        assert told(fleet, job) == "IN_QUEUE"
        assert len(fleet.control("GET", "jobs")["jobs"]) == 2
        later(fleet, 10)
        submit(fleet)


# --- worker-comfyui ---------------------------------------------------------------------------------------------------


def rendered(fleet: Live, given: Any, endpoint: str = "comfyui") -> dict[str, Any]:
    """A job of worker-comfyui that ended."""
    reply = call(fleet, "POST", f"{endpoint}/run", {"input": given})
    assert reply.status == 200, reply
    later(fleet, 300)
    return status(fleet, reply.json["id"], endpoint)


def test_a_graph_becomes_pictures(fleet: Live) -> None:
    done = rendered(fleet, {"workflow": graph(batch=2)})
    images = done["output"]["images"]
    assert [(image["filename"], image["type"]) for image in images] == [
        ("ComfyUI_00001_.png", "base64"),
        ("ComfyUI_00002_.png", "base64"),
    ]
    assert {opened(image["data"]).size for image in images} == {(256, 192)}
    assert images[0]["data"] != images[1]["data"]
    assert done["executionTime"] > 20
    again = rendered(fleet, {"workflow": graph(batch=2)})
    assert again["output"] == done["output"]


def test_pictures_go_in(fleet: Live) -> None:
    data = io.BytesIO()
    Image.new("RGB", (96, 64)).save(data, "PNG")
    text = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    nodes = graph()
    nodes["5"] = {"class_type": "LoadImage", "inputs": {"image": "in.png"}}
    done = rendered(fleet, {"workflow": nodes, "images": [{"name": "in.png", "image": text}]})
    assert opened(done["output"]["images"][0]["data"]).size == (96, 64)


def test_pictures_come_as_links_that_expire(fleet: Live) -> None:
    done = rendered(fleet, {"workflow": graph()}, "comfyui-s3")
    image = done["output"]["images"][0]
    assert image["type"] == "s3_url"
    fetched = fetch(fleet, image["data"])
    assert (fetched.status, opened(fetched.body).size) == (200, (256, 192))
    refused = fetch(fleet, image["data"].replace("ComfyUI_00001", "ComfyUI_00002"))
    assert (refused.status, b"SignatureDoesNotMatch" in refused.body) == (403, True)
    later(fleet, 7 * 86_400)
    late = fetch(fleet, image["data"])
    assert (late.status, b"<Message>Request has expired</Message>" in late.body) == (403, True)


def fetch(fleet: Live, url: str) -> Reply:
    """What a link leads to, without a key."""
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def test_the_form_before_version_5(fleet: Live) -> None:
    output = rendered(fleet, {"workflow": graph()}, "comfyui-4")["output"]
    assert output["status"] == "success"
    assert opened(output["message"]).size == (256, 192)


def test_a_graph_that_saves_nothing_succeeds_with_nothing(fleet: Live) -> None:
    nodes = graph()
    nodes["9"]["class_type"] = "PreviewImage"
    done = rendered(fleet, {"workflow": nodes})
    assert (done["status"], done["output"]) == ("COMPLETED", {"status": "success_no_images", "images": []})


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "Please provide input"),
        ("{", "Invalid JSON format in input"),
        ({"prompt": PROMPT}, "Missing 'workflow' parameter"),
        ({"workflow": "{"}, "Invalid JSON format in input"),
        ({"workflow": graph(), "images": "x"}, "'images' must be a list of objects with 'name' and 'image' keys"),
        ({"workflow": graph(), "images": [{"name": "a", "image": "!"}]}, "Failed to upload one or more input images"),
        ({"workflow": {"1": {}}}, "Workflow validation failed: Node 1 has no class_type"),
        ({"workflow": graph(x={"class_type": "VAEDecode", "inputs": {"samples": ["77", 0]}})}, "Workflow validation"),
        ({"workflow": graph(x={"class_type": "LoadImage", "inputs": {"image": "b.png"}})}, "Workflow validation"),
        ({"workflow": graph(width=8192)}, "Workflow execution error: Node Type: KSampler, Node ID: 3"),
    ],
)
def test_graphs_that_fail(fleet: Live, given: Any, error: str) -> None:
    """The job is accepted and fails, in the worker's own words and as plain text."""
    failed = rendered(fleet, given)
    assert failed["status"] == "FAILED"
    assert failed["error"].startswith(error)
    assert "output" not in failed
