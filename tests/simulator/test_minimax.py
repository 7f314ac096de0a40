"""MiniMax's wires for clips and pictures: states, files, links, refusals on either, lists, cancellation, callbacks."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.base import Kept, Serving
from simulator.dialects.minimax.tasks import MiniMaxTasks
from simulator.dialects.minimax.video import MiniMaxVideo
from simulator.jobs.job import Job, Plan, State
from simulator.media.clips import probe
from simulator.media.pictures import picture
from simulator.models import facts
from simulator.problem import Problem, Refused
from tests.simulator.live import Live, running
from tests.simulator.minimax_exchange import (
    H3,
    HAILUO,
    KEY,
    asked,
    asked_h3,
    call,
    code,
    fetch,
    later,
    query,
    retrieve,
    submit,
    submit_h3,
    task_h3,
)
from tests.simulator.receiver import Receiver, receiving

OK = {"status_code": 0, "status_msg": "success"}
LOGIN = "login fail: Please carry the API secret key in the 'Authorization' field of the request header"
RED = Image.new("RGB", (480, 360), (200, 30, 30))


def data_url(image: Image.Image, form: str = "PNG") -> str:
    out = io.BytesIO()
    image.save(out, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


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


# --- the first wire ---------------------------------------------------------------------------------------------------


def test_a_task_goes_through_its_states(fleet: Live) -> None:
    task = submit(fleet)
    assert (task.isdigit(), len(task)) == (True, 15)
    seen = []
    for seconds in (0, 2, 3.5, 59):
        later(fleet, seconds)
        told = query(fleet, task)
        assert told == {
            "task_id": task,
            "status": told["status"],
            "file_id": "",
            "video_width": 0,
            "video_height": 0,
            "base_resp": OK,
        }
        seen.append(told["status"])
    assert seen == ["Preparing", "Queueing", "Processing", "Processing"]
    later(fleet, 1)
    done = query(fleet, task)
    assert (done["status"], done["video_width"], done["video_height"]) == ("Success", 1366, 768)
    assert isinstance(done["file_id"], str)
    assert done["file_id"] != task


def test_a_file_is_had_by_a_link_or_as_bytes(fleet: Live) -> None:
    task = submit(fleet, duration=6, resolution="1080P")
    began_s = int(fleet.control("GET", "clock")["now_ms"] // 1000)
    later(fleet, 100)
    name = query(fleet, task)["file_id"]
    file = retrieve(fleet, name)["file"]
    assert (file["file_id"], file["created_at"], file["purpose"]) == (int(name), began_s + 65, "video_generation")
    links = [fetch(fleet, file[key]) for key in ("download_url", "backup_download_url")]
    whole = call(fleet, "GET", f"/v1/files/retrieve_content?file_id={name}")
    assert {each.status for each in (*links, whole)} == {200}
    assert {each.headers["content-type"] for each in (*links, whole)} == {"video/mp4"}
    assert {each.body for each in (*links, whole)} == {whole.body}
    assert file["bytes"] == len(whole.body)
    facts = probe(whole.body)
    assert (facts.width, facts.height, facts.seconds, facts.title) == (1920, 1080, 6.0, "A lighthouse at dawn")


def test_a_link_is_good_for_an_hour_and_a_new_one_is_to_be_had(fleet: Live) -> None:
    task = submit(fleet)
    later(fleet, 5000)
    name = query(fleet, task)["file_id"]
    url = retrieve(fleet, name)["file"]["download_url"]
    later(fleet, 3599)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    late = fetch(fleet, url)
    assert (late.status, b"Request has expired" in late.body) == (403, True)
    assert fetch(fleet, retrieve(fleet, name)["file"]["download_url"]).status == 200
    assert b"SignatureDoesNotMatch" in fetch(fleet, url.replace("output.mp4", "other.mp4")).body


def test_a_clip_begins_with_the_picture_that_was_sent(fleet: Live) -> None:
    task = submit(fleet, first_frame_image=data_url(RED))
    plain = submit(fleet)
    later(fleet, 70)
    done = query(fleet, task)
    assert (done["video_width"], done["video_height"]) == (1024, 768)
    clip = call(fleet, "GET", f"/v1/files/retrieve_content?file_id={done['file_id']}").body
    assert first_pixel(clip)[0] > 150 > first_pixel(clip)[1]
    assert fetch(fleet, retrieve(fleet, done["file_id"])["file"]["download_url"]).body == clip
    assert clip != call(fleet, "GET", f"/v1/files/retrieve_content?file_id={query(fleet, plain)['file_id']}").body


def first_pixel(clip: bytes) -> tuple[int, ...]:
    with av.open(io.BytesIO(clip)) as box:
        pixel: tuple[int, ...] = next(box.decode(box.streams.video[0])).to_image().getpixel((100, 100))
    return pixel


def test_a_picture_at_an_address_counts_as_a_square(fleet: Live) -> None:
    task = submit(fleet, first_frame_image="https://example.com/cat.png")
    later(fleet, 70)
    done = query(fleet, task)
    assert (done["video_width"], done["video_height"]) == (768, 768)


@pytest.mark.parametrize("key", ["", "Bearer nope", "Basic x", "sk-fleet-minimax"])
def test_even_a_wrong_key_is_200(shared: Live, key: str) -> None:
    for method, path in (("POST", "/v1/video_generation"), ("GET", "/v1/query/video_generation?task_id=1")):
        reply = call(shared, method, path, {}, authorization=key)
        assert reply.status == 200
        assert reply.json == {"base_resp": {"status_code": 1004, "status_msg": LOGIN}}


@pytest.mark.parametrize(
    ("body", "due", "word"),
    [
        (b"{", 2013, "JSON"),
        ([], 2013, "object"),
        ({}, 2013, "model is required"),
        (asked(model="Sora"), 2013, "not supported"),
        (asked(model=H3), 2013, "not supported"),
        (asked(model="image-01"), 2013, "not supported"),
        (asked(prompt=3), 2013, "prompt must be a string"),
        (asked(prompt=""), 2013, "prompt is required"),
        (asked(text="x" * 2001), 2013, "2000"),
        (asked(duration=True), 2013, "duration must be an integer"),
        (asked(duration=7), 2013, "duration 7"),
        (asked(duration=10, resolution="1080P"), 2013, "duration 10"),
        (asked(resolution="512P"), 2013, "resolution 512P"),
        (asked(model="MiniMax-Hailuo-02", resolution="512P"), 2013, "resolution 512P"),
        (asked(model="MiniMax-Hailuo-2.3-Fast"), 2013, "first_frame_image is required"),
        (asked(model="S2V-01"), 2013, "subject_reference is required"),
        (asked(last_frame_image="https://a/b.png"), 2013, "last_frame_image is not supported"),
        (asked(first_frame_image="aGk="), 2013, "data:image/"),
        (asked(first_frame_image="data:image/png;base64,aGk="), 2013, "decoded"),
        (asked(first_frame_image="https://a/does-not-exist.png"), 2013, "downloaded"),
        (asked(first_frame_image=data_url(Image.new("RGB", (640, 300)))), 2013, "too small"),
        (asked(first_frame_image=data_url(Image.new("RGB", (1200, 400)))), 2013, "aspect ratio"),
        (asked(text="flag:sexual"), 1026, "input new_sensitive"),
    ],
)
def test_refusals_are_200_as_well(shared: Live, body: Any, due: int, word: str) -> None:
    reply = call(shared, "POST", "/v1/video_generation", body)
    assert code(reply) == due
    assert word in reply.json["base_resp"]["status_msg"]
    assert "task_id" not in reply.json


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("query/video_generation", "invalid params, task_id is required"),
        ("query/video_generation?task_id=171234567890123", "invalid params, invalid task_id"),
        ("query/video_generation?task_id=abc", "invalid params, invalid task_id"),
        ("files/retrieve?file_id=171234567890123", "invalid params, file not found"),
        ("files/retrieve?file_id=201234567890123", "invalid params, invalid task_id"),
        ("files/retrieve_content", "invalid params, file_id is required"),
    ],
)
def test_what_there_is_not(shared: Live, path: str, message: str) -> None:
    reply = call(shared, "GET", f"/v1/{path}")
    assert (code(reply), reply.json["base_resp"]["status_msg"]) == (2013, message)


def test_there_is_no_file_before_the_task_succeeded(fleet: Live) -> None:
    task = submit(fleet)
    later(fleet, 30)
    assert retrieve(fleet, f"20{task[2:]}")["base_resp"]["status_code"] == 2013


@pytest.mark.parametrize(
    ("fault", "base"),
    [
        ("job_fails message='CUDA out of memory'", (1000, "CUDA out of memory")),
        ("job_times_out", (1001, "task timeout")),
        ("moderation_after_render", (1027, "output new_sensitive")),
        ("moderation_after_render form=failed message='output new_sensitive'", (1027, "output new_sensitive")),
    ],
)
def test_a_task_that_fails(fleet: Live, fault: str, base: tuple[int, str]) -> None:
    task = submit(fleet, fault)
    later(fleet, 70)
    told = query(fleet, task)
    assert (told["status"], told["file_id"], told["video_width"]) == ("Fail", "", 0)
    assert (told["base_resp"]["status_code"], told["base_resp"]["status_msg"]) == base
    assert retrieve(fleet, f"20{task[2:]}")["base_resp"]["status_code"] == 2013


def test_a_mild_prompt_is_refused_once_it_is_rendered(fleet: Live) -> None:
    task = submit(fleet, text="You loser")
    later(fleet, 30)
    assert query(fleet, task)["status"] == "Processing"
    later(fleet, 40)
    assert (query(fleet, task)["status"], query(fleet, task)["base_resp"]["status_code"]) == ("Fail", 1027)


def test_the_word_for_a_failure_is_a_fact() -> None:
    row = {
        "name": "minimax",
        "region": "x",
        "dialects": ["minimax_video"],
        "facts": {"vendors": ["minimax"], "failed_word": "Failed", "empty_task_id": True},
    }
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        task = submit(fleet, "job_fails")
        later(fleet, 70)
        assert query(fleet, task)["status"] == "Failed"
        refused = call(fleet, "POST", "/v1/video_generation", {})
        assert (code(refused), refused.json["task_id"]) == (2013, "")


def test_a_task_that_is_not_found_at_first_or_any_more(fleet: Live) -> None:
    hidden, gone = submit(fleet, "transient_404_after_submit for_s=3"), submit(fleet, "job_vanishes after_s=5", "two")
    assert query(fleet, hidden)["base_resp"]["status_code"] == 2013
    assert query(fleet, gone)["status"] == "Preparing"
    later(fleet, 5)
    assert query(fleet, hidden)["status"] == "Processing"
    assert query(fleet, gone)["base_resp"]["status_msg"] == "invalid params, invalid task_id"


@pytest.mark.parametrize(("after", "status"), [(0, 403), (0, 404), (60, 403)])
def test_links_that_expire_early(fleet: Live, after: int, status: int) -> None:
    task = submit(fleet, f"result_url_expired after_s={after} status={status}")
    later(fleet, 70)
    name = query(fleet, task)["file_id"]
    url = retrieve(fleet, name)["file"]["download_url"]
    assert fetch(fleet, url).status == (200 if after else status)
    later(fleet, after)
    assert fetch(fleet, url).status == status
    assert call(fleet, "GET", f"/v1/files/retrieve_content?file_id={name}").status == 200


@pytest.mark.parametrize(
    ("status", "http", "native"),
    [
        (401, 200, 1004),
        (402, 200, 1008),
        (429, 200, 1002),
        (500, 200, 1000),
        (422, 200, 1026),
        (502, 502, 1033),
        (504, 504, 1001),
    ],
)
def test_a_status_that_is_asked_for(shared: Live, status: int, http: int, native: int) -> None:
    reply = call(shared, "POST", "/v1/video_generation", asked(f"status status={status}"))
    assert (reply.status, reply.json["base_resp"]["status_code"]) == (http, native)


def test_quotas_are_refused_by_what_they_count(fleet: Live) -> None:
    limits = [{"limit": 1, "per": "1m", "operations": ["query_video"]}]
    fleet.control("PUT", "quotas", {"minimax": limits})
    task = submit(fleet)
    assert query(fleet, task)["base_resp"] == OK
    over = query(fleet, task)["base_resp"]
    assert over == {"status_code": 1002, "status_msg": "rate limit exceeded(RPM)"}


def test_two_submissions_are_two_tasks(fleet: Live) -> None:
    first, second = submit(fleet), submit(fleet)
    assert first != second
    assert len(fleet.control("GET", "jobs?provider=minimax")["jobs"]) == 2


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1280, 720)),
        ({"aspect_ratio": "21:9"}, (1344, 576)),
        ({"width": 512, "height": 768}, (512, 768)),
    ],
)
def test_pictures_as_links(fleet: Live, more: dict[str, Any], size: tuple[int, int]) -> None:
    reply = call(fleet, "POST", "/v1/image_generation", {"model": "image-01", "prompt": "A cat", "n": 2, **more})
    assert code(reply) == 0
    assert list(reply.json) == ["id", "data", "metadata", "base_resp"]
    assert reply.json["metadata"] == {"failed_count": "0", "success_count": "2"}
    urls = reply.json["data"]["image_urls"]
    found = [fetch(fleet, url) for url in urls]
    assert [Image.open(io.BytesIO(each.body)).size for each in found] == [size, size]
    assert found[0].body != found[1].body
    again = call(fleet, "POST", "/v1/image_generation", {"model": "image-01", "prompt": "A cat", "n": 2, **more}).json
    assert again["id"] != reply.json["id"]
    assert [fetch(fleet, url).body for url in again["data"]["image_urls"]] == [each.body for each in found]
    later(fleet, 86_400)
    assert {fetch(fleet, url).status for url in urls} == {403}


def test_pictures_as_base64(shared: Live) -> None:
    body = {"model": "image-01", "prompt": "A cat", "response_format": "base64"}
    first, again = (call(shared, "POST", "/v1/image_generation", body).json for _ in range(2))
    assert first["data"] == again["data"]
    assert first["id"] != again["id"]
    image = Image.open(io.BytesIO(base64.b64decode(first["data"]["image_base64"][0])))
    assert (image.size, image.format) == ((1024, 1024), "JPEG")


def test_a_picture_that_is_found_sensitive_is_counted(shared: Live) -> None:
    body = {"model": "image-01", "prompt": "You loser", "n": 3}
    told = call(shared, "POST", "/v1/image_generation", body).json
    assert told["metadata"] == {"failed_count": "1", "success_count": "2"}
    assert len(told["data"]["image_urls"]) == 2
    alone = call(shared, "POST", "/v1/image_generation", body | {"n": 1})
    assert (code(alone), alone.json["metadata"]["success_count"]) == (1027, "0")


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": ""},
        {"prompt": "x" * 1501},
        {"n": 0},
        {"n": 10},
        {"aspect_ratio": "5:4"},
        {"width": 512},
        {"width": 513, "height": 512},
        {"response_format": "b64_json"},
        {"model": HAILUO},
        {"subject_reference": [{"type": "dog"}]},
        {"subject_reference": [None]},
    ],
)
def test_pictures_that_are_refused(shared: Live, more: dict[str, Any]) -> None:
    reply = call(shared, "POST", "/v1/image_generation", {"model": "image-01", "prompt": "A cat"} | more)
    assert code(reply) == 2013


# --- the second wire --------------------------------------------------------------------------------------------------


def test_a_task_of_the_second_wire(fleet: Live) -> None:
    task = submit_h3(fleet, duration=4, ratio="9:16")
    assert task[:2] == "42"
    began_s = int(fleet.control("GET", "clock")["now_ms"] // 1000)
    waiting = task_h3(fleet, task)
    assert (waiting["status"], waiting["usage"], "content" in waiting, "error" in waiting) == (
        "queued",
        {},
        False,
        False,
    )
    later(fleet, 5)
    assert (task_h3(fleet, task)["status"], task_h3(fleet, task)["updated_at"]) == ("running", began_s + 5)
    later(fleet, 100)
    done = task_h3(fleet, task)
    url = done.pop("content")["url"]
    assert done == {
        "id": task,
        "model": H3,
        "status": "succeeded",
        "created_at": began_s,
        "updated_at": began_s + 65,
        "resolution": "768P",
        "duration": 4,
        "usage": {"total_seconds": 4, "input_seconds": 0, "output_seconds": 4},
        "ratio": "9:16",
        "task_type": "generation",
        "modality": "video",
    }
    facts = probe(fetch(fleet, url).body)
    assert (facts.width, facts.height, facts.seconds, facts.fps, facts.sound) == (768, 1344, 4.0, 24.0, "aac")


def test_frames_and_references(fleet: Live) -> None:
    frame = {"type": "image_url", "image_url": {"url": data_url(RED)}, "role": "first_frame"}
    film = {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}, "role": "reference_video"}
    framed, referred = submit_h3(fleet, content=[frame]), submit_h3(fleet, content=[film], ratio="1:1")
    later(fleet, 70)
    done = task_h3(fleet, framed)
    assert (done["ratio"], done["usage"]["input_image_count"]) == ("adaptive", 1)
    clip = fetch(fleet, done["content"]["url"]).body
    assert (probe(clip).width, probe(clip).height) == (1184, 864)
    assert first_pixel(clip)[0] > 150 > first_pixel(clip)[1]
    assert task_h3(fleet, referred)["usage"] == {"total_seconds": 10, "input_seconds": 5, "output_seconds": 5}


REFERENCE = {"type": "image_url", "image_url": {"url": "https://a/b.png"}, "role": "reference_image"}
FIRST = REFERENCE | {"role": "first_frame"}
SOUND = {"type": "audio_url", "audio_url": {"url": "https://a/b.mp3"}}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (asked_h3(content=["x"]), "content[1].type"),
        (asked_h3(content=[{"type": ["text"]}]), "content[1].type"),
        (asked_h3() | {"content": [{"type": "text", "text": " "}]}, "non-empty text item (prompt is required)"),
        (asked_h3(content=[{"type": "text", "text": "two"}]), "non-empty text item"),
        (asked_h3(content=[{"type": "image_url", "image_url": "x"}]), "url is required"),
        (asked_h3(content=[FIRST | {"role": "reference_audio"}]), "role"),
        (asked_h3(content=[FIRST, REFERENCE]), "cannot be mixed"),
        (asked_h3(content=[FIRST, FIRST]), "at most 1"),
        (asked_h3(content=[REFERENCE] * 10), "at most 9"),
        (asked_h3(content=[SOUND]), "beside it"),
        (asked_h3(ratio="adaptive"), "must not be adaptive"),
        (asked_h3(ratio="2:1"), "ratio must be one of"),
        (asked_h3(resolution="1080P"), "resolution must be one of"),
        (asked_h3(duration=3), "between 4 and 15"),
        (asked_h3(duration=4, model="MiniMax-H3-Max"), "between 5 and 15"),
        (asked_h3(model=HAILUO), "model is not supported"),
        (asked_h3(text="x" * 7001), "7000"),
    ],
)
def test_refusals_of_the_second_wire(shared: Live, body: Any, word: str) -> None:
    reply = call(shared, "POST", "/v2/video_generation", body)
    assert reply.status == 400
    assert list(reply.json) == ["type", "error", "request_id"]
    error = reply.json["error"]
    assert (error["type"], error["http_code"], error["message"][-7:]) == ("bad_request_error", "400", " (2013)")
    assert word in error["message"]


@pytest.mark.parametrize(
    ("fault", "status", "kind", "end"),
    [
        ("status status=402", 402, "insufficient_balance_error", "insufficient balance (1008)"),
        ("status status=429", 429, "rate_limit_error", "rate limit, please retry later (1002)"),
        ("status status=529", 529, "overloaded_error", "(1013)"),
        ("status status=500", 500, "server_error", "internal error (1000)"),
        ("status status=422", 422, "unprocessable_entity_error", "(1026)"),
        ("status status=418", 418, "bad_request_error", "(2013)"),
        ("status status=503", 503, "server_error", "(1033)"),
    ],
)
def test_statuses_of_the_second_wire(shared: Live, fault: str, status: int, kind: str, end: str) -> None:
    reply = call(shared, "POST", "/v2/video_generation", asked_h3(fault))
    error = reply.json["error"]
    assert (reply.status, error["type"], error["http_code"]) == (status, kind, str(status))
    assert error["message"].endswith(end)


def test_a_key_is_needed_and_content_is_inspected(shared: Live) -> None:
    denied = call(shared, "GET", "/v2/query/video_generation", authorization="Bearer no")
    assert (denied.status, denied.json["error"]["message"]) == (401, f"{LOGIN} (1004)")
    blocked = call(shared, "POST", "/v2/video_generation", asked_h3(text="flag:sexual"))
    assert (blocked.status, blocked.json["error"]["message"][-6:]) == (422, "(1026)")


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("job_fails message=boom", "failed", {"code": "1000", "message": "boom"}),
        ("job_times_out", "expired", {"code": "1001", "message": "task timeout"}),
        ("moderation_after_render", "failed", {"code": "1027", "message": "output new_sensitive"}),
    ],
)
def test_ends_of_the_second_wire(fleet: Live, fault: str, status: str, error: dict[str, str]) -> None:
    task = submit_h3(fleet, fault)
    later(fleet, 70)
    told = task_h3(fleet, task)
    assert (told["status"], told["error"], told["usage"]) == (status, error, {})
    assert "content" not in told
    assert list(told)[:4] == ["id", "model", "status", "error"]


def test_what_waits_is_cancelled_and_what_ended_is_deleted(fleet: Live) -> None:
    waiting, busy, done = (submit_h3(fleet, text=text) for text in ("one", "two", "three"))
    gone = call(fleet, "DELETE", f"/v2/video_generation/{waiting}")
    assert (gone.status, gone.json) == (200, {"task_id": waiting, "action": "cancelled", "status": "cancelled"})
    assert task_h3(fleet, waiting)["status"] == "cancelled"
    again = call(fleet, "DELETE", f"/v2/video_generation/{waiting}")
    assert (again.status, again.json["error"]["type"]) == (400, "bad_request_error")
    later(fleet, 10)
    assert call(fleet, "DELETE", f"/v2/video_generation/{busy}").status == 400
    later(fleet, 60)
    assert task_h3(fleet, busy)["status"] == "succeeded"
    assert call(fleet, "DELETE", f"/v2/video_generation/{done}").json["action"] == "deleted"
    missing = call(fleet, "GET", f"/v2/query/video_generation/{done}")
    assert (missing.status, missing.json["error"]["message"]) == (400, "invalid params, invalid task_id (2013)")


def test_a_list_is_paged_filtered_and_forgets_after_a_week(fleet: Live) -> None:
    tasks = []
    for text in ("one", "two", "three"):
        tasks.append(submit_h3(fleet, "job_fails" if text == "two" else "", text))
        later(fleet, 2)
    submit(fleet, text="of the other wire")
    later(fleet, 70)

    def listed(query: str) -> tuple[list[str], int]:
        told = call(fleet, "GET", f"/v2/query/video_generation?{query}").json
        return [task["id"] for task in told["items"]], told["total"]

    assert listed("") == (tasks[::-1], 3)
    assert listed("page_num=2&page_size=2") == (tasks[:1], 3)
    assert listed("filter.status=failed") == ([tasks[1]], 1)
    assert listed(f"filter.task_ids={tasks[0]}&filter.task_ids={tasks[2]}")[0] == [tasks[2], tasks[0]]
    assert listed("filter.model=MiniMax-H3-Max") == ([], 0)
    assert call(fleet, "GET", "/v2/query/video_generation?page_num=0").status == 400
    later(fleet, 7 * 86_400)
    assert listed("") == ([], 0)


def test_a_task_of_one_wire_is_none_of_the_other(fleet: Live) -> None:
    first, second = submit(fleet), submit_h3(fleet)
    assert call(fleet, "GET", f"/v2/query/video_generation/42{first[2:]}").status == 400
    assert query(fleet, f"17{second[2:]}")["base_resp"]["status_code"] == 2013


# --- callbacks, charges, bad input ------------------------------------------------------------------------------------


def kept(wire: Any, body: dict[str, Any], job: Job) -> Kept:
    """A job as the fleet would have it, without a fleet."""
    seen = {"signature_secret": b"secret"}
    operation = "create_video" if wire.root == "/v1" else "create_task"
    path = f"{wire.root}/video_generation"
    sent = Request("POST", path, "", KEY, json.dumps(body).encode(), facts=seen, site="http://fleet/minimax")
    ask = wire.decode(sent, operation)
    profile = facts.profile("minimax", wire.name, ask.model, seen)
    assert profile is not None
    wire.check(ask, profile)
    return Kept(ask, None, profile, Serving("1234567890123", 0, 5, seen, job=job))


def told(fleet: Live) -> list[tuple[str, int | None]]:
    """The calls on record, once none is under way: what each told, and the answer."""
    rows = fleet.control("GET", "webhooks?wait_ms=10000")["webhooks"]
    return [(row["told"], row["status"]) for row in rows]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that echoes what comes."""
    with receiving() as found:
        found.says = None
        yield found


