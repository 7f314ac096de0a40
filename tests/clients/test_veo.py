"""The official Google Gen AI SDK with clips and pictures, straight against the fleet.

The SDK begins clips and pictures on Vertex alone (from 3.0 on); on the Gemini API it polls operations and downloads
files, and the submission is sent by hand.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import google.auth.credentials
import httpx
import pytest
from google import genai
from google.genai import types
from PIL import Image

from simulator.media.clips import probe
from simulator.media.pictures import picture
from simulator.media.speech import listened
from tests.simulator.live import Live

QUICK = "[[fault: job_times queue_s=0 cold_s=0 run_s=0]]"
PROMPT = f"A cat {QUICK}"
VERTEX_MODEL, STUDIO_MODEL = "veo-3.1-generate-001", "veo-3.1-lite-generate-preview"


class Token(google.auth.credentials.Credentials):
    """A token that is the fleet's key, and never expires."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "sk-fleet-vertex"

    def refresh(self, request: object) -> None:
        """It stays what it is."""


def url(fleet: Live, row: str) -> str:
    host, port = fleet.address
    return f"http://{host}:{port}/{row}"


@pytest.fixture
def studio(fleet: Live) -> Iterator[genai.Client]:
    made = genai.Client(
        api_key="sk-fleet-gemini", http_options=types.HttpOptions(base_url=url(fleet, "gemini"), timeout=20_000)
    )
    yield made
    made.close()


@pytest.fixture
def vertex(fleet: Live) -> Iterator[genai.Client]:
    made = genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=Token(),
        http_options=types.HttpOptions(base_url=url(fleet, "vertex"), timeout=20_000),
    )
    yield made
    made.close()


def ended(client: genai.Client, operation: types.GenerateVideosOperation) -> types.GenerateVideosOperation:
    """The operation as the first poll has it."""
    polled = client.operations.get(operation)
    assert polled.done, polled
    return polled


def videos(operation: types.GenerateVideosOperation) -> list[types.Video]:
    assert operation.response is not None, operation
    return [row.video for row in operation.response.generated_videos or [] if row.video is not None]


def test_vertex_generates_clips(vertex: genai.Client) -> None:
    config = types.GenerateVideosConfig(
        number_of_videos=2, duration_seconds=4, aspect_ratio="9:16", generate_audio=True, seed=7
    )
    source = types.GenerateVideosSource(prompt=PROMPT)
    operation = vertex.models.generate_videos(model=VERTEX_MODEL, source=source, config=config)
    assert operation.name is not None
    assert operation.name.startswith(f"projects/p/locations/us-central1/publishers/google/models/{VERTEX_MODEL}/")
    assert not operation.done
    found = [probe(video.video_bytes or b"") for video in videos(ended(vertex, operation))]
    assert [(one.seconds, one.width, one.height, one.sound) for one in found] == [(4, 720, 1280, "aac")] * 2


def test_vertex_animates_a_picture_into_a_bucket(vertex: genai.Client) -> None:
    image = types.Image(image_bytes=picture("first", 64, 36, "png", 5), mime_type="image/png")
    source = types.GenerateVideosSource(prompt=PROMPT, image=image)
    config = types.GenerateVideosConfig(output_gcs_uri="gs://bucket/out")
    operation = vertex.models.generate_videos(model=VERTEX_MODEL, source=source, config=config)
    (video,) = videos(ended(vertex, operation))
    assert (video.uri or "").startswith("gs://bucket/out/")
    assert video.video_bytes is None


def test_vertex_tells_what_was_filtered_or_failed(vertex: genai.Client) -> None:
    prompts = [f"{PROMPT}[[fault: moderation_after_render]]", f"{PROMPT}[[fault: job_fails message=Oops]]"]
    begun = [
        vertex.models.generate_videos(model=VERTEX_MODEL, source=types.GenerateVideosSource(prompt=prompt))
        for prompt in prompts
    ]
    filtered, failed = (ended(vertex, operation) for operation in begun)
    assert filtered.response is not None
    assert filtered.response.rai_media_filtered_count == 1
    assert not filtered.response.generated_videos
    assert (failed.response, failed.error) == (None, {"code": 13, "message": "Oops", "details": []})


def test_the_gemini_api_is_polled_and_files_are_downloaded(fleet: Live, studio: genai.Client) -> None:
    body = {"instances": [{"prompt": PROMPT}], "parameters": {"durationSeconds": 4}}
    submitted = httpx.post(
        f"{url(fleet, 'gemini')}/v1beta/models/{STUDIO_MODEL}:predictLongRunning",
        json=body,
        headers={"x-goog-api-key": "sk-fleet-gemini"},
    )
    operation = ended(studio, types.GenerateVideosOperation(name=submitted.json()["name"]))
    (video,) = videos(operation)
    assert video.uri is not None
    name = video.uri.partition("/v1beta/")[2].partition(":download")[0]
    data = studio.files.download(file=name)  # by the redirect, with the key at both hops
    assert data is not None
    assert probe(data).seconds == 4
    by_query = httpx.get(f"{video.uri}&key=sk-fleet-gemini", follow_redirects=True)
    assert by_query.content == data


@pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning", "ignore::DeprecationWarning")
def test_imagen(vertex: genai.Client) -> None:
    reply = vertex.models.generate_images(
        model="imagen-4.0-generate-001",
        prompt="A cat",
        config=types.GenerateImagesConfig(number_of_images=2, aspect_ratio="3:4", output_mime_type="image/jpeg"),
    )
    images = [row.image.image_bytes for row in reply.generated_images or [] if row.image is not None]
    opened = [Image.open(io.BytesIO(data or b"")) for data in images]
    assert [(image.size, image.format) for image in opened] == [((896, 1280), "JPEG")] * 2


def test_vectors_by_predict(vertex: genai.Client) -> None:
    reply = vertex.models.embed_content(model="text-embedding-005", contents="Hello, world!")
    assert reply.embeddings is not None
    assert len(reply.embeddings[0].values or []) == 768


def test_speech(studio: genai.Client) -> None:
    config = types.GenerateContentConfig(
        response_modalities=["AUDIO"],
        speech_config=types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Puck"))
        ),
    )
    reply = studio.models.generate_content(model="gemini-2.5-flash-preview-tts", contents="Hello to you", config=config)
    assert reply.candidates is not None
    assert reply.candidates[0].content is not None
    (part,) = reply.candidates[0].content.parts or []
    assert part.inline_data is not None
    out = io.BytesIO()
    with wave.open(out, "wb") as file:  # as an application plays it
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(part.inline_data.data or b"")
    assert listened(out.getvalue()).text == "Hello to you"
