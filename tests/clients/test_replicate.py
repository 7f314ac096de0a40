"""The official Replicate SDK, straight against the fleet: run, poll, stream, cancel, files, trainings, webhooks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from urllib.request import urlopen

import pytest
import replicate
from PIL import Image
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import InvalidSignatureError, Webhooks

from simulator.media.clips import probe
from tests.clients.conftest import Seen
from tests.simulator.live import Live
from tests.simulator.receiver import calls, receiving
from tests.simulator.replicate_exchange import FLUX, LLAMA, SDXL

SOON = "[[fault: job_times queue_s=0 cold_s=0 run_s=0.02]]"


@pytest.fixture
def client(fleet: Live) -> Iterator[replicate.Client]:
    host, port = fleet.address
    made = replicate.Client("sk-fleet-replicate", base_url=f"http://{host}:{port}/replicate")
    made.poll_interval = 0.02
    yield made
    made._client.close()


def fetched(url: str) -> bytes:
    with urlopen(url, timeout=20) as reply:
        data: bytes = reply.read()
        return data


def test_run_waits_for_pictures(client: replicate.Client) -> None:
    urls = client.run(
        FLUX, {"prompt": f"a cat {SOON}", "aspect_ratio": "16:9", "num_outputs": 2, "output_format": "png"}
    )
    drawn = [Image.open(io.BytesIO(fetched(str(url)))) for url in urls]
    assert [(one.size, one.format) for one in drawn] == [((1344, 768), "PNG")] * 2


def test_run_reads_inlined_pictures_of_a_version(client: replicate.Client) -> None:
    (file,) = client.run(f"stability-ai/sdxl:{SDXL}", {"prompt": f"a cat {SOON}", "width": 128, "height": 64})
    assert Image.open(io.BytesIO(file.read())).size == (128, 64)


def test_a_prediction_is_polled_to_its_clip(client: replicate.Client) -> None:
    prediction = client.predictions.create(
        "bytedance/seedance-1-lite", {"prompt": f"a dog runs {SOON}", "duration": 2, "resolution": "480p"}
    )
    assert prediction.status == "starting"
    prediction.wait()
    facts = probe(fetched(str(prediction.output)))
    assert (prediction.status, facts.width, facts.height, facts.seconds) == ("succeeded", 854, 480, 2.0)
    assert client.predictions.get(prediction.id).output == prediction.output


def test_progress_is_read_from_the_logs(client: replicate.Client) -> None:
    prediction = client.predictions.create(
        SDXL, {"prompt": f"a cat {SOON}", "num_inference_steps": 25, "width": 64, "height": 64}
    )
    prediction.wait()
    assert prediction.progress is not None
    assert (prediction.progress.current, prediction.progress.total, prediction.progress.percentage) == (25, 25, 1.0)


def test_text_is_run_and_streamed(client: replicate.Client) -> None:
    given = {"prompt": f'[[answer: say="Three llamas, and a bridge."]]{SOON}'}
    assert "".join(client.run(LLAMA, given)) == "Three llamas, and a bridge."
    events = list(client.stream(LLAMA, input=given))
    assert "".join(str(event) for event in events) == "Three llamas, and a bridge."
    assert events[-1].event == events[-1].EventType.DONE


def test_a_failure_is_a_model_error(client: replicate.Client) -> None:
    with pytest.raises(ModelError, match="Boom"):
        client.run(FLUX, {"prompt": f"x {SOON}[[fault: job_fails message=Boom]]"})


def test_a_refusal_is_a_replicate_error(client: replicate.Client) -> None:
    with pytest.raises(ReplicateError) as refused:
        client.predictions.create(FLUX, {"num_outputs": 3})
    assert (refused.value.status, refused.value.title) == (422, "Input validation failed")
    assert refused.value.detail == "- input: prompt is required\n"


def test_a_poll_is_tried_again_after_429(client: replicate.Client, seen: Callable[[], Seen], case: str) -> None:
    prediction = client.predictions.create(FLUX, {"prompt": f"x {SOON}"})
    client._client.headers["x-windtunnel-fault"] = "status=429 attempt=1"
    client._client.headers["x-windtunnel-case"] = case
    assert client.predictions.get(prediction.id).id == prediction.id
    assert seen().statuses == [429, 200]


def test_a_prediction_is_cancelled(client: replicate.Client) -> None:
    prediction = client.predictions.create(FLUX, {"prompt": "x [[fault: job_never_finishes]]"})
    prediction.cancel()
    assert prediction.status == "canceled"
    assert client.predictions.get(prediction.id).status == "canceled"


def test_models_collections_deployments_and_the_account(client: replicate.Client) -> None:
    model = client.models.get("stability-ai/sdxl")
    assert model.latest_version is not None
    assert model.latest_version.id == SDXL
    assert model.versions.get(SDXL).openapi_schema["components"]["schemas"]["Input"]["properties"]["width"]
    assert model.versions.list()[0].id == SDXL
    assert FLUX in [f"{one.owner}/{one.name}" for one in client.models.list()]
    assert {one.owner for one in client.models.search("llama")} == {"meta"}
    assert client.collections.get("text-to-image").models
    deployment = client.deployments.get("acme/image-upscaler")
    assert deployment.current_release is not None
    prediction = deployment.predictions.create({"prompt": f"x {SOON}", "width": 64, "height": 64})
    prediction.wait()
    assert prediction.status == "succeeded"
    assert "cpu" in [one.sku for one in client.hardware.list()]
    assert client.accounts.current().username == "acme"


def test_a_training(client: replicate.Client) -> None:
    given = {"input_images": f"https://x.test/a.zip#{SOON}"}
    training = client.trainings.create(version=f"stability-ai/sdxl:{SDXL}", input=given, destination="acme/mine")
    while training.status in ("starting", "processing"):
        training.reload()
    assert training.output["version"].startswith("acme/mine:")
    assert training.id in [one.id for one in client.trainings.list()]


def test_files_are_uploaded_as_inputs(client: replicate.Client) -> None:
    file = client.files.create(io.BytesIO(b"hello"), filename="a.txt", metadata={"a": 1})
    assert (file.size, file.metadata, client.files.get(file.id).name) == (5, {"a": 1}, "a.txt")
    assert file.id in [one.id for one in client.files.list()]
    assert client.files.delete(file.id)
    prediction = client.predictions.create(SDXL, {"prompt": f"x {SOON}", "image": io.BytesIO(b"png"), "width": 64})
    assert "/v1/files/" in str((prediction.input or {})["image"])


def test_a_webhook_is_verified(client: replicate.Client, fleet: Live) -> None:
    with receiving() as receiver:
        client.predictions.create(
            FLUX, {"prompt": f"x {SOON}"}, webhook=receiver.url, webhook_events_filter=["completed"]
        ).wait()
        for _ in range(100):
            if receiver.got:
                break
            calls(fleet)
    secret, body = client.webhooks.default.secret(), receiver.got[0].decode()
    Webhooks.validate(headers=receiver.headers[0], body=body, secret=secret)
    with pytest.raises(InvalidSignatureError):
        Webhooks.validate(headers=receiver.headers[0], body=body + " ", secret=secret)
