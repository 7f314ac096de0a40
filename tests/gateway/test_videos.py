"""POST /video/generations against scripted vendors: what is taken, made, charged, failed over and called off."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from gateway import config
from gateway.upstreams.memory import MemoryReply, MemoryTransport
from gateway.upstreams.transport import Request, TransportError
from schemas import catalogue
from tests.gateway.lab import Lab, run
from tests.gateway.video_lab import VIDEO, ask_and_leave, files_of, make, open_video_lab, settled
from tests.gateway.video_wires import FAL, LINK, MP4, SITE, WIRES, World, said

PRIMARIES = ("kling", "minimax", "ark", "qwen", "gemini", "vidu", "xai")
ALL = (*PRIMARIES, "openai", "vertex", "fal", "replicate")
FRAME = "data:image/png;base64,iVBORw0KGgo="
SPARE = "https://cdn.test/clip.mp4"
UNIT_UC = catalogue.MODELS["kling-v3"].unit_uc


async def lab_of(world: World, vendor: str | None = None, **options: Any) -> Lab:
    """A gateway on these vendors. With `vendor`, that one is first in every chain, before one that does well."""
    if vendor is not None:
        rows = {
            "openai": {"dialect": "openai_videos", "base_url": f"{SITE}/openai", "models": {"*": "sora-2"}},
            "byteplus": {"dialect": "ark", "base_url": f"{SITE}/byteplus"},
        }
        config_rows = {**default_rows(), **rows}
        options |= {"upstreams": config_rows, "chains": {"*": [vendor, "byteplus"]}}
    return await open_video_lab(MemoryTransport(world.answer), **options)


def default_rows() -> dict[str, Any]:
    """The upstreams of the defaults."""
    rows: dict[str, Any] = config.read_file(config.DEFAULTS_FILE)["upstreams"]
    return rows


def submissions(world: World) -> dict[str, int]:
    """How many orders each vendor got."""
    return {vendor: count for (vendor, what), count in world.seen.items() if what == "submit"}


@pytest.mark.parametrize("vendor", ALL)
def test_every_vendor_makes_a_clip(vendor: str) -> None:
    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        world.polls[vendor] = [said(wire.waits), said(wire.waits)]
        lab = await lab_of(world, vendor)
        answer = await make(lab, model=wire.model, duration=5)
        assert answer.status == 200, answer.body
        [entry] = answer.json["data"]
        if wire.keeps:
            assert files_of(lab)[entry["url"]] == MP4
        else:
            assert entry["url"] == LINK
        assert submissions(world) == {vendor: 1}
        assert world.seen[vendor, "poll"] == 3
        model = catalogue.MODELS[wire.model]
        assert await lab.spent_uc() == model.unit_uc * (5 if model.unit == "second" else 1)
        [row] = await lab.log()
        assert (row["status"], row["upstream"], row["attempts"]) == ("succeeded", vendor, 1)

    run(body())


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize("sort", ["auth", "funds", "rate", "invalid", "moderated", "fault"])
def test_refusals_by_class(vendor: str, sort: str) -> None:
    """Ours to mend (key, money, faults): the next vendor. The caller's: 400. Too many: once more, then the next."""

    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        status, told = wire.refusals[sort]
        world.submits[vendor] = [said(told, status), said(told, status)]
        lab = await lab_of(world, vendor)
        answer = await make(lab, model=wire.model)
        if sort in ("invalid", "moderated"):
            assert answer.status == 400, answer.body
            assert answer.error[0] == "invalid_request_error"
            assert submissions(world) == {vendor: 1}
            assert await lab.spent_uc() == 0
        else:
            assert answer.status == 200, answer.body
            assert submissions(world) == {vendor: 2 if sort == "rate" else 1, "byteplus": 1}
            [row] = await lab.log()
            assert row["upstream"] == "byteplus"

    run(body())


ENDS = [(vendor, end) for vendor in ALL for end in ("failed", "empty") if getattr(WIRES[vendor], end) is not None]


