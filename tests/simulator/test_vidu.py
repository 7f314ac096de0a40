"""Vidu: submitted, polled, fetched, cancelled, listed, paid for, called back; refusals and faults."""

from __future__ import annotations

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
from simulator.dialects.vidu.signing import signable, signed
from simulator.dialects.vidu.tasks import Vidu
from simulator.jobs.signing import mac
from simulator.media import clips
from simulator.problem import Refused
from tests.simulator.kling_exchange import DONE, TIMES, Receiver, fetch, first_frame, image, receiving, told
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.runpod_exchange import later, opened

KEY = "sk-fleet-vidu"
ABSENT = "https://pictures.example/does-not-exist.png"
PICTURE = "data:image/png;base64," + image(400, 400)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, method: str, path: str, content: object = None, authorization: str = f"Token {KEY}") -> Reply:
    head = {"authorization": authorization, "content-type": "application/json"}
    return fleet.call(request(method, f"/vidu/ent/v2{path}", content, head), method)


def submit(fleet: Live, path: str = "/text2video", fault: str = "", **body: Any) -> dict[str, Any]:
    """The reply to the submission of a task."""
    faults = f"[[fault: {fault}]]" if fault else ""
    given = {"model": "viduq3-turbo", "prompt": f"a teapot {TIMES}{faults}"} | body
    reply = call(fleet, "POST", path, {name: value for name, value in given.items() if value is not None})
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    assert found["state"] == "created"
    return found


def poll(fleet: Live, number: str) -> dict[str, Any]:
    """How a task stands."""
    reply = call(fleet, "GET", f"/tasks/{number}/creations")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def made(fleet: Live, path: str = "/text2video", fault: str = "", **body: Any) -> dict[str, Any]:
    """The creation of a task that succeeded."""
    number = submit(fleet, path, fault, **body)["task_id"]
    later(fleet, DONE)
    done = poll(fleet, number)
    assert done["state"] == "success", done
    (found,) = done["creations"]
    return dict(found)


def refused(fleet: Live, path: str, body: object, method: str = "POST") -> tuple[int, str]:
    """Status and word of a refusal, whose body has the documented form."""
    reply = call(fleet, method, path, body)
    told = reply.json
    assert list(told) == ["code", "reason", "message", "metadata"], told
    assert (told["code"], bool(told["message"])) == (reply.status, True)
    assert re.fullmatch("[0-9a-f]{32}", told["metadata"]["trace_id"])
    return reply.status, told["reason"]


# --- a task -----------------------------------------------------------------------------------------------------------


def test_a_clip_is_submitted_polled_and_fetched(fleet: Live) -> None:
    body = {"model": "viduq3-pro", "prompt": f"a teapot {TIMES}", "seed": 7, "payload": "p", "duration": 4}
    taken = call(fleet, "POST", "/text2video", body).json
    number, created = taken.pop("task_id"), taken.pop("created_at")
    assert re.fullmatch(r"2026-01-01T\d\d:\d\d:\d\d\.\d{9}Z", created)
    assert taken == {
        "state": "created",
        "model": "viduq3-pro",
        "style": "general",
        "prompt": body["prompt"],
        "images": [],
        "duration": 4,
        "seed": 7,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "bgm": False,
        "movement_amplitude": "auto",
        "payload": "p",
        "off_peak": False,
        "watermark": False,
        "credits": 120,
    }
    states = []
    for seconds in (0, 1, 4, 10):
        later(fleet, seconds)
        states.append((poll(fleet, number)["state"], poll(fleet, number)["progress"]))
    assert states == [("created", 0), ("queueing", 0), ("processing", 0), ("processing", 50)]
    later(fleet, 10)
    done = poll(fleet, number)
    (creation,) = done.pop("creations")
    assert done == {
        "id": number,
        "state": "success",
        "err_code": "",
        "credits": 120,
        "payload": "p",
        "bgm": False,
        "off_peak": False,
        "progress": 100,
    }
    assert list(creation) == ["id", "url", "cover_url", "watermarked_url"]
    facts = clips.probe(fetch(fleet, creation["url"]).body)
    assert (facts.width, facts.height, facts.title, facts.sound) == (1280, 720, "a teapot", "aac")
    assert facts.seconds == pytest.approx(4, abs=0.05)
    assert opened(fetch(fleet, creation["cover_url"]).body).size == (1280, 720)
    (row,) = [row for row in fleet.control("GET", "jobs")["jobs"] if row["job"] == number]
    assert row["charged"] == {"output_seconds": 4, "credits": 120, "usd": 0.6}


