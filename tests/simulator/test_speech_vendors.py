"""Deepgram and ElevenLabs: what they speak is understood again, by themselves and by each other."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import av
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.media.speech import heard
from simulator.problem import Refused
from simulator.providers import Mount
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.xai_exchange import form

TEXT = "Ruby is a programming language designed for developer happiness."
LENGTH_S = 4.28  # of TEXT
DG = {"authorization": "Token sk-fleet-deepgram", "content-type": "application/json"}
XI = {"xi-api-key": "sk-fleet-elevenlabs", "content-type": "application/json"}
RACHEL = "21m00Tcm4TlvDq8ikWAM"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def speak(fleet: Live, text: str = TEXT, **query: object) -> Reply:
    """Deepgram's speech."""
    asked = urlencode({"model": "aura-2-thalia-en", **query})
    return fleet.call(request("POST", f"/deepgram/v1/speak?{asked}", {"text": text}, DG))


def listen(fleet: Live, sound: object, headers: dict[str, str] | None = None, **query: object) -> Reply:
    """Deepgram's transcript of bytes, or of {"url": …}."""
    kind = {"content-type": "audio/wav"} if isinstance(sound, bytes) else {}
    asked = urlencode({"model": "nova-3", **query})
    return fleet.call(request("POST", f"/deepgram/v1/listen?{asked}", sound, DG | kind | (headers or {})))


def voiced(fleet: Live, text: str = TEXT, voice: str = RACHEL, tail: str = "", **body: Any) -> Reply:
    """ElevenLabs' speech."""
    return fleet.call(request("POST", f"/elevenlabs/v1/text-to-speech/{voice}{tail}", {"text": text, **body}, XI))


def scribed(fleet: Live, sound: bytes | None, **fields: str) -> Reply:
    """ElevenLabs' transcript."""
    sent = {"model_id": "scribe_v1"} | fields
    parts = [(name, value.encode()) for name, value in sent.items() if value]
    body, headers = form([*parts, *([("file", sound)] if sound is not None else [])])
    return fleet.call(request("POST", "/elevenlabs/v1/speech-to-text", body, XI | headers))


def opened(data: bytes, name: str | None = None, **options: str) -> tuple[str, int, float]:
    """Codec, rate and length of a sound."""
    with av.open(io.BytesIO(data), format=name, options=options) as box:
        stream = box.streams.audio[0]
        samples = sum(frame.samples for frame in box.decode(stream))
        return stream.codec_context.name, stream.rate, samples / stream.rate


# --- Deepgram speaks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "media", "codec", "rate"),
    [
        ({}, "audio/mpeg", "mp3float", 22_050),
        ({"encoding": "mp3", "bit_rate": 32_000}, "audio/mpeg", "mp3float", 22_050),
        ({"encoding": "linear16"}, "audio/wav", "pcm_s16le", 24_000),
        ({"encoding": "linear16", "container": "wav", "sample_rate": 8000}, "audio/wav", "pcm_s16le", 8000),
        ({"encoding": "mulaw"}, "audio/wav", "pcm_mulaw", 8000),
        ({"encoding": "alaw", "sample_rate": 16_000}, "audio/wav", "pcm_alaw", 16_000),
        ({"encoding": "opus"}, "audio/ogg;codecs=opus", "opus", 48_000),
        ({"encoding": "opus", "bit_rate": 650_000}, "audio/ogg;codecs=opus", "opus", 48_000),
        ({"encoding": "flac", "sample_rate": 16_000}, "audio/flac", "flac", 16_000),
        ({"encoding": "aac"}, "audio/aac", "aac", 22_050),
    ],
)
def test_encodings_are_what_they_say(fleet: Live, asked: dict[str, Any], media: str, codec: str, rate: int) -> None:
    reply = speak(fleet, **asked)
    assert (reply.status, reply.headers["content-type"]) == (200, media)
    assert reply.headers["transfer-encoding"] == "chunked"
    assert (reply.headers["dg-char-count"], reply.headers["dg-model-name"]) == (str(len(TEXT)), "aura-2-thalia-en")
    found = opened(reply.body)
    assert found[:2] == (codec, rate)
    assert found[2] == pytest.approx(LENGTH_S, abs=0.15)
    assert heard(reply.body) == TEXT