@pytest.mark.parametrize(("vendor", "end"), ENDS)
def test_a_job_that_fails_is_never_made_again_by_the_same_vendor(vendor: str, end: str) -> None:
    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        told = getattr(wire, end)
        world.polls[vendor] = [said(wire.waits), said(told)]
        if vendor == "fal":
            lab = await lab_of(world, vendor)
            real = world.answer
            failure = {"detail": [{"loc": ["body"], "msg": "it broke", "type": "internal_server_error"}]}
            lab.transport.answer = lambda request: said(failure, 500) if request.url == FAL else real(request)
            lab.services.transport = lab.transport
        else:
            lab = await lab_of(world, vendor)
        answer = await make(lab, model=wire.model)
        assert answer.status == 200, answer.body
        assert submissions(world) == {vendor: 1, "byteplus": 1}

    run(body())


@pytest.mark.parametrize("vendor", ALL)
def test_what_was_lost_after_the_order_is_not_ordered_again(vendor: str) -> None:
    """A reply that never came, a 5xx after acceptance, a reply without an id: whether a job exists nobody knows."""

    async def broken(_request: Request) -> MemoryReply:
        raise TransportError("broken", "the upstream closed the connection")

    async def body() -> None:
        for script in (broken, said({"x": 1}, 502), said({}), said(b"<html>")):
            world = World()
            world.submits[vendor] = [script]
            lab = await lab_of(world, vendor)
            answer = await make(lab, model=WIRES[vendor].model)
            assert answer.status == 200, answer.body
            assert submissions(world) == {vendor: 1, "byteplus": 1}

    run(body())


def test_an_order_that_never_left_is_tried_again() -> None:
    async def unreachable(_request: Request) -> MemoryReply:
        raise TransportError("connect", "the upstream cannot be reached")

    async def body() -> None:
        world = World()
        world.submits["kling"] = [unreachable]
        lab = await lab_of(world)
        assert (await make(lab)).status == 200
        assert submissions(world) == {"kling": 2}

    run(body())


@pytest.mark.parametrize("vendor", ALL)
def test_a_job_may_be_unknown_at_first_but_not_for_ever(vendor: str) -> None:
    async def body() -> None:
        wire = WIRES[vendor]
        assert wire.absent is not None
        status, told = wire.absent
        world = World()
        world.polls[vendor] = [said(told, status) for _ in range(4)]
        lab = await lab_of(world, vendor)
        assert (await make(lab, model=wire.model)).status == 200
        assert submissions(world) == {vendor: 1}

        lost = World()
        lost.polls[vendor] = [said(wire.waits), *(said(told, status) for _ in range(50))]
        lab = await lab_of(lost, vendor)
        assert (await make(lab, model=wire.model)).status == 200
        assert submissions(lost) == {vendor: 1, "byteplus": 1}
        assert lost.seen[vendor, "poll"] <= 8

    run(body())


@pytest.mark.parametrize("vendor", ALL)
def test_poll_trouble_does_not_end_a_healthy_job(vendor: str) -> None:
    async def broken(_request: Request) -> MemoryReply:
        raise TransportError("broken", "reset")

    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        world.polls[vendor] = [said({}, 502), broken, said({}, 429), said(wire.waits), said(b"", 200), said({}, 503)]
        lab = await lab_of(world, vendor)
        answer = await make(lab, model=wire.model)
        assert answer.status == 200, answer.body
        assert submissions(world) == {vendor: 1}

    run(body())


def test_polls_that_fail_for_good_move_on() -> None:
    async def body() -> None:
        for script in ([said({"detail": "no"}, 403)], [said({}, 500)] * 6):
            world = World()
            world.polls["ark"] = list(script)
            lab = await lab_of(world)
            assert (await make(lab, model="doubao-seedance-2-0")).status == 200
            assert submissions(world) == {"ark": 1, "byteplus": 1}
            assert world.seen["ark", "cancel"] == 1, "the job may still be under way"

    run(body())