@pytest.mark.parametrize(
    ("fault", "word", "base"),
    [("", "success", OK), ("job_fails message=boom", "failed", {"status_code": 1000, "status_msg": "boom"})],
)
def test_callbacks_begin_with_a_challenge_and_have_words_of_their_own(
    fleet: Live, receiver: Receiver, fault: str, word: str, base: dict[str, Any]
) -> None:
    task = submit(fleet, fault, callback_url=receiver.url)
    for seconds in (5, 60):
        told(fleet)
        later(fleet, seconds)
    ends = "succeeded" if word == "success" else "failed"
    assert told(fleet) == [("challenge", 200), ("running", 200), (ends, 200)]
    challenge, begun, ended = receiver.bodies
    assert challenge.keys() == {"challenge"}
    assert begun == {"task_id": task, "status": "processing", "file_id": "", "base_resp": OK}
    file = query(fleet, task)["file_id"]
    assert ended == {"task_id": task, "status": word, "file_id": file, "base_resp": base}


def test_the_second_wire_calls_for_every_state(fleet: Live, receiver: Receiver) -> None:
    task = submit_h3(fleet, callback_url=receiver.url)
    for seconds in (5, 60):
        told(fleet)
        later(fleet, seconds)
    assert [each[0] for each in told(fleet)] == ["challenge", "queued", "running", "succeeded"]
    _, *bodies = receiver.bodies
    assert [body["task"]["status"] for body in bodies] == ["queued", "running", "succeeded"]
    assert bodies[-1]["task"] == task_h3(fleet, task)


