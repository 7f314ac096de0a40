"""Pictures through the gateway from the fleet: every model of the catalogue, its fallback, and what goes wrong."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.media.shapes import log_of
from schemas import catalogue
from simulator.clock import Clock
from simulator.media import pictures
from tests.gateway.lab import Lab, run
from tests.gateway.media_lab import HOST, draw, file_of, inlined, on_fleet, opened
from tests.simulator.live import Live, request, running

MODELS = [model for model in catalogue.MODELS.values() if model.kind == "image"]
SCALE = 60.0  # fleet seconds in a second
RATIO = "16:9"
SHAPED = {  # what 16:9 comes to: pixels in proportion, the vendor's own, or the nearest of those it has
    "gpt-4o-image": (1536, 1024),
}
SOURCE = f"data:image/png;base64,{b64encode(pictures.picture('source', 640, 480, 'png', 1)).decode()}"


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


def options(**more: Any) -> dict[str, Any]:
    """Polls in the fleet's time."""
    return {"poll_factor": 1 / SCALE, **more}


async def all_models(lab: Lab, models: list[catalogue.Model], tag: str, **fields: Any) -> dict[str, Any]:
    """Every model's pictures, some asked for together."""
    gate = asyncio.Semaphore(6)

    async def one(model: catalogue.Model) -> Any:
        async with gate:
            return await draw(lab, model.id, prompt=f"A teapot on a hill [[case:{tag}-{model.id}]]", **fields)

    answers = await asyncio.gather(*(one(model) for model in models))
    return {model.id: answer for model, answer in zip(models, answers, strict=True)}


def fetched(live: Live, url: str) -> bytes:
    """A file at the fleet."""
    parts = urlsplit(url)
    reply = live.call(request("GET", f"{parts.path}?{parts.query}"), "GET")
    assert reply.status == 200, (url, reply.status)
    return reply.body


async def picture_of(live: Live, lab: Lab, url: str) -> Any:
    """The picture behind a link: the vendor's own, or the gateway's."""
    if urlsplit(url).netloc == HOST:
        answer = await file_of(lab, url)
        assert answer.status == 200
        return opened(answer.body)
    return opened(fetched(live, url))


async def check_charges(lab: Lab, count: int) -> dict[str, str]:
    """Every model was charged once and exactly; which upstream made it."""
    rows = await lab.log()
    assert sorted(row["model"] for row in rows) == sorted(model.id for model in MODELS)
    for row in rows:
        model = catalogue.MODELS[row["model"]]
        assert (row["status"], row["unit"], row["units"]) == ("succeeded", "image", count), row
        assert row["costUc"] == count * model.unit_uc
    assert await lab.spent_uc() == sum(count * model.unit_uc for model in MODELS)
    return {row["model"]: row["upstream"] for row in rows}


def test_every_model_makes_as_many_pictures_as_asked_and_of_that_shape(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            made = await all_models(lab, MODELS, "all", n=2, aspect_ratio=RATIO)
            for ident, answer in made.items():
                assert answer.status == 200, (ident, answer.body[:400])
                assert list(answer.json) == ["created", "data"]
                assert len(answer.json["data"]) == 2
                for entry in answer.json["data"]:
                    image = await picture_of(clean, lab, entry["url"])
                    due = SHAPED.get(ident)
                    if due is not None:
                        assert image.size == due
                    else:
                        assert abs(log_of(image.size) - log_of((16, 9))) < 0.04, (ident, image.size)
            upstreams = await check_charges(lab, 2)
            chains = {ident: next(iter(lab.services.chain_of(ident))) for ident in upstreams}
            assert upstreams == chains

    run(work())


@pytest.mark.parametrize("failing", [["openai", "openai-eu", "gemini", "bfl", "ark"]], ids=["primaries"])
def test_every_model_has_a_fallback_at_another_provider(clean: Live, tmp_path: Path, failing: list[str]) -> None:
    rule = {"when": {"provider": failing, "operation": "*"}, "fault": {"kind": "status", "status": 503}}
    clean.control("POST", "faults", {"rules": [rule]})

    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options(breaker_failures=1000)) as lab:
            made = await all_models(lab, MODELS, "fallback", aspect_ratio="1:1", response_format="b64_json")
            for ident, answer in made.items():
                assert answer.status == 200, (ident, answer.body[:400])
                image = inlined(answer.json["data"][0])
                assert image.width == image.height, (ident, image.size)
            upstreams = await check_charges(lab, 1)
            assert not set(upstreams.values()) & set(failing)
            assert {"openrouter", "fal", "byteplus"} == set(upstreams.values())

    run(work())


def test_the_third_provider_makes_what_two_cannot(clean: Live, tmp_path: Path) -> None:
    rule = {
        "when": {"provider": ["gemini", "bfl", "ark", "byteplus", "fal"]},
        "fault": {"kind": "status", "status": 500},
    }
    clean.control("POST", "faults", {"rules": [rule]})
    third = ["nano_banana_pro", "flux-2-pro", "flux-kontext-max", "doubao-seedream-4-0", "doubao-seedream-5-0"]

    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            models = [catalogue.MODELS[ident] for ident in third]
            made = await all_models(lab, models, "third", aspect_ratio="4:3", response_format="b64_json")
            for ident, answer in made.items():
                assert answer.status == 200, (ident, answer.body[:400])
                assert abs(log_of(inlined(answer.json["data"][0]).size) - log_of((4, 3))) < 0.05
            assert {row["upstream"] for row in await lab.log()} == {"replicate"}

    run(work())