@pytest.mark.parametrize(
    ("vendor", "word", "drifted"),
    [
        ("kling", "succeed", "SUCCEEDED"),
        ("minimax", "Success", "success"),
        ("ark", "succeeded", "Completed"),
        ("qwen", "SUCCEEDED", "finished"),
        ("vidu", "success", "Succeed"),
        ("xai", "done", "ready"),
        ("openai", "completed", "COMPLETED"),
        ("replicate", "succeeded", "successful"),
        ("fal", "COMPLETED", "completed"),
        ("kling", "processing", "RENDERING"),
        ("ark", "running", "in_progress"),
    ],
)
def test_drifted_words(vendor: str, word: str, drifted: str) -> None:
    def changed(told: Any) -> MemoryReply:
        return said(json.dumps(told).replace(f'"{word}"', f'"{drifted}"').encode())

    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        world.polls[vendor] = [changed(wire.waits), changed(wire.waits), changed(wire.made)]
        lab = await lab_of(world, vendor)
        assert (await make(lab, model=wire.model)).status == 200
        assert submissions(world) == {vendor: 1}
        assert world.seen[vendor, "poll"] == 3

    run(body())


@pytest.mark.parametrize("word", ["cancelled", "canceled", "EXPIRED", "timed_out", "rejected", "Error", "not_found"])
def test_unknown_words_that_sound_like_an_end_are_one(word: str) -> None:
    async def body() -> None:
        world = World()
        world.polls["kling"] = [said(json.dumps(WIRES["kling"].waits).replace("processing", word).encode())]
        lab = await lab_of(world)
        answer = await make(lab)
        assert answer.status == 200
        assert submissions(world) == {"kling": 1, "fal": 1}

    run(body())


def test_words_that_say_nothing_are_waited_at_only_so_long() -> None:
    async def body() -> None:
        world = World()
        told = json.dumps(WIRES["kling"].waits).replace("processing", "meditating").encode()
        world.polls["kling"] = [said(told) for _ in range(200)]
        lab = await lab_of(world)
        assert (await make(lab)).status == 200
        assert submissions(world) == {"kling": 1, "fal": 1}
        assert 10 < world.seen["kling", "poll"] < 40

    run(body())


@pytest.mark.parametrize(
    ("asked", "told", "charged"),
    [(5, "5.1", 5), (5, "4.0", 4), (5, "4.96", 5), (5, "10", 5), (7, "5", 5), (7, "8", 7), (12, "0.2", 1)],
)
def test_charged_is_what_was_asked_or_fewer(asked: int, told: str, charged: int) -> None:
    async def body() -> None:
        world = World()
        world.polls["kling"] = [said(json.dumps(WIRES["kling"].made).replace("5.1", told).encode())]
        lab = await lab_of(world)
        answer = await make(lab, duration=asked)
        assert answer.status == 200
        assert await lab.spent_uc() == charged * UNIT_UC
        [row] = await lab.log()
        assert (row["unit"], row["units"]) == ("second", charged)
        assert answer.json["data"][0]["duration"] == pytest.approx(float(told))

    run(body())


@pytest.mark.parametrize("told", ["abc", -3, 0, 1e12, None, "", [], "NaN", True])
def test_lengths_that_make_no_sense_are_not_believed(told: Any) -> None:
    async def body() -> None:
        world = World()
        made = json.loads(json.dumps(WIRES["kling"].made))
        made["data"]["task_result"]["videos"][0]["duration"] = told
        world.polls["kling"] = [said(made)]
        lab = await lab_of(world)
        assert (await make(lab, duration=5)).status == 200
        assert await lab.spent_uc() == 5 * UNIT_UC

    run(body())


def test_clips_by_the_clip_cost_the_same_whatever_their_length() -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        for fields in ({}, {"duration": 15}, {"duration": 60}):
            assert (await make(lab, model="grok-video-3", **fields)).status == 200
        assert await lab.spent_uc() == 3 * catalogue.MODELS["grok-video-3"].unit_uc
        assert [row["units"] for row in await lab.log()] == [1, 1, 1]
        sent = [json.loads(request.body) for vendor, what, request in world.requests if what == "submit"]
        assert [body.get("duration") for body in sent] == [None, 15, 15]

    run(body())


