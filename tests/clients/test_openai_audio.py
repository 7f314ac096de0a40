"""The official OpenAI SDK on the Audio wire, straight against the fleet."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from simulator.media.clips import clip
from simulator.media.speech import heard, speech
from tests.clients.conftest import Seen
from tests.simulator.live import Live

RUBY = "Ruby is a language. It was made for happiness!"
MP3 = ("speech.mp3", speech(RUBY, "alloy", "mp3"))


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    host, port = fleet.address
    with openai.OpenAI(
        api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1", max_retries=0, timeout=20
    ) as made:
        yield made


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech_to_a_file(client: openai.OpenAI, tmp_path: Path, form: Any) -> None:
    file = tmp_path / f"speech.{form}"
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="coral", input=RUBY, response_format=form, instructions="Cheerful"
    ) as reply:
        reply.stream_to_file(file)
    assert heard(file.read_bytes()) == RUBY


def test_speech_at_once_is_understood_by_every_model(client: openai.OpenAI) -> None:
    data = client.audio.speech.create(model="tts-1", voice="nova", input=RUBY, speed=1.5).read()
    for model in ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"):
        reply: Any = client.audio.transcriptions.create(model=model, file=("speech.mp3", data))
        assert reply.text == RUBY
        assert reply.usage.type == ("duration" if model == "whisper-1" else "tokens")


def test_speech_as_events(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="marin", input=RUBY, stream_format="sse", response_format="wav"
    ) as reply:
        events = [json.loads(line.removeprefix("data: ")) for line in reply.iter_lines() if line]
    assert heard(b"".join(base64.b64decode(event["audio"]) for event in events[:-1])) == RUBY
    assert events[-1]["usage"]["total_tokens"] > 0


def test_a_transcript_in_full(client: openai.OpenAI) -> None:
    reply = client.audio.transcriptions.create(
        model="whisper-1", file=MP3, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (reply.text, reply.language) == (RUBY, "english")
    assert [word.word for word in reply.words or []][:3] == ["Ruby", "is", "a"]
    assert [segment.text for segment in reply.segments or []] == ["Ruby is a language.", " It was made for happiness!"]
    assert reply.usage is not None
    assert reply.usage.seconds == 4


@pytest.mark.parametrize(
    ("form", "begin"), [("text", "Ruby is"), ("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT\n\n")]
)
def test_a_transcript_as_text(client: openai.OpenAI, form: Any, begin: str) -> None:
    reply: Any = client.audio.transcriptions.create(model="whisper-1", file=MP3, response_format=form)
    assert reply.startswith(begin)


def test_a_transcript_with_log_probabilities(client: openai.OpenAI) -> None:
    reply = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=MP3, include=["logprobs"])
    assert "".join(row.token or "" for row in reply.logprobs or []) == RUBY


def test_a_transcript_as_events(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=MP3, stream=True)
    *deltas, done = list(stream)
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == RUBY
    assert done.type == "transcript.text.done"
    assert done.text == RUBY
    assert done.usage is not None
    assert done.usage.output_tokens == len(deltas)


def test_speakers(client: openai.OpenAI) -> None:
    about: Any = {"model": "gpt-4o-transcribe-diarize", "file": MP3, "response_format": "diarized_json"}
    reply: Any = client.audio.transcriptions.create(
        **about,
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        extra_body={"known_speaker_names": ["agent"]},
    )
    assert {segment.speaker for segment in reply.segments} == {"agent"}
    streamed = list(client.audio.transcriptions.create(**about, chunking_strategy="auto", stream=True))
    kinds = [event.type for event in streamed]
    assert kinds == ["transcript.text.segment", "transcript.text.segment", "transcript.text.done"]


def test_the_sound_of_a_clip_is_understood(client: openai.OpenAI) -> None:
    file = ("clip.mp4", clip("A cat on a roof", 3, 64, 64, audio=True))
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text == "A cat on a roof"


def test_translations(client: openai.OpenAI) -> None:
    japanese = ("speech.ogg", speech("今日はいい天気です。", "alloy", "opus"))
    with pytest.warns(DeprecationWarning, match="deprecated"):
        plain = client.audio.translations.create(model="whisper-1", file=MP3)
    assert plain.text == RUBY
    with pytest.warns(DeprecationWarning, match="deprecated"):
        reply = client.audio.translations.create(model="whisper-1", file=japanese, response_format="verbose_json")
    assert reply.language == "english"
    assert reply.text.isascii()


def test_refusals(client: openai.OpenAI, told: Callable[..., str], seen: Callable[[], Seen]) -> None:
    with pytest.raises(openai.BadRequestError) as voice:
        client.audio.speech.create(model="tts-1", voice="gandalf", input=told())
    assert (voice.value.code, voice.value.param) == ("invalid_value", "voice")
    with pytest.raises(openai.BadRequestError, match="Invalid file format"):
        client.audio.transcriptions.create(model="whisper-1", file=("notes.txt", b"Hello"), prompt=told())
    with pytest.raises(openai.BadRequestError, match="corrupted or unsupported"):
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.mp3", b"Hello"), prompt=told())
    with pytest.raises(openai.RateLimitError):
        client.audio.speech.create(model="tts-1", voice="alloy", input=told("fault: status=429"))
    with pytest.raises(openai.APIStatusError) as large:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(26 << 20)))
    assert large.value.status_code == 413
    assert seen().statuses == [400, 400, 400, 429]


def test_an_error_among_the_events_is_raised(client: openai.OpenAI, told: Callable[..., str]) -> None:
    stream = client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=MP3, stream=True, prompt=told("fault: error_event after_frames=3")
    )
    events: list[Any] = []
    with pytest.raises(openai.APIError, match="server had an error"):
        events.extend(stream)
    assert len(events) == 3
