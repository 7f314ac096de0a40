"""DashScope's own wire: how it must be called, tasks of clips and of pictures, pictures at once, lists."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.base import Kept, Serving
from simulator.dialects.dashscope import geometry
from simulator.dialects.dashscope.services import DashScope
from simulator.jobs.job import Job, Plan, State
from simulator.media.clips import probe
from simulator.media.results import Given
from simulator.models import facts
from simulator.problem import Problem, Refused
from tests.simulator.dashscope_exchange import (
    ASYNC,
    AT_ONCE,
    FRAMES,
    GENERATION,
    IMAGE,
    PROMPT,
    VIDEO,
    asked,
    call,
    fetch,
    later,
    messages,
    poll,
    post,
    submit,
)
from tests.simulator.live import Live, running

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
T2V, I2V, T2I = "wan2.6-t2v", "wan2.6-i2v", "wan2.2-t2i-flash"
SENSITIVE = "Output data may contain inappropriate content."


def data_url(width: int = 750, height: int = 1000) -> str:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def first_pixel(clip: bytes) -> tuple[int, ...]:
    with av.open(io.BytesIO(clip)) as box:
        pixel: tuple[int, ...] = next(box.decode(box.streams.video[0])).to_image().getpixel((100, 100))
    return pixel


@pytest.fixture(scope="module")
def shared() -> Iterator[Live]:
    """One fleet for all, as it was left."""
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture
def fleet(shared: Live) -> Live:
    """The same, emptied."""
    shared.control("POST", "reset")
    return shared


# --- how it must be called --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "No API-key provided."), ("Bearer no", "Invalid API-key provided."), ("sk-fleet-qwen", "Invalid")],
)
def test_a_key_is_needed(shared: Live, key: str, message: str) -> None:
    reply = call(shared, "GET", "tasks/x", authorization=key)
    assert (reply.status, reply.json["code"]) == (401, "InvalidApiKey")
    assert reply.json["message"].startswith(message)
    assert list(reply.json) == ["code", "message", "request_id"]
    assert UUID.fullmatch(reply.json["request_id"])


@pytest.mark.parametrize("path", [VIDEO, IMAGE, GENERATION])
def test_a_task_needs_its_header(shared: Live, path: str) -> None:
    reply = call(shared, "POST", f"services/aigc/{path}", asked(T2V))
    assert (reply.status, reply.json["code"]) == (403, "AccessDenied")
    assert "does not support synchronous calls" in reply.json["message"]


def test_what_comes_at_once_must_not_have_it(shared: Live) -> None:
    reply = post(shared, AT_ONCE, messages("qwen-image", {"text": "A cat"}))
    assert (reply.status, reply.json["code"]) == (403, "AccessDenied")
    assert "does not support asynchronous calls" in reply.json["message"]


def test_the_status_of_a_missing_header_is_a_fact() -> None:
    row = {
        "name": "qwen",
        "region": "x",
        "dialects": ["dashscope"],
        "facts": {"vendors": ["qwen"], "sync_status": 400},
    }
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        assert call(fleet, "POST", f"services/aigc/{VIDEO}", asked(T2V)).status == 400


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "word"),
    [
        (VIDEO, b"{", 400, "InvalidParameter", "body format"),
        (VIDEO, [], 400, "InvalidParameter", "body format"),
        (VIDEO, {"input": {"prompt": "x"}}, 400, "BadRequest.EmptyModel", "model"),
        (VIDEO, {"model": T2V}, 400, "BadRequest.EmptyInput", "input"),
        (VIDEO, {"model": T2V, "input": {"prompt": "x"}, "parameters": 3}, 400, "InvalidParameter", "parameters"),
        (VIDEO, asked("wan9"), 404, "ModelNotFound", "Model not exist"),
        (IMAGE, asked(T2V), 400, "InvalidParameter", "url error"),
        (VIDEO, asked("wan2.2-kf2v-flash"), 400, "InvalidParameter", "url error"),
        (VIDEO, asked(T2V, given={"prompt": ""}), 400, "InvalidParameter", "prompt"),
        (VIDEO, asked(T2V, given={"prompt": 3}), 400, "InvalidParameter", "prompt"),
        (VIDEO, asked(T2V, size="1280x720"), 400, "InvalidParameter", "size must be one of"),
        (VIDEO, asked(T2V, size="832*480"), 400, "InvalidParameter", "size must be one of"),
        (VIDEO, asked(T2V, duration=7), 400, "InvalidParameter", "duration must be one of 5, 10, 15"),
        (VIDEO, asked(T2V, duration="5"), 400, "InvalidParameter", "duration must be an integer"),
        (VIDEO, asked(T2V, seed=-1), 400, "InvalidParameter", "seed"),
        (VIDEO, asked(T2V, watermark="no"), 400, "InvalidParameter", "watermark must be a boolean"),
        (VIDEO, asked(T2V, given={"img_url": "https://a/b.png"}), 400, "InvalidParameter", "not supported"),
        (VIDEO, asked(I2V), 400, "InvalidParameter", "img_url"),
        (VIDEO, asked(I2V, given={"img_url": "cat.png"}), 400, "InvalidURL", "url is invalid"),
        (VIDEO, asked(I2V, given={"img_url": "data:image/png;base64,aGk="}), 400, "InvalidParameter", "decoded"),
        (VIDEO, asked(I2V, given={"img_url": data_url(100, 400)}), 400, "InvalidParameter", "sides"),
        (VIDEO, asked(I2V, given={"img_url": "https://a/b"}, resolution="4K"), 400, "InvalidParameter", "resolution"),
        (VIDEO, asked("wan2.7-t2v", ratio="2:1"), 400, "InvalidParameter", "ratio must be one of"),
        (VIDEO, asked("wan2.7-i2v", given={"media": [3]}), 400, "InvalidParameter", "media"),
        (VIDEO, asked("wan2.7-i2v", given={"media": "x"}), 400, "InvalidParameter", "media"),
        (IMAGE, asked(T2I, n=5), 400, "InvalidParameter", "num_images_per_prompt"),
        (IMAGE, asked(T2I, size="2000*2000"), 400, "InvalidParameter", "out of range"),
        (IMAGE, asked(T2I, size="1024x1024"), 400, "InvalidParameter", "width*height"),
        (VIDEO, asked(T2V, text="flag:sexual"), 400, "DataInspectionFailed", "Input data may contain"),
    ],
)
def test_refusals(shared: Live, path: str, body: Any, status: int, code: str, word: str) -> None:
    reply = post(shared, path, body)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert word in reply.json["message"]
    assert list(reply.json) == ["code", "message", "request_id"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "InvalidApiKey"),
        (402, "Arrearage"),
        (429, "Throttling.RateQuota"),
        (500, "InternalError"),
        (503, "ModelUnavailable"),
        (418, "InvalidParameter"),
        (599, "InternalError"),
    ],
)
def test_a_status_that_is_asked_for(shared: Live, status: int, code: str) -> None:
    reply = post(shared, VIDEO, asked(T2V, f"status status={status}"))
    assert (reply.status, reply.json["code"]) == (status, code)


def test_quotas_are_refused_by_what_they_count(fleet: Live) -> None:
    limits = [
        {"limit": 1, "per": "1s", "operations": ["fetch_task"]},
        {"limit": 1, "of": "jobs", "operations": ["submit_video"]},
    ]
    fleet.control("PUT", "quotas", {"qwen": limits})
    task = submit(fleet, asked(T2V))
    busy = post(fleet, VIDEO, asked(T2V))
    assert (busy.status, busy.json["code"]) == (429, "Throttling")
    assert poll(fleet, task)["output"]["task_status"] == "PENDING"
    over = call(fleet, "GET", f"tasks/{task}")
    assert (over.status, over.json["code"]) == (429, "Throttling.RateQuota")


# --- tasks of clips ---------------------------------------------------------------------------------------------------


def test_a_clip_goes_through_its_states(fleet: Live) -> None:
    reply = post(fleet, VIDEO, asked(T2V, size="1280*720", duration=5))
    task = reply.json["output"]["task_id"]
    assert reply.json == {
        "output": {"task_status": "PENDING", "task_id": task},
        "request_id": reply.json["request_id"],
    }
    assert UUID.fullmatch(task)
    assert reply.json["request_id"] != task
    began_ms = fleet.control("GET", "clock")["now_ms"]
    pending = poll(fleet, task)
    assert list(pending["output"]) == ["task_id", "task_status", "submit_time"]
    later(fleet, 5)
    running_ = poll(fleet, task)
    assert list(running_["output"]) == ["task_id", "task_status", "submit_time", "scheduled_time"]
    assert (running_["output"]["task_status"], "usage" in running_) == ("RUNNING", False)
    later(fleet, 60)
    done = poll(fleet, task)
    output = done["output"]
    assert list(done) == ["request_id", "output", "usage"]
    assert output["task_status"] == "SUCCEEDED"
    times = [output[name] for name in ("submit_time", "scheduled_time", "end_time")]
    assert times == [local(began_ms + ms) for ms in (0, 5_000, 65_000)]
    assert output["orig_prompt"].startswith(PROMPT)
    assert output["actual_prompt"].startswith(f"{PROMPT}. ")
    assert done["usage"] == {
        "duration": 5,
        "size": "1280*720",
        "output_video_duration": 5,
        "input_video_duration": 0,
        "SR": 720,
        "video_count": 1,
    }
    made = fetch(fleet, output["video_url"])
    assert (made.status, made.headers["content-type"], made.headers["server"]) == (200, "video/mp4", "AliyunOSS")
    found = probe(made.body)
    assert (found.width, found.height, found.seconds, found.fps, found.sound) == (1280, 720, 5.0, 30.0, "aac")
    assert poll(fleet, task)["request_id"] not in (done["request_id"], task)


def local(at_ms: float) -> str:
    """A moment as Beijing's clocks tell it."""
    found = datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(hours=8)
    return f"{found:%Y-%m-%d %H:%M:%S}.{int(at_ms) % 1000:03}"


