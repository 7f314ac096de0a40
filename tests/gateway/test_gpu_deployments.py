"""Deployments: what may be said of one, states by the clock, slugs, variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.gpu.deployments import HIDDEN
from tests.gateway.gpu_lab import COMFY, PROMPT, RUN, open_gpu_lab
from tests.gateway.lab import run

ONE = "/v1/deployments/my-comfy-workflow"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"slug": None}, "`slug` is missing"),
        ({"slug": "Über"}, "`slug` is 'Über'; 1 to 63 of a-z"),
        ({"slug": "-a"}, "`slug` is '-a'"),
        ({"slug": "a" * 64}, "1 to 63"),
        ({"slug": 5}, "`slug` is a number; a string was due"),
        ({"dockerImage": None}, "`dockerImage` is missing"),
        (
            {"dockerImage": "no image"},
            "`dockerImage` is 'no image'; a name such as runpod/worker-comfyui:5.1.0 was due",
        ),
        ({"dockerImage": "a" * 600}, "`dockerImage` is"),
        ({"gpuTypes": None}, "`gpuTypes` is missing"),
        ({"gpuTypes": "ADA_48_PRO,RTX"}, "`gpuTypes` names 'RTX'; one or more of AMPERE_16, AMPERE_24"),
        ({"gpuTypes": []}, "`gpuTypes` is empty"),
        ({"gpuTypes": [5]}, "`gpuTypes` names"),
        ({"gpuTypes": 5}, "`gpuTypes` is a number"),
        ({"region": "mars"}, "`region` is 'mars'; one of any, us, eu, asia was due"),
        ({"minWorkers": 51}, "`minWorkers` is 51; 0 to 50 was due"),
        ({"minWorkers": "1"}, "`minWorkers` is a string; an integer from 0 to 50 was due"),
        ({"minWorkers": 4, "maxWorkers": 2}, "`minWorkers` is 4 and `maxWorkers` 2"),
        ({"maxWorkers": True}, "`maxWorkers` is a boolean"),
        ({"idleTimeout": 0}, "`idleTimeout` is 0; 1 to 3600 was due"),
        ({"maxSeconds": 4}, "`maxSeconds` is 4; 5 to 3600 was due"),
        ({"webhookUrl": "ftp://x.example"}, "an http:// or https:// URL was due"),
        ({"webhookUrl": "http://10.0.0.1/"}, "public Internet"),
        ({"env": []}, "`env` is an array"),
        ({"env": {"A B": "x"}}, "`env` names 'A B'"),
        ({"env": {"A": 1}}, "`env.A` is no text"),
        ({"name": ""}, "`name` has 0 characters"),
        ({"gpu": "x"}, "'gpu' means nothing here; any of slug, name, dockerImage"),
    ],
)
def test_wrong_ones_say_what_came_and_was_due(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        answer = await lab.ask("/v1/deployments", COMFY | fields)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert message in answer.error[1]
        assert (await lab.ask("/v1/deployments", method="GET")).json == {"deployments": []}

    run(work())


def test_defaults_and_one_slug_each(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        made = (await lab.ask("/api/v1/deployments", COMFY)).json
        assert {name: made[name] for name in ("name", "minWorkers", "maxWorkers", "idleTimeout", "maxSeconds")} == {
            "name": "my-comfy-workflow",
            "minWorkers": 0,
            "maxWorkers": 3,
            "idleTimeout": 5,
            "maxSeconds": 300,
        }
        assert (made["status"], made["region"], made["worker"], made["webhookUrl"]) == (
            "deploying",
            "any",
            "comfyui",
            None,
        )
        assert "webhookSecret" not in made
        again = await lab.ask("/v1/deployments", COMFY)
        assert (again.status, again.error[0]) == (409, "conflict_error")
        assert (await lab.ask("/v1/deployments", COMFY | {"slug": "other"})).status == 201
        assert (await lab.ask(ONE, method="GET")).json == made

    run(work())


def test_it_goes_live_after_a_minute_by_the_gateway_s_clock(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.ask("/v1/deployments", COMFY)
        lab.clock.advance(59_999)
        assert (await lab.ask(ONE, method="GET")).json["status"] == "deploying"
        refused = await lab.ask(RUN, PROMPT)
        assert (refused.status, refused.headers["retry-after"]) == (409, "1")
        lab.clock.advance(1)
        assert (await lab.ask(ONE, method="GET")).json["status"] == "live"
        assert (await lab.ask(RUN, PROMPT)).status == 202

    run(work())


def test_changes(tmp_path: Path) -> None:
    """A name changes at once; another container is deployed anew, and new jobs have its price."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(env={"HF_TOKEN": "hf_secret", "MODE": "fast"})
        shown = (await lab.ask(ONE, {"name": "Better"}, method="PATCH")).json
        assert (shown["name"], shown["status"]) == ("Better", "live")
        assert shown["env"] == {"HF_TOKEN": HIDDEN, "MODE": HIDDEN}
        ident = await lab.submitted()
        shown = (await lab.ask(ONE, {"gpuTypes": ["HOPPER_141", "ADA_24"]}, method="PATCH")).json
        assert (shown["status"], shown["gpuTypes"], shown["creditsPerSecond"]) == ("deploying", "HOPPER_141,ADA_24", 6)
        lab.clock.advance(60_000)
        shown = (await lab.ask(ONE, {"env": {"HF_TOKEN": HIDDEN, "MODE": None, "NEW": "x"}}, method="PATCH")).json
        assert shown["env"] == {"HF_TOKEN": HIDDEN, "NEW": HIDDEN}
        refused = await lab.ask(ONE, {"slug": "x"}, method="PATCH")
        assert (refused.status, "'slug' means nothing here" in refused.error[1]) == (400, True)
        assert (await lab.ask(ONE, {"minWorkers": 9}, method="PATCH")).status == 400
        lab.runpod.jobs["job-1-u1"] = {
            "status": "COMPLETED",
            "output": {"images": [{"data": "http://x.example/a.png"}]},
        }
        lab.runpod.jobs["job-1-u1"]["executionTime"] = 10_000
        told = await lab.job(ident)
        assert (told["output"]["images"], told["creditsCharged"]) == (["http://x.example/a.png"], 30), "the old price"

    run(work())


