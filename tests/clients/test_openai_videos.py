"""The official OpenAI SDK on the Videos wire, straight against the fleet: OpenAI's own, and Azure's at /openai/v1."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openai
import pytest
from PIL import Image

from simulator.media.clips import probe
from simulator.media.pictures import picture
from tests.simulator.live import Live

QUICK = "[[fault: job_times queue_s=0 cold_s=0 run_s=0]]"
PROMPT = f"A cat {QUICK}"

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")


def client_of(fleet: Live, row: str, root: str) -> openai.OpenAI:
    host, port = fleet.address
    base = f"http://{host}:{port}/{row}{root}"
    return openai.OpenAI(api_key=f"sk-fleet-{row}", base_url=base, max_retries=0, timeout=20)


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    with client_of(fleet, "openai", "/v1") as made:
        yield made


def made(client: openai.OpenAI, prompt: str = PROMPT) -> str:
    """The id of a video that is completed."""
    video = client.videos.create_and_poll(prompt=prompt, poll_interval_ms=20)
    assert video.status == "completed", video
    return video.id


@pytest.mark.parametrize(("row", "root"), [("openai", "/v1"), ("azure", "/openai/v1")])
def test_create_poll_and_download(fleet: Live, row: str, root: str) -> None:
    with client_of(fleet, row, root) as client:
        video = client.videos.create(prompt=PROMPT, model="sora-2", seconds="8", size="1280x720")
        assert (video.object, video.seconds, video.size, video.error) == ("video", "8", "1280x720", None)
        done = client.videos.poll(video.id, poll_interval_ms=20)
        assert (done.status, done.progress) == ("completed", 100)
        assert done.expires_at is not None
        found = probe(client.videos.download_content(video.id).read())
        assert (found.seconds, found.width, found.height) == (8, 1280, 720)


def test_variants(client: openai.OpenAI) -> None:
    video = made(client)
    thumbnail = client.videos.download_content(video, variant="thumbnail").read()
    sheet = client.videos.download_content(video, variant="spritesheet").read()
    assert Image.open(io.BytesIO(thumbnail)).size == (720, 1280)
    assert Image.open(io.BytesIO(sheet)).format == "JPEG"


def test_a_picture_is_sent_along(client: openai.OpenAI) -> None:
    reference = ("first.png", picture("first", 720, 1280, "png", 5), "image/png")
    video = client.videos.create(prompt=PROMPT, input_reference=reference)
    assert client.videos.poll(video.id, poll_interval_ms=20).status == "completed"
    with pytest.raises(openai.BadRequestError, match="Inpaint image must match"):
        client.videos.create(prompt=PROMPT, input_reference=reference, size="1280x720")


def test_remix_edit_and_extend(client: openai.OpenAI) -> None:
    source = made(client)
    remix = client.videos.remix(source, prompt=PROMPT)
    assert remix.remixed_from_video_id == source
    clip = ("a.mp4", client.videos.download_content(source).read(), "video/mp4")  # this SDK takes no id in its place
    assert client.videos.edit(prompt=PROMPT, video=clip).seconds == "4"
    longer = client.videos.extend(prompt=PROMPT, video=clip, seconds="4")
    assert (longer.seconds, longer.size) == ("8", "720x1280")
    client.videos.poll(longer.id, poll_interval_ms=20)
    assert probe(client.videos.download_content(longer.id).read()).seconds == 8


def test_characters(client: openai.OpenAI) -> None:
    clip = client.videos.download_content(made(client)).read()
    character = client.videos.create_character(name="Mossy", video=("a.mp4", clip, "video/mp4"))
    assert character.id is not None
    assert client.videos.get_character(character.id).to_dict() == character.to_dict()


def test_list_and_delete(client: openai.OpenAI) -> None:
    videos = {made(client) for _ in range(3)}
    listed = [video.id for video in client.videos.list(limit=2)]  # by pages
    assert videos <= set(listed)
    gone = videos.pop()
    deleted = client.videos.delete(gone)
    assert (deleted.id, deleted.deleted, deleted.object) == (gone, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(gone)


def test_a_failed_video_says_why(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt=f"{PROMPT}[[fault: job_fails message=Oops]]", poll_interval_ms=20)
    assert video.status == "failed"
    assert video.error is not None
    assert (video.error.code, video.error.message) == ("internal_error", "Oops")
    with pytest.raises(openai.NotFoundError, match="not ready"):
        client.videos.download_content(video.id)


def test_the_poll_helper_waits_as_the_fleet_says(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt=f"A cat {QUICK.replace('run_s=0', 'run_s=600')}")
    raw = client.videos.with_raw_response.retrieve(video.id)
    assert raw.headers["openai-poll-after-ms"] == "2500"