@pytest.mark.parametrize(
    ("body", "path", "size", "seconds", "sound"),
    [
        (asked(T2V), VIDEO, (1920, 1080), 5, "aac"),
        (asked(T2V, audio=False, duration=10, size="832*1088"), VIDEO, (832, 1088), 10, ""),
        (asked(I2V, given={"img_url": data_url()}, resolution="720P"), VIDEO, (816, 1104), 5, "aac"),
        (asked(I2V, given={"img_url": "https://a/b.png"}, resolution="720P"), VIDEO, (960, 960), 5, "aac"),
        (asked("wan2.6-r2v", given={"reference_urls": ["https://a/b.png"]}), VIDEO, (1920, 1080), 5, "aac"),
        (asked("wan2.7-t2v", resolution="720P", ratio="9:16", duration=2), VIDEO, (720, 1280), 2, "aac"),
        (
            asked("wan2.7-i2v", given={"media": [{"type": "first_frame", "url": data_url()}]}, duration=3),
            VIDEO,
            (1232, 1648),
            3,
            "aac",
        ),
        (asked("wan2.2-kf2v-flash", given={"first_frame_url": data_url()}), FRAMES, (816, 1104), 5, ""),
        (asked("wanx2.1-t2v-turbo", size="624*624"), VIDEO, (624, 624), 5, ""),
    ],
)
def test_a_clip_is_as_large_and_long_as_asked(
    fleet: Live, body: Any, path: str, size: tuple[int, int], seconds: int, sound: str
) -> None:
    task = submit(fleet, body, path)
    later(fleet, 70)
    found = probe(fetch(fleet, poll(fleet, task)["output"]["video_url"]).body)
    assert ((found.width, found.height), found.seconds, found.sound) == (size, seconds, sound)


