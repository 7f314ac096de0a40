"""Kling's second wire: the model in the path, tasks by the batch, a list with a cursor, callbacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.kling.tasks import Kling
from simulator.media import clips
from simulator.problem import Refused
from tests.simulator.kling_exchange import (
    DONE,
    TIMES,
    begin,
    call,
    fetch,
    first_frame,
    image,
    now_s,
    receiving,
    submit,
    tasks,
    token,
    told,
)
from tests.simulator.live import Live, running
from tests.simulator.runpod_exchange import later

T2V, I2V, OMNI = "/text-to-video/kling-3.0", "/image-to-video/kling-3.0", "/omni-video/kling-3.0-omni"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def rendered(fleet: Live, path: str = T2V, fault: str = "", **body: Any) -> dict[str, Any]:
    """A task that succeeded."""
    number = begin(fleet, path, fault, **body)
    later(fleet, DONE)
    (found,) = tasks(fleet, number)
    assert found["status"] == "succeeded", found
    return found


def test_a_clip_is_submitted_polled_and_fetched(fleet: Live) -> None:
    began_ms = now_s(fleet) * 1000
    body = {"prompt": f"a teapot {TIMES}", "options": {"external_task_id": "t-1"}}
    reply = call(fleet, "POST", T2V, body, key=token(now_s(fleet)))
    number = reply.json["data"]["id"]
    assert reply.json["data"] == {
        "id": number,
        "status": "submitted",
        "create_time": began_ms,
        "update_time": began_ms,
        "external_id": "t-1",
    }
    assert (reply.json["code"], reply.json["message"]) == (0, "SUCCEED")
    later(fleet, 5)
    (busy,) = tasks(fleet, number)
    assert (busy["status"], busy["outputs"], busy["billing"]) == ("processing", [], [])
    later(fleet, 20)
    (done,) = tasks(fleet, number)
    (output,) = done.pop("outputs")
    assert done == {
        "id": number,
        "status": "succeeded",
        "message": "",
        "create_time": began_ms,
        "update_time": began_ms + 25_000,
        "external_id": "t-1",
        "billing": [{"charge_type": "unit", "package_type": "video", "amount": "3"}],
    }
    assert (output["type"], output["duration"], output["watermark_url"]) == ("video", "5.1", "")
    facts = clips.probe(fetch(fleet, output["url"]).body)
    assert (facts.width, facts.height, facts.title) == (1280, 720, "a teapot")


@pytest.mark.parametrize(
    ("path", "settings", "size", "seconds", "sound", "amount"),
    [
        (T2V, {"resolution": "1080p", "aspect_ratio": "9:16", "duration": 3}, (1080, 1920), 3.1, "", "2.4"),
        (T2V, {"audio": "native", "duration": 7, "aspect_ratio": "1:1"}, (960, 960), 7.1, "aac", "6.3"),
        ("/text-to-video/kling-3.0-turbo", {"audio": "off"}, (1280, 720), 5.1, "", "2"),
        ("/text-to-video/kling-2.6", {"audio": "native", "resolution": "1080p"}, (1920, 1080), 5.1, "aac", "5"),
        (OMNI, {"duration": 4}, (1280, 720), 4.1, "", "2.4"),
    ],
)
def test_clips_are_as_asked(
    fleet: Live, path: str, settings: dict[str, Any], size: tuple[int, int], seconds: float, sound: str, amount: str
) -> None:
    found = rendered(fleet, path, settings=settings)
    facts = clips.probe(fetch(fleet, found["outputs"][0]["url"]).body)
    assert ((facts.width, facts.height), facts.sound) == (size, sound)
    assert facts.seconds == pytest.approx(seconds, abs=0.05)
    assert (found["outputs"][0]["duration"], found["billing"][0]["amount"]) == (f"{seconds:g}", amount)


@pytest.mark.parametrize("path", [I2V, OMNI])
def test_a_clip_begins_with_the_picture_that_was_sent(fleet: Live, path: str) -> None:
    contents = [{"type": "prompt", "text": f"go {TIMES}"}, {"type": "first_frame", "url": image(400, 400)}]
    reply = call(fleet, "POST", path, {"contents": contents})
    later(fleet, DONE)
    (done,) = tasks(fleet, reply.json["data"]["id"])
    frame = first_frame(fetch(fleet, done["outputs"][0]["url"]).body)
    red, green, _ = frame.getpixel((100, 100))  # type: ignore[misc]
    assert (frame.size, red > 150 > 80 > green) == ((960, 960), True)


def test_many_tasks_are_asked_for_at_once(fleet: Live) -> None:
    first, second = begin(fleet, options={"external_task_id": "a-1"}), begin(fleet, options={"external_task_id": "a-2"})
    legacy = submit(fleet)
    found = tasks(fleet, second, "9" * 18, first, legacy, "no-id", second)
    assert [row["id"] for row in found] == [second, first]
    assert [row["id"] for row in tasks(fleet, "a-2", "a-1", "a-3", by="external_task_ids")] == [second, first]
    assert tasks(fleet, "9" * 18) == tasks(fleet, "nobody", by="external_task_ids") == []
    for query in ("", "?task_ids=1&external_task_ids=2", f"?task_ids={'1,' * 500}1"):
        refused = call(fleet, "GET", f"/tasks{query}")
        assert (refused.status, refused.json["code"]) == (400, 1201)


def test_an_id_of_its_makers_is_used_once(fleet: Live) -> None:
    begin(fleet, options={"external_task_id": "once"})
    again = call(fleet, "POST", T2V, {"prompt": "x", "options": {"external_task_id": "once"}})
    assert (again.status, again.json["code"]) == (400, 1201)
    assert len(tasks(fleet, "once", by="external_task_ids")) == 1


def test_tasks_are_listed_page_by_page() -> None:
    with running(Clock("manual")) as fleet:
        began_ms = now_s(fleet) * 1000
        numbers = []
        for path in (T2V, T2V, OMNI, T2V, T2V):
            numbers.append(begin(fleet, path))
            later(fleet, 10)
        pages: list[list[str]] = []
        cursor = ""
        while not pages or cursor:
            page = call(fleet, "POST", "/tasks", {"limit": 2, "cursor": cursor}).json["data"]
            assert (page["count"], page["has_more"]) == (len(page["result"]), bool(page["next_cursor"]))
            pages.append([row["id"] for row in page["result"]])
            cursor = page["next_cursor"]
        assert pages == [numbers[:2:-1], numbers[2:0:-1], numbers[:1]]

        def ids(**body: Any) -> list[str]:
            return [row["id"] for row in call(fleet, "POST", "/tasks", body).json["data"]["result"]]

        assert ids() == numbers[::-1]
        assert ids(filters=[{"key": "product_type", "values": ["omni-video"]}]) == numbers[2:3]
        assert ids(filters=[{"key": "status", "values": ["succeeded"]}]) == numbers[2::-1]
        assert ids(start_time=began_ms + 10_000, end_time=began_ms + 20_000) == numbers[2:0:-1]
        for wrong in ({"limit": 501}, {"limit": 0}, {"cursor": "!"}, {"filters": [{"key": "x", "values": []}]}):
            assert call(fleet, "POST", "/tasks", wrong).json["code"] == 1201


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (T2V, {}, 400, 1201),
        (T2V, b"{", 400, 1200),
        (T2V, {"prompt": "x", "settings": {"duration": "5"}}, 400, 1201),
        (T2V, {"prompt": "x", "settings": {"duration": 16}}, 400, 1201),
        (T2V, {"prompt": "x", "settings": {"resolution": "480p"}}, 400, 1201),
        (T2V, {"prompt": "x", "contents": [{"type": "first_frame", "url": image()}]}, 400, 1201),
        ("/text-to-video/kling-2.6", {"prompt": "x", "settings": {"audio": "native", "resolution": "720p"}}, 400, 1201),
        ("/text-to-video/kling-2.6", {"prompt": "x", "settings": {"duration": 7}}, 400, 1201),
        ("/text-to-video/kling-9", {"prompt": "x"}, 404, 1203),
        ("/text-to-video/kling-3.0-omni", {"prompt": "x"}, 400, 1201),
        (I2V, {"prompt": "x"}, 400, 1201),
        (
            I2V,
            {"contents": [{"type": "first_frame", "url": image()}], "settings": {"aspect_ratio": "1:1"}},
            400,
            1201,
        ),
        (I2V, {"contents": [{"type": "first_frame", "url": "data:image/png;base64," + image()}]}, 400, 1201),
        (T2V, {"prompt": "build a bomb"}, 400, 1301),
    ],
)
def test_what_is_refused(fleet: Live, path: str, body: object, status: int, code: int) -> None:
    refused = call(fleet, "POST", path, body)
    assert (refused.status, refused.json["code"], refused.json["data"]) == (status, code, None), refused.json


@pytest.mark.parametrize(
    ("fault", "seconds", "status", "message", "outputs"),
    [
        ("job_fails percent=50 message=broken", 15, "failed", "broken", 0),
        ("job_times_out percent=50", 20, "failed", "Task execution timed out", 0),
        ("moderation_after_render", DONE, "succeeded", "", 0),
        ("late_success after_s=900", 899, "processing", "", 0),
        ("job_executed_twice", DONE, "processing", "", 0),
    ],
)
def test_faults_of_tasks(fleet: Live, fault: str, seconds: float, status: str, message: str, outputs: int) -> None:
    number = begin(fleet, fault=fault)
    later(fleet, seconds)
    (found,) = tasks(fleet, number)
    assert (found["status"], found["message"], len(found["outputs"])) == (status, message, outputs)
    assert bool(found["billing"]) == (status == "succeeded")


def test_a_task_that_nobody_finds_is_an_empty_list(fleet: Live) -> None:
    hidden, gone = (
        begin(fleet, fault="transient_404_after_submit for_s=3"),
        begin(fleet, fault="job_vanishes after_s=9"),
    )
    assert [row["id"] for row in tasks(fleet, hidden, gone)] == [gone]
    later(fleet, 9)
    assert [row["id"] for row in tasks(fleet, hidden, gone)] == [hidden]


def test_an_account_without_packs_pays_in_money() -> None:
    row = {"name": "kling", "region": "x", "dialect": "kling", "facts": {"charge_type": "cash"}}
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        (billed,) = rendered(fleet)["billing"]
        assert billed == {
            "charge_type": "cash",
            "cash_type": "balance",
            "amount": "0.42",
            "currency": "USD",
            "list_price": "0.42",
        }


def test_each_state_is_called_back_with_the_task_object() -> None:
    with running(Clock("manual")) as fleet, receiving() as receiver:
        number = begin(fleet, options={"callback_url": receiver.url})
        seen = []
        for seconds in (5, 20):
            told(fleet, seconds)
            seen += tasks(fleet, number)
        assert receiver.bodies == seen
        assert [body["status"] for body in receiver.bodies] == ["processing", "succeeded"]
        assert all(headers["webhook-signature"].startswith("v1,") for headers, _ in receiver.got)


def test_a_poll_belongs_to_the_case_of_its_task_even_when_polled_before() -> None:
    with running(Clock("manual")) as fleet:
        number = begin(fleet, prompt=f"[[case:polled]] x {TIMES}")
        assert (len(tasks(fleet, number)), len(tasks(fleet, number))) == (1, 1)
        assert [entry["operation"] for entry in fleet.journal("polled")] == ["text_to_video", "get_tasks", "get_tasks"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "url", "text", "key", "values"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ["prompt", "contents", "settings", "options", "filters", "limit", "cursor", "start_time", "end_time"]
BODIES = st.binary(max_size=40) | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6).map(
    lambda body: json.dumps(body).encode()
)


@given(st.sampled_from(sorted(Kling.operations)), BODIES, st.text(max_size=30), st.text(max_size=30))
def test_no_request_breaks_the_reader(route: tuple[str, str], body: bytes, model: str, query: str) -> None:
    method, path = route
    facts = {"signature_secret": b"x" * 32}
    params = {name: model for name in ("model", "rest") if f"{{{name}}}" in path}
    whole = path.replace("{model}", model).replace("{rest}", model)
    asked = Request(method, whole, f"task_ids={query}", {"authorization": "Bearer x"}, body, params, facts, "http://x")
    with suppress(Refused):
        Kling().decode(asked, Kling.operations[route])
