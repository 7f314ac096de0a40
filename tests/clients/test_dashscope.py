"""The official DashScope SDK against the fleet: clips, pictures as tasks and at once, fetch, wait, cancel, list."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.request import urlopen

import dashscope
import pytest
from dashscope import ImageSynthesis, MultiModalConversation, VideoSynthesis
from dashscope.aigc.image_generation import ImageGeneration
from dashscope.api_entities.dashscope_response import Message
from PIL import Image

from simulator.clock import Clock
from simulator.media.clips import probe
from tests.simulator.dashscope_exchange import TIMES, later
from tests.simulator.live import Live, running

PROMPT = f"A lighthouse at dawn {TIMES}"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    """A fleet whose clock the test moves: nobody has to wait for a task."""
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture(autouse=True)
def pointed(fleet: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK, pointed at it."""
    host, port = fleet.address
    monkeypatch.setattr(dashscope, "base_http_api_url", f"http://{host}:{port}/qwen/api/v1")
    monkeypatch.setattr(dashscope, "api_key", "sk-fleet-qwen")


def fetched(url: str) -> bytes:
    with urlopen(url, timeout=20) as reply:
        data: bytes = reply.read()
    return data


def test_a_clip_from_submission_to_file(fleet: Live) -> None:
    task = VideoSynthesis.async_call(model="wan2.6-t2v", prompt=PROMPT, size="1280*720", duration=10)
    assert (task.status_code, task.output.task_status) == (HTTPStatus.OK, "PENDING")
    later(fleet, 10)
    assert VideoSynthesis.fetch(task).output.task_status == "RUNNING"
    later(fleet, 60)
    done = VideoSynthesis.wait(task)
    assert done.output.task_status == "SUCCEEDED"
    assert done.output.actual_prompt.startswith("A lighthouse at dawn. ")
    assert (done.usage["duration"], done.usage["SR"], done.usage.video_count) == (10, 720, 1)
    found = probe(fetched(done.output.video_url))
    assert (found.width, found.height, found.seconds, found.sound) == (1280, 720, 10.0, "aac")


def test_a_clip_that_begins_with_a_picture(fleet: Live) -> None:
    out = io.BytesIO()
    Image.new("RGB", (750, 1000), "red").save(out, "PNG")
    frame = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
    old = VideoSynthesis.async_call(model="wan2.2-kf2v-flash", prompt=PROMPT, first_frame_url=frame)
    media = [{"type": "first_frame", "url": frame}]
    new = VideoSynthesis.async_call(model="wan2.7-i2v", prompt=PROMPT, media=media, resolution="720P", duration=2)
    later(fleet, 70)
    for task, seconds in ((old, 5), (new, 2)):
        done = VideoSynthesis.fetch(task)
        found = probe(fetched(done.output.video_url))
        assert (found.width, found.height, found.seconds) == (816, 1104, seconds)


def test_a_task_that_fails_and_one_that_is_unknown(fleet: Live) -> None:
    task = VideoSynthesis.async_call(model="wan2.6-t2v", prompt=f"{PROMPT}[[fault: moderation_after_render]]")
    later(fleet, 70)
    failed = VideoSynthesis.wait(task)
    assert (failed.status_code, failed.output.task_status) == (HTTPStatus.OK, "FAILED")
    assert failed.output.code == "DataInspectionFailed"
    unknown = VideoSynthesis.fetch("0f000000-0000-4000-8000-000000000000")
    assert (unknown.status_code, unknown.output.task_status) == (HTTPStatus.OK, "UNKNOWN")


def test_a_task_is_cancelled_and_listed(fleet: Live) -> None:
    task = VideoSynthesis.async_call(model="wan2.6-t2v", prompt=f"Another {PROMPT}")
    assert VideoSynthesis.cancel(task).status_code == HTTPStatus.OK
    assert VideoSynthesis.fetch(task).output.task_status == "CANCELED"
    again = VideoSynthesis.cancel(task)
    assert (again.status_code, again.code) == (HTTPStatus.BAD_REQUEST, "UnsupportedOperation")
    listed: Any = VideoSynthesis.list(status="CANCELED", model_name="wan2.6-t2v")
    assert task.output.task_id in [row["task_id"] for row in listed.output["data"]]


def test_pictures_as_a_task(fleet: Live) -> None:
    faulty = f"{PROMPT}[[fault: partial_results lost=1]]"
    task = ImageSynthesis.async_call(model="wan2.2-t2i-flash", prompt=faulty, n=2, size="768*1024")
    later(fleet, 70)
    done = ImageSynthesis.wait(task)
    assert (done.output.task_status, done.usage.image_count) == ("SUCCEEDED", 1)
    assert done.output.task_metrics == {"TOTAL": 2, "SUCCEEDED": 1, "FAILED": 1}
    assert Image.open(io.BytesIO(fetched(done.output.results[0].url))).size == (768, 1024)
    assert done.output.results[1].code == "DataInspectionFailed"


def test_pictures_as_answers(fleet: Live) -> None:
    said = [Message(role="user", content=[{"text": PROMPT}])]
    at_once = ImageGeneration.call(model="wan2.6-t2i", messages=said, n=2, size="1440*1440")
    task = ImageGeneration.async_call(model="wan2.6-t2i", messages=said)
    later(fleet, 70)
    done = ImageGeneration.wait(task)
    for reply, count, side in ((at_once, 2, 1440), (done, 1, 1280)):
        urls = [choice.message.content[0]["image"] for choice in reply.output.choices]
        assert [Image.open(io.BytesIO(fetched(url))).size for url in urls] == [(side, side)] * count
        assert reply.usage["image_count"] == count


def test_a_picture_by_a_conversation() -> None:
    said = [{"role": "user", "content": [{"text": "A lighthouse"}]}]
    reply = MultiModalConversation.call(model="qwen-image-plus", messages=said, size="1328*1328")
    assert reply.status_code == HTTPStatus.OK, reply
    url = reply.output.choices[0].message.content[0]["image"]
    assert Image.open(io.BytesIO(fetched(url))).size == (1328, 1328)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"api_key": "sk-wrong"}, 401, "InvalidApiKey"),
        ({"model": "wan9"}, 404, "ModelNotFound"),
        ({"duration": 3}, 400, "InvalidParameter"),
        ({"prompt": "A cat [[fault: status status=429]]"}, 429, "Throttling.RateQuota"),
        ({"prompt": "flag:sexual"}, 400, "DataInspectionFailed"),
    ],
)
def test_refusals(more: dict[str, Any], status: int, code: str) -> None:
    reply = VideoSynthesis.async_call(**{"model": "wan2.6-t2v", "prompt": "A cat", **more})
    assert (reply.status_code, reply.code) == (status, code)
    assert reply.message
    assert reply.request_id
