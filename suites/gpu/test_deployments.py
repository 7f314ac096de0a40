"""Deployments: made, listed, changed, dropped; when they take jobs, what these get, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from suites.case import Case, expect_status
from suites.edge import now_ms
from suites.gpu_jobs import COMFY, GPU, SMALL, Gpu, cost_uc, ident, seconds_uc
from suites.outcomes import HarnessError
from suites.requirement import over, requirement

TRIES = 8  # to be answered before a deployment is live


def deploys_ms(told: Mapping[str, Any]) -> float:
    """How long a deployment takes, by what it tells of itself; at least a tenth of a second."""
    begun, live = (datetime.fromisoformat(str(told[name])) for name in ("updatedAt", "liveAt"))
    return max(100.0, (live - begun).total_seconds() * 1000)


async def slugs(gpu: Gpu, key: Any = None) -> list[str]:
    """What the list names."""
    reply = await gpu.call("GET", "deployments", key=key)
    expect_status(reply, 200)
    return [row["slug"] for row in reply.json["deployments"]]


@requirement("GPU-019")
async def test_life(case: Case) -> None:
    """Made, read, changed, dropped."""
    gpu = Gpu(case)
    made = await gpu.create("first", name="The first", maxSeconds=60)
    expect_status(made, 201)
    told = {name: made.json.get(name) for name in ("slug", "name", "dockerImage", "gpuTypes", "maxSeconds")}
    assert told == {"slug": "first", "name": "The first", "dockerImage": COMFY, "gpuTypes": GPU, "maxSeconds": 60}
    expect_status(await gpu.create("second"), 201)
    assert await slugs(gpu) == ["first", "second"], "the list lacks one, or has others"
    changed = await gpu.call("PATCH", "deployments/first", {"name": "Renamed", "maxSeconds": 90})
    expect_status(changed, 200)
    alone = await gpu.call("GET", "deployments/first")
    expect_status(alone, 200)
    assert (alone.json["name"], alone.json["maxSeconds"]) == ("Renamed", 90), f"after the change: {alone}"
    assert alone.json["dockerImage"] == COMFY, "the change touched what it did not name"
    expect_status(await gpu.call("DELETE", "deployments/first"), 200)
    assert await slugs(gpu) == ["second"], "the deployment is still listed"
    expect_status(await gpu.call("GET", "deployments/first"), 404, "not_found_error")
    gone = await gpu.submit("run/first")
    expect_status(gone, 404, "not_found_error")
    await case.nothing_upstream(gone)


@requirement("GPU-019")
async def test_slug_taken(case: Case) -> None:
    """A second one of the same slug."""
    gpu = Gpu(case)
    expect_status(await gpu.create("mine", name="The first"), 201)
    expect_status(await gpu.create("mine", name="The second"), 409, "conflict_error")
    kept = await gpu.call("GET", "deployments/mine")
    assert kept.json.get("name") == "The first", f"the refused one took its place: {kept}"


WRONG: tuple[tuple[str, Any], ...] = (
    ("slug", "Not a slug"),
    ("slug", None),
    ("dockerImage", "no image"),
    ("dockerImage", None),
    ("gpuTypes", "GTX_1080"),
    ("gpuTypes", None),
    ("maxWorkers", -1),
    ("maxSeconds", 0),
    ("maxSeconds", "60"),
    ("region", "moon"),
    ("env", {"A": 1}),
    ("colour", "red"),
)


@requirement("GPU-020")
@over(wrong=WRONG)
async def test_wrong_fields(case: Case, wrong: tuple[str, Any]) -> None:
    """Each field at fault; nothing is made."""
    gpu = Gpu(case)
    name, value = wrong
    body = {"slug": "mine", "dockerImage": COMFY, "gpuTypes": GPU, name: value}
    reply = await gpu.call("POST", "deployments", {k: v for k, v in body.items() if v is not None})
    expect_status(reply, 400, "invalid_request_error")
    assert name in (reply.error or ("", ""))[1], f"the message does not name {name}: {reply}"
    assert await slugs(gpu) == [], "it was made all the same"


@requirement("GPU-021")
async def test_env(case: Case) -> None:
    """Neither when it is made, nor when it is read, listed or changed; and what is shown may be written back."""
    gpu = Gpu(case)
    secret = f"hunter2-{case.fresh()}"
    replies = [await gpu.create("mine", env={"TOKEN": secret})]
    replies.append(await gpu.call("GET", "deployments/mine"))
    replies.append(await gpu.call("GET", "deployments"))
    shown = replies[1].json.get("env")
    replies.append(await gpu.call("PATCH", "deployments/mine", {"env": shown}))
    for reply in replies:
        assert reply.status in (200, 201), f"came {reply}"
        assert secret.encode() not in reply.raw, f"the value of a variable is shown: {reply}"
    assert list(shown or ()) == ["TOKEN"], f"the names of variables are {shown}"
    assert replies[3].json.get("env") == shown, "writing back what was shown changed it"


@requirement("GPU-022")
async def test_not_yet_live(case: Case) -> None:
    """Asked at once after it was made, or made anew; only an answer that came before it can be live counts."""
    gpu = Gpu(case)
    expect_status(await gpu.create("mine"), 201)
    for number in range(TRIES):
        started = now_ms()
        changed = await gpu.call("PATCH", "deployments/mine", {"dockerImage": f"runpod/worker-comfyui:5.1.{number}"})
        expect_status(changed, 200)
        reply = await gpu.submit("run/mine", given=SMALL)
        if reply.status == 409 or now_ms() - started < deploys_ms(changed.json):
            break
    else:
        raise HarnessError(f"{TRIES} submissions were answered too late to tell whether the deployment was live")
    assert changed.json.get("status") == "deploying", f"after a change of its container: {changed}"
    expect_status(reply, 409, "conflict_error")
    await case.nothing_upstream(reply)
    wait = reply.headers.get("retry-after", "")
    assert wait.isdigit(), f"Retry-After is {wait!r}"
    assert 1 <= int(wait) <= 60, f"Retry-After is {wait!r}; it goes live within 60 s"
    await gpu.live("mine")
    expect_status(await gpu.submit("run/mine", given=SMALL), 202)


@requirement("GPU-023")
async def test_a_job_of_ones_own(case: Case) -> None:
    """Submitted, polled, with the caller's overrides; the picture comes in the answer, the time is charged."""
    gpu = Gpu(case)
    made = await gpu.deploy()
    given = {**SMALL, "seed": 42, "workflow_overrides": {"Sampler.steps": 30}}
    reply = await gpu.taken("run/mine", given=given)
    assert {"job_id", "status", "provider_job_id"} <= reply.json.keys(), f"the answer is {reply}"
    entry = (await gpu.submissions(reply))[0]
    nodes = entry.body["input"]["workflow"].values()
    steps = [(n["inputs"]["seed"], n["inputs"]["steps"]) for n in nodes if n["class_type"] == "KSampler"]
    assert steps == [(42, 30)], f"seed and steps of the sampler upstream are {steps}; due 42 and 30"
    job = await gpu.ended(reply)
    assert job["status"] == "succeeded", f"the job is {job}"
    images = job["output"]["images"]
    assert len(images) == 1, f"{len(images)} pictures; one was due"
    assert images[0].startswith("data:image/png;base64,"), f"no data URL: {images[0][:40]}"
    told_ms = (await gpu.truth(reply))["told_run_ms"]
    due = seconds_uc(told_ms, made["creditsPerSecond"])
    books = await case.books(rows=1)
    assert job["executionMs"] == told_ms, f"executionMs is {job['executionMs']}; the provider told {told_ms}"
    assert (cost_uc(job), books.charged_uc) == (due, due), f"charged {books.charged_uc} uc; due {due} uc"
    assert books.row["endpoint"].endswith("/gpu/run/{slug}"), f"the log says {books.row['endpoint']}"