@pytest.mark.parametrize(
    ("model", "fields", "size", "usd"),
    [
        ("gpt-image-2", {"size": "1536x1024"}, (1536, 1024), "0.030"),
        ("gpt-image-2", {"size": "1024x1536"}, (1024, 1536), "0.030"),
        ("gpt-image-2", {"size": "2048x2048"}, (2048, 2048), "0.060"),
        ("gpt-image-2", {"size": "4096x4096"}, (4096, 4096), "0.120"),
        ("nano_banana_2", {"resolution": "0.5K"}, (512, 512), "0.050"),
        ("gemini-3-1-flash-t2i", {"resolution": "2K", "aspect_ratio": "16:9"}, (2688, 1536), "0.050"),
        ("nano_banana_2", {"resolution": "4K", "aspect_ratio": "2:3"}, (3328, 4992), "0.050"),
        ("gemini-3-pro-image-preview-4K", {}, (4096, 4096), "0.190"),
        ("doubao-seedream-4-5", {"size": "2560x1440"}, (2560, 1440), "0.071"),
        ("doubao-seedream-4-0", {"size": "4K"}, (4096, 4096), "0.057"),
        ("flux-2-pro", {"size": "1344x768"}, (1344, 768), "0.050"),
        ("nano_banana_pro", {"size": "1024x1024"}, (1024, 1024), "0.100"),
    ],
)
def test_sizes_and_their_prices(
    clean: Live, tmp_path: Path, model: str, fields: dict[str, Any], size: tuple[int, int], usd: str
) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            answer = await draw(lab, model, response_format="b64_json", **fields)
            assert answer.status == 200, answer.body[:400]
            assert inlined(answer.json["data"][0]).size == size
            assert await lab.spent_uc() == catalogue.whole_uc(usd, 1, "test")

    run(work())


def test_a_4k_picture_of_gpt_image_goes_to_the_one_that_makes_it(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            await draw(lab, size="4096x4096")
            (row,) = await lab.log()
            assert (row["upstream"], row["attempts"]) == ("openrouter", 1)

    run(work())


@pytest.mark.parametrize("model", ["gpt-4o-image", "nano_banana", "nano_banana_pro", "flux-2-pro", "flux-kontext-pro"])
@pytest.mark.parametrize("failing", [[], ["openai", "openai-eu", "gemini", "bfl", "ark"]], ids=["primary", "fallback"])
def test_references_reach_whoever_makes_the_picture(
    clean: Live, tmp_path: Path, model: str, failing: list[str]
) -> None:
    if failing:
        rule = {"when": {"provider": failing}, "fault": {"kind": "status", "status": 503}}
        clean.control("POST", "faults", {"rules": [rule]})

    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            answer = await draw(lab, model, image=SOURCE, aspect_ratio="1:1", prompt="the same in snow [[case:refs]]")
            assert answer.status == 200, answer.body[:400]
            bodies = [entry["request_body"] for entry in clean.journal("refs") if "request_body" in entry]
            assert (await lab.log())[-1]["upstream"] in lab.services.chain_of(model)
            assert all(SOURCE.partition(",")[2][:60] in str(body) for body in bodies)

    run(work())


def test_a_reference_at_an_address_is_fetched_for_a_vendor_that_takes_bytes(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            first = await draw(lab, "doubao-seedream-4-0")
            url = first.json["data"][0]["url"]
            answer = await draw(lab, "nano_banana_2", image_urls=[url], prompt="in snow [[case:fetched]]")
            assert answer.status == 200, answer.body[:400]
            entries = clean.journal("fetched")
            assert [entry["provider"] for entry in entries] == ["gemini"]

    run(work())


def test_pictures_that_were_refused_are_not_charged(clean: Live, tmp_path: Path) -> None:
    lost = "[[fault: moderation_after_render attempt=2-3]]"

    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            answer = await draw(lab, "doubao-seedream-4-5", n=3, prompt=f"a teapot [[case:some]] {lost}")
            assert answer.status == 200, answer.body[:400]
            (row,) = await lab.log()
            assert len(answer.json["data"]) == row["units"] == 1
            assert await lab.spent_uc() == catalogue.MODELS["doubao-seedream-4-5"].unit_uc

    run(work())


@pytest.mark.parametrize("model", ["gpt-image-2", "nano_banana", "flux-2-pro", "doubao-seedream-4-5"])
def test_a_prompt_that_is_refused_is_the_callers_affair_and_free(clean: Live, tmp_path: Path, model: str) -> None:
    word = "flag:sexual" if model != "nano_banana" else "[[answer: native=prompt_prohibited_content]]"

    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            answer = await draw(lab, model, prompt=f"a teapot {word} [[case:refused-{model}]]")
            assert answer.status == 400, answer.body[:400]
            assert answer.error[0] == "invalid_request_error"
            assert {entry["provider"] for entry in clean.journal(f"refused-{model}")} == {
                next(iter(lab.services.chain_of(model)))
            }
            assert await lab.spent_uc() == 0

    run(work())


def test_a_link_that_dies_in_ten_minutes_is_replaced_by_one_that_lasts(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            url = (await draw(lab, "flux-2-pro")).json["data"][0]["url"]
            assert url.startswith(f"http://{HOST}/files/")
            answer = await file_of(lab, url)
            assert opened(answer.body).size == (1024, 1024)
            assert answer.headers["content-type"] == "image/jpeg"

    run(work())


def test_who_hangs_up_pays_nothing(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path, **options()) as lab:
            prompt = "a teapot [[fault: job_times queue_s=600]]"
            body = {"model": "flux-2-pro", "prompt": prompt}
            await lab.ask("/api/v1/images/generations", body, hang_up=lambda _answer: True)
            (row,) = await lab.log()
            assert (row["status"], row["statusCode"], row["costUc"]) == ("client_closed", 499, 0)
            assert await lab.spent_uc() == 0

    run(work())