def test_a_clip_begins_with_the_picture_that_was_sent(fleet: Live) -> None:
    task = submit(fleet, asked(I2V, given={"img_url": data_url()}, resolution="720P"))
    later(fleet, 70)
    done = poll(fleet, task)
    pixel = first_pixel(fetch(fleet, done["output"]["video_url"]).body)
    assert pixel[0] > 150 > pixel[1]


def test_families_tell_usage_in_their_own_words(fleet: Live) -> None:
    new = submit(fleet, asked("wan2.7-t2v", resolution="1080P", ratio="1:1", duration=4, prompt_extend=False))
    old = submit(fleet, asked("wanx2.1-t2v-turbo"))
    later(fleet, 70)
    told = poll(fleet, new)
    assert told["usage"] == {
        "duration": 4,
        "output_video_duration": 4,
        "input_video_duration": 0,
        "SR": 1080,
        "video_count": 1,
        "ratio": "1:1",
    }
    assert "actual_prompt" not in told["output"]
    assert poll(fleet, old)["usage"] == {"video_duration": 5, "video_count": 1, "SR": 720}


@pytest.mark.parametrize("task", ["x", "0f000000-0000-4000-8000-000000000000", "0F-a"])
def test_an_unknown_task_is_no_error(shared: Live, task: str) -> None:
    told = poll(shared, task)
    assert told["output"] == {"task_id": task, "task_status": "UNKNOWN"}
    assert list(told) == ["request_id", "output"]


