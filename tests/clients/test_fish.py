"""The official Fish Audio SDK, its older `Session` and its newer `FishAudio`, against the fleet."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from decimal import Decimal

import av
import fish_audio_sdk as legacy
import fishaudio
import httpx
import pytest
from fishaudio import exceptions
from fishaudio.types import Prosody, ReferenceAudio, TTSConfig

from tests.clients.conftest import Seen
from tests.simulator.live import Live

TEXT = "A teapot keeps tea warm for a long while."
LENGTH_S = 2.8  # of TEXT


@pytest.fixture
def client(fleet: Live) -> Iterator[fishaudio.FishAudio]:
    host, port = fleet.address
    made = fishaudio.FishAudio(api_key="sk-fleet-fish", base_url=f"http://{host}:{port}/fish", timeout=20)
    yield made
    made.close()


@pytest.fixture
def session(fleet: Live) -> Iterator[legacy.Session]:
    host, port = fleet.address
    with legacy.Session("sk-fleet-fish", base_url=f"http://{host}:{port}/fish") as made:
        yield made


def seconds(data: bytes) -> float:
    """How long a file plays, by decoding all of it."""
    with av.open(io.BytesIO(data)) as box:
        stream = box.streams.audio[0]
        return sum(frame.samples for frame in box.decode(stream)) / stream.rate


@pytest.mark.parametrize("form", ["mp3", "wav", "opus"])
def test_speech_can_be_played_and_is_heard_again(
    client: fishaudio.FishAudio, form: fishaudio.types.AudioFormat
) -> None:
    data = client.tts.convert(text=TEXT, format=form)
    assert seconds(data) == pytest.approx(LENGTH_S, abs=0.15)
    told = client.asr.transcribe(audio=data)
    assert told.text == TEXT
    assert told.duration == pytest.approx(seconds(data), abs=0.15)
    assert [segment.text for segment in told.segments] == [TEXT]
    assert client.asr.transcribe(audio=data, language="en", include_timestamps=False).segments == []


def test_the_older_client_speaks_and_hears(session: legacy.Session) -> None:
    data = b"".join(session.tts(legacy.TTSRequest(text=TEXT, format="wav")))
    assert seconds(data) == pytest.approx(LENGTH_S, abs=0.1)
    told = session.asr(legacy.ASRRequest(audio=data, ignore_timestamps=False))
    assert (told.text, len(told.segments)) == (TEXT, 1)
    assert session.asr(legacy.ASRRequest(audio=data)).segments == []


def test_streams_come_in_pieces(client: fishaudio.FishAudio, session: legacy.Session) -> None:
    """The older client hands over what comes; the newer one's `stream` reads all of it first."""
    pieces = [piece for piece in session.tts(legacy.TTSRequest(text=TEXT), backend="s2-pro") if piece]
    assert len(pieces) > 2
    assert client.asr.transcribe(audio=b"".join(pieces)).text == TEXT
    assert client.asr.transcribe(audio=client.tts.stream(text=TEXT).collect()).text == TEXT


def test_settings(client: fishaudio.FishAudio) -> None:
    config = TTSConfig(format="wav", sample_rate=8000, latency="normal", prosody=Prosody(speed=1.0, volume=-6))
    data = client.tts.convert(text=TEXT, config=config, speed=2.0)
    assert seconds(data) == pytest.approx(LENGTH_S / 2, abs=0.2)
    assert client.asr.transcribe(audio=data).text == TEXT


def test_the_model_goes_as_a_header(
    client: fishaudio.FishAudio, session: legacy.Session, told: Callable[..., str], seen: Callable[[], Seen]
) -> None:
    """A model that was withdrawn is the paid default, and nobody is told."""
    client.tts.convert(text=told(), model="s1")
    list(session.tts(legacy.TTSRequest(text=told())))
    assert seen().header("model") == ["s1", "speech-1.5"]
    assert [entry["model"] for entry in seen().entries] == ["s1", "s2.1-pro"]


def test_a_clone_by_references(client: fishaudio.FishAudio) -> None:
    sample = client.tts.convert(text="This is how I sound.")
    data = client.tts.convert(text=TEXT, references=[ReferenceAudio(audio=sample, text="This is how I sound.")])
    assert client.asr.transcribe(audio=data).text == TEXT
    with pytest.raises(exceptions.APIError, match="400") as refused:
        client.tts.convert(text=TEXT, references=[ReferenceAudio(audio=b"no sound", text="x")])
    assert refused.value.message == "Could not decode the reference audio"


