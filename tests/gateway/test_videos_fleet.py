"""Clips through the gateway from the fleet: every model of the catalogue, its fallback, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from schemas import catalogue
from simulator.clock import Clock
from simulator.media import clips, pictures
from tests.gateway.lab import Lab, run
from tests.gateway.making import until
from tests.gateway.video_lab import ask_and_leave, files_of, make, on_fleet, settled
from tests.simulator.live import Live, request, running

MODELS = [model for model in catalogue.MODELS.values() if model.kind == "video"]
PRIMARIES = {  # a model of each
    "kling": "kling-v3",
    "minimax": "MiniMax-Hailuo-02",
    "qwen": "wan2.6",
    "ark": "doubao-seedance-2-0",
    "gemini": "veo3.1-fast",
    "vidu": "vidu-q3-pro",
    "xai": "grok-video-3",
}
SCALE = 50.0  # fleet seconds in a second
QUICK = "[[fault: job_times queue_s=3 run_s=10]]"
POLLS = 1 / SCALE
EMPTY = [{"limit": 0, "of": "balance", "unit": "usd", "by": []}]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A fleet whose time runs fast."""
    with running(Clock("real", SCALE)) as found:
        yield found


@pytest.fixture
def clean(live: Live) -> Iterator[Live]:
    """The same, as it was at first."""
    live.control("POST", "reset")
    yield live
    live.control("POST", "reset")


def fetched(live: Live, lab: Lab, url: str) -> bytes:
    """The clip behind a link that the caller was given."""
    kept = files_of(lab)
    if url in kept:
        return kept[url]
    parts = urlsplit(url)
    reply = live.call(request("GET", f"{parts.path}?{parts.query}"), "GET")
    assert reply.status == 200, (url, reply.status)
    return reply.body


def submissions(live: Live, case: str) -> list[str]:
    """The vendors that took an order of a case, in order."""
    return [
        job["provider"]
        for job in sorted(live.control("GET", f"jobs?case={case}")["jobs"], key=lambda j: j["submitted_ms"])
    ]


async def has_jobs(live: Live, case: str) -> bool:
    """Whether a provider took an order of a case."""
    return bool(submissions(live, case))


async def all_models(lab: Lab, tag: str, **fields: Any) -> dict[str, Any]:
    """Every model's clip, asked for together."""

    async def one(model: catalogue.Model) -> Any:
        prompt = f"A teapot on a hill [[case:{tag}-{model.id}]] {QUICK}"
        return await make(lab, model=model.id, prompt=prompt, **fields)

    answers = await asyncio.gather(*(one(model) for model in MODELS))
    return {model.id: answer for model, answer in zip(MODELS, answers, strict=True)}


async def check_charges(lab: Lab, seconds: int) -> dict[str, str]:
    """Every model was charged once and exactly; which upstream made it."""
    rows = await lab.log()
    assert len(rows) == len(MODELS)
    for row in rows:
        model = catalogue.MODELS[row["model"]]
        units = seconds if model.unit == "second" else 1
        assert (row["status"], row["unit"], row["units"]) == ("succeeded", model.unit, units), row
        assert row["costUc"] == units * model.unit_uc
    assert await lab.spent_uc() == sum(row["costUc"] for row in rows)
    return {row["model"]: row["upstream"] for row in rows}


def test_every_model_is_made_and_charged(clean: Live) -> None:
    async def body() -> None:
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            answers = await all_models(lab, "made", duration=5, aspect_ratio="16:9")
            for model, answer in answers.items():
                assert answer.status == 200, (model, answer.body)
                facts = clips.probe(fetched(clean, lab, answer.json["data"][0]["url"]))
                assert facts.seconds == pytest.approx(answer.json["data"][0].get("duration", 5), abs=0.2), model
                assert facts.seconds >= 5, model
                assert facts.width / facts.height == pytest.approx(16 / 9, rel=0.02), model
                assert len(submissions(clean, f"made-{model}")) == 1
            made_by = await check_charges(lab, 5)
            assert set(made_by.values()) == set(PRIMARIES)

    run(body())


def test_every_model_has_a_fallback_when_its_provider_is_down(clean: Live) -> None:
    async def body() -> None:
        rule = {"when": {"provider": list(PRIMARIES)}, "fault": {"kind": "refuse"}}
        clean.control("POST", "faults", {"rules": [rule]})
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            answers = await all_models(lab, "down")
            for model, answer in answers.items():
                assert answer.status == 200, (model, answer.body)
            made_by = await check_charges(lab, 5)
            assert set(made_by.values()) == {"fal", "replicate", "byteplus", "vertex"}

    run(body())


def test_a_provider_without_money_is_left_at_once(clean: Live) -> None:
    """Each says it in its own way: 429 (Kling), 400 (Vidu, DashScope), 200 (MiniMax), 403, 402."""

    async def body() -> None:
        clean.control("PUT", "quotas", dict.fromkeys(PRIMARIES, EMPTY))
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            answers = await all_models(lab, "poor")
            for model, answer in answers.items():
                assert answer.status == 200, (model, answer.body)
            made_by = await check_charges(lab, 5)
            assert not set(made_by.values()) & set(PRIMARIES)
            assert {row["attempts"] for row in await lab.log()} == {2}

    run(body())