@pytest.mark.parametrize(
    ("encoding", "rate", "media"),
    [
        ("linear16", 16_000, "audio/l16;rate=16000"),
        ("linear16", 32_000, "audio/l16;rate=32000"),
        ("mulaw", 8000, "audio/mulaw;rate=8000"),
        ("alaw", 8000, "audio/alaw;rate=8000"),
    ],
)
def test_bare_samples_are_heard_by_encoding_and_rate(fleet: Live, encoding: str, rate: int, media: str) -> None:
    reply = speak(fleet, encoding=encoding, container="none", sample_rate=rate)
    assert reply.headers["content-type"] == media
    told = listen(fleet, reply.body, encoding=encoding, sample_rate=rate, punctuate="true").json
    assert told["results"]["channels"][0]["alternatives"][0]["transcript"] == TEXT


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"encoding": "mp3", "container": "wav"}, "`container` is not applicable when `encoding=mp3`"),
        ({"encoding": "linear16", "container": "ogg"}, "`container=ogg` is invalid when `encoding=linear16`"),
        ({"encoding": "mp3", "sample_rate": 8000}, "`sample_rate` is not applicable when `encoding=mp3`"),
        ({"encoding": "mulaw", "sample_rate": 24_000}, "`sample_rate` must be 8000, 16000 when `encoding=mulaw`"),
        ({"encoding": "flac", "bit_rate": 1}, "`bit_rate` is not applicable when `encoding=flac`"),
        ({"encoding": "mp3", "bit_rate": 1}, "`bit_rate` must be 32000, 48000 when `encoding=mp3`"),
    ],
)
def test_forms_that_do_not_go_together(fleet: Live, asked: dict[str, Any], why: str) -> None:
    reply = speak(fleet, **asked)
    assert (reply.status, list(reply.json)) == (400, ["err_code", "err_msg", "request_id"])
    assert reply.json["err_code"] == "INVALID_QUERY_PARAMETER"
    assert reply.json["err_msg"] == f"Unsupported audio format: {why}"
    assert reply.json["request_id"] == reply.headers["dg-request-id"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        ("speak", {"text": TEXT}, {"authorization": "Token wrong"}, 401, "INVALID_AUTH"),
        ("speak?model=aura-9", {"text": TEXT}, {}, 400, "Bad Request"),
        ("speak?model=nova-3", {"text": TEXT}, {}, 400, "Bad Request"),
        ("listen?model=aura-2-thalia-en", {"url": "https://a/b.wav"}, {}, 400, "Bad Request"),
        ("speak", {"text": ""}, {}, 400, "Bad Request"),
        ("speak", {"text": "a", "url": "https://a"}, {}, 400, "PAYLOAD_ERROR"),
        ("speak", {"url": "https://a/b.txt"}, {}, 400, "REMOTE_CONTENT_ERROR"),
        ("speak", b"{", {}, 400, "PAYLOAD_ERROR"),
        ("speak", b"\xff", {"content-type": "text/plain"}, 400, "PAYLOAD_ERROR"),
        ("speak", b"x", {"content-type": "audio/wav"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("speak", {"text": "x" * 2001}, {}, 413, "Payload Too Large"),
        ("listen", {"uri": "x"}, {}, 400, "Bad Request"),
        ("listen", {"url": "https://host/does-not-exist.wav"}, {}, 400, "REMOTE_CONTENT_ERROR"),
        ("listen", b"no sound", {"content-type": "audio/wav"}, 400, "Bad Request"),
        ("listen?smart_format=yes", b"", {"content-type": "audio/wav"}, 400, "INVALID_QUERY_PARAMETER"),
        ("listen?callback=https://a", b"", {"content-type": "audio/wav"}, 400, "INVALID_QUERY_PARAMETER"),
        ("projects", {}, {}, 404, "NOT_FOUND"),
    ],
)
def test_refusals_of_deepgram(
    fleet: Live, path: str, body: object, headers: dict[str, str], status: int, code: str
) -> None:
    reply = fleet.call(request("POST", f"/deepgram/v1/{path}", body, DG | headers))
    assert (reply.status, reply.json["err_code"]) == (status, code)


def test_a_text_is_plain_as_well(fleet: Live) -> None:
    plain = request("POST", "/deepgram/v1/speak", TEXT.encode(), DG | {"content-type": "text/plain"})
    reply = fleet.call(plain)
    assert (reply.status, reply.headers["dg-model-name"]) == (200, "aura-asteria-en")
    assert heard(reply.body) == TEXT


# --- Deepgram listens -------------------------------------------------------------------------------------------------


def test_words_with_times_speakers_and_paragraphs(fleet: Live) -> None:
    text = "One teapot. Two teapots."
    sound = speak(fleet, text, encoding="linear16").body
    told = listen(fleet, sound, smart_format="true", utterances="true", diarize="true", detect_language="true").json
    assert list(told) == ["metadata", "results"]
    assert told["metadata"]["model_info"][told["metadata"]["models"][0]]["arch"] == "nova-3"
    (channel,) = told["results"]["channels"]
    (best,) = channel["alternatives"]
    assert (best["transcript"], channel["detected_language"]) == (text, "en")
    assert [row["punctuated_word"] for row in best["words"]] == text.split()
    assert [row["word"] for row in best["words"]] == ["one", "teapot", "two", "teapots"]
    assert {row["speaker"] for row in best["words"]} == {0}
    times = [time for row in best["words"] for time in (row["start"], row["end"])]
    assert times == sorted(times)
    assert times[-1] <= told["metadata"]["duration"]
    (paragraph,) = best["paragraphs"]["paragraphs"]
    assert [row["text"] for row in paragraph["sentences"]] == ["One teapot.", "Two teapots."]
    (utterance,) = told["results"]["utterances"]
    assert (utterance["transcript"], utterance["words"]) == (text, best["words"])


def test_without_formatting_words_are_bare(fleet: Live) -> None:
    sound = speak(fleet, "Don't panic, Ada.").body
    (best,) = listen(fleet, sound).json["results"]["channels"][0]["alternatives"]
    assert best["transcript"] == "don't panic ada"
    assert {tuple(row) for row in best["words"]} == {("word", "start", "end", "confidence")}
    assert "paragraphs" not in best


def test_a_sound_at_an_address_is_invented_and_the_same(fleet: Live) -> None:
    told = [listen(fleet, {"url": "https://host/a.wav"}, punctuate="true").json for _ in range(2)]
    assert told[0]["results"] == told[1]["results"]
    assert told[0]["metadata"]["request_id"] != told[1]["metadata"]["request_id"]
    assert told[0]["metadata"]["duration"] == 10.0


def test_deepgram_lists_what_it_has(fleet: Live) -> None:
    reply = fleet.call(request("GET", "/deepgram/v1/models", None, DG), "GET")
    assert list(reply.json) == ["stt", "tts", "languages"]
    names = [row["canonical_name"] for row in reply.json["stt"]]
    assert len(names) == len(set(names))
    assert "nova-3-general" in names
    (row,) = [row for row in reply.json["tts"] if row["canonical_name"] == "aura-2-thalia-en"]
    one = fleet.call(request("GET", f"/deepgram/v1/models/{row['uuid']}", None, DG), "GET")
    assert one.json == row
    assert speak(fleet).headers["dg-model-uuid"] == row["uuid"]
    assert fleet.call(request("GET", "/deepgram/v1/models/x", None, DG), "GET").status == 404


def test_deepgram_bills_characters_and_seconds(fleet: Live) -> None:
    sound = speak(fleet, f"{TEXT}[[case:dg-speak]]").body
    listen(fleet, sound, {"x-windtunnel-case": "dg-listen"})
    assert fleet.journal("dg-speak")[0]["billed"] == {"characters": len(TEXT)}
    (entry,) = fleet.journal("dg-listen")
    assert entry["billed"] == {"input_seconds": pytest.approx(LENGTH_S, abs=0.15)}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("status=429", 429, "TOO_MANY_REQUESTS"), ("status=503", 503, "Service Unavailable")],
)
def test_faults_in_deepgrams_words(fleet: Live, fault: str, status: int, code: str) -> None:
    reply = speak(fleet, f"{TEXT}[[fault: status {fault}]]")
    assert (reply.status, reply.json["err_code"]) == (status, code)


