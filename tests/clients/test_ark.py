"""The official Ark SDK (`volcengine-python-sdk[ark]`) and OpenAI's, straight against the fleet.

The Ark SDK is large and not among the project's own dependencies: its tests are skipped where it is not installed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen

import openai
import pytest
from PIL import Image

from simulator.media.clips import probe
from tests.clients.conftest import Seen
from tests.simulator.live import Live

KEY = "sk-fleet-ark"
MODEL = "doubao-seedance-1-0-pro-250528"
PAINTER = "doubao-seedream-4-5-251128"
AT_ONCE = "fault: job_times queue_s=0 cold_s=0 run_s=0"
WAITING = "fault: job_times queue_s=3600"
TWO: dict[str, Any] = {"sequential_image_generation": "auto"}


def base_url(fleet: Live) -> str:
    host, port = fleet.address
    return f"http://{host}:{port}/ark/api/v3"


@pytest.fixture
def ark(fleet: Live) -> Any:
    sdk = pytest.importorskip("volcenginesdkarkruntime")
    return sdk.Ark(api_key=KEY, base_url=base_url(fleet), max_retries=0, timeout=20)


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=base_url(fleet), max_retries=0, timeout=20) as made:
        yield made


def content(prompt: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": prompt}]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def fetched(url: str) -> bytes:
    with urlopen(url, timeout=20) as reply:
        data: bytes = reply.read()
    return data


def test_a_task_is_created_polled_and_fetched(ark: Any, told: Callable[[str], str]) -> None:
    tasks = ark.content_generation.tasks
    made = tasks.create(model=MODEL, content=content(told(AT_ONCE)), resolution="480p", duration=2, seed=7)
    done = tasks.get(task_id=made.id)
    assert (done.id, done.status, done.seed, done.duration, done.ratio) == (made.id, "succeeded", 7, 2, "16:9")
    assert done.usage.completion_tokens == done.usage.total_tokens == 864 * 480 * 49 // 1024
    clip = probe(fetched(done.content.video_url))
    assert (clip.width, clip.height, clip.frames) == (864, 480, 49)


def test_tasks_are_listed_and_deleted(ark: Any, told: Callable[[str], str]) -> None:
    tasks = ark.content_generation.tasks
    done = tasks.create(model=MODEL, content=content(told(AT_ONCE)))
    waits = tasks.create(model=MODEL, content=content(told(WAITING)))
    listed = tasks.list(page_num=1, page_size=10, task_ids=[done.id, waits.id])
    assert listed.total == 2
    assert {item.id: item.status for item in listed.items} == {done.id: "succeeded", waits.id: "queued"}
    tasks.delete(task_id=waits.id)
    assert tasks.get(task_id=waits.id).status == "cancelled"
    tasks.delete(task_id=done.id)
    assert [item.id for item in tasks.list(task_ids=[done.id, waits.id]).items] == [waits.id]


def test_refusals_of_tasks(ark: Any, told: Callable[[str], str]) -> None:
    errors = pytest.importorskip("volcenginesdkarkruntime._exceptions")
    tasks = ark.content_generation.tasks
    with pytest.raises(errors.ArkNotFoundError) as unknown:
        tasks.get(task_id="cgt-20260101080000-000000000000")
    assert unknown.value.code == "ResourceNotFound"
    with pytest.raises(errors.ArkBadRequestError) as bad:
        tasks.create(model=MODEL, content=content(told("")), duration=99)
    assert (bad.value.code, bad.value.param) == ("InvalidParameter", "duration")
    with pytest.raises(errors.ArkRateLimitError):
        tasks.create(model=MODEL, content=content(told("fault: status=429")))


def test_pictures_and_their_links(ark: Any, told: Callable[[str], str]) -> None:
    made = ark.images.generate(model=PAINTER, prompt=told(AT_ONCE), size="2560x1440", watermark=False)
    (row,) = made.data
    assert (made.model, row.size, made.usage.generated_images) == (PAINTER, "2560x1440", 1)
    assert opened(fetched(row.url)).size == (2560, 1440)


def test_pictures_are_streamed(ark: Any, told: Callable[[str], str]) -> None:
    prompt = f"2 images. {told(AT_ONCE)}"
    form = {"response_format": "b64_json", "size": "2K", "stream": True}
    events = list(ark.images.generate(model=PAINTER, prompt=prompt, **TWO, **form))
    assert [event.type for event in events] == [
        "image_generation.partial_succeeded",
        "image_generation.partial_succeeded",
        "image_generation.completed",
    ]
    assert [event.image_index for event in events[:2]] == [0, 1]
    assert {opened(base64.b64decode(event.b64_json)).size for event in events[:2]} == {(2048, 2048)}
    assert (
        dict(events[-1].usage)["generated_images"] == 2
    )  # the SDK leaves it a dict: its events are told apart by no literal


def test_the_openai_sdk_paints_as_well(
    client: openai.OpenAI, told: Callable[[str], str], seen: Callable[[], Seen]
) -> None:
    prompt = f"2 images. {told(f'{AT_ONCE}]] [[fault: partial_results lost=1')}"
    made = client.images.generate(
        model=PAINTER,
        prompt=prompt,
        size="2K",  # type: ignore[arg-type]
        response_format="b64_json",
        extra_body={**TWO, "watermark": False},
    )
    rows = made.data or []
    good = [row for row in rows if row.b64_json]
    assert (len(rows), len(good)) == (2, 1)
    assert opened(base64.b64decode(good[0].b64_json or "")).size == (2048, 2048)
    assert seen().statuses == [200]


def test_refusals_by_the_openai_sdk(client: openai.OpenAI, told: Callable[[str], str]) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(model=PAINTER, prompt=told(AT_ONCE), size="1024x1024")
    assert (bad.value.code, bad.value.param, bad.value.type) == ("InvalidParameter", "size", "BadRequest")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.images.generate(model="seedream-4-5-251128", prompt=told(AT_ONCE))
    assert unknown.value.code == "InvalidEndpointOrModel.NotFound"