def test_a_wrong_key_at_a_provider_is_not_the_callers_affair(clean: Live) -> None:
    async def body() -> None:
        async with on_fleet(clean, poll_factor=POLLS, keys=dict.fromkeys(PRIMARIES, "wrong")) as lab:
            for provider, model in PRIMARIES.items():
                answer = await make(lab, model=model, prompt=f"A teapot [[case:locked-{provider}]] {QUICK}")
                assert answer.status == 200, (model, answer.body)
            assert {row["attempts"] for row in await lab.log()} == {2}

    run(body())


FRAME = "data:image/png;base64," + b64encode(pictures.picture("a teapot", 640, 360, "png", 7)).decode()


def test_every_model_begins_on_a_picture(clean: Live) -> None:
    async def body() -> None:
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            for model, answer in (await all_models(lab, "frame", image_url=FRAME)).items():
                assert answer.status == 200, (model, answer.body)
            assert set((await check_charges(lab, 5)).values()) == set(PRIMARIES)

    run(body())


def test_fallbacks_begin_on_a_picture_as_well(clean: Live) -> None:
    async def body() -> None:
        clean.control("PUT", "quotas", dict.fromkeys(PRIMARIES, EMPTY))
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            for model, answer in (await all_models(lab, "frame-poor", image_url=FRAME)).items():
                assert answer.status == 200, (model, answer.body)
            assert not set((await check_charges(lab, 5)).values()) & set(PRIMARIES)

    run(body())


async def seven(live: Live, tag: str, fault: dict[str, Any]) -> dict[str, tuple[Any, list[str]]]:
    """A clip of each primary under a fault of its own: the answer, and who took an order."""
    live.control("POST", "faults", {"rules": [{"when": {"provider": list(PRIMARIES)}, "fault": fault}]})
    async with on_fleet(live, poll_factor=POLLS) as lab:

        async def one(provider: str, model: str) -> Any:
            return await make(lab, model=model, prompt=f"A teapot [[case:{tag}-{provider}]] {QUICK}")

        answers = await asyncio.gather(*(one(*pair) for pair in PRIMARIES.items()))
        assert (await lab.services.money.audit()).ok
    return {
        provider: (answer, submissions(live, f"{tag}-{provider}"))
        for provider, answer in zip(PRIMARIES, answers, strict=True)
    }


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "transient_404_after_submit", "for_s": 0, "polls": 3},
        {"kind": "status_words_drift"},
        {"kind": "status_regress_after_completion", "after_s": 0},
        {"kind": "job_executed_twice"},
        {"kind": "progress_curve", "curve": "regress"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_what_looks_like_trouble_and_is_none(clean: Live, fault: dict[str, Any]) -> None:
    async def body() -> None:
        for provider, (answer, took) in (await seven(clean, fault["kind"], fault)).items():
            assert (answer.status, took) == (200, [provider]), answer.body

    run(body())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "submit_5xx_after_accept"},
        {"kind": "reset"},
        {"kind": "job_vanishes", "after_s": 4},
        {"kind": "job_fails"},
        {"kind": "job_cancelled"},
        {"kind": "moderation_after_render"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_lost_job_is_made_elsewhere_and_never_twice_at_one_provider(clean: Live, fault: dict[str, Any]) -> None:
    async def body() -> None:
        for provider, (answer, took) in (await seven(clean, fault["kind"], fault)).items():
            assert answer.status == 200, (provider, answer.body)
            assert took[0] == provider
            assert len(took) == len(set(took)) == 2, took

    run(body())


def test_hang_ups_call_jobs_off_where_the_provider_can(clean: Live) -> None:
    async def body() -> None:
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            for provider in ("ark", "qwen", "vidu"):
                case = f"gone-{provider}"
                wish = {
                    "model": PRIMARIES[provider],
                    "prompt": f"A teapot [[case:{case}]] [[fault: job_stuck_in_queue]]",
                }
                left = asyncio.Event()
                call = asyncio.create_task(ask_and_leave(lab, wish, left))
                await until(lambda case=case: has_jobs(clean, case))
                left.set()
                assert await call == []
                await settled(lab)
                [job] = clean.control("GET", f"jobs?case={case}")["jobs"]
                assert job["state"] == "cancelled", job
            assert await lab.spent_uc() == 0

    run(body())


def test_a_pair_of_keys_signs_tokens_that_kling_takes() -> None:
    """The fleet's own clock judges them."""

    async def body(live: Live) -> None:
        pair = {"kling": "fleet-kling-access|fleet-kling-secret-key"}
        async with on_fleet(live, poll_factor=0.01, keys=pair) as lab:
            prompt = "A teapot [[case:pair]] [[fault: job_times queue_s=0 run_s=0.1]]"
            answer = await make(lab, model="kling-v3", prompt=prompt)
            assert answer.status == 200, answer.body
        assert submissions(live, "pair") == ["kling"]

    with running() as live:
        run(body(live))


def test_what_only_a_provider_knows_to_be_wrong_is_the_callers_400(clean: Live) -> None:
    async def body() -> None:
        async with on_fleet(clean, poll_factor=POLLS) as lab:
            for provider, model in PRIMARIES.items():
                ratio = {"aspect_ratio": "7:3"} if provider != "minimax" else {"resolution": "9000P"}
                answer = await make(lab, model=model, prompt=f"A teapot [[case:odd-{provider}]]", **ratio)
                assert answer.status == 400, (provider, answer.body)
                assert answer.error[0] == "invalid_request_error"
                assert submissions(clean, f"odd-{provider}") == []
            assert await lab.spent_uc() == 0
            assert b"sk-fleet" not in json.dumps(await lab.log()).encode()

    run(body())
