"""Sound through the gateway from the fleet: spoken, fetched, decoded and understood again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.media import sounds
from schemas import catalogue
from simulator.clock import Clock
from simulator.media.speech import listened, speech
from tests.gateway.lab import Lab, run
from tests.gateway.media_lab import file_of, on_fleet, speak
from tests.simulator.live import Live, running

TEXT = "Welcome aboard. One key, every model."
VOICE = "The quick brown fox jumps over the lazy dog, and then it runs all the way home again. " * 4


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """A fleet."""
    with running(Clock("real", 60.0)) as found:
        yield found


@pytest.fixture
def clean(live: Live) -> Iterator[Live]:
    """The same, as it was at first."""
    live.control("POST", "reset")
    yield live
    live.control("POST", "reset")


def data_url(sound: bytes, mime: str = "audio/mpeg") -> str:
    return f"data:{mime};base64,{b64encode(sound).decode()}"


async def spoken(lab: Lab, **fields: Any) -> tuple[bytes, str]:
    """The sound behind the link of an answer, and its type."""
    answer = await speak(lab, **fields)
    assert answer.status == 200, answer.body[:400]
    assert list(answer.json) == ["created", "data"]
    (entry,) = answer.json["data"]
    assert list(entry) == ["url"]
    file = await file_of(lab, entry["url"])
    assert file.status == 200
    return file.body, file.headers["content-type"]


@pytest.mark.parametrize(
    ("fields", "mime"),
    [
        ({}, "audio/mpeg"),
        ({"voice_id": "en_male_calm"}, "audio/mpeg"),
        ({"format": "wav", "sample_rate": 16000}, "audio/wav"),
        ({"format": "opus"}, "audio/ogg"),
        ({"format": "mp3", "mp3_bitrate": 64, "prosody": {"speed": 1.2}}, "audio/mpeg"),
    ],
    ids=str,
)
def test_speech_can_be_fetched_decoded_and_understood(
    clean: Live, tmp_path: Path, fields: dict[str, Any], mime: str
) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            sound, told = await spoken(lab, text=TEXT, **fields)
            assert told == mime
            assert listened(sound).seconds > 0.5
            heard = await speak(lab, "audio-asr", audio=data_url(sound, mime))
            assert heard.status == 200, heard.body[:400]
            assert heard.json["text"] == TEXT
            assert "segments" not in heard.json
            assert heard.json["duration"] == pytest.approx(listened(sound).seconds, abs=0.2)
            rows = await lab.log()
            assert [(row["model"], row["unit"], row["units"], row["costCredits"]) for row in rows] == [
                ("audio-tts", "request", 1, "2.000000"),
                ("audio-asr", "request", 1, "1.000000"),
            ]

    run(work())


def test_a_streamed_wav_tells_its_true_length(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            sound, _ = await spoken(lab, text=TEXT, format="wav")
            assert int.from_bytes(sound[4:8], "little") == len(sound) - 8
            assert sounds.seconds_of(sound) == pytest.approx(listened(sound).seconds, abs=0.01)

    run(work())


def test_raw_samples_are_a_download(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            answer = await speak(lab, text=TEXT, format="pcm")
            file = await file_of(lab, answer.json["data"][0]["url"])
            assert file.headers["content-type"] == "audio/pcm"
            assert file.headers["content-disposition"].startswith("attachment")

    run(work())


def test_a_cloned_voice_speaks_the_text(clean: Live, tmp_path: Path) -> None:
    voice = speech(VOICE, "someone", "mp3")
    assert listened(voice).seconds > 10

    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            sound, _ = await spoken(lab, model="audio-clone", text=TEXT, audio=data_url(voice))
            plain, _ = await spoken(lab, text=TEXT)
            assert sound != plain
            heard = await speak(lab, "audio-asr", audio=data_url(sound))
            assert heard.json["text"] == TEXT
            asked = ("audio-clone", "audio-tts", "audio-asr")
            assert await lab.spent_uc() == sum(catalogue.MODELS[ident].unit_uc for ident in asked)

    run(work())


def test_segments_come_when_they_are_asked_for(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            sound, _ = await spoken(lab, text=TEXT)
            heard = await speak(lab, "audio-asr", audio=data_url(sound), ignore_timestamps=False)
            assert [set(segment) for segment in heard.json["segments"]] == [{"text", "start", "end"}] * len(
                heard.json["segments"]
            )
            assert heard.json["segments"]

    run(work())


def test_a_link_of_the_gateway_is_heard_again(clean: Live, tmp_path: Path) -> None:
    """A URL is fetched through the guard: here a picture's, which is no sound, and the vendor says so."""

    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            url = f"http://127.0.0.1:{clean.address[1]}/__fleet/health"
            answer = await speak(lab, "audio-asr", audio=url)
            assert answer.status == 400
            assert await lab.spent_uc() == 0

    run(work())


def test_a_cloned_voice_comes_from_the_vendors_other_region(clean: Live, tmp_path: Path) -> None:
    rule = {"when": {"provider": "fish"}, "fault": {"kind": "status", "status": 503}}
    clean.control("POST", "faults", {"rules": [rule]})

    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            voice = data_url(speech(VOICE, "someone", "mp3"))
            sound, _ = await spoken(lab, model="audio-clone", text=TEXT, audio=voice)
            assert listened(sound).seconds > 0.5
            (row,) = await lab.log()
            assert (row["upstream"], row["costUc"]) == ("fish-eu", catalogue.MODELS["audio-clone"].unit_uc)

    run(work())


@pytest.mark.parametrize("model", ["audio-tts", "audio-asr"])
def test_another_provider_takes_over(clean: Live, tmp_path: Path, model: str) -> None:
    rule = {"when": {"provider": "fish"}, "fault": {"kind": "status", "status": 503}}
    clean.control("POST", "faults", {"rules": [rule]})

    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            if model == "audio-tts":
                sound, _ = await spoken(lab, text=TEXT, voice_id="en_female_calm")
                assert listened(sound).seconds > 0.5
            else:
                answer = await speak(lab, model, audio=data_url(speech(TEXT, "someone", "mp3")))
                assert answer.json["text"] == TEXT
                assert answer.json["segments"]
            (row,) = await lab.log()
            assert (row["upstream"], row["attempts"]) == ("openai", 3)

    run(work())


def test_speech_that_breaks_off_is_a_failure(clean: Live, tmp_path: Path) -> None:
    rule = {"when": {"provider": "fish"}, "fault": {"kind": "cut_stream", "after_frames": 2}}
    clean.control("POST", "faults", {"rules": [rule]})

    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            sound, _ = await spoken(lab, text=TEXT)
            (row,) = await lab.log()
            assert row["upstream"] == "openai"
            assert listened(sound).text == TEXT

    run(work())


def test_a_voice_that_there_is_not_is_the_callers_affair(clean: Live, tmp_path: Path) -> None:
    async def work() -> None:
        async with on_fleet(clean, tmp_path) as lab:
            answer = await speak(lab, text=TEXT, voice_id="0" * 32)
            assert answer.status == 400
            assert "not found" in answer.error[1]
            assert await lab.spent_uc() == 0

    run(work())