# --- ElevenLabs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "media", "codec", "rate"),
    [
        ("mp3_44100_128", "audio/mpeg", "mp3float", 44_100),
        ("mp3_22050_32", "audio/mpeg", "mp3float", 22_050),
        ("opus_48000_32", "audio/ogg", "opus", 48_000),
    ],
)
def test_elevenlabs_speaks(fleet: Live, output: str, media: str, codec: str, rate: int) -> None:
    whole = voiced(fleet, tail=f"?output_format={output}")
    assert (whole.status, whole.headers["content-type"]) == (200, media)
    assert whole.headers["character-cost"] == str(len(TEXT))
    assert opened(whole.body)[:2] == (codec, rate)
    streamed = voiced(fleet, tail=f"/stream?output_format={output}")
    assert (streamed.headers["transfer-encoding"], "content-length" in streamed.headers) == ("chunked", False)
    assert [scribed(fleet, reply.body).json["text"] for reply in (whole, streamed)] == [TEXT, TEXT]


def test_bare_samples_for_telephones(fleet: Live) -> None:
    pcm = voiced(fleet, tail="?output_format=pcm_16000").body
    assert scribed(fleet, pcm, file_format="pcm_s16le_16").json["text"] == TEXT
    law = voiced(fleet, tail="?output_format=ulaw_8000").body
    assert opened(law, "mulaw", sample_rate="8000")[2] == pytest.approx(LENGTH_S, abs=0.1)


