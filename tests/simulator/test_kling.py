"""Kling's first wire: submitted, polled, fetched, called back; tokens, refusals, faults."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.kling.legacy import KlingLegacy
from simulator.jobs.signing import standard_webhooks
from simulator.media import clips
from simulator.problem import Refused
from tests.simulator.kling_exchange import (
    ACCESS,
    DONE,
    START_S,
    TIMES,
    call,
    fetch,
    first_frame,
    image,
    made,
    now_s,
    receiving,
    submit,
    task,
    token,
    told,
)
from tests.simulator.live import Live, running
from tests.simulator.runpod_exchange import later, opened

TALL = image(300, 600)
SPOKEN = {
    "mode": "audio2video",
    "video_url": "https://clips.example/a.mp4",
    "audio_type": "url",
    "audio_url": "https://clips.example/a.mp3",
}
T2V, I2V = "/v1/videos/text2video", "/v1/videos/image2video"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def clip(fleet: Live, result: dict[str, Any]) -> clips.Facts:
    (video,) = result["videos"]
    reply = fetch(fleet, video["url"])
    assert (reply.status, reply.headers["content-type"]) == (200, "video/mp4")
    return clips.probe(reply.body)


# --- a task -----------------------------------------------------------------------------------------------------------


def test_a_clip_is_submitted_polled_and_fetched(fleet: Live) -> None:
    began_ms = now_s(fleet) * 1000
    reply = call(fleet, "POST", T2V, {"model_name": "kling-v2-6", "prompt": f"a teapot {TIMES}", "mode": "pro"})
    envelope = reply.json
    number = envelope["data"]["task_id"]
    assert (envelope.pop("code"), envelope.pop("message")) == (0, "SUCCEED")
    assert envelope.pop("request_id")
    assert envelope == {
        "data": {
            "task_id": number,
            "task_info": {"external_task_id": None},
            "task_status": "submitted",
            "created_at": began_ms,
            "updated_at": began_ms,
        }
    }
    assert number.isdecimal()
    assert (task(fleet, number)["task_status"], task(fleet, number)["task_result"]) == ("submitted", {})
    later(fleet, 5)
    busy = task(fleet, number)
    assert (busy["task_status"], busy["updated_at"] - began_ms) == ("processing", 5000)
    assert "final_unit_deduction" not in busy
    later(fleet, 20)
    done = task(fleet, number)
    (video,) = done.pop("task_result")["videos"]
    assert done == {
        "task_id": number,
        "task_status": "succeed",
        "task_status_msg": "",
        "task_info": {"external_task_id": None},
        "watermark_info": {"enabled": False},
        "final_unit_deduction": "2.5",
        "created_at": began_ms,
        "updated_at": began_ms + 25_000,
    }
    assert (video["duration"], video["watermark_url"]) == ("5.1", "")
    facts = clips.probe(fetch(fleet, video["url"]).body)
    assert (facts.width, facts.height, facts.title, facts.sound) == (1920, 1080, "a teapot", "")
    assert facts.seconds == pytest.approx(5.1, abs=0.05)


@pytest.mark.parametrize(
    ("body", "size", "seconds", "sound", "units"),
    [
        ({"aspect_ratio": "9:16"}, (720, 1280), 5.1, "", "1.5"),
        ({"aspect_ratio": "1:1", "duration": "10"}, (960, 960), 10.1, "", "3"),
        ({"mode": "pro", "sound": "on"}, (1920, 1080), 5.1, "aac", "5"),
        ({"model_name": "kling-v3", "duration": "3", "sound": "on"}, (1280, 720), 3.1, "aac", "2.7"),
        ({"model_name": "kling-v1", "sound": "on"}, (1280, 720), 5.1, "", "1"),
        ({"model_name": None}, (1280, 720), 5.1, "", "1"),
        ({"duration": 5}, (1280, 720), 5.1, "", "1.5"),
        ({"watermark_info": {"enabled": True}}, (1280, 720), 5.1, "", "1.5"),
    ],
)
def test_clips_are_as_asked(
    fleet: Live, body: dict[str, Any], size: tuple[int, int], seconds: float, sound: str, units: str
) -> None:
    number = submit(fleet, **body)
    later(fleet, DONE)
    done = task(fleet, number)
    facts = clip(fleet, done["task_result"])
    assert ((facts.width, facts.height), facts.sound) == (size, sound)
    assert facts.seconds == pytest.approx(seconds, abs=0.05)
    assert done["task_result"]["videos"][0]["duration"] == f"{seconds:g}"
    assert done["final_unit_deduction"] == units
    has_mark = bool(done["task_result"]["videos"][0]["watermark_url"])
    assert has_mark == ("watermark_info" in body)


def test_the_same_request_gives_the_same_clip_twice_and_is_two_tasks(fleet: Live) -> None:
    first, second = submit(fleet), submit(fleet)
    assert first != second
    later(fleet, DONE)
    urls = [task(fleet, number)["task_result"]["videos"][0]["url"] for number in (first, second)]
    assert fetch(fleet, urls[0]).body == fetch(fleet, urls[1]).body
    charged = [row["charged"] for row in fleet.control("GET", "jobs")["jobs"] if row["job"] in (first, second)]
    assert charged == [{"output_seconds": 5, "units": 1.5, "usd": 0.21}] * 2


def test_a_clip_begins_with_the_picture_that_was_sent(fleet: Live) -> None:
    result = made(fleet, I2V, image=image(400, 400), aspect_ratio="16:9", mode="std")
    data = fetch(fleet, result["videos"][0]["url"]).body
    frame = first_frame(data)
    assert frame.size == (960, 960)  # it follows the picture, whatever ratio came along
    red, green, blue = frame.getpixel((100, 100))  # type: ignore[misc]
    assert red > 150 > 80 > green
    assert blue < 80


def test_a_picture_at_an_address_is_not_downloaded(fleet: Live) -> None:
    result = made(fleet, I2V, image="https://pictures.example/cat.png")
    assert clip(fleet, result).width == clip(fleet, result).height == 960
    refused = call(fleet, "POST", I2V, {"image": "https://pictures.example/does-not-exist.png", "prompt": "x"})
    assert (refused.status, refused.json["code"]) == (400, 1201)


def test_a_picture_that_the_fleet_made_can_be_animated(fleet: Live) -> None:
    body = {"model_name": "kling-v2-1", "n": 1, "aspect_ratio": "9:16"}
    (picture,) = made(fleet, "/v1/images/generations", **body)["images"]
    drawn = opened(fetch(fleet, picture["url"]).body)
    frame = first_frame(fetch(fleet, made(fleet, I2V, image=picture["url"])["videos"][0]["url"]).body)
    assert frame.width < frame.height
    small = (32, 56)
    pairs = zip(frame.resize(small).tobytes(), drawn.convert("RGB").resize(small).tobytes(), strict=True)
    assert sum(abs(one - other) for one, other in pairs) / (3 * 32 * 56) < 12


@pytest.mark.parametrize(
    ("path", "body", "size", "seconds"),
    [
        ("/v1/videos/multi-image2video", {"model_name": None, "image_list": [{"image": image()}]}, (1280, 720), 5.1),
        (
            "/v1/videos/omni-video",
            {"model_name": None, "image_list": [{"image_url": TALL, "type": "first_frame"}], "duration": "3"},
            (678, 1358),
            3.1,
        ),
        (
            "/v1/videos/omni-video",
            {"model_name": "kling-v3-omni", "aspect_ratio": "1:1", "image_list": [{"image_url": image()}]},
            (960, 960),
            5.1,
        ),
        (
            "/v1/videos/omni-video",
            {
                "model_name": "kling-v3-omni",
                "prompt": None,
                "multi_shot": True,
                "shot_type": "customize",
                "duration": "5",
                "multi_prompt": [
                    {"index": 1, "prompt": f"a door {TIMES}", "duration": "2"},
                    {"index": 2, "prompt": "a hall", "duration": "3"},
                ],
            },
            (1280, 720),
            5.1,
        ),
        (
            "/v1/videos/motion-control",
            {
                "video_url": "https://clips.example/dance.mp4",
                "image_url": image(300, 300),
                "character_orientation": "image",
                "mode": "std",
            },
            (960, 960),
            5.1,
        ),
        ("/v1/videos/effects", {"effect_scene": "squish", "input": {"image": image(300, 300)}}, (960, 960), 5.1),
        (
            "/v1/videos/lip-sync",
            {"model_name": None, "input": SPOKEN},
            (1280, 720),
            5.0,
        ),
    ],
)
def test_other_kinds_of_clips(
    fleet: Live, path: str, body: dict[str, Any], size: tuple[int, int], seconds: float
) -> None:
    facts = clip(fleet, made(fleet, path, seconds=3600, **body))
    assert (facts.width, facts.height) == size
    assert facts.seconds == pytest.approx(seconds, abs=0.05)


def test_a_clip_is_extended_and_spoken_to(fleet: Live) -> None:
    (video,) = made(fleet, aspect_ratio="9:16")["videos"]
    number = submit(fleet, "/v1/videos/video-extend", model_name=None, video_id=video["id"])
    later(fleet, DONE)
    longer = task(fleet, number, "/v1/videos/video-extend")
    assert longer["task_info"]["parent_video"] == {name: video[name] for name in ("id", "url", "duration")}
    facts = clip(fleet, longer["task_result"])
    assert (facts.width, facts.height, facts.seconds) == (720, 1280, pytest.approx(10.1, abs=0.05))
    said = {"mode": "text2video", "video_id": video["id"], "text": f"hello {TIMES}", "voice_id": "girl"}
    spoken = made(fleet, "/v1/videos/lip-sync", model_name=None, prompt=None, input=said)
    assert clip(fleet, spoken).sound == "aac"
    for unknown in ("1", "1" * 19, submit(fleet) + "1"):  # the last one is not made yet
        refused = call(fleet, "POST", "/v1/videos/video-extend", {"video_id": unknown})
        assert (refused.status, refused.json["code"]) in ((400, 1201), (404, 1203))


@pytest.mark.parametrize(
    ("path", "body", "sizes"),
    [
        ("/v1/images/generations", {"model_name": "kling-v2-1", "n": 3, "resolution": "2k"}, [(2736, 1536)] * 3),
        ("/v1/images/omni-image", {"model_name": None, "aspect_ratio": "1:1"}, [(1024, 1024)]),
        (
            "/v1/images/kolors-virtual-try-on",
            {"model_name": None, "human_image": image(300, 600), "cloth_image": image()},
            [(720, 1456)],
        ),
    ],
)
def test_pictures(fleet: Live, path: str, body: dict[str, Any], sizes: list[tuple[int, int]]) -> None:
    images = made(fleet, path, seconds=3600, **body)["images"]
    assert [each["index"] for each in images] == list(range(len(sizes)))
    assert [opened(fetch(fleet, each["url"]).body).size for each in images] == sizes


def test_a_series_of_pictures_has_a_place_of_its_own(fleet: Live) -> None:
    body = {"model_name": "kling-v3-omni", "result_type": "series", "series_amount": 2}
    result = made(fleet, "/v1/images/omni-image", **body)
    assert (result["result_type"], result["images"], len(result["series_images"])) == ("series", [], 2)
    partial = made(
        fleet, "/v1/images/omni-image", **(body | {"result_type": "single", "n": 3}), fault="partial_results"
    )
    assert len(partial["images"]) == 2


def test_links_are_dead_after_thirty_days_or_when_changed(fleet: Live) -> None:
    url = made(fleet)["videos"][0]["url"]
    assert fetch(fleet, url.replace("video_1", "video_2")).status == 403
    later(fleet, 30 * 86_400 - 1)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    assert fetch(fleet, url).status == 403


# --- asked for --------------------------------------------------------------------------------------------------------


def test_a_task_is_known_on_its_own_path_alone(fleet: Live) -> None:
    number = submit(fleet)
    for path in (I2V, "/v1/images/generations"):
        refused = call(fleet, "GET", f"{path}/{number}")
        assert (refused.status, refused.json["code"], refused.json["data"]) == (404, 1203, None)
    assert call(fleet, "GET", f"{T2V}/{'1' * 18}").status == 404
    assert call(fleet, "POST", f"{T2V}/{number}").json["code"] == 1202


def test_a_task_is_found_by_the_id_of_its_maker(fleet: Live) -> None:
    number = submit(fleet, external_task_id="order-7")
    found = call(fleet, "GET", f"{T2V}/order-7").json["data"]
    assert (found["task_id"], found["task_info"]) == (number, {"external_task_id": "order-7"})
    assert call(fleet, "GET", f"{T2V}/order-8").status == 404
    again = call(fleet, "POST", I2V, {"image": image(), "external_task_id": "order-7"})
    assert (again.status, again.json["code"]) == (400, 1201)
    assert call(fleet, "GET", f"{I2V}/order-7").status == 404


def test_tasks_are_listed_the_newest_first() -> None:
    with running(Clock("manual")) as fleet:
        numbers = []
        for _ in range(3):
            numbers.append(submit(fleet))
            later(fleet, 1)
        submit(fleet, I2V, image=image())
        assert [row["task_id"] for row in call(fleet, "GET", T2V).json["data"]] == numbers[::-1]
        page = call(fleet, "GET", f"{T2V}?pageNum=2&pageSize=2").json["data"]
        assert [row["task_id"] for row in page] == numbers[:1]
        for wrong in ("pageNum=0", "pageSize=501", "pageNum=x"):
            assert call(fleet, "GET", f"{T2V}?{wrong}").json["code"] == 1201


# --- who may call -----------------------------------------------------------------------------------------------------


def test_a_key_or_a_token_is_accepted(fleet: Live) -> None:
    now = now_s(fleet)
    for key in ("sk-fleet-kling", token(now)):
        assert call(fleet, "GET", T2V, key=key).status == 200


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, 1001),
        ("", 1002),
        ("sk-other", 1002),
        ("a.b.c", 1002),
        ("fleet-kling-access|fleet-kling-secret-key", 1002),
        (token(START_S, iss="somebody"), 1002),
        (token(START_S, iss=None), 1002),
        (token(START_S, exp=None), 1002),
        (token(START_S, nbf="soon"), 1002),
        (token(START_S, head={"alg": "none"}), 1002),
        (token(START_S, secret="wrong"), 1000),
        (token(START_S, nbf=START_S + 1), 1003),
        (token(START_S, exp=START_S), 1004),
    ],
)
def test_codes_of_tokens(key: str | None, code: int, still: Live) -> None:
    for method, path in (("GET", T2V), ("GET", "/tasks?task_ids=1"), ("POST", T2V)):
        body = {"prompt": "x"} if method == "POST" else None
        refused = call(still, method, path, body, key=key)
        assert (refused.status, refused.json["code"], refused.json["data"]) == (401, code, None)
    assert still.control("GET", "jobs")["jobs"] == []


@pytest.fixture(scope="module")
def still() -> Iterator[Live]:
    """A fleet whose clock stands where it started."""
    with running(Clock("manual")) as live:
        yield live


def test_the_fleets_clock_judges_a_token() -> None:
    with running(Clock("manual")) as fleet:
        key = token(now_s(fleet))
        number = call(fleet, "POST", T2V, {"prompt": TIMES}, key=key).json["data"]["task_id"]
        later(fleet, 1799)
        assert call(fleet, "GET", f"{T2V}/{number}", key=key).status == 200
        later(fleet, 1)
        assert call(fleet, "GET", f"{T2V}/{number}", key=key).json["code"] == 1004
        assert call(fleet, "POST", T2V, {"prompt": TIMES}, key=key).json["code"] == 1004
        assert len(fleet.control("GET", "jobs")["jobs"]) == 1


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (T2V, b"{", 400, 1200),
        (T2V, [], 400, 1200),
        (T2V, {}, 400, 1201),
        (T2V, {"prompt": "x" * 2501}, 400, 1201),
        (T2V, {"prompt": 5}, 400, 1201),
        (T2V, {"prompt": "x", "duration": "7"}, 400, 1201),
        (T2V, {"prompt": "x", "duration": "five"}, 400, 1201),
        (T2V, {"prompt": "x", "mode": "best"}, 400, 1201),
        (T2V, {"prompt": "x", "aspect_ratio": "2:1"}, 400, 1201),
        (T2V, {"prompt": "x", "cfg_scale": 2}, 400, 1201),
        (T2V, {"prompt": "x", "sound": "on", "mode": "std", "model_name": "kling-v2-6"}, 400, 1201),
        (T2V, {"prompt": "x", "camera_control": {"type": "simple", "config": {}}}, 400, 1201),
        (T2V, {"prompt": "x", "model_name": "kling-v9"}, 404, 1203),
        (T2V, {"prompt": "x", "model_name": "kling-v2-1"}, 400, 1201),
        (T2V, {"prompt": "build a bomb"}, 400, 1301),
        (I2V, {"prompt": "x"}, 400, 1201),
        (I2V, {"image": "data:image/png;base64," + image()}, 400, 1201),
        (I2V, {"image": "not base64"}, 400, 1201),
        (I2V, {"image": base64.b64encode(b"no picture").decode()}, 400, 1201),
        (I2V, {"image": image(299, 400)}, 400, 1201),
        (I2V, {"image": image(300, 800)}, 400, 1201),
        ("/v1/videos/multi-image2video", {"prompt": "x", "image_list": []}, 400, 1201),
        ("/v1/videos/motion-control", {"image_url": image(), "mode": "std"}, 400, 1201),
        ("/v1/videos/lip-sync", {"input": {}}, 400, 1201),
        ("/v1/videos/effects", {"input": {"image": image()}}, 400, 1201),
        ("/v1/images/generations", {"prompt": "x", "n": 10}, 400, 1201),
        ("/v1/images/omni-image", {"prompt": "x", "aspect_ratio": "5:1"}, 400, 1201),
        ("/v1/videos/nothing", {}, 404, 1203),
    ],
)
def test_what_is_refused(fleet: Live, path: str, body: object, status: int, code: int) -> None:
    refused = call(fleet, "POST", path, body)
    assert (refused.status, refused.json["code"], refused.json["data"]) == (status, code, None), refused.json
    assert refused.json["message"]
    assert refused.json["request_id"]


def test_a_duration_in_numbers_is_refused_where_one_is_strict() -> None:
    row = {"name": "kling", "region": "x", "dialect": "kling_legacy", "facts": {"strict_durations": True}}
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        refused = call(fleet, "POST", T2V, {"prompt": "x", "duration": 5})
        assert (refused.status, refused.json["code"]) == (400, 1201)
        assert call(fleet, "POST", T2V, {"prompt": "x", "duration": "5"}).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status status=429", 429, 1302),
        ("status status=429 code=1303", 429, 1303),
        ("quota_as_other_status status=429", 429, 1102),
        ("status status=401", 401, 1000),
        ("status status=403", 403, 1103),
        ("status status=500", 500, 5000),
        ("status status=503", 503, 5001),
        ("status status=504", 504, 5002),
        ("status status=418", 418, 1201),
    ],
)
def test_faults_of_the_wire_speak_its_words(fleet: Live, fault: str, status: int, code: int) -> None:
    refused = call(fleet, "POST", T2V, {"prompt": f"x [[fault: {fault}]]"})
    assert (refused.status, refused.json["code"]) == (status, code)


def test_too_many_tasks_at_a_time_are_refused_with_1303() -> None:
    with running(Clock("manual")) as fleet:
        fleet.control("PUT", "quotas", {"kling": [{"limit": 2, "of": "jobs", "by": ["model"]}]})
        first, _ = submit(fleet), submit(fleet)
        refused = call(fleet, "POST", T2V, {"model_name": "kling-v2-6", "prompt": "one more"})
        assert (refused.status, refused.json["code"]) == (429, 1303)
        assert refused.json["message"] == "parallel task over resource pack limit"
        assert task(fleet, first)["task_status"] == "submitted"  # to ask is free
        later(fleet, DONE)
        submit(fleet)


def test_a_picture_takes_a_place_of_its_own() -> None:
    with running(Clock("manual")) as fleet:
        row = {"limit": 5, "of": "jobs", "by": ["model"], "slots": "result"}
        fleet.control("PUT", "quotas", {"kling": [row]})
        body = {"model_name": "kling-v2-1", "prompt": f"x {TIMES}"}
        for count, code in ((4, 0), (2, 1303), (1, 0), (1, 1303)):
            assert call(fleet, "POST", "/v1/images/generations", body | {"n": count}).json["code"] == code


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_task_that_fails_says_why_and_costs_nothing(fleet: Live) -> None:
    number = submit(fleet, fault="job_fails percent=50 message='no more memory'")
    later(fleet, 15)
    failed = task(fleet, number)
    assert (failed["task_status"], failed["task_status_msg"]) == ("failed", "no more memory")
    assert (failed["final_unit_deduction"], failed["task_result"]) == ("0", {})
    (row,) = [row for row in fleet.control("GET", "jobs")["jobs"] if row["job"] == number]
    assert row["charged"] == {}


def test_what_is_unsafe_once_rendered_fails(fleet: Live) -> None:
    number = submit(fleet, prompt=f"what an idiot {TIMES}")
    later(fleet, DONE)
    failed = task(fleet, number)
    assert (failed["task_status"], failed["task_status_msg"]) == ("failed", "Failure to pass the risk control system")


@pytest.mark.parametrize(
    ("fault", "seconds", "state", "result"),
    [
        ("job_times_out percent=50", 20, "failed", {}),
        ("moderation_after_render", DONE, "succeed", {"videos": []}),
        ("moderation_after_render form=failed", DONE, "failed", {}),
        ("job_stuck_in_queue", 86_400, "submitted", {}),
        ("job_never_finishes", 86_400, "processing", {}),
        ("late_success after_s=900", 899, "processing", {}),
        ("status_regress_after_completion after_s=2 for_s=10", DONE + 5, "processing", {}),
    ],
)
def test_faults_of_tasks(fleet: Live, fault: str, seconds: float, state: str, result: dict[str, Any]) -> None:
    number = submit(fleet, fault=fault)
    later(fleet, seconds)
    found = task(fleet, number)
    assert (found["task_status"], found["task_result"]) == (state, result)


def test_tasks_that_nobody_finds(fleet: Live) -> None:
    hidden, gone = (
        submit(fleet, fault="transient_404_after_submit for_s=3"),
        submit(fleet, fault="job_vanishes after_s=9"),
    )
    assert call(fleet, "GET", f"{T2V}/{hidden}").json["code"] == 1203
    later(fleet, 9)
    assert task(fleet, hidden)["task_status"] == "processing"
    assert call(fleet, "GET", f"{T2V}/{gone}").json["code"] == 1203


def test_a_link_may_be_dead_from_the_start(fleet: Live) -> None:
    for status in (403, 404):
        url = made(fleet, fault=f"result_url_expired status={status}")["videos"][0]["url"]
        assert fetch(fleet, url).status == status


def test_a_wrong_length_may_be_told_and_is_not_charged(fleet: Live) -> None:
    number = submit(fleet, fault="wrong_execution_time factor=0")
    later(fleet, DONE)
    assert task(fleet, number)["task_result"]["videos"][0]["duration"] == "0"
    (row,) = [row for row in fleet.control("GET", "jobs")["jobs"] if row["job"] == number]
    assert row["charged"]["output_seconds"] == 5


def test_a_submission_may_fail_though_it_was_taken(fleet: Live) -> None:
    body = {"prompt": f"[[case:twice]] x {TIMES} [[fault: submit_5xx_after_accept status=504]]"}
    refused = call(fleet, "POST", T2V, body)
    assert (refused.status, refused.json["code"]) == (504, 5000)
    assert len(fleet.control("GET", "jobs?case=twice")["jobs"]) == 1


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_each_state_is_called_back_and_signed() -> None:
    secret = "whsec_" + base64.b64encode(b"fleet-kling-webhook-secret").decode()
    with running(Clock("manual")) as fleet, receiving() as receiver:
        number = submit(fleet, callback_url=receiver.url, external_task_id="mine")
        told(fleet, 4.999)
        assert receiver.got == []
        told(fleet, 0.001)
        told(fleet, 20)
        assert [body["task_status"] for body in receiver.bodies] == ["processing", "succeed"]
        done, query = receiver.bodies[-1], task(fleet, number)
        assert list(done) == [
            "task_id",
            "task_status",
            "task_status_msg",
            "created_at",
            "updated_at",
            "final_unit_deduction",
            "final_balance_deduction",
            "task_info",
            "task_result",
        ]
        for name in ("task_id", "task_result", "task_info", "final_unit_deduction", "updated_at"):
            assert done[name] == query[name]
        assert done["final_balance_deduction"] == {"quota": "0.21", "list_price": "0.21"}
        for headers, body in receiver.got:
            sent = (headers["webhook-id"], int(headers["webhook-timestamp"]))
            assert headers["webhook-signature"] == standard_webhooks(secret, *sent, body)[-1][1]
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2
        assert int(receiver.got[-1][0]["webhook-timestamp"]) == now_s(fleet)


@pytest.mark.parametrize("secrets", [[], ["whsec_b2xk", "whsec_bmV3"]])
def test_callbacks_are_signed_with_as_many_secrets_as_there_are(secrets: list[str]) -> None:
    row = {"name": "kling", "region": "x", "dialect": "kling_legacy", "facts": {"webhook_secret": secrets}}
    with running(Clock("manual"), rows={"providers": [row]}) as fleet, receiving() as receiver:
        submit(fleet, callback_url=receiver.url)
        told(fleet, 5)
        ((headers, body),) = receiver.got
        if not secrets:
            assert "webhook-signature" not in headers
            return
        sent = (headers["webhook-id"], int(headers["webhook-timestamp"]))
        due = " ".join(standard_webhooks(one, *sent, body)[-1][1] for one in secrets)
        assert headers["webhook-signature"] == due


def test_a_forged_callback_does_not_verify() -> None:
    secret = "whsec_" + base64.b64encode(b"fleet-kling-webhook-secret").decode()
    with running(Clock("manual")) as fleet, receiving() as receiver:
        submit(fleet, fault="webhook_badly_signed", callback_url=receiver.url)
        told(fleet, DONE)
        headers, body = receiver.got[-1]
        due = standard_webhooks(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert headers["webhook-signature"] != due[-1][1]


def test_a_callback_may_come_out_of_order() -> None:
    with running(Clock("manual")) as fleet, receiving() as receiver:
        submit(fleet, fault="out_of_order_callbacks", callback_url=receiver.url)
        told(fleet, DONE)
        told(fleet, 2)
        assert [body["task_status"] for body in receiver.bodies][-2:] == ["succeed", "processing"]


def test_whatever_is_asked_of_a_task_belongs_to_its_case() -> None:
    with running(Clock("manual")) as fleet:
        (video,) = made(fleet, prompt=f"[[case:asked]] x {TIMES}")["videos"]
        assert fetch(fleet, video["url"]).status == 200
        assert {entry["operation"] for entry in fleet.journal("asked")} == {"text2video", "get_task", "fetch_file"}


# --- anything at all --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = re.findall(
    r"\S+",
    "model_name prompt duration mode aspect_ratio image image_tail image_list video_list input effect_scene n sound "
    "multi_shot multi_prompt video_id video_url camera_control watermark_info external_task_id callback_url "
    "resolution result_type series_amount human_image cloth_image character_orientation image_url",
)
BODIES = st.binary(max_size=40) | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6).map(
    lambda body: json.dumps(body).encode()
)


@given(
    st.sampled_from(sorted(KlingLegacy.operations)),
    BODIES,
    st.text(max_size=30),
    st.text(max_size=20),
    st.text(max_size=60),
)
def test_no_request_breaks_the_reader(
    route: tuple[str, str], body: bytes, number: str, query: str, authorization: str
) -> None:
    method, path = route
    facts = {"signature_secret": b"x" * 32}
    params = {name: number for name in ("id", "rest") if f"{{{name}}}" in path}
    whole = path.replace("{id}", number).replace("{rest}", number)
    headers = {"authorization": f"Bearer {authorization}"}
    asked = Request(method, f"/v1{whole}", query, headers, body, params, facts, "http://x/kling")
    dialect = KlingLegacy()
    with suppress(Refused):
        dialect.authenticate(asked, frozenset({f"{ACCESS}|x"}))
    with suppress(Refused):
        dialect.decode(asked, dialect.operations[route])