@pytest.mark.parametrize(
    ("model", "asked", "ordered"),
    [
        ("kling-2-6", 5, "5"),
        ("kling-2-6", 6, "10"),
        ("kling-2-6", 60, "10"),
        ("kling-v3", 7, "7"),
        ("MiniMax-Hailuo-02", 5, 6),
        ("doubao-seedance-1-5-pro", 1, 4),
        ("wan2.6", 11, 15),
        ("Veo3.1-fast-official", 5, 6),
    ],
)
def test_the_shortest_clip_that_is_long_enough_is_ordered(model: str, asked: int, ordered: Any) -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        assert (await make(lab, model=model, duration=asked)).status == 200
        body = json.loads(next(request for _, what, request in world.requests if what == "submit").body)
        told = body.get("parameters", body)
        assert told.get("duration", told.get("durationSeconds")) == ordered

    run(body())


def test_a_clip_shorter_than_asked_costs_less_even_when_nobody_tells_its_length() -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        answer = await make(lab, model="MiniMax-Hailuo-02", duration=60)
        assert answer.json["data"][0]["duration"] == 10
        assert await lab.spent_uc() == 10 * catalogue.MODELS["MiniMax-Hailuo-02"].unit_uc

    run(body())


@pytest.mark.parametrize(
    "fields",
    [
        {"duration": 0},
        {"duration": 61},
        {"duration": -5},
        {"duration": 5.5},
        {"duration": "5"},
        {"duration": True},
        {"duration": 1e300},
        {"prompt": ""},
        {"prompt": None},
        {"prompt": 5},
        {"image_url": "ftp://example.com/a.png"},
        {"image_url": 5},
        {"image_url": SPARE, "image": SPARE},
        {"last_image_url": SPARE},
        {"model": "wan2.6", "image_url": SPARE, "last_image_url": SPARE},
        {"model": "gpt-5.5"},
        {"model": "no-such-model"},
        {"aspect_ratio": 5},
    ],
)
def test_bad_requests_cost_nothing_and_reach_nobody(fields: dict[str, Any]) -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        answer = await make(lab, **fields)
        assert answer.status == 400, answer.body
        assert not world.requests
        assert await lab.spent_uc() == 0

    run(body())


def test_whole_numbers_may_be_written_with_a_point() -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        raw = b'{"model": "kling-v3", "prompt": "a teapot", "duration": 7.0}'
        assert (await lab.ask("/v1/videos/generations", raw)).status == 200
        assert await lab.spent_uc() == 5 * UNIT_UC, "the vendor told 5.1 seconds"

    run(body())


def test_what_each_vendor_is_sent() -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        wish = {
            "prompt": "a teapot",
            "duration": 5,
            "image_url": FRAME,
            "seed": 7,
            "n": 9,
            "callback_url": "https://x.test",
        }
        for vendor in PRIMARIES:
            assert (await make(lab, **wish, model=WIRES[vendor].model)).status == 200, vendor
        sent = {vendor: world.sent(vendor) for vendor in PRIMARIES}
        bodies = {vendor: json.loads(request.body) for vendor, request in sent.items()}
        assert all(b"x.test" not in request.body for request in sent.values())
        assert bodies["kling"] == {
            "model_name": "kling-v3",
            "prompt": "a teapot",
            "duration": "5",
            "image": "iVBORw0KGgo=",
        }
        assert bodies["minimax"]["first_frame_image"] == FRAME
        assert bodies["ark"]["content"][1] == {"type": "image_url", "image_url": {"url": FRAME}, "role": "first_frame"}
        assert bodies["ark"]["seed"] == 7
        assert bodies["qwen"]["model"] == "wan2.6-i2v"
        assert bodies["qwen"]["parameters"] == {"duration": 5, "resolution": "720P", "seed": 7}
        assert bodies["gemini"]["instances"][0]["image"] == {
            "bytesBase64Encoded": "iVBORw0KGgo=",
            "mimeType": "image/png",
        }
        assert bodies["vidu"]["images"] == [FRAME]
        assert bodies["xai"]["image"] == {"url": FRAME}
        keys = {vendor: dict(request.headers) for vendor, request in sent.items()}
        assert keys["qwen"]["x-dashscope-async"] == "enable"
        assert keys["vidu"]["authorization"] == "Token sk-fleet-vidu"
        assert keys["gemini"]["x-goog-api-key"] == "sk-fleet-gemini"
        assert [sent[vendor].url.removeprefix(SITE) for vendor in ("kling", "vidu")] == [
            "/kling/v1/videos/image2video",
            "/vidu/ent/v2/img2video",
        ]

    run(body())