@pytest.mark.parametrize(
    ("path", "body", "size", "seconds", "sound"),
    [
        ("/text2video", {"resolution": "1080p", "aspect_ratio": "9:16", "audio": False}, (1080, 1920), 5, ""),
        ("/text2video", {"resolution": "540p", "aspect_ratio": "4:3", "duration": 16}, (720, 540), 16, "aac"),
        ("/text2video", {"model": "viduq2", "aspect_ratio": "1:1", "bgm": True, "duration": 1}, (720, 720), 1, "aac"),
        ("/img2video", {"images": [PICTURE]}, (960, 960), 5, "aac"),
        ("/img2video", {"model": "vidu2.0", "images": [PICTURE]}, (480, 480), 4, ""),
        ("/start-end2video", {"model": "viduq2-turbo", "images": [PICTURE] * 2}, (960, 960), 5, ""),
        ("/reference2video", {"model": "viduq2", "images": [PICTURE] * 3}, (1280, 720), 5, ""),
        (
            "/reference2video",
            {"model": "viduq1", "subjects": [{"id": "1", "images": [PICTURE], "voice_id": ""}]},
            (1920, 1080),
            5,
            "",
        ),
        ("/template", {"model": None, "template": "hugging", "images": [PICTURE]}, (960, 960), 5, ""),
    ],
)
def test_clips_are_as_asked(
    fleet: Live, path: str, body: dict[str, Any], size: tuple[int, int], seconds: float, sound: str
) -> None:
    facts = clips.probe(fetch(fleet, made(fleet, path, **body)["url"]).body)
    assert ((facts.width, facts.height), facts.sound) == (size, sound)
    assert facts.seconds == pytest.approx(seconds, abs=0.05)


def test_a_clip_begins_with_the_picture_that_was_sent(fleet: Live) -> None:
    creation = made(fleet, "/img2video", images=[PICTURE])
    for frame in (first_frame(fetch(fleet, creation["url"]).body), opened(fetch(fleet, creation["cover_url"]).body)):
        red, green, _ = frame.convert("RGB").getpixel((100, 100))  # type: ignore[misc]
        assert red > 150 > 80 > green


def test_pictures(fleet: Live) -> None:
    creation = made(fleet, "/reference2image", model="viduq2", aspect_ratio="1:1", resolution="2K")
    picture = opened(fetch(fleet, creation["url"]).body)
    assert (picture.size, picture.format) == ((1440, 1440), "PNG")
    (row,) = [row for row in fleet.control("GET", "jobs")["jobs"] if row["operation"] == "reference2image"]
    assert row["charged"] == {"images": 1, "credits": 8, "usd": 0.04}


def test_the_same_body_twice_is_two_tasks(fleet: Live) -> None:
    assert len({submit(fleet, payload="same")["task_id"] for _ in range(3)}) == 3


def test_links_are_dead_after_a_day(fleet: Live) -> None:
    url = made(fleet)["url"]
    later(fleet, 86_400 - 1)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    assert fetch(fleet, url).status == 403


def test_off_peak_costs_half_and_is_given_up_after_two_days(fleet: Live) -> None:
    usual, cheap = submit(fleet), submit(fleet, off_peak=True, fault="job_stuck_in_queue")
    assert cheap["credits"] * 2 == usual["credits"]
    later(fleet, 48 * 3600 - 1)
    assert poll(fleet, cheap["task_id"])["state"] == "queueing"
    later(fleet, 1)
    gone = poll(fleet, cheap["task_id"])
    assert (gone["state"], gone["err_code"], gone["credits"]) == ("failed", "Canceled", 0)