def test_a_task_is_unknown_after_a_day_and_its_link_dead(fleet: Live) -> None:
    task = submit(fleet, asked(T2V))
    later(fleet, 65 + 86_399)
    url = poll(fleet, task)["output"]["video_url"]
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    assert poll(fleet, task)["output"]["task_status"] == "UNKNOWN"
    late = fetch(fleet, url)
    assert (late.status, b"Request has expired." in late.body) == (403, True)


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("job_fails message='CUDA out of memory'", "InternalError", "CUDA out of memory"),
        ("job_times_out", "InternalError.Timeout", "An internal timeout error"),
        ("moderation_after_render", "DataInspectionFailed", SENSITIVE),
        ("moderation_after_render form=failed", "DataInspectionFailed", "Content moderated"),
    ],
)
def test_a_task_that_fails_says_so_within_its_output(fleet: Live, fault: str, code: str, message: str) -> None:
    task = submit(fleet, asked(T2V, fault))
    later(fleet, 70)
    told = poll(fleet, task)
    output = told["output"]
    assert (output["task_status"], output["code"]) == ("FAILED", code)
    assert output["message"].startswith(message)
    assert list(output)[2:] == ["submit_time", "scheduled_time", "end_time", "code", "message"]
    assert "usage" not in told
    assert "message" not in told


def test_a_picture_that_cannot_be_had_fails_the_task(fleet: Live) -> None:
    task = submit(fleet, asked(I2V, given={"img_url": "https://a/does-not-exist.png"}))
    later(fleet, 70)
    assert poll(fleet, task)["output"]["code"] == "InvalidParameter.DataInspection"


def test_a_mild_prompt_is_refused_once_it_is_rendered(fleet: Live) -> None:
    task = submit(fleet, asked(T2V, text="You loser"))
    later(fleet, 30)
    assert poll(fleet, task)["output"]["task_status"] == "RUNNING"
    later(fleet, 40)
    assert poll(fleet, task)["output"]["code"] == "DataInspectionFailed"


def test_a_task_that_is_not_found_at_first_or_any_more(fleet: Live) -> None:
    hidden = submit(fleet, asked(T2V, "transient_404_after_submit for_s=3"))
    gone = submit(fleet, asked(T2V, "job_vanishes after_s=5"))
    assert [poll(fleet, task)["output"]["task_status"] for task in (hidden, gone)] == ["UNKNOWN", "PENDING"]
    later(fleet, 5)
    assert [poll(fleet, task)["output"]["task_status"] for task in (hidden, gone)] == ["RUNNING", "UNKNOWN"]


@pytest.mark.parametrize("status", [403, 404])
def test_links_that_expire_early(fleet: Live, status: int) -> None:
    task = submit(fleet, asked(T2V, f"result_url_expired after_s=10 status={status}"))
    later(fleet, 70)
    url = poll(fleet, task)["output"]["video_url"]
    assert fetch(fleet, url).status == 200
    later(fleet, 5)
    assert fetch(fleet, url).status == status


def test_only_what_waits_is_cancelled(fleet: Live) -> None:
    waiting, busy = submit(fleet, asked(T2V, text="one")), submit(fleet, asked(T2V, text="two"))
    gone = call(fleet, "POST", f"tasks/{waiting}/cancel")
    assert (gone.status, list(gone.json)) == (200, ["request_id"])
    told = poll(fleet, waiting)["output"]
    assert (told["task_status"], list(told)[2:]) == ("CANCELED", ["submit_time", "end_time"])
    later(fleet, 10)
    for task in (busy, waiting, "x"):
        refused = call(fleet, "POST", f"tasks/{task}/cancel")
        assert (refused.status, refused.json["code"]) == (400, "UnsupportedOperation")
        assert "PENDING" in refused.json["message"]
    assert poll(fleet, busy)["output"]["task_status"] == "RUNNING"


