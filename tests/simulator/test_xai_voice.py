"""xAI Voice: what is spoken comes in chunks in every codec, and is understood again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import av
import pytest

from simulator.clock import Clock
from simulator.media.recoded import RATES_HZ
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.xai_exchange import KEY, call, form

TEXT = "Ruby is a programming language designed for developer happiness."
MEDIA = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm", "mulaw": "audio/basic"}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def spoken(fleet: Live, **more: Any) -> Reply:
    return call(fleet, "POST", "tts", {"text": TEXT, "language": "auto", **more})


def heard(fleet: Live, data: bytes | None, *fields: tuple[str, str]) -> Reply:
    parts = [(name, value.encode()) for name, value in fields]
    body, headers = form([*parts, *([("file", data)] if data is not None else [])])
    return fleet.call(request("POST", "/xai/v1/stt", body, KEY | headers))


def test_speech_comes_in_chunks(fleet: Live) -> None:
    reply = spoken(fleet)
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    assert len(reply.chunks) > 5
    assert len(reply.headers["x-trace-id"]) == 36
    assert "x-request-id" not in reply.headers
    with av.open(io.BytesIO(reply.body)) as box:
        assert (box.streams.audio[0].codec_context.name, box.streams.audio[0].rate) == ("mp3float", 24_000)
    assert spoken(fleet).body == reply.body
    assert spoken(fleet, voice_id="Leo").body != reply.body


@pytest.mark.parametrize("codec", ["mp3", "wav", "pcm", "mulaw"])
@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_what_was_spoken_is_understood_again(fleet: Live, codec: str, rate: int) -> None:
    """Bare samples are told apart by `audio_format` and `sample_rate` alone."""
    reply = spoken(fleet, output_format={"codec": codec, "sample_rate": rate})
    assert reply.headers["content-type"] == MEDIA[codec]
    bare = [("audio_format", codec), ("sample_rate", str(rate))] if codec in ("pcm", "mulaw") else []
    told = heard(fleet, reply.body, *bare).json
    assert list(told) == ["text", "language", "duration", "words"]
    assert (told["text"], told["language"]) == (TEXT, "en")
    assert told["duration"] == pytest.approx(4.27, abs=0.1)


def test_words_have_times_and_speakers_when_asked(fleet: Live) -> None:
    data = spoken(fleet, output_format={"codec": "wav"}).body
    words = heard(fleet, data, ("language", "en")).json["words"]
    assert " ".join(word["text"] for word in words) == TEXT
    assert [list(word) for word in words] == [["text", "start", "end"]] * 9
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    told = heard(fleet, data, ("diarize", "true"), ("multichannel", "true")).json
    assert {word["speaker"] for word in told["words"]} == {0}
    assert [(row["index"], row["text"]) for row in told["channels"]] == [(0, TEXT)]


def test_the_same_sound_by_its_address_is_invented_and_the_same(fleet: Live) -> None:
    one, again, other = (
        heard(fleet, None, ("url", f"https://sounds.example/{name}.mp3")).json for name in ("a", "a", "b")
    )
    assert one == again != other
    assert (one["duration"], one["language"]) == (10.0, "en")


def test_what_comes_after_the_file_is_not_read(fleet: Live) -> None:
    data = spoken(fleet, output_format={"codec": "wav"}).body
    body, headers = form([("file", data), ("diarize", b"true")])
    told = fleet.call(request("POST", "/xai/v1/stt", body, KEY | headers)).json
    assert "speaker" not in told["words"][0]


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ({"language": "en"}, 422, "Failed to deserialize the JSON body into the target type: missing field `text`"),
        ({"text": ""}, 400, "text must not be empty"),
        ({"text": "x" * 15_001}, 400, "text exceeds the maximum length of 15000 characters"),
        ({"text": "x", "voice_id": "nobody"}, 400, "Unknown voice_id: nobody"),
        ({"text": "x", "output_format": {"codec": "ogg"}}, 400, "output_format.codec must be one of pcm, wav"),
        ({"text": "x", "output_format": {"sample_rate": 1}}, 400, "output_format.sample_rate must be one of 8000"),
        ({"text": "x", "speed": 9}, 400, "speed must be between"),
    ],
)
def test_what_is_not_spoken(fleet: Live, body: dict[str, Any], code: int, error: str) -> None:
    """A sentence alone, as the endpoints of speech have it."""
    reply = call(fleet, "POST", "tts", body)
    assert (reply.status, list(reply.json)) == (code, ["error"])
    assert reply.json["error"].startswith(error)


@pytest.mark.parametrize(
    ("data", "fields", "error"),
    [
        (None, [], "Exactly one of file and url"),
        (b"x", [("url", "https://a/b.mp3")], "Exactly one of file and url"),
        (b"no sound", [], "Failed to decode the audio file"),
        (b"x", [("format", "true")], "language is required when format is true"),
        (b"x", [("diarize", "perhaps")], "diarize must be true or false"),
        (b"x", [("audio_format", "pcm")], "sample_rate is required when audio_format is pcm"),
        (b"x", [("audio_format", "mod")], "Unsupported audio_format: mod"),
        (b"x", [("sample_rate", "1")], f"sample_rate must be one of {RATES_HZ[0]}"),
        (None, [("url", "https://a.invalid/b.mp3")], "Failed to download"),
    ],
)
def test_what_is_not_heard(fleet: Live, data: bytes | None, fields: list[tuple[str, str]], error: str) -> None:
    reply = heard(fleet, data, *fields)
    assert (reply.status, list(reply.json)) == (400, ["error"])
    assert reply.json["error"].startswith(error)


def test_a_body_that_is_no_form(fleet: Live) -> None:
    assert call(fleet, "POST", "stt", b"{}").status == 400


def test_speech_can_be_cut(fleet: Live) -> None:
    cut = call(fleet, "POST", "tts", {"text": f"{TEXT}[[fault: cut_stream after_frames=2]]"})
    assert (cut.status, cut.ended, len(cut.body)) == (200, "end", 2 * 8192)