# --- cancelled, listed, counted ---------------------------------------------------------------------------------------


def test_a_task_that_waits_is_cancelled(fleet: Live) -> None:
    number = submit(fleet)["task_id"]
    reply = call(fleet, "POST", f"/tasks/{number}/cancel", {"id": number})
    assert (reply.status, reply.json) == (200, {})
    gone = poll(fleet, number)
    assert (gone["state"], gone["err_code"], gone["creations"]) == ("failed", "UserCancelled", [])
    later(fleet, 60)
    assert poll(fleet, number) == gone


def test_a_task_that_runs_or_ended_is_not(fleet: Live) -> None:
    number = submit(fleet)["task_id"]
    for seconds, state in ((5, "processing"), (20, "success")):
        later(fleet, seconds)
        reply = call(fleet, "POST", f"/tasks/{number}/cancel", {"id": number})
        assert (reply.status, reply.json["reason"]) == (400, "BadRequest")
        assert reply.json["message"] == f"task state is {state}, can not cancel"
    assert poll(fleet, number)["state"] == "success"
    assert refused(fleet, f"/tasks/{number}/cancel", {"id": "1"}) == (400, "FieldInvalid")


def test_only_off_peak_tasks_are_cancelled_where_the_row_says_so() -> None:
    row = {"name": "vidu", "region": "x", "dialect": "vidu", "facts": {"cancels": "off_peak", "error_code": "word"}}
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        usual, cheap = submit(fleet)["task_id"], submit(fleet, off_peak=True)["task_id"]
        reply = call(fleet, "POST", f"/tasks/{usual}/cancel", {"id": usual})
        assert (reply.status, reply.json["code"]) == (400, "BadRequest")
        assert call(fleet, "POST", f"/tasks/{cheap}/cancel", {"id": cheap}).status == 200


def test_tasks_are_listed_page_by_page() -> None:
    with running(Clock("manual")) as fleet:
        numbers = []
        for model in ("viduq3-turbo", "viduq2", "viduq2"):
            numbers.append(submit(fleet, model=model)["task_id"])
            later(fleet, 1)
        later(fleet, 22)
        first = call(fleet, "GET", "/tasks?pager.pagesz=2").json
        assert [row["id"] for row in first["tasks"]] == numbers[:0:-1]
        rest = call(fleet, "GET", f"/tasks?pager.pagesz=2&pager.page_token={first['next_page_token']}").json
        assert ([row["id"] for row in rest["tasks"]], rest["next_page_token"]) == (numbers[:1], "")
        (done,) = rest["tasks"]
        assert (done["state"], done["creations"][0]["video"]) == (
            "success",
            {"duration": 5, "fps": 24, "resolution": {"width": 1280, "height": 720}},
        )

        def ids(query: str) -> list[str]:
            return [row["id"] for row in call(fleet, "GET", f"/tasks?{query}").json["tasks"]]

        assert ids(f"task_ids={numbers[0]}&task_ids={numbers[2]}") == [numbers[2], numbers[0]]
        assert ids("states=success") == numbers[:1]
        assert ids("model_versions=q2") == numbers[:0:-1]
        assert ids("created_at.from=2026-01-01T00:00:01Z&created_at.to=2026-01-01T00:00:01Z") == numbers[1:2]
        assert ids("paper.pagesz=1&paper.page=1") == numbers[1:2]
        later(fleet, 7 * 86_400)
        assert ids("") == []
        for wrong in ("pager.pagesz=101", "pager.page_token=x", "created_at.from=yesterday", "pager.page=-1"):
            assert refused(fleet, f"/tasks?{wrong}", None, "GET")[0] == 400


