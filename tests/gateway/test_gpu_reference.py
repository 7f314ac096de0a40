"""The examples of the API reference's sections on GPUs, word for word."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.storage.tables import usage_log
from gateway.upstreams.memory import MemoryReply
from tests.gateway.gpu_lab import CLIP, PICTURES, PNG, PROMPT, RUN, GpuLab, open_gpu_lab
from tests.gateway.lab import CREDIT, run

SUBMIT = {
    "input": {
        "prompt": "a cinematic portrait of an astronaut",
        "seed": 42,
        "workflow_overrides": {"Sampler.steps": 30},
    }
}
CREATE = {
    "slug": "my-comfy-workflow",
    "name": "My Comfy",
    "dockerImage": "runpod/worker-comfyui:dev-cuda12.1.1",
    "gpuTypes": "ADA_48_PRO,AMPERE_80",
}


async def rows(lab: GpuLab) -> list[Any]:
    return list(await lab.services.store.read(lambda c: c.execute(select(usage_log)).mappings().all()))


def test_a_comfyui_deployment(tmp_path: Path) -> None:
    """Create, submit, poll queued → running → succeeded: 18420 ms are 56 credits."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        created = await lab.ask("/v1/deployments", CREATE)
        assert created.status == 201
        assert created.json["status"] == "deploying"
        early = await lab.ask(RUN, SUBMIT)
        assert (early.status, early.error[0], early.headers["retry-after"]) == (409, "conflict_error", "60")
        lab.clock.advance(60_000)
        deployments = (await lab.ask("/v1/deployments", method="GET")).json["deployments"]
        assert [(each["slug"], each["status"]) for each in deployments] == [("my-comfy-workflow", "live")]

        submitted = await lab.ask(RUN, SUBMIT)
        assert submitted.status == 202
        ident = submitted.json["job_id"]
        assert len(ident) == len("K3uA7Pq9xLm4")
        assert submitted.json == {"job_id": ident, "status": "queued", "provider_job_id": "job-1-u1"}
        workflow = lab.runpod.bodies[0]["input"]["workflow"]
        sampler = next(node for node in workflow.values() if node["class_type"] == "KSampler")
        assert (sampler["inputs"]["steps"], sampler["inputs"]["seed"]) == (30, 42)
        texts = [node["inputs"]["text"] for node in workflow.values() if "text" in node["inputs"]]
        assert "a cinematic portrait of an astronaut" in texts
        assert lab.runpod.bodies[0]["policy"] == {"executionTimeout": 300_000, "ttl": 2_100_000}
        held = await lab.services.money.balance(lab.user_id)
        assert held.held_uc == 900 * CREDIT

        assert (await lab.job(ident))["status"] == "queued"
        lab.clock.advance(5_000)
        lab.runpod.start()
        assert (await lab.job(ident))["status"] == "running"
        lab.clock.advance(20_000)
        lab.runpod.end(output=PICTURES, executionTime=18_420)
        assert await lab.job(ident) == {
            "job_id": ident,
            "status": "succeeded",
            "output": {"images": ["data:image/png;base64," + b64encode(PNG).decode()]},
            "executionMs": 18420,
            "creditsCharged": 56,
        }
        assert await lab.check() == 56 * CREDIT
        (row,) = await rows(lab)
        assert (row["endpoint"], row["model"], row["unit"], row["units"]) == (
            "/v1/gpu/run/{slug}",
            "my-comfy-workflow",
            "gpu_ms",
            18_420,
        )
        assert (row["status"], row["cost_uc"], row["estimated"], row["capped"]) == (
            "succeeded",
            56 * CREDIT,
            False,
            False,
        )
        polls = lab.runpod.polls
        assert (await lab.job(ident))["creditsCharged"] == 56
        assert lab.runpod.polls == polls, "a job that has ended is not asked about again"

    run(work())


def test_sync_inference(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)

        def soon() -> None:
            lab.clock.advance(5_000)
            lab.runpod.end(output=PICTURES, executionTime=4_210)

        lab.runpod.before_poll = soon
        answer = await lab.ask(
            "/v1/gpu/sdxl", {"input": {"prompt": "a tabby cat astronaut"}}, headers=headers(lab, "cdn.example")
        )
        assert answer.status == 200
        told = answer.json
        (link,) = told.pop("outputs")
        assert link.startswith("http://cdn.example/")
        assert link.endswith(".png")
        assert told == {"id": told["id"], "status": "succeeded", "costCredits": 50, "durationMs": 4210}
        assert await lab.check() == 50 * CREDIT

    run(work())


def headers(lab: GpuLab, host: str) -> dict[str, str]:
    return {"authorization": f"Bearer {lab.secret}", "host": host}


