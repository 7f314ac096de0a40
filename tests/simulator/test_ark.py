"""Ark's tasks (Seedance): created, polled, fetched, listed, deleted, expired; callbacks; what a model does not take."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.ark import film, task_request
from simulator.dialects.ark import task as task_plan
from simulator.dialects.ark.options import of_prompt
from simulator.dialects.base import Kept, Serving
from simulator.jobs.job import Job
from simulator.media.clips import probe
from simulator.models import facts
from simulator.problem import Refused
from tests.simulator.ark_exchange import (
    MODEL,
    TASKS,
    TIMES,
    body,
    call,
    fetch,
    frame,
    inlined,
    later,
    submit,
    task,
    told,
)
from tests.simulator.live import Live, running
from tests.simulator.test_webhooks import Receiver, after, receiver  # noqa: F401

PRO_15 = "doubao-seedance-1-5-pro-251215"
PRO_2 = "doubao-seedance-2-0-260128"
ID = re.compile(r"cgt-\d{14}-[0-9a-z]{12}")
REQUEST_ID = re.compile(r"Request id: 02\d{13}[0-9a-z]{38}$")
DAY_S = 86_400


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def test_a_task_is_created_polled_and_fetched(fleet: Live) -> None:
    job = submit(fleet, resolution="720p", ratio="16:9", duration=5, seed=58944)
    assert ID.fullmatch(job)
    queued = task(fleet, job)
    created_s = queued["created_at"]
    tail = {"service_tier": "default", "execution_expires_after": 172_800}
    head = {"id": job, "model": MODEL}
    assert queued == head | {"status": "queued", "created_at": created_s, "updated_at": created_s} | tail
    later(fleet, 5)
    assert task(fleet, job) == queued | {"status": "running", "updated_at": created_s + 5}
    later(fleet, 60)
    done = task(fleet, job)
    url = done["content"]["video_url"]
    assert "X-Tos-Expires=86400" in url
    assert "X-Tos-Signature=" in url
    assert done == head | tail | {
        "status": "succeeded",
        "content": {"video_url": url},
        "usage": {"completion_tokens": 1248 * 704 * 121 // 1024, "total_tokens": 1248 * 704 * 121 // 1024},
        "created_at": created_s,
        "updated_at": created_s + 65,
        "seed": 58944,
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 5,
        "framespersecond": 24,
    }
    clip = probe(fetch(fleet, url).body)
    assert (clip.width, clip.height, clip.frames, clip.fps, clip.sound) == (1248, 704, 121, 24.0, "")
    assert clip.title == "A lighthouse at dawn"


@pytest.mark.parametrize(
    ("model", "options", "tokens"),
    [
        (PRO_2, {"ratio": "16:9", "duration": 5}, 108_900),
        (MODEL, {"resolution": "1080p", "duration": 5}, 246_840),
        ("doubao-seedance-2-0-fast-260128", {"duration": 4}, 87_300),
    ],
)
def test_tokens_are_those_of_known_replies(fleet: Live, model: str, options: dict[str, Any], tokens: int) -> None:
    job = submit(fleet, model=model, **options)
    later(fleet, 65)
    assert task(fleet, job)["usage"] == {"completion_tokens": tokens, "total_tokens": tokens}


def test_options_in_the_prompt_and_frames(fleet: Live) -> None:
    job = submit(
        fleet, "A cat --ratio 1:1 --dur 3 --rs 480p --seed 11 --cf false --wm true --fps 30", return_last_frame=True
    )
    framed = submit(fleet, "A cat --rs 480p", frames=57, duration=9)
    later(fleet, 65)
    done = task(fleet, job)
    assert (done["resolution"], done["ratio"], done["duration"], done["seed"]) == ("480p", "1:1", 3, 11)
    assert probe(fetch(fleet, done["content"]["video_url"]).body).title == "A cat --fps 30 [AI generated]"
    last = Image.open(io.BytesIO(fetch(fleet, done["content"]["last_frame_url"]).body))
    assert (last.size, last.format) == ((640, 640), "PNG")
    other = task(fleet, framed)
    assert "duration" not in other
    assert other["frames"] == probe(fetch(fleet, other["content"]["video_url"]).body).frames == 57


def test_wrong_options_in_the_prompt_are_passed_over(fleet: Live) -> None:
    job = submit(fleet, "A cat --ratio 2:1 --dur 99 --rs 480p --seed x --frames 30")
    later(fleet, 65)
    done = task(fleet, job)
    assert (done["ratio"], done["duration"], done["resolution"]) == ("16:9", 5, "480p")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_a_prompt_without_options_stays_as_it_is(text: str) -> None:
    if "--" not in text:
        assert of_prompt(text) == (text, {})


def test_a_first_frame_decides_the_ratio_and_begins_the_clip(fleet: Live) -> None:
    content = [{"type": "text", "text": f"It moves {TIMES}"}, frame(inlined(400, 700, "red"))]
    job = submit(fleet, content=content, resolution="480p", duration=2)
    later(fleet, 65)
    done = task(fleet, job)
    assert done["ratio"] == "9:16"
    clip = fetch(fleet, done["content"]["video_url"]).body
    assert (probe(clip).width, probe(clip).height) == (480, 864)
    other = submit(fleet, content=[content[0], frame(inlined(400, 700, "blue"))], resolution="480p", duration=2)
    later(fleet, 65)
    assert fetch(fleet, task(fleet, other)["content"]["video_url"]).body != clip


def test_sound_tools_and_a_length_that_the_model_decides(fleet: Live) -> None:
    loud = submit(fleet, model=PRO_2, resolution="480p", duration=-1, tools=[{"type": "web_search"}])
    quiet = submit(fleet, model=PRO_15, resolution="480p", duration=4, generate_audio=False)
    later(fleet, 65)
    done, silent = task(fleet, loud), task(fleet, quiet)
    assert 4 <= done["duration"] <= 15
    assert (done["generate_audio"], silent["generate_audio"], done["draft"]) == (True, False, False)
    assert set(done["usage"]["tool_usage"]) == {"web_search"}
    assert probe(fetch(fleet, done["content"]["video_url"]).body).sound == "aac"
    assert probe(fetch(fleet, silent["content"]["video_url"]).body).sound == ""


def test_a_draft_becomes_a_clip(fleet: Live) -> None:
    draft = submit(fleet, model=PRO_15, draft=True, seed=7, ratio="1:1", duration=4)
    later(fleet, 65)
    assert (task(fleet, draft)["draft"], task(fleet, draft)["resolution"]) == (True, "480p")
    content = [{"type": "draft_task", "draft_task": {"id": draft}}]
    job = submit(fleet, model=PRO_15, content=content, resolution="720p")
    later(fleet, 600)
    done = task(fleet, job)
    wanted = {"seed": 7, "ratio": "1:1", "duration": 4, "resolution": "720p", "draft_task_id": draft, "draft": False}
    assert {name: done[name] for name in wanted} == wanted
    plain = submit(fleet, model=PRO_15)
    refused = call(
        fleet, "POST", TASKS, {"model": PRO_15, "content": [{"type": "draft_task", "draft_task": {"id": plain}}]}
    )
    assert (refused.status, "not a draft" in refused.json["error"]["message"]) == (400, True)


# --- delete, expire, forget -------------------------------------------------------------------------------------------


def delete(fleet: Live, job: str) -> tuple[int, str]:
    reply = call(fleet, "DELETE", f"{TASKS}/{job}")
    return reply.status, "" if reply.status == 200 else reply.json["error"]["code"]


def test_delete_cancels_what_waits_and_refuses_what_runs(fleet: Live) -> None:
    job = submit(fleet)
    assert delete(fleet, job) == (200, "")
    assert told(fleet, job) == "cancelled"
    assert delete(fleet, job) == (409, "InvalidAction.CancelledTaskDeletion")
    later(fleet, DAY_S - 1)
    assert told(fleet, job) == "cancelled"
    later(fleet, 1)
    assert told(fleet, job) == "404"
    runs = submit(fleet)
    later(fleet, 5)
    assert delete(fleet, runs) == (409, "InvalidAction.RunningTaskDeletion")
    later(fleet, 60)
    assert told(fleet, runs) == "succeeded"


@pytest.mark.parametrize(("fault", "state"), [("", "succeeded"), ("job_fails", "failed"), ("job_times_out", "expired")])
def test_delete_forgets_what_ended(fleet: Live, fault: str, state: str) -> None:
    job = submit(fleet, fault=fault)
    later(fleet, 65)
    assert told(fleet, job) == state
    assert delete(fleet, job) == (200, "")
    assert told(fleet, job) == "404"
    assert delete(fleet, job) == (404, "ResourceNotFound")


def test_a_task_expires_waiting_or_running(fleet: Live) -> None:
    stuck = submit(fleet, fault="job_stuck_in_queue", execution_expires_after=3600)
    slow = submit(fleet, fault="job_times run_s=90000", execution_expires_after=7200)
    later(fleet, 3600)
    assert (told(fleet, stuck), told(fleet, slow)) == ("expired", "running")
    later(fleet, 3600)
    done = task(fleet, slow)
    assert (done["status"], done["updated_at"] - done["created_at"]) == ("expired", 7200)
    assert not {"content", "usage", "error"} & set(done)


def test_a_record_is_kept_for_a_week_and_a_link_for_a_day(fleet: Live) -> None:
    job = submit(fleet, resolution="480p", duration=2)
    later(fleet, 65)
    url = task(fleet, job)["content"]["video_url"]
    later(fleet, DAY_S - 1)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    late = fetch(fleet, url)
    assert (late.status, b"<Message>Request has expired</Message>" in late.body) == (403, True)
    later(fleet, 6 * DAY_S - 65 - 1)
    assert told(fleet, job) == "succeeded"
    later(fleet, 1)
    assert told(fleet, job) == "404"


def test_lists_have_pages_and_filters() -> None:
    with running(Clock("manual")) as fleet:
        jobs = []
        for n in range(3):
            jobs.append(submit(fleet, f"number {n}"))
            later(fleet, 1)
        failed = submit(fleet, fault="job_fails percent=0")
        later(fleet, 5)

        def listed(query: str) -> tuple[int, list[str]]:
            reply = call(fleet, "GET", f"{TASKS}?{query}")
            assert reply.status == 200
            return reply.json["total"], [item["id"] for item in reply.json["items"]]

        assert listed("") == (4, [failed, *reversed(jobs)])
        assert listed("page_num=2&page_size=3") == (4, [jobs[0]])
        assert listed("filter.status=failed") == (1, [failed])
        assert listed(f"filter.task_ids={jobs[0]}&filter.task_ids={jobs[2]}") == (2, [jobs[2], jobs[0]])
        assert listed(f"filter.model={MODEL}")[0] == 4
        assert listed("filter.model=other") == (0, [])
        for query in ("page_size=0", "page_size=x", "filter.status=done"):
            assert call(fleet, "GET", f"{TASKS}?{query}").status == 400


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("job_fails", "InternalServiceError", "CUDA out of memory"),
        ("moderation_after_render", "OutputVideoSensitiveContentDetected", "the output video may contain"),
        ("moderation_after_render form=failed", "OutputVideoSensitiveContentDetected", "the output video may contain"),
        (
            'job_fails message="OutputVideoSensitiveContentDetected.PolicyViolation: It may be related to copyright."',
            "OutputVideoSensitiveContentDetected.PolicyViolation",
            "It may be related to copyright.",
        ),
    ],
)
def test_a_failure_is_told_in_the_task(fleet: Live, fault: str, code: str, said: str) -> None:
    job = submit(fleet, fault=fault)
    later(fleet, 65)
    failed = task(fleet, job)
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert said in failed["error"]["message"]
    assert REQUEST_ID.search(failed["error"]["message"])
    assert not {"content", "usage"} & set(failed)


def test_a_failure_may_have_no_error(fleet: Live) -> None:
    job = submit(fleet, fault='job_fails message=""')
    later(fleet, 65)
    assert task(fleet, job)["status"] == "failed"
    assert "error" not in task(fleet, job)


def test_jobs_that_are_hidden_vanish_or_lose_their_links(fleet: Live) -> None:
    hidden = submit(fleet, fault="transient_404_after_submit for_s=3")
    gone = submit(fleet, fault="job_vanishes after_s=4")
    dead = submit(fleet, fault="result_url_expired status=404", resolution="480p", duration=2)
    assert (told(fleet, hidden), told(fleet, gone)) == ("404", "queued")
    later(fleet, 4)
    assert (told(fleet, hidden), told(fleet, gone)) == ("queued", "404")
    later(fleet, 61)
    assert fetch(fleet, task(fleet, dead)["content"]["video_url"]).status == 404


def test_prompts_that_are_stopped_at_the_door_or_after_the_render(fleet: Live) -> None:
    refused = call(fleet, "POST", TASKS, body("flag:sexual"))
    assert (refused.status, refused.json["error"]["code"]) == (400, "InputTextSensitiveContentDetected")
    job = submit(fleet, "flag:harassment")
    later(fleet, 65)
    assert task(fleet, job)["error"]["code"] == "OutputVideoSensitiveContentDetected"


TEXT = {"type": "text", "text": "A cat"}
PICTURE = inlined(400, 400)


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"model": None}, "model", "it is missing `model` parameter"),
        ({"content": None}, "content", "it is missing `content` parameter"),
        ({"content": "x"}, "content", "expected array, but got string instead"),
        ({"content": [{"type": "text", "text": " "}]}, "content", "must contain a prompt description"),
        ({"content": [{"type": "music"}]}, "content[0].type", "must be one of text"),
        ({"duration": "5"}, "duration", "expected integer, but got string instead"),
        ({"duration": 13}, "duration", "between 2 and 12"),
        ({"resolution": "4k"}, "resolution", "resolution 4k is not supported"),
        ({"ratio": "2:1"}, "ratio", "must be one of 16:9"),
        ({"ratio": "adaptive"}, "ratio", "adaptive is not supported"),
        ({"frames": 30}, "frames", "of the form 25 + 4n"),
        ({"seed": 2**32}, "seed", "between -1 and 4294967295"),
        ({"generate_audio": True}, "generate_audio", "`generate_audio` is not supported"),
        ({"execution_expires_after": 60}, "execution_expires_after", "between 3600 and 259200"),
        ({"service_tier": "fast"}, "service_tier", "must be one of default, flex"),
        ({"content": [TEXT, frame("data:image/png;base64,AAAA")]}, "content[1].image_url", "could not be decoded"),
        (
            {"content": [TEXT, frame("https://x.test/does-not-exist")]},
            "content[1].image_url",
            "resource download failed",
        ),
        ({"content": [TEXT, frame(inlined(100, 100))]}, "content", "between 300px and 6000px"),
        ({"content": [TEXT, frame(inlined(1000, 300))]}, "content", "aspect ratio must be"),
        ({"content": [frame(PICTURE, None), frame(PICTURE, None)]}, "content", "role must be specified for image"),
        ({"content": [frame(PICTURE), frame(PICTURE, "reference_image")]}, "content", "cannot be mixed"),
        ({"content": [frame(PICTURE, "last_frame")]}, "content", "exactly one first_frame"),
        ({"content": [TEXT, frame(PICTURE, "reference_image")]}, "content", "r2v is not supported"),
        (
            {"content": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA"}}]},
            "content",
            "as a web url",
        ),
        ({"content": [{"type": "audio_url", "audio_url": {"url": "https://x.test/a.mp3"}}]}, "content", "at least one"),
    ],
)
def test_what_is_refused(fleet: Live, given: dict[str, Any], param: str, said: str) -> None:
    reply = call(fleet, "POST", TASKS, body() | given)
    error = reply.json["error"]
    assert (reply.status, error["param"], error["type"]) == (400, param, "BadRequest")
    assert said in error["message"]
    assert REQUEST_ID.search(error["message"])
    assert reply.headers["x-request-id"] == error["message"].rpartition(" ")[2]


def test_ids_do_not_cross_over_and_an_endpoint_stands_for_a_model(fleet: Live) -> None:
    for provider, model in (("ark", "seedance-1-0-pro-250528"), ("byteplus", MODEL)):
        reply = call(fleet, "POST", TASKS, body() | {"model": model}, provider)
        code, kind = reply.json["error"]["code"], reply.json["error"]["type"]
        assert (reply.status, code, kind) == (404, "InvalidEndpointOrModel.NotFound", "Not Found")
    job = submit(fleet, model="ep-20260119192612-ndzvr")
    assert task(fleet, job)["model"] == MODEL
    assert call(fleet, "GET", f"{TASKS}/{job}", provider="byteplus").status == 404


@pytest.mark.parametrize(
    ("fault", "code", "name", "kind"),
    [
        ("status=401", 401, "AuthenticationError", "Unauthorized"),
        ("status=403", 403, "AccessDenied", "Forbidden"),
        ("status=429", 429, "RateLimitExceeded.EndpointRPMExceeded", "TooManyRequests"),
        ("status=500", 500, "InternalServiceError", "InternalServerError"),
        ("status=418", 418, "RequestError", "BadRequest"),
    ],
)
def test_faults_of_the_wire_speak_its_words(fleet: Live, fault: str, code: int, name: str, kind: str) -> None:
    reply = call(fleet, "GET", TASKS, **{"x-windtunnel-fault": fault})
    error = reply.json["error"]
    assert (reply.status, error["code"], error["type"]) == (code, name, kind)


def test_a_quota_of_tasks() -> None:
    with running(Clock("manual")) as fleet:
        row = {"limit": 1, "of": "jobs", "operations": ["create_task"], "by": ["key", "model"]}
        fleet.control("PUT", "quotas", {"ark": [row]})
        submit(fleet)
        refused = call(fleet, "POST", TASKS, body("another"))
        assert (refused.status, refused.json["error"]["code"]) == (429, "QuotaExceeded")
        later(fleet, 65)
        submit(fleet, "another")


def test_keys(fleet: Live) -> None:
    for key, said in (("Bearer other", "The API key doesn't exist."), ("", "is missing or invalid.")):
        reply = call(fleet, "GET", TASKS, authorization=key)
        assert (reply.status, reply.json["error"]["code"]) == (401, "AuthenticationError")
        assert said in reply.json["error"]["message"]


def test_each_state_is_called_back(receiver: Receiver) -> None:  # noqa: F811
    with running(Clock("manual")) as fleet:
        job = submit(fleet, callback_url=receiver.url)
        after(fleet, 0)
        after(fleet, 5)
        after(fleet, 60)
        assert [told["status"] for told in receiver.bodies] == ["queued", "running", "succeeded"]
        assert receiver.bodies[-1] == task(fleet, job)
        receiver.answers = [500] * 9
        submit(fleet, "again", callback_url=receiver.url)
        for _ in range(5):
            made = after(fleet, 5)
        tries = [one["attempt"] for one in made if one["told"] == "queued"][-4:]
        assert tries == [1, 2, 3, 4]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OWN = {"vendors": ["ark"], "signature_secret": b"key"}
FIELDS = (
    "model content duration frames seed ratio resolution tools draft priority callback_url execution_expires_after "
    "safety_identifier service_tier return_last_frame watermark camera_fixed output_format"
)
NAMES = st.sampled_from(FIELDS.split())
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "video_url", "audio_url", "draft_task"])},
    optional={
        "text": JSON,
        "role": JSON,
        "image_url": st.fixed_dictionaries({"url": st.text(max_size=12)}) | JSON,
        "video_url": JSON,
        "draft_task": JSON,
    },
)


@given(st.binary(max_size=40) | st.dictionaries(NAMES, JSON | st.lists(ITEM, max_size=3), max_size=6))
def test_any_body_is_read_or_refused(raw: bytes | dict[str, Any]) -> None:
    data = raw if isinstance(raw, bytes) else orjson.dumps(raw, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    request = Request("POST", f"/api/v3{TASKS}", "", {}, data, {}, OWN, "http://x/ark")
    kind = ""
    profile = facts.profile("ark", "ark_tasks", PRO_2, OWN)
    assert profile is not None
    try:
        ask = task_request.decode(request, "create_task")
        film.check(ask, profile)
    except Refused as refused:
        kind = refused.problem.kind
    assert kind in ("", "invalid_request", "missing", "not_kept")
    if not kind:
        begun = Serving("nonce0123456", 0, 5, OWN)
        kept = Kept(ask, None, profile, replace(begun, job=Job(0, task_plan.plan(ask, profile, begun))))
        assert task_plan.told(kept, 10**8)["status"] in ("succeeded", "failed")