def test_last_frames() -> None:
    async def body() -> None:
        world = World()
        lab = await lab_of(world)
        both = {"image_url": FRAME, "last_image_url": FRAME, "duration": 5}
        for vendor in ("kling", "minimax", "ark", "gemini", "vidu"):
            assert (await make(lab, model=WIRES[vendor].model, **both)).status == 200, vendor
        assert (await make(lab, model="kling-v3-omni", **both)).status == 200
        bodies = {vendor: json.loads(world.sent(vendor).body) for vendor in ("minimax", "ark", "gemini", "vidu")}
        assert bodies["minimax"]["last_frame_image"] == FRAME
        assert bodies["ark"]["content"][2]["role"] == "last_frame"
        assert "lastFrame" in bodies["gemini"]["instances"][0]
        assert world.sent("vidu").url.endswith("/start-end2video")
        omni = json.loads(world.sent("kling").body)
        assert [image["type"] for image in omni["image_list"]] == ["first_frame", "end_frame"]

    run(body())


def test_a_target_without_a_place_for_the_last_frame_is_left_out() -> None:
    async def body() -> None:
        world = World()
        world.submits["kling"] = [said({}, 500)]
        lab = await lab_of(world)
        answer = await make(lab, model="kling-2-6", image_url=FRAME, last_image_url=FRAME)
        assert answer.status == 502, "fal's 2.6 has none, and is not asked"
        assert submissions(world) == {"kling": 1}

    run(body())


def test_kling_tokens_are_signed() -> None:
    async def body() -> None:
        world = World()
        rows = default_rows()
        rows["kling"]["key"] = "access|secret"
        lab = await lab_of(world, upstreams=rows)
        assert (await make(lab)).status == 200
        token = dict(world.sent("kling").headers)["authorization"].removeprefix("Bearer ")
        signed, _, signature = token.rpartition(".")
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
        due = hmac.digest(b"secret", signed.encode(), hashlib.sha256)
        assert base64.urlsafe_b64decode(signature + "==") == due
        assert head == {"alg": "HS256", "typ": "JWT"}
        now_s = lab.services.clock.now_s()
        assert claims["iss"] == "access"
        assert claims["nbf"] < now_s < claims["exp"] <= now_s + 1800

    run(body())


def test_the_key_goes_along_with_redirects_of_the_same_host_only() -> None:
    async def body() -> None:
        for location, expected in (("/gemini/download/x:download", "sk-fleet-gemini"), ("https://cdn.test/x", None)):
            world = World()
            world.files = [MemoryReply(302, {"location": location}, [b"{}"])]
            lab = await lab_of(world)
            answer = await make(lab, model="veo3.1-fast")
            assert answer.status == 200
            assert files_of(lab)[answer.json["data"][0]["url"]] == MP4
            downloads = [request for _, what, request in world.requests if what == "file"]
            assert [dict(request.headers).get("x-goog-api-key") for request in downloads] == [
                "sk-fleet-gemini",
                expected,
            ]

    run(body())


def test_a_link_of_another_host_gets_no_key() -> None:
    async def body() -> None:
        world = World()
        made = json.dumps(WIRES["gemini"].made).replace(
            f"{SITE}/gemini/v1beta/files/f1:download", "https://cdn.test/f1"
        )
        world.polls["gemini"] = [said(made.encode())]
        lab = await lab_of(world)
        assert (await make(lab, model="veo3.1-fast")).status == 200
        [download] = [request for _, what, request in world.requests if what == "file"]
        assert not download.headers

    run(body())