def test_who_does_not_echo_the_challenge_is_not_called(fleet: Live, receiver: Receiver) -> None:
    receiver.says = b"{}"
    submit(fleet, callback_url=receiver.url)
    told(fleet)
    later(fleet, 70)
    assert told(fleet) == [("challenge", 200)]
    assert len(receiver.bodies) == 1


def test_what_is_charged() -> None:
    first, second = MiniMaxVideo(), MiniMaxTasks()
    whole, failed = Plan(queue_ms=0, run_ms=1), Plan(queue_ms=0, run_ms=1, ends=State.FAILED)
    image = {"type": "image_url", "image_url": {"url": "https://a/b.png"}, "role": "reference_image"}
    for wire, body, due in (
        (first, asked(), {"output_seconds": 6, "usd": 0.28}),
        (first, asked(model="MiniMax-Hailuo-02", duration=10), {"output_seconds": 10, "usd": 0.56}),
        (second, asked_h3(resolution="2K"), {"output_seconds": 5, "usd": 0.65}),
        (second, asked_h3(content=[image] * 7), {"output_seconds": 5, "usd": 0.48}),
    ):
        assert wire.charge(kept(wire, body, Job(0, whole)), 10) == due
        assert wire.charge(kept(wire, body, Job(0, whole)), 0) == {}
        assert wire.charge(kept(wire, body, Job(0, failed)), 10) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("model", "prompt", "duration", "resolution", "first_frame_image", "last_frame_image", "subject_reference")