@requirement("GPU-024")
async def test_jobs_of_others(case: Case) -> None:
    """Read, cancelled, listed by somebody else."""
    gpu = Gpu(case)
    other = await case.new_user()
    reply = await gpu.taken(case.model("gpu"), times="job_stuck_in_queue")
    await case.reached("job_stuck_in_queue", reply)
    for method, path in (("GET", f"gpu/jobs/{ident(reply)}"), ("POST", f"gpu/jobs/{ident(reply)}/cancel")):
        expect_status(await gpu.call(method, path, key=other), 404, "not_found_error")
    listed = await gpu.call("GET", "gpu/jobs", key=other)
    assert listed.json["jobs"] == [], f"somebody else's list has {listed}"
    assert (await gpu.job(reply))["status"] == "queued", "somebody else cancelled the job"
    expect_status(await gpu.call("POST", f"gpu/jobs/{ident(reply)}/cancel"), 200)


@requirement("GPU-024")
async def test_deployments_of_others(case: Case) -> None:
    """Read, changed, dropped, run, listed by somebody else; who may have one of the same slug."""
    gpu = Gpu(case)
    other = await case.new_user()
    expect_status(await gpu.create("mine", name="Mine"), 201)
    asked = (("GET", None), ("PATCH", {"name": "Theirs"}), ("DELETE", None))
    for method, body in asked:
        expect_status(await gpu.call(method, "deployments/mine", body, key=other), 404, "not_found_error")
    await gpu.live("mine")
    run = await gpu.submit("run/mine", given=SMALL, key=other)
    expect_status(run, 404, "not_found_error")
    await case.nothing_upstream(run)
    assert await slugs(gpu, other) == [], "somebody else's list has it"
    expect_status(await gpu.create("mine", key=other, name="Theirs"), 201)
    mine = await gpu.call("GET", "deployments/mine")
    assert mine.json.get("name") == "Mine", f"somebody else changed it: {mine}"