def test_a_list_is_paged_and_filtered(fleet: Live) -> None:
    began_ms = fleet.control("GET", "clock")["now_ms"]
    tasks = []
    for text in ("one", "two", "three"):
        model, path = (T2I, IMAGE) if text == "two" else (T2V, VIDEO)
        tasks.append(submit(fleet, asked(model, text=text), path))
        later(fleet, 2)
    first = call(fleet, "GET", "tasks/?page_size=2").json
    assert list(first) == ["total", "data", "total_page", "page_no", "request_id", "page_size"]
    assert (first["total"], first["total_page"], first["page_no"], first["page_size"]) == (3, 2, 1, 2)
    assert [row["task_id"] for row in first["data"]] == [tasks[2], tasks[1]]
    row = first["data"][1]
    assert (row["gmt_create"], row["status"]) == (began_ms + 2000, "PENDING")
    assert row["user_api_unique_key"] == f"apikey:v1:aigc:text2image:image-synthesis:{T2I}"
    assert "start_time" not in row

    def listed(query: str) -> list[str]:
        return [row["task_id"] for row in call(fleet, "GET", f"tasks?{query}").json["data"]]

    assert listed("status=RUNNING") == [tasks[0]]
    assert listed(f"model_name={T2I}") == [tasks[1]]
    assert listed("page_no=2&page_size=2") == [tasks[0]]
    stamp = local(began_ms + 1000).partition(".")[0].replace("-", "").replace(":", "").replace(" ", "")
    assert listed(f"start_time={stamp}") == [tasks[2], tasks[1]]
    assert listed(f"end_time={stamp}") == [tasks[0]]
    for query in ("page_no=0", "status=done", "start_time=yesterday"):
        assert call(fleet, "GET", f"tasks/?{query}").json["code"] == "InvalidParameter"


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_as_a_task(fleet: Live) -> None:
    task = submit(fleet, asked(T2I, n=3, size="512*768"), IMAGE)
    assert poll(fleet, task)["output"]["task_metrics"] == {"TOTAL": 3, "SUCCEEDED": 0, "FAILED": 0}
    later(fleet, 70)
    told = poll(fleet, task)
    output = told["output"]
    assert (told["usage"], output["task_metrics"]) == ({"image_count": 3}, {"TOTAL": 3, "SUCCEEDED": 3, "FAILED": 0})
    assert {tuple(each) for each in output["results"]} == {("orig_prompt", "actual_prompt", "url")}
    made = [fetch(fleet, each["url"]).body for each in output["results"]]
    assert [Image.open(io.BytesIO(each)).size for each in made] == [(512, 768)] * 3
    assert len(set(made)) == 3


@pytest.mark.parametrize("how", ["You loser", "fault"])
def test_a_task_succeeds_with_elements_that_failed(fleet: Live, how: str) -> None:
    fault = "partial_results lost=1" if how == "fault" else ""
    text = PROMPT if how == "fault" else how
    task = submit(fleet, asked(T2I, fault, text, n=2), IMAGE)
    later(fleet, 70)
    told = poll(fleet, task)
    output = told["output"]
    assert (output["task_status"], told["usage"]) == ("SUCCEEDED", {"image_count": 1})
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1}
    assert output["results"][1] == {"code": "DataInspectionFailed", "message": SENSITIVE}
    assert fetch(fleet, output["results"][0]["url"]).status == 200


def test_a_task_whose_elements_all_failed_is_failed(fleet: Live) -> None:
    task = submit(fleet, asked(T2I, "moderation_after_render", n=2), IMAGE)
    alone = submit(fleet, asked(T2I, text="You loser"), IMAGE)
    later(fleet, 70)
    output = poll(fleet, task)["output"]
    assert (output["task_status"], output["code"]) == ("FAILED", "DataInspectionFailed")
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 0, "FAILED": 2}
    assert poll(fleet, alone)["output"]["task_status"] == "FAILED"