MORE = ("content", "ratio", "callback_url", "n", "width", "height", "aspect_ratio", "response_format")
FIELDS = st.sampled_from([*NAMES, *MORE, "type", "text", "image_url", "url", "role"])
WORDS = st.sampled_from(["text", "image_url", "data:image/png;base64,aGk=", "https://a/b", "http://[", H3, HAILUO])
BODIES = st.dictionaries(FIELDS, JSON | WORDS | st.lists(st.dictionaries(FIELDS, JSON | WORDS, max_size=4)), max_size=6)


@settings(max_examples=150)
@given(body=BODIES.map(lambda each: json.dumps(each).encode()) | st.binary(max_size=40), at=st.integers(0, 2))
def test_any_body_is_read_or_refused(body: bytes, at: int) -> None:
    wire, path, operation = (
        (MiniMaxVideo(), "/v1/video_generation", "create_video"),
        (MiniMaxVideo(), "/v1/image_generation", "create_image"),
        (MiniMaxTasks(), "/v2/video_generation", "create_task"),
    )[at]
    try:
        ask = wire.decode(Request("POST", path, "", {}, body, facts={"signature_secret": b"s"}), operation)
    except Refused as refused:
        told = wire.error(refused.problem, Serving("1234567890123", 0, 1, {}, path=path))
        assert told.status == (200 if at < 2 else 400)
    else:
        assert ask.model


@given(kind=st.text(max_size=12), status=st.none() | st.integers(400, 599), at=st.integers(0, 1))
def test_any_problem_is_told(kind: str, status: int | None, at: int) -> None:
    wire = (MiniMaxVideo(), MiniMaxTasks())[at]
    told = wire.error(Problem(kind, status=status), Serving("1234567890123", 0, 1, {}))
    assert json.loads(told.frames[0].data)


def test_the_same_request_gives_the_same_clip(fleet: Live) -> None:
    frame = data_url(Image.open(io.BytesIO(picture("x", 400, 400, "png", 1))))
    both = [submit(fleet, first_frame_image=frame) for _ in range(2)]
    assert both[0] != both[1]
    later(fleet, 70)
    names = [query(fleet, task)["file_id"] for task in both]
    clips = {call(fleet, "GET", f"/v1/files/retrieve_content?file_id={name}").body for name in names}
    assert len(clips) == 1
    job = fleet.control("GET", "jobs?provider=minimax")["jobs"][0]
    assert (job["state"], job["operation"]) == ("succeeded", "create_video")