def test_fal_links_of_another_host_are_not_followed() -> None:
    async def body() -> None:
        world = World()
        world.submits["fal"] = [said(json.dumps(WIRES["fal"].accepted).replace(SITE, "https://evil.test").encode())]
        lab = await lab_of(world, "fal")
        assert (await make(lab)).status == 200
        assert not any("evil.test" in request.url for _, _, request in world.requests)

    run(body())


def test_only_the_download_is_repeated() -> None:
    async def broken(_request: Request) -> MemoryReply:
        raise TransportError("broken", "cut")

    async def body() -> None:
        world = World()
        world.files = [broken, MemoryReply(503), broken]
        lab = await lab_of(world)
        answer = await make(lab, model="veo3.1-fast")
        assert answer.status == 200
        assert submissions(world) == {"gemini": 1}
        assert files_of(lab)[answer.json["data"][0]["url"]] == MP4

    run(body())


def test_a_clip_that_cannot_be_fetched_is_a_clean_error_and_free() -> None:
    async def body() -> None:
        world = World()
        world.files = [MemoryReply(403) for _ in range(20)]
        lab = await lab_of(world)
        answer = await make(lab, model="veo3.1-fast")
        assert answer.status == 502
        assert await lab.spent_uc() == 0
        assert submissions(world) == {"gemini": 1}
        hailuo = await make(lab, model="MiniMax-Hailuo-02")
        assert hailuo.json["data"][0]["url"] == LINK, "a link that needs no key is better than none"

    run(body())


def test_a_failed_job_may_bear_a_code_that_would_pass_by_itself() -> None:
    async def body() -> None:
        world = World()
        code = {"status_code": 1033, "status_msg": "downstream service error"}
        world.polls["minimax"] = [said({"task_id": "9", "status": "", "base_resp": code})]
        world.polls["minimax"].append(said({"task_id": "9", "status": "Fail", "base_resp": code}))
        lab = await lab_of(world)
        assert (await make(lab, model="MiniMax-Hailuo-02")).status == 200
        assert submissions(world) == {"minimax": 1, "replicate": 1}
        assert world.seen["minimax", "poll"] == 2

    run(body())


def test_moderated_output_is_a_failure_whose_reason_is_told() -> None:
    async def body() -> None:
        world = World()
        world.polls["xai"] = [said(WIRES["xai"].empty)]
        world.submits["fal"] = [said({"detail": "no"}, 500)]
        lab = await lab_of(world)
        answer = await make(lab, model="grok-video-3")
        assert answer.status == 502
        assert await lab.spent_uc() == 0
        moderated = World()
        code = {"status_code": 1026, "status_msg": "input new_sensitive"}
        moderated.polls["minimax"] = [said({"task_id": "9", "status": "Fail", "base_resp": code})]
        lab = await lab_of(moderated)
        answer = await make(lab, model="MiniMax-Hailuo-02")
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert "sensitive" in answer.error[1]

    run(body())


def test_errors_tell_no_keys_and_no_addresses() -> None:
    async def body() -> None:
        world = World()
        text = "key sk-fleet-kling at https://10.0.0.1/kling/v1 refused"
        world.submits["kling"] = [said({"code": 5000, "message": text}, 500)]
        world.submits["fal"] = [said({"detail": text}, 500)]
        lab = await lab_of(world)
        answer = await make(lab)
        assert answer.status == 502
        assert b"sk-fleet" not in answer.body
        assert b"10.0.0.1" not in answer.body

    run(body())


@pytest.mark.parametrize("vendor", [name for name in ALL if WIRES[name].cancels])
def test_who_hangs_up_pays_nothing_and_the_job_is_called_off(vendor: str) -> None:
    async def body() -> None:
        world, wire = World(), WIRES[vendor]
        left = asyncio.Event()

        def leaving(_request: Request) -> MemoryReply:
            left.set()
            return said(wire.waits)

        world.polls[vendor] = [said(wire.waits), leaving, *(said(wire.waits) for _ in range(1000))]
        lab = await lab_of(world, vendor, poll_factor=0.001)
        assert await ask_and_leave(lab, {"model": wire.model, "prompt": "a teapot"}, left) == []
        await settled(lab)
        assert world.seen[vendor, "cancel"] == 1
        cancel = world.sent(vendor, "cancel")
        assert f"{cancel.method} {cancel.url.rpartition('/')[2]}" == wire.cancels
        assert await lab.spent_uc() == 0
        [row] = await lab.log()
        assert (row["status"], row["statusCode"]) == ("client_closed", 499)

    run(body())