def test_pictures_as_choices(fleet: Live) -> None:
    body = messages("wan2.6-t2i", {"text": f"{PROMPT} [[fault: job_times queue_s=0 run_s=5]]"}, n=2)
    task = submit(fleet, body, GENERATION)
    later(fleet, 6)
    told = poll(fleet, task)
    output = told["output"]
    assert (output["finished"], "results" in output, "task_metrics" in output) == (True, False, False)
    assert [choice["message"]["content"][0]["type"] for choice in output["choices"]] == ["image", "image"]
    assert told["usage"] == {
        "image_count": 2,
        "input_tokens": 0,
        "output_tokens": 0,
        "size": "1280*1280",
        "total_tokens": 0,
    }
    made = fetch(fleet, output["choices"][1]["message"]["content"][0]["image"])
    assert Image.open(io.BytesIO(made.body)).size == (1280, 1280)


def at_once(fleet: Live, body: object) -> Any:
    reply = call(fleet, "POST", f"services/aigc/{AT_ONCE}", body)
    assert reply.status == 200, reply
    return reply.json


def test_pictures_at_once(fleet: Live) -> None:
    body = messages("qwen-image", {"text": PROMPT}, size="928*1664")
    first, again = at_once(fleet, body), at_once(fleet, body)
    assert list(first) == ["output", "usage", "request_id"]
    assert first["usage"] == {"height": 1664, "image_count": 1, "width": 928}
    (choice,) = first["output"]["choices"]
    assert (choice["finish_reason"], choice["message"]["role"]) == ("stop", "assistant")
    assert list(choice["message"]["content"][0]) == ["image"]
    url = choice["message"]["content"][0]["image"]
    made = fetch(fleet, url)
    assert Image.open(io.BytesIO(made.body)).size == (928, 1664)
    assert first["request_id"] != again["request_id"]
    assert fetch(fleet, again["output"]["choices"][0]["message"]["content"][0]["image"]).body == made.body
    later(fleet, 86_400)
    assert fetch(fleet, url).status == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (messages("qwen-image-edit", {"text": PROMPT}), "InvalidParameter"),
        (messages("qwen-image", {"text": PROMPT}, {"image": "https://a/b.png"}), "InvalidParameter"),
        (messages("qwen-image", {"text": PROMPT}, n=2), "InvalidParameter"),
        (messages("qwen-image", {"text": PROMPT}, size="1024*1024"), "InvalidParameter"),
        (messages("qwen-image", {"text": "flag:sexual"}), "DataInspectionFailed"),
        (messages("qwen-image", {"text": "You loser"}), "DataInspectionFailed"),
        (messages("qwen-image-edit", {"text": "x"}, {"image": "https://a/does-not-exist"}), "InvalidParameter.D"),
        ({"model": "qwen-image", "input": {"messages": []}}, "InvalidParameter"),
        ({"model": "qwen-image", "input": {"messages": [{"content": "x"}]}}, "InvalidParameter"),
        (messages(T2I, {"text": PROMPT}), "InvalidParameter"),
    ],
)
def test_pictures_that_are_refused(shared: Live, body: object, code: str) -> None:
    reply = call(shared, "POST", f"services/aigc/{AT_ONCE}", body)
    assert reply.status == 400
    assert reply.json["code"].startswith(code)


def test_pictures_are_edited(fleet: Live) -> None:
    told = at_once(fleet, messages("qwen-image-edit", {"image": data_url()}, {"text": "Make it green"}, n=2))
    assert told["usage"] == {"height": 1024, "image_count": 2, "width": 1024}
    assert len(told["output"]["choices"]) == 2


# --- charges, sizes, bad input ----------------------------------------------------------------------------------------


def kept(body: dict[str, Any], job: Job, path: str = VIDEO) -> Kept:
    """A job as the fleet would have it, without a fleet."""
    wire, seen = DashScope(), {"signature_secret": b"secret", "utc_offset_h": 8}
    data = json.dumps(body).encode()
    sent = Request("POST", f"/api/v1/services/aigc/{path}", "", ASYNC, data, facts=seen, site="http://fleet/qwen")
    ask = wire.decode(sent, "submit_video")
    profile = facts.profile("qwen", "dashscope", ask.model, seen)
    assert profile is not None
    wire.check(ask, profile)
    return Kept(ask, None, profile, Serving("4000-8000-000000000000", 0, 5, seen, job=job))