def test_words_and_the_spaces_between_them(fleet: Live) -> None:
    sound = voiced(fleet).body
    told = scribed(fleet, sound, diarize="true").json
    assert list(told) == ["language_code", "language_probability", "text", "words", "transcription_id"]
    assert told["language_code"] == "eng"
    assert "".join(row["text"] for row in told["words"]) == TEXT
    assert [row["type"] for row in told["words"]] == ["word", "spacing"] * 8 + ["word"]
    assert {tuple(row) for row in told["words"]} == {("text", "start", "end", "type", "speaker_id", "logprob")}
    times = [time for row in told["words"] for time in (row["start"], row["end"])]
    assert times == sorted(times)


def test_granularity_and_language(fleet: Live) -> None:
    sound = voiced(fleet).body
    letters = scribed(fleet, sound, timestamps_granularity="character", language_code="de").json
    assert (letters["language_code"], letters["language_probability"]) == ("deu", 1.0)
    assert all("".join(one["text"] for one in row["characters"]) == row["text"] for row in letters["words"])
    none = scribed(fleet, sound, timestamps_granularity="none").json
    assert {(row["start"], row["end"]) for row in none["words"]} == {(None, None)}
    assert all("speaker_id" not in row for row in none["words"])


@pytest.mark.parametrize(
    ("fields", "data", "status", "code"),
    [
        ({}, b"no sound", 400, "invalid_content"),
        ({}, None, 400, "invalid_parameters"),
        ({"cloud_storage_url": "https://a/b.mp3"}, b"x", 400, "invalid_parameters"),
        ({"cloud_storage_url": "http://a/b.mp3"}, None, 400, "invalid_parameters"),
        ({"cloud_storage_url": "https://a.invalid/b.mp3"}, None, 400, "invalid_parameters"),
        ({"model_id": "scribe_v9"}, b"x", 400, "invalid_parameters"),
        ({"webhook": "true"}, b"x", 400, "invalid_parameters"),
        ({"language_code": "xx"}, b"x", 400, "invalid_parameters"),
    ],
)
def test_transcripts_that_elevenlabs_refuses(
    fleet: Live, fields: dict[str, str], data: bytes | None, status: int, code: str
) -> None:
    reply = scribed(fleet, data, **fields)
    assert reply.status == status
    assert (reply.json["detail"]["code"], reply.json["detail"]["status"]) == (code, code)
    assert reply.json["detail"]["request_id"] == reply.headers["request-id"]


def test_fields_that_are_wrong_are_fastapis_422(fleet: Live) -> None:
    reply = scribed(fleet, b"x", model_id="", diarize="perhaps", timestamps_granularity="hour")
    assert reply.status == 422
    assert [(row["loc"], row["type"]) for row in reply.json["detail"]] == [
        (["body", "model_id"], "missing"),
        (["body", "diarize"], "bool_parsing"),
        (["body", "timestamps_granularity"], "literal_error"),
    ]
    assert voiced(fleet, text=None).json["detail"][0]["type"] == "missing"  # type: ignore[arg-type]
    assert fleet.call(request("POST", f"/elevenlabs/v1/text-to-speech/{RACHEL}", b"{", XI)).status == 422


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({"xi-api-key": "wrong"}, 401, "invalid_api_key"), ({"xi-api-key": ""}, 401, "needs_authorization")],
)
def test_keys_of_elevenlabs(fleet: Live, headers: dict[str, str], status: int, code: str) -> None:
    raw = request("POST", f"/elevenlabs/v1/text-to-speech/{RACHEL}", {"text": TEXT}, XI | headers)
    reply = fleet.call(raw)
    assert (reply.status, reply.json["detail"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"voice": "nobody"}, 404, "voice_not_found"),
        ({"model_id": "scribe_v1"}, 400, "invalid_parameters"),
        ({"tail": "?output_format=wav"}, 400, "invalid_output_format"),
        ({"voice_settings": {"speed": 9}}, 400, "invalid_voice_settings"),
        ({"text": "x" * 10_001}, 400, "max_character_limit_exceeded"),
        ({"text": f"{TEXT}[[fault: status status=429]]"}, 429, "rate_limit_exceeded"),
    ],
)
def test_speech_that_elevenlabs_refuses(fleet: Live, more: dict[str, Any], status: int, code: str) -> None:
    reply = voiced(fleet, **more)
    assert (reply.status, reply.json["detail"]["code"]) == (status, code)