def test_a_job_that_begins_after_the_caller_left_is_called_off_as_well() -> None:
    async def body() -> None:
        world = World()
        left, known = asyncio.Event(), asyncio.Event()

        async def late(_request: Request) -> MemoryReply:
            left.set()
            await known.wait()
            return said(WIRES["ark"].accepted)

        world.submits["ark"] = [late]
        lab = await lab_of(world)
        assert await ask_and_leave(lab, {"model": "doubao-seedance-2-0", "prompt": "a teapot"}, left) == []
        assert world.seen["ark", "cancel"] == 0
        known.set()
        await settled(lab)
        assert world.seen["ark", "cancel"] == 1
        assert submissions(world) == {"ark": 1}
        assert await lab.spent_uc() == 0

    run(body())


def test_no_result_in_time_is_free_and_called_off() -> None:
    async def body() -> None:
        world = World()
        world.polls["ark"] = [said(WIRES["ark"].waits) for _ in range(100_000)]
        lab = await lab_of(world, video_timeout_s=0.05, poll_factor=0.001)
        answer = await make(lab, model="doubao-seedance-2-0")
        assert answer.status == 502
        assert answer.error[0] == "api_error"
        await settled(lab)
        assert world.seen["ark", "cancel"] == 1
        assert await lab.spent_uc() == 0

    run(body())


def test_with_an_idempotency_key_the_work_goes_on_and_is_answered_again() -> None:
    async def body() -> None:
        world = World()
        left = asyncio.Event()

        def leaving(_request: Request) -> MemoryReply:
            left.set()
            return said(WIRES["kling"].waits)

        world.polls["kling"] = [leaving, *(said(WIRES["kling"].waits) for _ in range(20))]
        lab = await lab_of(world, poll_factor=0.001)
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k1"}
        wish = {"model": "kling-v3", "prompt": "a teapot", "duration": 5}
        await ask_and_leave(lab, wish, left, idempotency_key="k1")
        assert await lab.spent_uc() == 5 * UNIT_UC
        again = await lab.ask(VIDEO, wish, headers=headers)
        assert again.status == 200
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json["data"][0]["url"] == LINK
        assert submissions(world) == {"kling": 1}
        assert await lab.spent_uc() == 5 * UNIT_UC

    run(body())


def test_the_hold_is_the_whole_price() -> None:
    async def body() -> None:
        world = World()
        lab = await open_video_lab(MemoryTransport(world.answer), credits=2_000)
        ok = await make(lab, model="doubao-seedance-1-5-pro", duration=60)
        assert ok.status == 200, "60 s x 21.6 credits"
        assert (await make(lab, model="Veo3.1-quality-official", duration=60)).status == 402
        poor = await open_video_lab(MemoryTransport(world.answer), credits=1_900)
        assert (await make(poor)).status == 403, "clips need the Starter tier"

    run(body())


def test_reply_shape() -> None:
    async def body() -> None:
        lab = await lab_of(World())
        answer = await make(lab, duration=5)
        assert set(answer.json) == {"created", "data"}
        assert answer.json["data"] == [{"url": LINK, "duration": 5.1}]
        assert answer.headers["x-ratelimit-limit"] == "200"
        for path in ("/v1/video/generations", "/v1/videos/generations", "/api/v1/videos/generations"):
            assert (await lab.ask(path, {"model": "seedance-2-0", "prompt": "a teapot"})).status == 200
        rows = await lab.log()
        assert {row["endpoint"] for row in rows} == {"/v1/video/generations"}
        assert rows[-1]["model"] == "doubao-seedance-2-0"

    run(body())