@pytest.mark.parametrize("alias", ["/v1", "/api/v1"])
def test_async_inference(tmp_path: Path, alias: str) -> None:
    """156000 ms are 312 credits."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        given = {"input": {"prompt": "drone over Tokyo, neon, rain", "seconds": 5}}
        submitted = await lab.ask(f"{alias}/gpu/wan-video", given)
        assert submitted.status == 202
        ident = submitted.json["id"]
        assert submitted.json == {"id": ident, "status": "queued", "pollUrl": f"/v1/gpu/jobs/{ident}"}
        assert lab.runpod.bodies[0]["input"] == given["input"]
        lab.clock.advance(160_000)
        lab.runpod.end(output=CLIP, executionTime=156_000)
        told = (await lab.ask(f"{alias}/gpu/jobs/{ident}", method="GET")).json
        (link,) = told.pop("outputs")
        assert link.endswith(".mp4")
        assert told == {"id": ident, "status": "succeeded", "costCredits": 312, "durationMs": 156_000}
        assert await lab.check() == 312 * CREDIT

    run(work())


def test_per_second_billing_is_capped_at_the_model_s_longest(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted("/v1/gpu/wan-video")
        lab.clock.advance(1_000_000)
        lab.runpod.end(output=CLIP, executionTime=900_000)
        told = await lab.job(ident)
        assert (told["durationMs"], told["costCredits"]) == (900_000, 1200)
        assert await lab.check() == 1200 * CREDIT
        (row,) = await rows(lab)
        assert row["capped"]

    run(work())


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_failed_and_timed_out_jobs_are_refunded(tmp_path: Path, status: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted("/v1/gpu/wan-video")
        lab.runpod.end(status, error="CUDA out of memory", executionTime=12_000)
        told = await lab.job(ident)
        assert (told["status"], told["costCredits"]) == ("failed", 0)
        kind = {"FAILED": "job_failed", "TIMED_OUT": "job_timed_out"}[status]
        assert told["error"]["type"] == kind
        assert await lab.check() == 0
        moved = await lab.services.money.transfers(lab.user_id)
        assert [transfer.kind for transfer in moved] == ["TOP_UP", "HOLD", "EXPIRE"]
        (row,) = await rows(lab)
        assert (row["status"], row["status_code"], row["cost_uc"]) == ("upstream_failed", 502, 0)

    run(work())


def test_the_catalogue(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        data = {row["slug"]: row for row in (await lab.ask("/v1/gpu", method="GET")).json["data"]}
        assert (data["sdxl"]["creditsPerCall"], data["sdxl"]["mode"], data["sdxl"]["maxCredits"]) == (50, "sync", 50)
        assert (data["wan-video"]["creditsPerSecond"], data["wan-video"]["maxSeconds"]) == (2, 600)
        assert (await lab.ask("/v1/gpu/sdxl", method="GET")).json == data["sdxl"]
        assert (await lab.ask("/v1/gpu", method="GET", headers={})).status == 401

    run(work())


def test_inline_for_240_seconds_then_202(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        lab.runpod.before_poll = lambda: lab.clock.advance(240_000) and None
        answer = await lab.ask(RUN, {**PROMPT, "sync": True})
        assert answer.status == 202
        told = answer.json
        assert told == {
            "job_id": told["job_id"],
            "status": "queued",
            "provider_job_id": "job-1-u1",
            "pollUrl": f"/v1/gpu/jobs/{told['job_id']}",
        }
        lab.runpod.end(output=PICTURES, executionTime=3_000)
        assert (await lab.job(told["job_id"]))["creditsCharged"] == 9
        assert await lab.check() == 9 * CREDIT

    run(work())


def test_inline_ends_with_the_job(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()

        def soon() -> None:
            lab.clock.advance(2_000)
            lab.runpod.end(output=PICTURES, executionTime=1_001)

        lab.runpod.before_poll = soon
        answer = await lab.ask(RUN, {**PROMPT, "sync": True})
        assert answer.status == 200
        assert set(answer.json) == {"job_id", "status", "output", "executionMs", "creditsCharged"}
        assert answer.json["creditsCharged"] == 4, "1.001 s at 3 a second, rounded up"

    run(work())


def test_links_of_a_bucket_are_fetched_and_kept(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        link = "https://bucket.example/a.png?signature=1"
        lab.runpod.files[link] = MemoryReply(200, {"content-type": "image/png"}, [PNG])
        output = {"images": [{"filename": "a.png", "type": "s3_url", "data": link}]}
        lab.runpod.before_poll = lambda: lab.runpod.end(output=output, executionTime=900)
        answer = await lab.ask("/v1/gpu/flux-schnell", PROMPT)
        assert answer.status == 200
        assert "bucket.example" not in answer.json["outputs"][0]
        assert answer.json["costCredits"] == 20

    run(work())