def test_what_is_dropped_is_gone_and_its_jobs_go_on(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(dockerImage="me/mine")
        ident = await lab.submitted()
        assert (await lab.ask(ONE, method="DELETE")).json == {"slug": "my-comfy-workflow", "deleted": True}
        assert (await lab.ask(ONE, method="DELETE")).status == 404
        assert (await lab.ask(RUN, PROMPT)).status == 404
        lab.clock.advance(10_000)
        lab.runpod.end(output={"x": 1}, executionTime=1_000)
        assert (await lab.job(ident))["output"] == {"x": 1}
        assert (await lab.ask("/v1/deployments", COMFY)).status == 201
        await lab.check()

    run(work())


def test_there_is_a_most(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        for number in range(100):
            assert (await lab.ask("/v1/deployments", COMFY | {"slug": f"d{number}"})).status == 201
        assert (await lab.ask("/v1/deployments", COMFY)).status == 400

    run(work())


@pytest.mark.parametrize(
    ("image", "worker"),
    [
        ("runpod/worker-comfyui:5.1.0-base", "comfyui"),
        ("docker.io/runpod/worker-comfyui", "comfyui"),
        ("registry.example:5000/me/worker-comfyui:1", "comfyui"),
        ("me/handler@sha256:" + "a" * 64, "handler"),
    ],
)
def test_images_decide_the_worker(tmp_path: Path, image: str, worker: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        assert (await lab.ask("/v1/deployments", COMFY | {"dockerImage": image})).json["worker"] == worker

    run(work())
