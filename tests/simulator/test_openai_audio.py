"""The Audio wire: what is spoken, what is heard of it, what that costs, and what each model takes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from simulator.answers import tokens
from simulator.clock import Clock
from simulator.dialects.openai.audio_speech import MEDIA
from simulator.media.clips import clip
from simulator.media.sound import FORMS, encoded
from simulator.media.speech import heard, listened, speech
from simulator.media.transcripts import LANGUAGES, Transcript, spoken
from tests.simulator.live import Live, Reply, request, running

KEY = {"authorization": "Bearer sk-fleet-openai"}
RUBY = "Ruby is a language. It was made for happiness!"
WAV = speech(RUBY, "alloy", "wav")
NOISE = encoded(bytes(range(250)) * 960, "wav")  # 5 s
BOUNDARY = "----fleet7f3a"
MISSING = "missing_required_parameter"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as made:
        yield made


def silence(seconds: int) -> bytes:
    return encoded(bytes(seconds * 48_000), "flac")


def say(fleet: Live, text: Any = RUBY, model: str = "gpt-4o-mini-tts", **more: Any) -> Reply:
    body = {"model": model, "input": text, "voice": "alloy", **more}
    return fleet.call(request("POST", "/openai/v1/audio/speech", body, KEY | {"content-type": "application/json"}))


def hear(
    fleet: Live,
    file: bytes | None = WAV,
    model: str = "whisper-1",
    name: str = "speech.wav",
    what: str = "transcriptions",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Reply:
    """Sends a form; a list becomes several fields called `name[]`."""
    fields = [("model", model)]
    for key, value in more.items():
        fields += [(f"{key}[]", item) for item in value] if isinstance(value, list) else [(key, str(value))]
    parts = [f'form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields]
    if file is not None:
        parts.append(f'form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + file + b"\r\n")
    body = b"".join(f"--{BOUNDARY}\r\nContent-Disposition: ".encode() + part for part in parts)
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **(headers or {})}
    data = body + f"--{BOUNDARY}--\r\n".encode()
    return fleet.call(request("POST", f"/openai/v1/audio/{what}", data, KEY | kind))


def refusal(reply: Reply) -> tuple[int, str | None, str | None]:
    error = reply.json["error"]
    return reply.status, error["code"], error["param"]


def events(reply: Reply, gap: str) -> list[dict[str, Any]]:
    """The events of a stream but for `[DONE]`."""
    rows = [row.removeprefix("data: ") for row in reply.body.decode().split(gap) if row]
    return [orjson.loads(row) for row in rows if row != "[DONE]"]


# --- speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [None, *FORMS])
def test_speech_comes_in_chunks_of_the_form_asked_for(fleet: Live, form: str | None) -> None:
    reply = say(fleet, **({"response_format": form} if form else {}))
    assert reply.headers["content-type"] == MEDIA[form or "mp3"]
    assert reply.headers["transfer-encoding"] == "chunked"
    assert len(reply.chunks) > 1
    assert heard(reply.body) == RUBY
    assert listened(reply.body).seconds == pytest.approx(len(RUBY) / 15, rel=0.1)


def test_speech_goes_as_fast_as_asked(fleet: Live) -> None:
    slow, fast = (listened(say(fleet, speed=speed).body).seconds for speed in (0.5, 2.0))
    assert slow == pytest.approx(4 * fast, rel=0.1)


def test_the_same_request_gives_the_same_speech_under_another_request_id(fleet: Live) -> None:
    one, again, other = say(fleet), say(fleet), say(fleet, instructions="Like a pirate")
    assert one.body == again.body != other.body
    assert one.headers["x-request-id"] != again.headers["x-request-id"]


def test_speech_as_events_tells_the_usage(fleet: Live) -> None:
    text = f"{RUBY} [[case:spoken]]"
    reply = say(fleet, text, stream_format="sse", instructions="Like a pirate", response_format="opus")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    *deltas, done = events(reply, "\n\n")
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert heard(b"".join(base64.b64decode(event["audio"]) for event in deltas)) == RUBY
    seconds = len(RUBY) / 15
    told = done.pop("usage")
    assert done == {"type": "speech.audio.done"}
    assert told["input_tokens"] == tokens.count(RUBY) + tokens.count("Like a pirate")
    assert told["output_tokens"] == pytest.approx(20 * seconds, abs=1)
    assert told["total_tokens"] == told["input_tokens"] + told["output_tokens"]
    (entry,) = fleet.journal("spoken")
    assert entry["usage_told"] == entry["usage_true"]
    assert entry["usage_true"]["output_tokens"] == told["output_tokens"] == entry["delivered"]["tokens"]


def test_bytes_tell_no_usage_but_the_journal_knows_it(fleet: Live) -> None:
    say(fleet, f"{RUBY} [[case:bytes]]")
    (entry,) = fleet.journal("bytes")
    assert entry["operation"] == "create_speech"
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"] > 0
    assert entry["usage_told"] is None
    say(fleet, f"{RUBY} [[case:letters]]", "tts-1")
    assert fleet.journal("letters")[0]["usage_true"] is None


def test_a_fault_meets_speech(fleet: Live) -> None:
    cut = say(fleet, f"{RUBY} [[fault: cut_stream after_frames=2]]")
    assert (cut.status, cut.ended, len(cut.chunks)) == (200, "end", 2)
    assert say(fleet, f"{RUBY} [[fault: status=503]]").status == 503


@pytest.mark.parametrize(
    ("model", "more", "code", "param"),
    [
        ("gpt-4o-mini-tts", {"voice": "gandalf"}, "invalid_value", "voice"),
        ("tts-1", {"voice": "marin"}, "invalid_value", "voice"),
        ("gpt-4o-mini-tts", {"voice": None}, "missing_required_parameter", "voice"),
        ("gpt-4o-mini-tts", {"voice": {"name": "x"}}, "missing_required_parameter", "voice.id"),
        ("gpt-4o-mini-tts", {"input": None}, "missing_required_parameter", "input"),
        ("gpt-4o-mini-tts", {"input": 7}, "invalid_type", "input"),
        ("gpt-4o-mini-tts", {"input": "x" * 4097}, "string_above_max_length", "input"),
        ("gpt-4o-mini-tts", {"response_format": "ogg"}, "invalid_value", "response_format"),
        ("gpt-4o-mini-tts", {"speed": 4.1}, "decimal_above_max_value", "speed"),
        ("gpt-4o-mini-tts", {"speed": 0.2}, "decimal_below_min_value", "speed"),
        ("gpt-4o-mini-tts", {"speed": "fast"}, "invalid_type", "speed"),
        ("tts-1-hd", {"stream_format": "sse"}, "unsupported_value", "stream_format"),
        ("whisper-1", {}, "invalid_value", "model"),
    ],
)
def test_what_a_model_that_speaks_refuses(fleet: Live, model: str, more: dict[str, Any], code: str, param: str) -> None:
    assert refusal(say(fleet, model=model, **more)) == (400, code, param)


def test_a_voice_of_one_s_own_and_old_models_speak(fleet: Live) -> None:
    for reply in (say(fleet, voice={"id": "voice_1234"}), say(fleet, model="tts-1", voice="fable")):
        assert (reply.status, heard(reply.body)) == (200, RUBY)


# --- transcripts ------------------------------------------------------------------------------------------------------


def test_whisper_tells_the_duration(fleet: Live) -> None:
    reply = hear(fleet)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {"text": RUBY, "usage": {"type": "duration", "seconds": 4}}
    assert reply.headers["x-ratelimit-limit-requests"] == "2500"


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.flac", "a.mp4"])
def test_any_file_is_heard(fleet: Live, name: str) -> None:
    files = {"mp3": "mp3", "ogg": "opus", "flac": "flac"}
    form: Any = files.get(name[2:])
    file = speech(RUBY, "nova", form) if form else clip(RUBY, 4, 64, 64, audio=True)
    assert hear(fleet, file, name=name).json["text"] == RUBY


def test_plain_text_and_subtitles(fleet: Live) -> None:
    text, srt, vtt = (hear(fleet, response_format=form) for form in ("text", "srt", "vtt"))
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.body.decode() == f"{RUBY}\n"
    rows = srt.body.decode().split("\n")
    assert rows[0] == "1"
    assert rows[1].startswith("00:00:00,000 --> 00:00:01,")
    assert rows[2:5] == ["Ruby is a language.", "", "2"]
    assert rows[6] == "It was made for happiness!"
    assert vtt.body.decode().startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.")
    assert vtt.body.decode().endswith("\nIt was made for happiness!\n\n")


def test_all_that_whisper_knows(fleet: Live) -> None:
    body = hear(fleet, response_format="verbose_json", timestamp_granularities=["word", "segment"]).json
    assert (body["task"], body["language"], body["text"]) == ("transcribe", "english", RUBY)
    assert body["duration"] == listened(WAV).seconds
    assert [row["word"] for row in body["words"]] == RUBY.replace(".", "").replace("!", "").split()
    assert "".join(row["text"] for row in body["segments"]) == RUBY
    for rows in (body["words"], body["segments"]):
        times = [time for row in rows for time in (row["start"], row["end"])]
        assert times == sorted(times)
        assert times[-1] == pytest.approx(body["duration"], abs=0.01)
    keys = "id seek start end text tokens temperature avg_logprob compression_ratio no_speech_prob"
    assert [list(row) for row in body["segments"]] == [keys.split()] * 2
    assert body["usage"] == {"type": "duration", "seconds": 4}
    assert "words" not in hear(fleet, response_format="verbose_json").json
    only = hear(fleet, response_format="verbose_json", timestamp_granularities=["word"]).json
    assert "segments" not in only


def test_the_language_is_told_or_seen(fleet: Live) -> None:
    japanese = speech("今日はいい天気です。明日も？", "alloy", "wav")
    body = hear(fleet, japanese, response_format="verbose_json", timestamp_granularities=["word"]).json
    assert (body["language"], body["words"][0]["word"]) == ("japanese", "今")
    assert hear(fleet, response_format="verbose_json", language="de").json["language"] == "german"


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"])
def test_models_billed_by_tokens_tell_them(fleet: Live, model: str) -> None:
    case = f"heard-{model}"
    body = hear(fleet, model=model, prompt=f"About Ruby [[case:{case}]]").json
    usage = body["usage"]
    assert body["text"] == RUBY
    assert usage["input_token_details"] == {"text_tokens": tokens.count("About Ruby"), "audio_tokens": 31}
    assert usage["output_tokens"] == tokens.count(RUBY)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert body.get("languages") == ([{"code": "en"}] if model == "gpt-transcribe" else None)
    (entry,) = fleet.journal(case)
    assert entry["operation"] == "create_transcription"
    assert entry["usage_told"] == entry["usage_true"]
    assert entry["usage_true"]["input_tokens"] == usage["input_tokens"]
    assert entry["delivered"]["tokens"] == usage["output_tokens"]


def test_log_probabilities(fleet: Live) -> None:
    rows = hear(fleet, model="gpt-4o-transcribe", include=["logprobs"]).json["logprobs"]
    assert "".join(row["token"] for row in rows) == RUBY
    assert all(row["logprob"] <= 0 and bytes(row["bytes"]).decode() == row["token"] for row in rows)


def test_a_transcript_as_events(fleet: Live) -> None:
    reply = hear(fleet, model="gpt-4o-transcribe", stream="true", include=["logprobs"])
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.body.endswith(b"data: [DONE]\r\n\r\n")
    *deltas, done = events(reply, "\r\n\r\n")
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == RUBY == done["text"]
    assert [row for event in deltas for row in event["logprobs"]] == done["logprobs"]
    assert done["type"] == "transcript.text.done"
    assert done["usage"]["output_tokens"] == len(deltas)


def test_whisper_does_not_stream(fleet: Live) -> None:
    assert hear(fleet, stream="true").json["text"] == RUBY


def test_speakers_are_told_apart(fleet: Live) -> None:
    about = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "chunking_strategy": "auto"}
    body = hear(fleet, **about, known_speaker_names=["agent"]).json
    assert list(body) == ["task", "duration", "text", "segments", "usage"]
    assert [row["id"] for row in body["segments"]] == ["seg_0", "seg_1"]
    assert {(row["type"], row["speaker"]) for row in body["segments"]} == {("transcript.text.segment", "agent")}
    first, second, done = events(hear(fleet, **about, stream="true"), "\r\n\r\n")
    assert list(first) == ["type", "text", "speaker", "start", "end", "id"]
    assert (first["speaker"], first["text"] + second["text"], done["text"]) == ("A", RUBY, RUBY)
    *deltas, done = events(hear(fleet, model="gpt-4o-transcribe-diarize", stream="true"), "\r\n\r\n")
    assert "".join(event["delta"] for event in deltas) == RUBY
    assert [event["segment_id"] for event in deltas] == sorted(["seg_0"] * 6 + ["seg_1"] * (len(deltas) - 6))


def test_other_sounds_get_words_as_long_as_they_are(fleet: Live) -> None:
    one, again = hear(fleet, NOISE).json, hear(fleet, NOISE, temperature="0").json
    assert one == again
    assert one["usage"]["seconds"] == 5
    assert len(one["text"]) == pytest.approx(5 * 15, rel=0.3)
    assert one["text"].endswith(".")
    assert hear(fleet, encoded(bytes(48_000), "wav")).json["text"] != one["text"]


def test_a_translation_is_english(fleet: Live) -> None:
    assert hear(fleet, what="translations").json == {"text": RUBY}
    japanese = speech("今日はいい天気です。", "alloy", "mp3")
    body = hear(fleet, japanese, name="a.mp3", what="translations", response_format="verbose_json").json
    assert (body["task"], body["language"]) == ("translate", "english")
    assert body["text"].isascii()
    assert body["segments"][-1]["end"] == pytest.approx(body["duration"], abs=0.01)
    assert refusal(hear(fleet, model="gpt-4o-transcribe", what="translations")) == (400, "invalid_value", "model")


def test_any_file_is_taken_when_asked_for(fleet: Live) -> None:
    reply = hear(fleet, b"AAAA" * 12_000, name="a.mp3", headers={"x-windtunnel-files": "any"})
    assert (reply.status, reply.json["usage"]["seconds"]) == (200, 3)
    assert hear(fleet, headers={"x-windtunnel-files": "any"}).json["text"] == RUBY


@pytest.mark.parametrize(
    ("model", "more", "code", "param"),
    [
        ("whisper-1", {"file": None}, "missing_required_parameter", "file"),
        ("whisper-1", {"file": b"no sound"}, None, None),
        ("whisper-1", {"name": "speech.txt"}, None, None),
        ("whisper-1", {"name": "speech"}, None, None),
        ("gpt-4o-transcribe", {"file": b"no sound"}, "invalid_value", "file"),
        ("whisper-1", {"file": encoded(bytes(2400), "wav")}, "audio_too_short", "file"),
        ("gpt-4o-transcribe", {"response_format": "verbose_json"}, "unsupported_value", "response_format"),
        ("whisper-1", {"response_format": "diarized_json"}, "unsupported_value", "response_format"),
        ("whisper-1", {"response_format": "xml"}, "invalid_value", "response_format"),
        ("whisper-1", {"language": "english"}, "invalid_language_format", "language"),
        ("whisper-1", {"temperature": "2"}, "decimal_above_max_value", "temperature"),
        ("whisper-1", {"temperature": "hot"}, "invalid_type", "temperature"),
        ("whisper-1", {"timestamp_granularities": ["word"]}, "unsupported_value", "timestamp_granularities"),
        ("whisper-1", {"timestamp_granularities": ["hour"]}, "invalid_value", "timestamp_granularities[0]"),
        ("whisper-1", {"include": ["logprobs"]}, "unsupported_parameter", "include"),
        ("gpt-4o-transcribe", {"include": ["logprobs"], "response_format": "text"}, "unsupported_value", "include"),
        ("gpt-4o-transcribe", {"file": silence(1501), "name": "a.flac"}, "invalid_value", None),
        ("gpt-4o-transcribe-diarize", {"file": silence(31), "name": "a.flac"}, MISSING, "chunking_strategy"),
        ("tts-1", {}, "invalid_value", "model"),
    ],
)
def test_what_a_model_that_hears_refuses(
    fleet: Live, model: str, more: dict[str, Any], code: str | None, param: str | None
) -> None:
    assert refusal(hear(fleet, model=model, **more)) == (400, code, param)


def test_refusals_say_what_is_due(fleet: Live) -> None:
    formats = "['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
    assert hear(fleet, name="a.txt").json["error"]["message"] == f"Invalid file format. Supported formats: {formats}"
    form = hear(fleet, model="gpt-4o-transcribe", response_format="srt").json["error"]["message"]
    assert (
        form == "response_format 'srt' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text' instead."
    )
    large = hear(fleet, bytes(25 << 20))
    assert (large.status, large.json["error"]["type"]) == (413, "server_error")
    assert large.json["error"]["message"].startswith("Maximum content size limit (26214400) exceeded (2621")
    assert refusal(hear(fleet, model="no-such-model")) == (404, "model_not_found", None)
    assert hear(fleet, headers={"authorization": "Bearer sk-wrong-0000000000"}).status == 401
    broken = fleet.call(request("POST", "/openai/v1/audio/transcriptions", b"x", KEY | {"content-type": "text/plain"}))
    assert "due multipart/form-data" in broken.json["error"]["message"]


def test_the_models_are_listed_and_do_not_chat(fleet: Live) -> None:
    listed = {row["id"] for row in fleet.call(request("GET", "/openai/v1/models", headers=KEY)).json["data"]}
    assert {"tts-1", "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-tts-2025-12-15"} <= listed
    body = {"model": "whisper-1", "messages": [{"role": "user", "content": "Hi"}]}
    assert fleet.call(request("POST", "/openai/v1/chat/completions", body, KEY)).status == 404


@pytest.mark.parametrize("text", ["", "One.", "No mark", "Dr. Who? Yes!  Two", "今日は。明日", "a\n\nb. c"])
def test_segments_make_up_the_text_and_words_lie_within_them(text: str) -> None:
    made = Transcript(text, "en", 10.0)
    assert "".join(span.text for span in made.segments) == text
    for span in made.words:
        assert any(segment.start_s <= span.start_s and span.end_s <= segment.end_s for segment in made.segments)


@pytest.mark.parametrize(
    ("text", "code"), [("Привет", "ru"), ("안녕", "ko"), ("你好", "zh"), ("שלום", "he"), ("Ça va", "en"), ("", "en")]
)
def test_the_script_tells_the_language(text: str, code: str) -> None:
    assert spoken(text) == code
    assert code in LANGUAGES
