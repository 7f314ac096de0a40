"""Rev AI: a transcript is a job, and its text a request of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.media.speech import speech
from simulator.problem import Refused
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.receiver import after, receiving
from tests.simulator.xai_exchange import form

KEY = {"authorization": "Bearer sk-fleet-revai", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=2 cold_s=0 run_s=8]]"  # a job that runs from 2 s to 10 s
TEXT = "One teapot, one A-I. Don't panic!"
SOUND = speech(TEXT, "x", "mp3")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, method: str, path: str, content: object = None, **headers: str) -> Reply:
    return fleet.call(request(method, f"/revai/speechtotext/v1/{path}", content, KEY | headers), method)


def submit(fleet: Live, data: bytes = SOUND, fault: str = "", **options: Any) -> dict[str, Any]:
    """A new job of a file."""
    metadata = f"{options.pop('metadata', '')}{TIMES}" + (f"[[fault: {fault}]]" if fault else "")
    body, headers = form([("options", json.dumps({"metadata": metadata, **options}).encode()), ("file", data)])
    reply = call(fleet, "POST", "jobs", body.replace(b'name="file"', b'name="media"'), **headers)
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def later(fleet: Live, seconds: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def told(fleet: Live, job: dict[str, Any]) -> Any:
    return call(fleet, "GET", f"jobs/{job['id']}").json


def test_from_submission_to_transcript(fleet: Live) -> None:
    job = submit(fleet, language="en")
    assert (job["status"], job["name"], job["type"]) == ("in_progress", "sound.wav", "async")
    early = call(fleet, "GET", f"jobs/{job['id']}/transcript")
    assert (early.status, early.headers["content-type"]) == (409, "application/problem+json")
    assert (early.json["current_value"], early.json["allowed_values"]) == ("in_progress", ["transcribed"])
    later(fleet, 10)
    done = told(fleet, job)
    assert done["status"] == "transcribed"
    assert done["duration_seconds"] == pytest.approx(2.3, abs=0.2)
    assert done["created_on"] < done["completed_on"]
    reply = call(fleet, "GET", f"jobs/{job['id']}/transcript")
    assert reply.headers["content-type"] == "application/vnd.rev.transcript.v1.0+json"
    (monologue,) = reply.json["monologues"]
    assert "".join(row["value"] for row in monologue["elements"]) == TEXT
    assert {tuple(row) for row in monologue["elements"]} == {
        ("type", "value"),
        ("type", "value", "ts", "end_ts", "confidence"),
    }
    assert [row["value"] for row in monologue["elements"] if row["type"] == "text"][:4] == [
        "One",
        "teapot",
        "one",
        "A-I",
    ]
    text = call(fleet, "GET", f"jobs/{job['id']}/transcript", accept="text/plain")
    assert text.body.decode() == f"Speaker 0    00:00:00    {TEXT}\n\n"
    assert call(fleet, "GET", f"jobs/{job['id']}/transcript", accept="image/png").status == 406


def test_words_without_punctuation(fleet: Live) -> None:
    job = submit(fleet, skip_punctuation=True)
    later(fleet, 10)
    (monologue,) = call(fleet, "GET", f"jobs/{job['id']}/transcript").json["monologues"]
    assert {row["value"] for row in monologue["elements"] if row["type"] == "punct"} == {" "}


def test_a_job_is_deleted_once_it_has_ended(fleet: Live) -> None:
    job = submit(fleet, metadata="[[case:rev-delete]]")
    path = f"jobs/{job['id']}"
    early = call(fleet, "DELETE", path)
    assert (early.status, early.json["allowed_values"]) == (409, ["transcribed", "failed"])
    assert told(fleet, job)["status"] == "in_progress"
    later(fleet, 10)
    assert job["id"] in [row["id"] for row in call(fleet, "GET", "jobs?limit=3").json]
    assert call(fleet, "DELETE", path).status == 204
    for method in ("GET", "DELETE"):
        gone = call(fleet, method, path)
        assert (gone.status, gone.json["title"]) == (404, "could not find job")
    assert job["id"] not in [row["id"] for row in call(fleet, "GET", "jobs").json]
    (row,) = fleet.control("GET", "jobs?case=rev-delete")["jobs"]
    assert row["charged"] == {"input_seconds": 3.0}


def test_a_page_begins_after_a_job(fleet: Live) -> None:
    made = []
    for _ in range(3):
        later(fleet, 1)
        made.append(submit(fleet)["id"])
    newest = [row["id"] for row in call(fleet, "GET", "jobs?limit=2").json]
    assert newest == made[:0:-1]
    assert call(fleet, "GET", f"jobs?limit=1&starting_after={made[1]}").json[0]["id"] == made[0]
    assert call(fleet, "GET", "jobs?limit=0").status == 400


@pytest.mark.parametrize(
    ("fault", "failure", "detail"),
    [
        ("job_fails message=broken", "internal_processing", "broken"),
        ("job_times_out", "internal_processing", "Internal processing error"),
    ],
)
def test_jobs_that_fail(fleet: Live, fault: str, failure: str, detail: str) -> None:
    job = submit(fleet, fault=fault)
    later(fleet, 4000)
    done = told(fleet, job)
    assert (done["status"], done["failure"], done["failure_detail"]) == ("failed", failure, detail)
    assert call(fleet, "GET", f"jobs/{job['id']}/transcript").json["current_value"] == "failed"


def test_what_cannot_be_read_or_fetched_fails_later(fleet: Live) -> None:
    broken = submit(fleet, b"no sound")
    address = {"source_config": {"url": "https://host/does-not-exist.mp3"}, "metadata": TIMES}
    missing = call(fleet, "POST", "jobs", address).json
    known = call(fleet, "POST", "jobs", {"media_url": "https://host/a.mp3", "metadata": TIMES}).json
    later(fleet, 10)
    assert [told(fleet, job).get("failure") for job in (broken, missing, known)] == [
        "invalid_media",
        "download_failure",
        None,
    ]


@pytest.mark.parametrize(
    ("fault", "after_s", "status"), [("job_vanishes after_s=1", 2, 404), ("job_stuck_in_queue", 900, 200)]
)
def test_jobs_that_nobody_finds_or_that_wait(fleet: Live, fault: str, after_s: float, status: int) -> None:
    job = submit(fleet, fault=fault)
    later(fleet, after_s)
    assert call(fleet, "GET", f"jobs/{job['id']}").status == status


def test_the_first_polls_may_find_nothing_and_a_result_nothing_in_it(fleet: Live) -> None:
    job = submit(fleet, fault="transient_404_after_submit for_s=0 polls=2")
    assert [call(fleet, "GET", f"jobs/{job['id']}").status for _ in range(3)] == [404, 404, 200]
    empty = submit(fleet, fault="moderation_after_render")
    later(fleet, 10)
    assert call(fleet, "GET", f"jobs/{empty['id']}/transcript").json == {"monologues": []}


def test_a_job_is_gone_after_thirty_days(fleet: Live) -> None:
    job = submit(fleet)
    later(fleet, 29 * 86_400)
    assert told(fleet, job)["status"] == "transcribed"
    later(fleet, 2 * 86_400)
    assert call(fleet, "GET", f"jobs/{job['id']}").status == 404


def test_a_callback_tells_of_the_end() -> None:
    with running(Clock("manual")) as fleet, receiving() as receiver:
        job = submit(fleet, callback_url=receiver.url)
        (sent,) = after(fleet, 10)
        assert sent["status"] == 200
        assert json.loads(receiver.got[0])["job"] == told(fleet, job)


@pytest.mark.parametrize(
    ("body", "headers", "status", "word"),
    [
        ({}, {}, 400, "invalid-parameters"),
        ({"media_url": 5}, {}, 400, "invalid-parameters"),
        (b"{", {}, 400, "invalid-parameters"),
        ({"media_url": "https://a", "transcriber": "human"}, {}, 400, "invalid-parameters"),
        ({"media_url": "https://a"}, {"authorization": "Bearer x"}, 401, ""),
        ({"media_url": "https://a", "metadata": "[[fault: status status=429]]"}, {}, 429, "too-many-requests"),
    ],
)
def test_refusals(fleet: Live, body: object, headers: dict[str, str], status: int, word: str) -> None:
    reply = call(fleet, "POST", "jobs", body, **headers)
    assert (reply.status, reply.json["status"]) == (status, status)
    assert reply.json.get("type", "").rpartition("/")[2] == word


# --- whatever comes ---------------------------------------------------------------------------------------------------

ROW = providers.load(providers.FILE, DIALECTS, 7)["revai"]
(MOUNT,) = ROW.mounts
NAMES = ["media_url", "source_config", "notification_config", "metadata", "callback_url", "language", "transcriber"]
values = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(["machine", "https://a"])
)
objects = st.dictionaries(st.sampled_from(NAMES), values | st.dictionaries(st.just("url"), values), max_size=6)


@settings(max_examples=200)
@given(st.binary(max_size=40) | objects.map(orjson.dumps), st.sampled_from([None, "media", "options"]))
def test_any_body_is_read_or_refused(data: bytes, part: str | None) -> None:
    headers = {"content-type": "application/json"}
    if part is not None:
        data, headers = form([(part, data)])
    asked = Request("POST", "/x", "", headers, data, {}, MOUNT.facts, "http://fleet")
    try:
        MOUNT.dialect.decode(asked, "create_job")
    except Refused as refused:
        script = MOUNT.dialect.error(refused.problem, Serving("0" * 12, 0, 0, MOUNT.facts))
        assert script.status == 400