def test_a_voice_of_ones_own(client: fishaudio.FishAudio) -> None:
    sample = client.tts.convert(text="This is how I sound.")
    made = client.voices.create(title="Ada", voices=[sample, sample], texts=["a", "b"], tags=["calm"], description="x")
    assert (made.state, made.visibility, made.tags, made.languages) == ("trained", "private", ["calm"], ["en"])
    assert client.voices.get(made.id) == made
    client.voices.update(made.id, title="Grace", tags=["low", "slow"])
    assert client.voices.get(made.id).title == "Grace"
    listed = client.voices.list(self_only=True, page_size=100, sort_by="created_at")
    assert [voice.tags for voice in listed.items if voice.id == made.id] == [["low", "slow"]]
    data = client.tts.convert(text=TEXT, reference_id=made.id)
    assert client.asr.transcribe(audio=data).text == TEXT
    client.voices.delete(made.id)
    with pytest.raises(exceptions.NotFoundError):
        client.voices.get(made.id)
    with pytest.raises(exceptions.APIError, match="Reference not found"):
        client.tts.convert(text=TEXT, reference_id=made.id)


def test_a_voice_by_the_older_client(session: legacy.Session) -> None:
    sample = b"".join(session.tts(legacy.TTSRequest(text="This is how I sound.")))
    made = session.create_model(title="Ada", voices=[sample], visibility="unlist", cover_image=b"\x89PNG")
    assert session.get_model(made.id).cover_image
    session.update_model(made.id, description="of a test", visibility="private")
    assert session.get_model(made.id).description == "of a test"
    assert made.id in [voice.id for voice in session.list_models(self_only=True, page_size=100).items]
    session.delete_model(made.id)
    with pytest.raises(legacy.HttpCodeErr) as gone:
        session.get_model(made.id)
    assert gone.value.status == 404


def test_public_voices(client: fishaudio.FishAudio) -> None:
    page = client.voices.list(page_size=2)
    assert len(page.items) == 2 < page.total
    assert page.items[0].task_count > page.items[1].task_count
    assert client.voices.list(language=["ja"]).total == 1


def test_credits_and_package(client: fishaudio.FishAudio, session: legacy.Session) -> None:
    assert client.account.get_credits().credit == Decimal("123.456789")
    assert client.account.get_credits(check_free_credit=True).has_free_credit is False
    assert client.account.get_package().balance == session.get_package().balance
    assert session.get_api_credit().credit == Decimal("123.456789")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (402, exceptions.APIError),
        (403, exceptions.PermissionError),
        (429, exceptions.RateLimitError),
        (503, exceptions.ServerError),
    ],
)
def test_errors_come_once_each(
    client: fishaudio.FishAudio,
    told: Callable[..., str],
    seen: Callable[[], Seen],
    status: int,
    error: type[exceptions.APIError],
) -> None:
    """The client tries nothing again."""
    with pytest.raises(error) as refused:
        client.tts.convert(text=told(f"fault: status status={status}"))
    assert refused.value.status == status
    assert seen().statuses == [status]


def test_a_wrong_key(fleet: Live) -> None:
    host, port = fleet.address
    base_url = f"http://{host}:{port}/fish"
    wrong = fishaudio.FishAudio(api_key="wrong", base_url=base_url)
    with pytest.raises(exceptions.AuthenticationError, match="Invalid Token"):
        wrong.tts.convert(text=TEXT)
    wrong.close()
    with (
        legacy.Session("wrong", base_url=base_url) as session,
        pytest.raises(legacy.HttpCodeErr, match="Invalid Token"),
    ):
        session.get_api_credit()


def test_a_list_of_flaws_breaks_the_client(client: fishaudio.FishAudio) -> None:
    """Its reader of errors expects an object; the 422 of the wire is a bare list."""
    with pytest.raises(AttributeError):
        client.voices.list(page_size=0)


def test_a_stream_that_breaks_is_an_error(client: fishaudio.FishAudio, told: Callable[..., str]) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        client.tts.convert(text=told("fault: cut_stream after_frames=1"))
