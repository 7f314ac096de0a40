"""The official OpenAI SDK on the Images, Embeddings, Moderations and Models wires, straight against the fleet."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen

import openai
import pytest
from PIL import Image

from simulator.media.pictures import picture
from tests.clients.conftest import Seen
from tests.simulator.live import Live

LOGO = picture("logo", 64, 64, "png", 1)


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    host, port = fleet.address
    with openai.OpenAI(
        api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1", max_retries=0, timeout=20
    ) as made:
        yield made


def opened(data: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data or "")))


def test_generate(client: openai.OpenAI) -> None:
    reply = client.images.generate(
        model="gpt-image-1", prompt="A cat", size="1536x1024", quality="low", output_format="webp", n=2
    )
    assert reply.data is not None
    assert reply.usage is not None
    assert reply.usage.input_tokens_details.text_tokens == 2
    assert reply.usage.output_tokens == 2 * 400
    assert (reply.size, reply.quality, reply.output_format) == ("1536x1024", "low", "webp")
    for row in reply.data:
        assert row.url is None
        assert (opened(row.b64_json).size, opened(row.b64_json).format) == ((1536, 1024), "WEBP")


def test_a_link_of_dall_e_can_be_followed(client: openai.OpenAI) -> None:
    (row,) = client.images.generate(model="dall-e-3", prompt="A cat").data or []
    assert row.revised_prompt
    assert row.url is not None
    with urlopen(row.url, timeout=20) as reply:
        assert Image.open(reply).size == (1024, 1024)


def test_generate_streams_partial_pictures(client: openai.OpenAI) -> None:
    stream = client.images.generate(model="gpt-image-1", prompt="A cat", stream=True, partial_images=2, quality="low")
    events = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    for event in events:
        assert opened(event.b64_json).size == (1024, 1024)
        if event.type == "image_generation.partial_image":
            assert event.partial_image_index in (0, 1)
        else:
            assert event.usage.output_tokens == 272 + 200


@pytest.mark.parametrize("files", [LOGO, [LOGO, LOGO]], ids=["one", "two"])
def test_edit(client: openai.OpenAI, files: Any) -> None:
    images = [("logo.png", file, "image/png") for file in (files if isinstance(files, list) else [files])]
    image: Any = images if len(images) > 1 else images[0]
    reply = client.images.edit(model="gpt-image-1", image=image, prompt="Make it green", mask=images[0], quality="low")
    assert reply.usage is not None
    assert reply.usage.input_tokens_details.image_tokens == 194 * len(images)
    assert opened((reply.data or [])[0].b64_json).format == "PNG"


def test_edit_streams(client: openai.OpenAI) -> None:
    stream = client.images.edit(
        model="gpt-image-1", image=("logo.png", LOGO, "image/png"), prompt="Green", stream=True, partial_images=1
    )
    assert [event.type for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


def test_a_variation(client: openai.OpenAI) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        reply = client.images.create_variation(image=("logo.png", LOGO, "image/png"), size="256x256", n=2)
    assert len({row.url for row in reply.data or []}) == 2


def test_what_a_model_of_pictures_refuses(
    client: openai.OpenAI, told: Callable[..., str], seen: Callable[[], Seen]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="gpt-image-1", prompt="A cat", response_format="url")
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "response_format")
    with pytest.raises(openai.BadRequestError) as blocked:
        client.images.generate(model="gpt-image-1", prompt=f"Erotic. {told()}")
    assert (blocked.value.code, blocked.value.type) == ("moderation_blocked", "image_generation_user_error")
    assert (blocked.value.request_id or "?") in blocked.value.message
    assert seen().statuses == [400]


def test_an_error_in_a_stream_of_pictures_is_raised(client: openai.OpenAI, told: Callable[..., str]) -> None:
    stream = client.images.generate(
        model="gpt-image-1", prompt=told("fault: error_event after_frames=1"), stream=True, partial_images=2
    )
    events: list[Any] = []
    with pytest.raises(openai.APIError, match="server had an error"):
        events.extend(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"]


@pytest.mark.parametrize("form", [None, "float", "base64"])
def test_embeddings(client: openai.OpenAI, form: Any) -> None:
    """The SDK asks for base64 unless told, and decodes it."""
    more = {"encoding_format": form} if form else {}
    reply = client.embeddings.create(
        model="text-embedding-3-small", input=["Ruby", "Ruby", "Python"], dimensions=64, **more
    )
    ruby, again, python = (row.embedding for row in reply.data)
    assert ruby == again != python
    assert [row.index for row in reply.data] == [0, 1, 2]
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == 3
    if form != "base64":
        assert len(ruby) == 64
        assert sum(value * value for value in ruby) == pytest.approx(1, abs=0.01)


def test_embeddings_of_tokens_and_refusals(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="text-embedding-3-large", input=[[1, 2], [3]]).usage.prompt_tokens == 3
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="no-such-model", input="x")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="does not support specifying dimensions"):
        client.embeddings.create(model="text-embedding-ada-002", input="x", dimensions=8)


def test_moderations(client: openai.OpenAI) -> None:
    reply = client.moderations.create(model="omni-moderation-latest", input=["Have a nice day", "You idiot"])
    nice, rude = reply.results
    assert (nice.flagged, rude.flagged) == (False, True)
    assert rude.categories.harassment
    assert not rude.categories.self_harm
    assert rude.category_scores.harassment > 0.5 > rude.category_scores.violence_graphic
    assert rude.category_applied_input_types.sexual_minors == ["text"]
    parts: Any = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/flag:violence.png"}},
    ]
    (both,) = client.moderations.create(model="omni-moderation-latest", input=parts).results
    assert both.categories.violence
    assert both.category_applied_input_types.violence == ["text", "image"]


def test_models(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {"gpt-4o", "gpt-image-1", "text-embedding-3-small", "omni-moderation-latest"} <= listed.keys()
    assert all(model.object == "model" and model.owned_by == "openai" for model in listed.values())
    assert client.models.retrieve("gpt-image-1") == listed["gpt-image-1"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_azure_s_client_names_the_deployment_in_the_path(
    fleet: Live, told: Callable[..., str], seen: Callable[[], Seen]
) -> None:
    host, port = fleet.address
    with openai.AzureOpenAI(
        api_key="sk-fleet-azure",
        azure_endpoint=f"http://{host}:{port}/azure",
        api_version="2026-02-01-preview",
        max_retries=0,
    ) as client:
        embedded = client.embeddings.create(model="text-embedding-3-small", input=told())
        drawn = client.images.generate(model="dall-e-3", prompt=told())
    assert len(embedded.data[0].embedding) == 1536
    with urlopen((drawn.data or [])[0].url or "", timeout=20) as reply:
        assert Image.open(reply).size == (1024, 1024)
    assert [entry["path"] for entry in seen().entries] == [
        "/openai/deployments/text-embedding-3-small/embeddings",
        "/openai/deployments/dall-e-3/images/generations",
    ]