def test_credits_go_down_and_come_back() -> None:
    with running(Clock("manual")) as fleet:

        def remains() -> dict[str, Any]:
            (found,) = call(fleet, "GET", "/credits").json["remains"]
            return dict(found)

        cost = submit(fleet)["credits"]
        submit(fleet, fault="job_fails percent=10")
        later(fleet, 1)
        assert remains() == {
            "type": "metered",
            "credit_remain": 1_000_000 - 2 * cost,
            "concurrency_limit": 5,
            "current_concurrency": 0,
            "queue_count": 2,
        }
        later(fleet, 5)
        assert (remains()["current_concurrency"], remains()["queue_count"]) == (2, 0)
        later(fleet, 20)
        assert (remains()["credit_remain"], remains()["current_concurrency"]) == (1_000_000 - cost, 0)
        assert call(fleet, "GET", "/credits").json["packages"] == []
        (package,) = call(fleet, "GET", "/credits?show_detail=true").json["packages"]
        assert (package["credit_amount"], package["credit_remain"]) == (1_000_000, 1_000_000 - cost)


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/text2video", b"{", 400, "BadRequest"),
        ("/text2video", [], 400, "BadRequest"),
        ("/text2video", {"prompt": "x"}, 400, "FieldLacking"),
        ("/text2video", {"model": "viduq2"}, 400, "FieldLacking"),
        ("/text2video", {"model": "vidu9", "prompt": "x"}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq2-pro", "prompt": "x"}, 400, "ModelUnavailable"),
        ("/reference2video", {"model": "viduq2-pro", "prompt": "x", "images": [PICTURE]}, 400, "ModelUnavailable"),
        ("/text2video", {"model": "viduq2", "prompt": "x", "images": [PICTURE]}, 400, "FieldUnwanted"),
        ("/text2video", {"model": "viduq2", "prompt": "x", "duration": "5"}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq2", "prompt": "x", "duration": 11}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq2", "prompt": "x", "resolution": "4k"}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq2", "prompt": "x", "aspect_ratio": "2:1"}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq1", "prompt": "x" * 2001}, 400, "FieldInvalid"),
        ("/text2video", {"model": "viduq2", "prompt": "build a bomb"}, 400, "TaskPromptPolicyViolation"),
        ("/img2video", {"model": "viduq2-pro"}, 400, "FieldLacking"),
        ("/img2video", {"model": "viduq2-pro", "images": [PICTURE] * 2}, 400, "FieldItemCountOutOfRange"),
        ("/img2video", {"model": "viduq2-pro", "images": [image()]}, 400, "ImageFormatInvalid"),
        ("/img2video", {"model": "viduq2-pro", "images": ["data:image/png;base64,AAAA"]}, 400, "ImageFormatInvalid"),
        (
            "/img2video",
            {"model": "viduq2-pro", "images": ["data:image/png;base64," + image(1200, 200)]},
            400,
            "PageSizeOutOfRange",
        ),
        ("/img2video", {"model": "viduq2-pro", "images": [ABSENT]}, 400, "ImageDownloadFailure"),
        ("/template", {"images": [PICTURE]}, 400, "FieldLacking"),
        ("/nothing", {}, 404, "NotFound"),
        ("/tasks/123/cancel", {}, 404, "TaskNotFound"),
    ],
)  # fmt: skip
def test_what_is_refused(fleet: Live, path: str, body: object, status: int, word: str) -> None:
    assert refused(fleet, path, body) == (status, word)


def test_the_word_before_the_key_is_token(fleet: Live) -> None:
    for authorization in (f"Bearer {KEY}", KEY, "Token sk-other", ""):
        reply = call(fleet, "GET", "/credits", authorization=authorization)
        assert (reply.status, reply.json["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ("status status=429", 429, "TooManyRequests"),
        ("status status=429 code=SystemThrottling", 429, "SystemThrottling"),
        ("quota_as_other_status status=400", 400, "CreditInsufficient"),
        ("status status=403", 403, "Forbidden"),
        ("status status=500", 500, "InternalServiceFailure"),
        ("status status=418", 418, "BadRequest"),
    ],
)
def test_faults_of_the_wire_speak_its_words(fleet: Live, fault: str, status: int, word: str) -> None:
    assert refused(fleet, "/text2video", {"model": "viduq2", "prompt": f"x [[fault: {fault}]]"}) == (status, word)


