"""The official OpenAI SDK on xAI's pictures and videos, and on other vendors' pictures and sound, against the fleet."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import openai
import pytest
from PIL import Image

from simulator.media import clips
from simulator.media.pictures import picture
from simulator.media.speech import heard
from tests.clients.conftest import Seen
from tests.simulator.live import Live

AT_ONCE = "fault: job_times queue_s=0 cold_s=0 run_s=0"
TEXT = "A teapot keeps tea warm."


@contextmanager
def made(fleet: Live, row: str, path: str = "v1") -> Iterator[openai.OpenAI]:
    """A client of one row."""
    host, port = fleet.address
    base_url = f"http://{host}:{port}/{row}/{path}"
    with openai.OpenAI(api_key=f"sk-fleet-{row}", base_url=base_url, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    with made(fleet, "xai") as client:
        yield client


def test_generate(client: openai.OpenAI) -> None:
    reply = client.images.generate(
        model="grok-imagine-image", prompt="A cat", n=2, extra_body={"aspect_ratio": "3:2", "resolution": "1k"}
    )
    assert len(reply.data or []) == 2
    for row in reply.data or []:
        assert row.revised_prompt is None
        with urlopen(row.url or "", timeout=20) as file:
            assert Image.open(file).size == (1248, 832)


def test_generate_base64(client: openai.OpenAI) -> None:
    reply = client.images.generate(model="grok-imagine-image-quality", prompt="A cat", response_format="b64_json")
    (row,) = reply.data or []
    image = Image.open(io.BytesIO(base64.b64decode(row.b64_json or "")))
    assert (image.size, image.format) == ((1024, 1024), "JPEG")


def test_what_the_sdk_can_ask_for_and_xai_does_not_have(client: openai.OpenAI) -> None:
    """The SDK finds no sentence in an `error` that is a text; it is in the body."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model="grok-imagine-image", prompt="A cat", size="1024x1024")
    assert refused.value.response.json() == {"code": "400", "error": "Argument not supported: size"}
    with pytest.raises(openai.BadRequestError) as no_json:
        client.images.edit(model="grok-imagine-image", prompt="A cat", image=picture("logo", 64, 64, "png", 1))
    assert no_json.value.response.json()["error"] == "Failed to parse the request body as JSON"
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="gpt-image-1", prompt="A cat")


def test_a_video_from_submission_to_clip(
    client: openai.OpenAI, told: Callable[..., str], seen: Callable[[], Seen]
) -> None:
    """By the SDK's own transport, as it has no method for this wire."""
    sent = {"model": "grok-imagine-video", "prompt": told(AT_ONCE), "duration": 2, "aspect_ratio": "1:1"}
    job: Any = client.post("/videos/generations", cast_to=object, body=sent)
    state: Any = client.get(f"/videos/{job['request_id']}", cast_to=object)
    assert (state["status"], state["video"]["duration"]) == ("done", 2)
    with urlopen(state["video"]["url"], timeout=20) as file:
        facts = clips.probe(file.read())
    assert (facts.width, facts.height, facts.seconds, facts.codec) == (480, 480, 2.0, "h264")
    assert [entry["operation"] for entry in seen().entries] == ["create_video", "poll_video", "fetch_file"]


def test_a_link_that_died(client: openai.OpenAI, told: Callable[..., str]) -> None:
    prompt = f"{told(AT_ONCE)} [[fault: result_url_expired after_s=0]]"
    job: Any = client.post("/videos/generations", cast_to=object, body={"prompt": prompt, "duration": 1})
    state: Any = client.get(f"/videos/{job['request_id']}", cast_to=object)
    with pytest.raises(HTTPError, match="403"), urlopen(state["video"]["url"], timeout=20):
        pass


def test_together_draws(fleet: Live) -> None:
    with made(fleet, "together") as client:
        reply = client.images.generate(
            model="black-forest-labs/FLUX.1-schnell",
            prompt="A cat",
            response_format="b64_json",
            extra_body={"width": 320, "height": 192},
        )
    (row,) = reply.data or []
    assert Image.open(io.BytesIO(base64.b64decode(row.b64_json or ""))).size == (320, 192)


def test_openrouter_speaks_and_groq_and_mistral_listen(fleet: Live) -> None:
    with made(fleet, "openrouter", "api/v1") as client:
        spoken = client.audio.speech.create(model="hexgrad/kokoro-82m", voice="af_bella", input=TEXT).content
    assert heard(spoken) == TEXT
    file = ("sound.mp3", spoken, "audio/mpeg")
    for row, path, model in (
        ("groq", "openai/v1", "whisper-large-v3"),
        ("mistral", "v1", "voxtral-mini-latest"),
    ):
        with made(fleet, row, path) as client:
            assert client.audio.transcriptions.create(model=model, file=file).text == TEXT
