"""The official fal client, straight against the fleet: held runs, the queue, cancellation, errors.

Its hosts are settings, its scheme is not (https): the addresses it makes of both are replaced here.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import fal_client
import pytest
from fal_client import client as fal_module
from PIL import Image

from simulator.media.clips import probe
from tests.simulator.fal_exchange import FLUX
from tests.simulator.live import Live

SOON = "[[fault: job_times queue_s=0.01 cold_s=0 run_s=0.02]]"


@pytest.fixture
def client(fleet: Live, monkeypatch: pytest.MonkeyPatch) -> Iterator[fal_client.SyncClient]:
    host, port = fleet.address
    monkeypatch.setattr(fal_module, "RUN_URL_FORMAT", f"http://{host}:{port}/fal/")
    monkeypatch.setattr(fal_module, "QUEUE_URL_FORMAT", f"http://{host}:{port}/fal/queue/")
    made = fal_client.SyncClient(key="sk-fleet-fal", default_timeout=20)
    yield made
    made._client.close()


def fetched(url: str) -> bytes:
    with urlopen(url, timeout=20) as reply:
        data: bytes = reply.read()
        return data


def test_run_is_held(client: fal_client.SyncClient) -> None:
    result = client.run(FLUX, {"prompt": f"a cat {SOON}", "image_size": "square", "output_format": "png"})
    (image,) = result["images"]
    opened = Image.open(io.BytesIO(fetched(image["url"])))
    assert (opened.size, opened.format) == ((512, 512), "PNG")


def test_subscribe_waits_in_the_queue(client: fal_client.SyncClient) -> None:
    seen: list[Any] = []
    ids: list[str] = []
    result = client.subscribe(
        "fal-ai/ltx-video",
        {"prompt": f"a dog runs {SOON}"},
        with_logs=True,
        interval=0.01,
        on_enqueue=ids.append,
        on_queue_update=seen.append,
    )
    facts = probe(fetched(result["video"]["url"]))
    assert (facts.width, facts.height, facts.seconds, facts.fps) == (768, 512, 5.0, 25.0)
    assert isinstance(seen[-1], fal_client.Completed)
    assert seen[-1].metrics["inference_time"] == 0.02
    assert seen[-1].logs[-1]["message"].startswith("100%")
    assert client.result("fal-ai/ltx-video", ids[0]) == result


def test_submit_then_status_and_result(client: fal_client.SyncClient) -> None:
    handle = client.submit(FLUX, {"prompt": "x [[fault: job_times queue_s=30]]"})
    status = handle.status()
    assert isinstance(status, fal_client.Queued)
    assert isinstance(client.status(FLUX, handle.request_id), fal_client.Queued)
    handle.cancel()
    over = client.status(FLUX, handle.request_id)
    assert isinstance(over, fal_client.Completed)
    assert over.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        client.cancel(FLUX, handle.request_id)
    assert refused.value.status_code == 400


def test_errors_of_model_and_platform(client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        client.subscribe(FLUX, {"seed": 1}, interval=0.01)
    assert refused.value.status_code == 422
    assert refused.value.message == [
        {"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}
    ]  # type: ignore[comparison-overlap]
    with pytest.raises(fal_client.FalClientHTTPError) as late:
        client.run(FLUX, {"prompt": "x [[fault: job_times queue_s=30]]"}, start_timeout=1.01)
    assert (late.value.status_code, late.value.error_type) == (504, "request_timeout")


@pytest.mark.usefixtures("client")
def test_async_client() -> None:
    async def run() -> Any:
        made = fal_client.AsyncClient(key="sk-fleet-fal", default_timeout=20)
        return await made.subscribe("fal-ai/any-llm", {"prompt": f'[[answer: say="Hi."]]{SOON}'}, interval=0.01)

    assert asyncio.run(run())["output"] == "Hi."