def test_tasks_beyond_the_limit_wait_or_are_refused() -> None:
    with running(Clock("manual")) as fleet:
        rows = [{"limit": 1, "of": "jobs", "by": ["key"], "over": "queue"}]
        fleet.control("PUT", "quotas", {"vidu": rows})
        first, second = submit(fleet)["task_id"], submit(fleet)["task_id"]
        later(fleet, 24)
        assert (poll(fleet, first)["state"], poll(fleet, second)["state"]) == ("processing", "queueing")
        later(fleet, 1 + 24)
        assert (poll(fleet, first)["state"], poll(fleet, second)["state"]) == ("success", "processing")
        fleet.control("PUT", "quotas", {"vidu": [{"limit": 0, "of": "jobs", "by": ["key"]}]})
        assert refused(fleet, "/text2video", {"model": "viduq2", "prompt": "x"}) == (429, "QuotaExceeded")


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds", "state", "err_code"),
    [
        ("job_fails percent=50", 15, "failed", "InternalServiceFailure"),
        ("job_fails percent=50 message=ImageCheckFaceFailed", 15, "failed", "ImageCheckFaceFailed"),
        ("job_times_out percent=50", 20, "failed", "InternalServiceFailure"),
        ("moderation_after_render", DONE, "success", ""),
        ("moderation_after_render form=failed", DONE, "failed", "CreationPolicyViolation"),
        ("job_stuck_in_queue", 86_400, "queueing", ""),
        ("job_never_finishes", 86_400, "processing", ""),
        ("late_success after_s=900", 899, "processing", ""),
        ("status_regress_after_completion after_s=2 for_s=10", DONE + 5, "processing", ""),
    ],
)
def test_faults_of_tasks(fleet: Live, fault: str, seconds: float, state: str, err_code: str) -> None:
    number = submit(fleet, fault=fault)["task_id"]
    later(fleet, seconds)
    found = poll(fleet, number)
    assert (found["state"], found["err_code"], found["creations"]) == (state, err_code, [])
    assert (found["credits"] == 0) == (state == "failed")


def test_what_is_unsafe_once_rendered_fails(fleet: Live) -> None:
    number = submit(fleet, prompt=f"what an idiot {TIMES}")["task_id"]
    later(fleet, DONE)
    assert (poll(fleet, number)["state"], poll(fleet, number)["err_code"]) == ("failed", "CreationPolicyViolation")


def test_tasks_that_nobody_finds(fleet: Live) -> None:
    hidden = submit(fleet, fault="transient_404_after_submit for_s=3")["task_id"]
    gone = submit(fleet, fault="job_vanishes after_s=9")["task_id"]
    assert refused(fleet, f"/tasks/{hidden}/creations", None, "GET") == (404, "TaskNotFound")
    later(fleet, 9)
    assert poll(fleet, hidden)["state"] == "processing"
    for number in (gone, "1" * 18, "x"):
        assert refused(fleet, f"/tasks/{number}/creations", None, "GET") == (404, "TaskNotFound")


def test_a_link_may_be_dead_from_the_start(fleet: Live) -> None:
    for status in (403, 404):
        assert fetch(fleet, made(fleet, fault=f"result_url_expired status={status}")["url"]).status == status


def test_a_wrong_length_may_be_told(fleet: Live) -> None:
    number = submit(fleet, fault="wrong_execution_time factor=0")["task_id"]
    later(fleet, DONE)
    (row,) = call(fleet, "GET", f"/tasks?task_ids={number}").json["tasks"]
    assert row["creations"][0]["video"]["duration"] == 0