def test_too_many_at_once_has_a_code_of_its_own(fleet: Live) -> None:
    fleet.control("PUT", "quotas", {"elevenlabs": [{"limit": 0, "of": "concurrency"}]})
    try:
        reply = voiced(fleet)
        assert (reply.status, reply.json["detail"]["code"]) == (429, "concurrent_limit_exceeded")
    finally:
        fleet.control("DELETE", "quotas?provider=elevenlabs")


def test_credits_of_elevenlabs(fleet: Live) -> None:
    voiced(fleet, text=f"{TEXT}[[case:xi-flash]]", model_id="eleven_flash_v2_5")
    assert fleet.journal("xi-flash")[0]["billed"] == {"characters": len(TEXT), "credits": len(TEXT) / 2}


# --- whatever comes ---------------------------------------------------------------------------------------------------

ROWS = providers.load(providers.FILE, DIALECTS, 7)
PLACES = [
    (row, ROWS[row].mounts[0], name)
    for row in ("deepgram", "elevenlabs")
    for (method, _), name in ROWS[row].mounts[0].dialect.operations.items()
    if method == "POST"
]
FIELDS = ["text", "url", "model_id", "voice_settings", "speed"]
FORM = ["model_id", "language_code", "diarize", "timestamps_granularity", "cloud_storage_url", "file_format", "webhook"]
QUERY = ["model", "encoding", "container", "sample_rate", "bit_rate", "smart_format", "language", "output_format"]
words = st.sampled_from(
    ["scribe_v1", "nova-3", "aura-2-thalia-en", "true", "linear16", "8000", "https://a/b", "", "\0", "x"]
)
values = st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | words
bodies = st.dictionaries(st.sampled_from(FIELDS), values | st.dictionaries(st.just("speed"), values)) | values
queries = st.dictionaries(st.sampled_from(QUERY), words | st.text(max_size=4))


def taken(place: tuple[str, Mount, str], query: str, data: bytes, kind: str) -> None:
    """Read, or refused with a JSON body."""
    row, mount, name = place
    headers = {"content-type": kind}
    asked = Request("POST", "/v1/x", query, headers, data, {"voice": RACHEL}, mount.facts, "http://fleet")
    dialect = mount.dialect
    try:
        ask = dialect.decode(asked, name)
        profile = mount.profile(row, ask.model)
        if profile is not None:
            dialect.check(ask, profile)
    except Refused as refused:
        script = dialect.error(refused.problem, Serving("0" * 22, 0, 0, mount.facts))
        assert 400 <= script.status < 500
        assert json.loads(b"".join(frame.data for frame in script.frames))


@settings(max_examples=150)
@given(st.sampled_from(PLACES), queries, st.binary(max_size=40) | bodies.map(lambda body: _json(body)))
def test_any_query_and_body_is_read_or_refused(
    place: tuple[str, Mount, str], query: dict[str, str], data: bytes
) -> None:
    for kind in ("application/json", "audio/wav", "text/plain", "multipart/form-data; boundary=x"):
        taken(place, urlencode(query), data, kind)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(FORM), words, max_size=5), st.binary(max_size=20) | st.none())
def test_any_form_is_read_or_refused(fields: dict[str, str], file: bytes | None) -> None:
    parts = [(name, value.encode()) for name, value in fields.items()]
    data, headers = form([*parts, *([("file", file)] if file is not None else [])])
    taken(PLACES[-3], "", data, headers["content-type"])


def _json(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a number that orjson does not have
        return base64.b64encode(repr(body).encode())