def test_what_is_charged() -> None:
    wire, whole = DashScope(), Plan(queue_ms=0, run_ms=1)
    for body, path, due in (
        (asked(T2V, size="1280*720", duration=10), VIDEO, {"output_seconds": 10, "usd": 1.0}),
        (asked(T2V), VIDEO, {"output_seconds": 5, "usd": 0.75}),
        (asked(T2I, n=4), IMAGE, {"images": 4, "usd": 0.1}),
        (asked(T2I, text="You loser", n=4), IMAGE, {"images": 3, "usd": 0.075}),
        (asked("wanx2.1-t2v-turbo"), VIDEO, {"output_seconds": 5}),
    ):
        assert wire.charge(kept(body, Job(0, whole), path), 10) == due
        assert wire.charge(kept(body, Job(0, whole), path), 0) == {}
        assert wire.charge(kept(body, Job(0, Plan(queue_ms=0, run_ms=1, ends=State.FAILED)), path), 10) == {}


@given(width=st.integers(240, 8000), height=st.integers(240, 8000), tier=st.sampled_from(["720P", "1080P"]))
def test_a_picture_s_ratio_stays(width: int, height: int, tier: str) -> None:
    profile = facts.profile("qwen", "dashscope", I2V, {})
    assert profile is not None
    found = geometry.clip({"resolution": tier}, profile.facts, Given(width, height, ""))
    pixels = {"720P": 1280 * 720, "1080P": 1920 * 1080}[tier]
    assert found.width % 16 == found.height % 16 == 0
    assert found.width * found.height <= pixels
    assert abs(found.width - (pixels * width / height) ** 0.5) <= 16
    assert abs(found.height - (pixels * height / width) ** 0.5) <= 16


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["prompt", "negative_prompt", "img_url", "media", "messages", "reference_urls", "type", "url", "content", "image"]
)
PARTS = JSON | st.sampled_from(["https://a/b", "http://[", "data:image/png;base64,aGk=", "oss://x", "first_frame"])
INPUTS = st.dictionaries(FIELDS, PARTS | st.lists(st.dictionaries(FIELDS, PARTS, max_size=3), max_size=2), max_size=5)
OPTIONS = st.dictionaries(st.sampled_from(["size", "n", "seed", "duration", "resolution", "ratio", "audio"]), JSON)
MODELS = st.sampled_from([T2V, I2V, T2I, "wan2.7-i2v", "wan2.7-t2v", "qwen-image", "wan2.2-kf2v-flash"])


@settings(max_examples=150)
@given(
    body=st.builds(
        lambda *parts: dict(zip(("model", "input", "parameters"), parts, strict=True)), MODELS, INPUTS, OPTIONS
    )
    | JSON,
    path=st.sampled_from([VIDEO, FRAMES, IMAGE, AT_ONCE]),
)
def test_any_body_is_read_or_refused(body: Any, path: str) -> None:
    wire, seen = DashScope(), {"signature_secret": b"s"}
    operation = "create_image" if path == AT_ONCE else "submit_video"
    headers = {} if path == AT_ONCE else ASYNC
    data = json.dumps(body).encode()
    sent = Request("POST", f"/api/v1/services/aigc/{path}", "", headers, data, facts=seen)
    try:
        ask = wire.decode(sent, operation)
        profile = facts.profile("qwen", "dashscope", ask.model, seen)
        if profile is not None:
            wire.check(ask, profile)
    except Refused as refused:
        status = wire.error(refused.problem, Serving("n", 0, 1, {}, path=sent.path)).status
    else:
        status = 200 if ask.model else 0
    assert status in (200, 400)


@given(data=st.binary(max_size=40))
def test_any_bytes_are_refused(data: bytes) -> None:
    sent = Request("POST", f"/api/v1/services/aigc/{VIDEO}", "", ASYNC, data, facts={"signature_secret": b"s"})
    with pytest.raises(Refused):
        DashScope().decode(sent, "submit_video")


@given(kind=st.text(max_size=12), status=st.none() | st.integers(400, 599))
def test_any_problem_is_told(kind: str, status: int | None) -> None:
    told = DashScope().error(Problem(kind, status=status), Serving("n", 0, 1, {}, path="/api/v1/x"))
    assert json.loads(told.frames[0].data)["code"]
    assert told.status == (status or 400)