def test_progress_may_stand_still_or_not_be_told(fleet: Live) -> None:
    number = submit(fleet, fault="progress_never_advances")["task_id"]
    later(fleet, 20)
    assert poll(fleet, number)["progress"] == 0
    row = {"name": "vidu", "region": "x", "dialect": "vidu", "facts": {"tells_progress": False}}
    with running(Clock("manual"), rows={"providers": [row]}) as other:
        assert "progress" not in poll(other, submit(other)["task_id"])


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_the_vector_of_a_signature() -> None:
    headers = dict(signed(b"vda_test_key", "https://receiver.example/hooks/vidu", "nonce-1", 1_795_363_200))
    assert headers == {
        "Date": "Sun, 22 Nov 2026 16:00:00 GMT",
        "x-request-nonce": "nonce-1",
        "X-HMAC-SIGNED-HEADERS": "Date;x-request-nonce",
        "X-HMAC-ALGORITHM": "hmac-sha256",
        "X-HMAC-ACCESS-KEY": "vidu",
        "X-HMAC-SIGNATURE": "HJbiJZAP5Noho4o/EEJ0AhO4E4v/l4uLkUl2tofLU9E=",
    }


def verified(receiver: Receiver, headers: dict[str, str]) -> bool:
    """Whether a callback is signed with the key, as a receiver checks it."""
    text = signable(receiver.url, headers["x-request-nonce"], headers["date"])
    return headers["x-hmac-signature"] == mac(KEY.encode(), text.encode())


def test_each_state_is_called_back_and_signed() -> None:
    with running(Clock("manual")) as fleet, receiving() as receiver:
        number = submit(fleet, callback_url=receiver.url, payload="mine")["task_id"]
        seen = []
        for seconds in (5, 20):
            told(fleet, seconds)
            seen.append(poll(fleet, number))
        assert receiver.bodies == seen
        assert [body["state"] for body in receiver.bodies] == ["processing", "success"]
        assert receiver.bodies[0]["payload"] == "mine"
        assert all(verified(receiver, headers) for headers, _ in receiver.got)
        assert receiver.got[0][0]["x-request-nonce"] != receiver.got[1][0]["x-request-nonce"]


def test_a_forged_callback_does_not_verify() -> None:
    with running(Clock("manual")) as fleet, receiving() as receiver:
        submit(fleet, fault="webhook_badly_signed", callback_url=receiver.url)
        told(fleet, 5)
        ((headers, _),) = receiver.got
        assert not verified(receiver, headers)


def test_whatever_is_asked_of_a_task_belongs_to_its_case() -> None:
    with running(Clock("manual")) as fleet:
        creation = made(fleet, prompt=f"[[case:asked]] x {TIMES}")
        fetch(fleet, creation["url"])
        assert {entry["operation"] for entry in fleet.journal("asked")} == {"text2video", "get_task", "fetch_file"}


# --- anything at all --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["model", "prompt", "images", "subjects", "duration", "seed", "resolution", "aspect_ratio", "payload", "audio"]
BODIES = st.binary(max_size=40) | st.dictionaries(st.sampled_from([*NAMES, "template", "id"]), JSON, max_size=6).map(
    lambda body: json.dumps(body).encode()
)
QUERIES = st.dictionaries(
    st.sampled_from(["created_at.from", "pager.page", "pager.pagesz", "pager.page_token", "states"]),
    st.text(max_size=12),
).map(lambda told: "&".join(f"{name}={value}" for name, value in told.items()))


@given(st.sampled_from(sorted(Vidu.operations)), BODIES, st.text(max_size=20), QUERIES)
def test_no_request_breaks_the_reader(route: tuple[str, str], body: bytes, number: str, query: str) -> None:
    method, path = route
    params = {name: number for name in ("id", "rest") if f"{{{name}}}" in path}
    whole = path.replace("{id}", number).replace("{rest}", number)
    facts = {"signature_secret": b"x" * 32}
    asked = Request(
        method, f"/ent/v2{whole}", query, {"authorization": "Token x"}, body, params, facts, "http://x/vidu"
    )
    with suppress(Refused):
        Vidu().decode(asked, Vidu.operations[route])
