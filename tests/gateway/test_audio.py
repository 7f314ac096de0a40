"""POST /audio/generations: what is asked of each vendor, what its replies come to, and what is refused."""

from __future__ import annotations

import io
import json
import wave
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media import sniff, sounds
from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import Request, TransportError
from schemas import catalogue
from simulator.media.clips import clip
from simulator.media.sound import encoded
from simulator.media.speech import listened, speech
from tests.gateway.lab import CREDIT, Lab, run
from tests.gateway.media_lab import AUDIO, file_of, headers, scripted, speak
from tests.gateway.picture_wires import by_path, told

MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(413)
TRANSCRIPT = {"text": "Hello.", "duration": 1.5, "segments": [], "language": "English", "language_code": "en"}
LINK = "https://example.com/voice.mp3"


def silence(seconds: float, rate: int = 8000) -> bytes:
    """A WAV file of this length."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * round(seconds * rate)))
    return out.getvalue()


def data_url(data: bytes) -> str:
    return f"data:audio/wav;base64,{b64encode(data).decode()}"


def sound(data: bytes = MP3, mime: str = "audio/mpeg") -> MemoryReply:
    """Bare sound, in chunks."""
    return MemoryReply(200, {"content-type": mime}, [data[:5], data[5:]])


def only(name: str) -> dict[str, Any]:
    return {"chains": {"*": [name]}}


def fields_of(request: Request) -> Any:
    packed = dict(request.headers)["content-type"] == "application/msgpack"
    return msgspec.msgpack.decode(request.body) if packed else json.loads(request.body)


# --- what vendors are asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, {}),
        ({"voice_id": "en_male_calm"}, {"reference_id": "802e3bc2b27e49c2995d23ef70e6ac89"}),
        ({"voice_id": "0123abcd"}, {"reference_id": "0123abcd"}),
        ({"reference_id": ["a", "b"]}, {"reference_id": ["a", "b"]}),
        (
            {"format": "wav", "sample_rate": 16000, "latency": "balanced", "prosody": {"speed": 1.5}, "anything": 1},
            {"format": "wav", "sample_rate": 16000, "latency": "balanced", "prosody": {"speed": 1.5}, "anything": 1},
        ),
    ],
)
def test_speech_passes_everything_on(tmp_path: Path, fields: dict[str, Any], due: dict[str, Any]) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/fish/v1/tts": sound()}), tmp_path)
        answer = await speak(lab, text="Hello.", **fields)
        assert answer.status == 200, answer.body
        (request,) = lab.transport.requests
        assert json.loads(request.body) == {"text": "Hello.", **due}
        named = dict(request.headers)
        assert (named["model"], named["authorization"]) == ("s2.1-pro", "Bearer sk-fleet-fish")
        file = await file_of(lab, answer.json["data"][0]["url"])
        assert (file.body, file.headers["content-type"]) == (MP3, "audio/mpeg")
        assert await lab.spent_uc() == catalogue.MODELS["audio-tts"].unit_uc

    run(work())


def test_a_voice_goes_along_as_bytes(tmp_path: Path) -> None:
    voice = silence(12)
    replies = {"example.com": MemoryReply(200, {"content-type": "audio/wav"}, [voice]), "/fish/v1/tts": sound()}

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path)
        answer = await speak(lab, "audio-clone", text="Hello.", audio=LINK, reference_text="What is said", voice_id="x")
        assert answer.status == 200, answer.body
        fetch, order = lab.transport.requests
        assert (fetch.url, fetch.address) == (LINK, "93.184.215.14")
        assert fields_of(order) == {"text": "Hello.", "references": [{"audio": voice, "text": "What is said"}]}

    run(work())


def test_a_sound_is_heard(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/fish/v1/asr": told(TRANSCRIPT)}), tmp_path)
        answer = await speak(lab, "audio-asr", audio=data_url(MP3), language="en", temperature=1)
        assert answer.json == {"text": "Hello.", "duration": 1.5, "language": "English", "language_code": "en"}
        (request,) = lab.transport.requests
        assert fields_of(request) == {"audio": MP3, "language": "en"}
        assert await lab.spent_uc() == catalogue.MODELS["audio-asr"].unit_uc

    run(work())


def test_segments_are_passed_on(tmp_path: Path) -> None:
    rows = [{"text": "Hello.", "start": 0.0, "end": 1.5}]

    async def work() -> None:
        lab = await scripted(by_path({"/fish/v1/asr": told({**TRANSCRIPT, "segments": rows})}), tmp_path)
        answer = await speak(lab, "audio-asr", audio=data_url(MP3), ignore_timestamps=False)
        assert answer.json["segments"] == rows
        assert fields_of(lab.transport.requests[0])["ignore_timestamps"] is False

    run(work())


def test_an_empty_transcript_is_one(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/fish/v1/asr": told({"text": "", "duration": 2.0})}), tmp_path)
        answer = await speak(lab, "audio-asr", audio=data_url(MP3))
        assert answer.json == {"text": "", "duration": 2.0}

    run(work())


def test_openai_speaks(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/openai/v1/audio/speech": sound()}), tmp_path, **only("openai"))
        answer = await speak(lab, text="Hello.", voice_id="en_male_calm", format="opus", speed=1.2, latency="low")
        assert answer.status == 200, answer.body
        body = {"model": "gpt-4o-mini-tts", "input": "Hello.", "voice": "onyx", "response_format": "opus", "speed": 1.2}
        assert json.loads(lab.transport.requests[0].body) == body

    run(work())


def test_openai_hears(tmp_path: Path) -> None:
    rows = [{"id": 0, "text": "Hello.", "start": 0.0, "end": 1.5, "tokens": [1], "no_speech_prob": 0.1}]
    reply = told({"task": "transcribe", "language": "english", "duration": 1.5, "text": "Hello.", "segments": rows})

    async def work() -> None:
        lab = await scripted(by_path({"/openai/v1/audio/transcriptions": reply}), tmp_path, **only("openai"))
        answer = await speak(lab, "audio-asr", audio=data_url(MP3), language="en")
        segments = [{"text": "Hello.", "start": 0.0, "end": 1.5}]
        assert answer.json == {"text": "Hello.", "segments": segments, "duration": 1.5, "language": "english"}
        (request,) = lab.transport.requests
        mark = dict(request.headers)["content-type"].rpartition("=")[2].encode()
        parts = request.body.split(b"--" + mark)
        assert len(parts) == 6
        assert b'name="file"; filename="audio.mp3"' in parts[4]
        assert parts[4].endswith(MP3 + b"\r\n")
        assert b"whisper-1" in parts[1]

    run(work())


@pytest.mark.parametrize(
    ("fields", "upstreams"),
    [
        ({}, ["fish", "fish", "openai", "openai"]),
        ({"format": "pcm", "sample_rate": 24000}, ["fish", "fish", "openai", "openai"]),
        ({"sample_rate": 44100}, ["fish", "fish"]),
        ({"voice_id": "0123abcd"}, ["fish", "fish"]),
        ({"format": ["mp3"]}, None),
    ],
)
def test_the_fallback_speaks_only_as_asked(tmp_path: Path, fields: dict[str, Any], upstreams: list[str] | None) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": told({"message": "load", "status": 503}, 503)}), tmp_path)
        answer = await speak(lab, text="Hello.", **fields)
        assert answer.status == (400 if upstreams is None else 502)
        assert lab.upstreams == (upstreams or [])
        assert await lab.spent_uc() == 0

    run(work())


# --- what comes of replies --------------------------------------------------------------------------------------------

BROKEN = MemoryReply(200, {"content-type": "audio/mpeg"}, [MP3[:100], TransportError("broken", "broke off")])
LIST = [{"loc": ["body", "format"], "type": "literal_error", "msg": "Input should be 'wav'", "in": "body"}]
FAILURES: dict[str, tuple[MemoryReply, int, int, str]] = {
    "breaks off": (BROKEN, 502, 1, "broke off"),
    "empty": (MemoryReply(200, {"content-type": "audio/mpeg"}, []), 502, 2, "without a sound"),
    "JSON in its place": (told({"message": "oops"}), 502, 2, "without a sound"),
    "voice missing": (told({"message": "Reference not found: x", "status": 400}, 400), 400, 1, "Reference not found"),
    "a list of complaints": (MemoryReply(422, {}, [json.dumps(LIST).encode()]), 400, 1, "Input should be 'wav'"),
    "plain text": (MemoryReply(400, {}, [b"Could not parse the body"]), 400, 1, "Could not parse"),
    "a bad key": (told({"message": "Invalid Token", "status": 401}, 401), 502, 1, "Invalid Token"),
    "no credit": (told({"message": "No payment", "status": 402}, 402), 502, 1, "No payment"),
    "concurrency": (told({"message": "Rate limit", "status": 429}, 429), 502, 2, "Rate limit"),
    "load": (told({"message": "high load", "status": 503}, 503), 502, 2, "high load"),
    "too large": (told({"message": "Entity is too large", "status": 413}, 413), 413, 1, "too large"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_failure_of_speech_means(tmp_path: Path, name: str) -> None:
    reply, status, attempts, words = FAILURES[name]

    async def work() -> None:
        lab = await scripted(by_path({"/": reply}), tmp_path, **only("fish"))
        answer = await speak(lab, text="Hello.")
        assert answer.status == status
        assert words in answer.error[1]
        (row,) = await lab.log()
        assert (row["attempts"], row["costUc"]) == (attempts, 0)
        assert await lab.spent_uc() == 0
        assert not (tmp_path / "objects").exists()

    run(work())


@pytest.mark.parametrize("reply", [{}, {"text": None}, {"text": 5}, {"segments": []}])
def test_a_transcript_without_text_is_none(tmp_path: Path, reply: Any) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": told(reply)}), tmp_path, **only("fish"))
        assert (await speak(lab, "audio-asr", audio=data_url(MP3))).status == 502
        assert await lab.spent_uc() == 0

    run(work())


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"text": "x"}, "`model` is missing"),
    "another model": ({"model": "gpt-5.5", "text": "x"}, "is not served on"),
    "no text": ({"model": "audio-tts"}, "`text` is missing"),
    "empty text": ({"model": "audio-tts", "text": " "}, "`text` is empty"),
    "text of another type": ({"model": "audio-tts", "text": ["x"]}, "a string was due"),
    "long text": ({"model": "audio-tts", "text": "x" * 10_001}, "at most 10000"),
    "clone without text": ({"model": "audio-clone", "audio": LINK}, "`text` is missing"),
    "clone without audio": ({"model": "audio-clone", "text": "x"}, "`audio` is missing"),
    "asr without audio": ({"model": "audio-asr"}, "`audio` is missing"),
    "audio of another type": ({"model": "audio-asr", "audio": 5}, "was due"),
    "audio that is no URL": ({"model": "audio-asr", "audio": "voice.mp3"}, "was due"),
    "audio of no bytes": ({"model": "audio-asr", "audio": "data:audio/mpeg;base64,"}, "empty"),
    "audio of bad base64": ({"model": "audio-asr", "audio": "data:audio/mpeg;base64,%%%"}, "base64"),
    "voice of another type": ({"model": "audio-tts", "text": "x", "voice_id": 5}, "a string was due"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_before_anything_is_held(tmp_path: Path, name: str) -> None:
    body, words = REFUSED[name]

    async def work() -> None:
        lab = await scripted(by_path({}), tmp_path)
        answer = await lab.ask(AUDIO, body, headers=headers(lab))
        assert answer.status == 400, answer.body
        assert words in answer.body.decode()
        assert lab.transport.requests == []
        assert await lab.log() == []

    run(work())


@pytest.mark.parametrize(("seconds", "status"), [(9.0, 400), (9.8, 400), (9.95, 200), (10.0, 200), (30.0, 200)])
def test_a_voice_must_be_heard_for_ten_seconds(tmp_path: Path, seconds: float, status: int) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/fish": sound()}), tmp_path)
        answer = await speak(lab, "audio-clone", text="x", audio=data_url(silence(seconds)))
        assert answer.status == status, answer.body
        if status == 400:
            assert "10 s or more" in answer.error[1]
            assert lab.transport.requests == []
            assert await lab.spent_uc() == 0

    run(work())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.mp3", "http://169.254.169.254/", "https://[fe80::1]/a.mp3"])
def test_no_url_leads_into_our_own_network(tmp_path: Path, url: str) -> None:
    async def work() -> None:
        lab = await scripted(by_path({}), tmp_path)
        answer = await speak(lab, "audio-asr", audio=url)
        assert answer.status == 400
        assert lab.transport.requests == []
        assert await lab.spent_uc() == 0

    run(work())


def test_the_tier_and_the_hourly_limit(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": sound()}), tmp_path, credits=0)
        assert (await speak(lab, text="x")).status == 403
        await lab.services.money.top_up(lab.user_id, 1999 * CREDIT)
        answer = await speak(lab, text="x")
        assert (answer.status, answer.headers["x-ratelimit-limit"]) == (200, "200")

    run(work())


@pytest.mark.parametrize("path", ["/api/v1/audio/generations", "/v1/audio/generations"])
def test_the_path_and_its_alias(tmp_path: Path, path: str) -> None:
    async def work() -> None:
        lab: Lab = await scripted(by_path({"/": sound()}), tmp_path)
        assert (await lab.ask(path, {"model": "audio-tts", "text": "x"}, headers=headers(lab))).status == 200
        assert (await lab.ask(path, method="GET", headers=headers(lab))).status == 405

    run(work())


# --- how long a sound is ----------------------------------------------------------------------------------------------

WORDS = "The quick brown fox jumps over the lazy dog and runs home again."


@pytest.mark.parametrize("form", ["mp3", "wav", "flac", "opus"])
def test_lengths_are_read_off_the_heads(form: Any) -> None:
    data = speech(WORDS, "someone", form)
    assert sounds.seconds_of(data) == pytest.approx(listened(data).seconds, abs=0.15)


def test_the_length_of_a_movie_is_read_off_its_header() -> None:
    assert sounds.seconds_of(clip("a teapot", 3, 64, 64, 8, 1, None, True)) == pytest.approx(3, abs=0.1)


def test_a_wav_of_unknown_length_is_put_right() -> None:
    whole = silence(2)
    streamed = whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\x00\xff\xff\xff" + whole[44:]
    assert sounds.settled(streamed) == whole
    assert sounds.settled(whole) is whole
    assert sounds.seconds_of(streamed) == pytest.approx(2)


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\0\0\0\x18ftyp", b"ID3", b"\xff\xfb"]),
)
def test_no_bytes_are_too_strange(data: bytes, head: bytes) -> None:
    found = sounds.seconds_of(head + data)
    assert found is None or 0 < found <= sounds.SECONDS_MAX
    assert len(sounds.settled(head + data)) == len(head + data)
    assert "/" in sniff.mime_of(head + data)


@pytest.mark.parametrize(
    ("make", "mime"),
    [
        (lambda: speech(WORDS, "someone", "mp3"), "audio/mpeg"),
        (lambda: speech(WORDS, "someone", "wav"), "audio/wav"),
        (lambda: speech(WORDS, "someone", "flac"), "audio/flac"),
        (lambda: speech(WORDS, "someone", "opus"), "audio/ogg"),
        (lambda: encoded(bytes(48_000), "aac"), "audio/aac"),
        (lambda: clip("x", 1, 64, 64, 8, 1, None, False), "video/mp4"),
        (lambda: b"<html>", "application/octet-stream"),
    ],
)
def test_what_a_file_is_by_its_bytes(make: Callable[[], bytes], mime: str) -> None:
    assert sniff.mime_of(make()) == mime
