"""Fish Audio: speech in chunks and understood again, voices by the fleet's clock, refusals in its own words."""

from __future__ import annotations

import base64
import json
import struct
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.ask import Ask, Request
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.media.speech import heard
from simulator.problem import Refused
from tests.simulator.fish_exchange import (
    KEY,
    TEXT,
    TRAINING,
    asr,
    call,
    fetch,
    later,
    packed,
    probed,
    sound,
    spoken,
    voice,
)
from tests.simulator.live import Live, request, running
from tests.simulator.xai_exchange import form

LENGTH_S = 4.28  # of TEXT
CODECS = {"mp3": "mp3float", "wav": "pcm_s16le", "opus": "opus"}
PUBLIC = "802e3bc2b27e49c2995d23ef70e6ac89"
UNKNOWN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


# --- speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "media", "rate_hz"),
    [
        ({}, "audio/mpeg", 44_100),
        ({"format": "mp3", "sample_rate": 32_000, "mp3_bitrate": 64}, "audio/mpeg", 32_000),
        ({"format": "wav"}, "audio/wav", 44_100),
        ({"format": "wav", "sample_rate": 8000}, "audio/wav", 8000),
        ({"format": "opus"}, "audio/opus", 48_000),
        ({"format": "opus", "opus_bitrate": 32_000}, "audio/opus", 48_000),
        ({"format": "opus", "opus_bitrate": 32}, "audio/opus", 48_000),
    ],
)
def test_speech_comes_in_chunks_and_is_understood_again(
    fleet: Live, asked: dict[str, Any], media: str, rate_hz: int
) -> None:
    reply = spoken(fleet, **asked)
    assert (reply.status, reply.headers["content-type"]) == (200, media)
    assert reply.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in reply.headers
    assert len(reply.chunks) > 3
    codec, rate, seconds = probed(reply.body)
    assert (codec, rate) == (CODECS[asked.get("format", "mp3")], rate_hz)
    assert seconds == pytest.approx(LENGTH_S, abs=0.1)
    assert asr(fleet, reply.body)["text"] == TEXT


def test_bit_rates_make_files_smaller(fleet: Live) -> None:
    mp3 = [len(sound(fleet, mp3_bitrate=kbit)) for kbit in (64, 128, 192)]
    opus = [len(sound(fleet, format="opus", opus_bitrate=bits)) for bits in (24_000, 32_000, 64_000)]
    assert mp3 == sorted(set(mp3))
    assert opus == sorted(set(opus))


def test_a_wav_file_tells_the_sizes_of_a_stream_without_end(fleet: Live) -> None:
    data = sound(fleet, format="wav")
    assert struct.unpack_from("<4sI4s", data) == (b"RIFF", 4_294_967_076, b"WAVE")
    assert struct.unpack_from("<4sI", data, 36) == (b"data", 4_294_967_040)
    assert len(data) < 1_000_000


def test_pcm_is_bare_samples(fleet: Live) -> None:
    reply = spoken(fleet, format="pcm", sample_rate=24_000)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert len(reply.body) / 2 / 24_000 == pytest.approx(LENGTH_S, abs=0.01)
    assert heard(reply.body) == TEXT


def test_json_and_messagepack_ask_for_the_same(fleet: Live) -> None:
    plain = call(fleet, "POST", "/v1/tts", {"text": TEXT})
    assert plain.status == 200
    assert len(plain.body) == len(sound(fleet))


def test_prosody_changes_length_and_loudness(fleet: Live) -> None:
    def loudest(data: bytes) -> int:
        return max(array("h", data))

    normal = sound(fleet, format="pcm", sample_rate=24_000)
    fast = sound(fleet, format="pcm", sample_rate=24_000, prosody={"speed": 2, "volume": 0})
    quiet = sound(fleet, format="pcm", sample_rate=24_000, prosody={"speed": 1.0, "volume": -20})
    loud = sound(fleet, format="pcm", sample_rate=24_000, prosody={"volume": 20, "normalize_loudness": False})
    assert len(fast) == pytest.approx(len(normal) / 2, rel=0.05)
    assert loudest(quiet) == pytest.approx(loudest(normal) / 10, rel=0.2)
    assert loudest(loud) == pytest.approx(32_767, abs=1_000)
    assert [heard(data) for data in (fast, quiet, loud)] == [TEXT] * 3


def test_speakers_are_told_apart_by_tags_that_are_not_spoken(fleet: Live) -> None:
    data = sound(fleet, "<|speaker:0|>Good morning.<|speaker:1|>Is it?", reference_id=[PUBLIC, PUBLIC])
    assert asr(fleet, data)["text"] == "Good morning. Is it?"
    old = spoken(fleet, "<|speaker:0|>Good morning.", model="s1")
    assert (old.status, old.json["status"]) == (400, 400)


@pytest.mark.parametrize(
    ("model", "told", "usd"),
    [
        ("s1", "s1", 1e-4),
        ("s2-pro", "s2-pro", 1e-4),
        ("", "s2.1-pro", 1e-4),
        ("speech-1.5", "s2.1-pro", 1e-4),
        ("transcribe-1", "s2.1-pro", 1e-4),
        ("s2.1-pro-free", "s2.1-pro-free", 0),
    ],
)
def test_the_model_is_a_header_and_every_byte_is_billed(fleet: Live, model: str, told: str, usd: float) -> None:
    """A model that is missing or unknown is the paid default, without a word."""
    case = f"fish-{model or 'none'}"
    assert spoken(fleet, f"Wört 水 [[case:{case}]]", model).status == 200
    (entry,) = fleet.journal(case)
    assert entry["model"] == told
    assert entry["billed"]["bytes"] == len("Wört 水".encode())
    assert entry["billed"].get("usd", 0) == pytest.approx(usd * 1.35 if usd else 0)


def test_a_stream_that_breaks_has_no_last_chunk(fleet: Live) -> None:
    cut = spoken(fleet, f"{TEXT}[[fault: cut_stream after_frames=2]]")
    assert (cut.status, cut.ended, len(cut.chunks)) == (200, "end", 2)


# --- with timestamps --------------------------------------------------------------------------------------------------


def events(fleet: Live, **more: Any) -> list[dict[str, Any]]:
    reply = call(fleet, "POST", "/v1/tts/stream/with-timestamp", {"text": TEXT, **more})
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    blocks = reply.body.decode().split("\n\n")
    assert blocks.pop() == ""
    rows = [block.split("\n") for block in blocks]
    assert {row[0] for row in rows} == {"event: message"}
    return [json.loads(row[1].removeprefix("data: ")) for row in rows]


def test_times_come_as_snapshots_that_grow(fleet: Live) -> None:
    rows = events(fleet)
    data = b"".join(base64.b64decode(row["audio_base64"]) for row in rows)
    assert asr(fleet, data)["text"] == TEXT
    assert rows[0]["alignment"] is None
    told = [row["alignment"] for row in rows[1:]]
    assert [len(one["segments"]) for one in told] == sorted(len(one["segments"]) for one in told)
    assert all(later["segments"][: len(one["segments"])] == one["segments"] for one, later in pairwise(told))
    assert [segment["text"] for segment in told[-1]["segments"]] == TEXT.rstrip(".").split()
    assert told[-1]["audio_duration"] == pytest.approx(LENGTH_S, abs=0.05)
    assert {(row["chunk_seq"], row["chunk_audio_offset_sec"]) for row in rows} == {(0, 0.0)}


def test_a_long_text_comes_in_chunks_with_times_of_their_own(fleet: Live) -> None:
    text = " ".join([TEXT] * 4)
    rows = events(fleet, text=text, latency="balanced", chunk_length=100)
    last = {row["chunk_seq"]: row for row in rows}
    assert len(last) == 3
    assert " ".join(row["content"] for row in last.values()) == text
    for row in last.values():
        assert len(row["alignment"]["segments"]) == len(row["content"].split())
    offsets = [row["chunk_audio_offset_sec"] for row in rows]
    assert offsets == sorted(offsets)
    ends = [row["chunk_audio_offset_sec"] + row["alignment"]["audio_duration"] for row in last.values()]
    assert ends[:-1] == pytest.approx([row["chunk_audio_offset_sec"] for row in last.values()][1:], abs=0.01)


# --- transcripts ------------------------------------------------------------------------------------------------------


def test_segments_only_when_timestamps_are_asked_for(fleet: Live) -> None:
    text = "One teapot. Two teapots."
    data = sound(fleet, text)
    bare = asr(fleet, data)
    assert list(bare) == ["text", "duration", "segments", "language", "language_code"]
    assert bare["segments"] == asr(fleet, data, ignore_timestamps=None)["segments"] == []
    assert (bare["language"], bare["language_code"]) == ("English", "en")
    full = asr(fleet, data, ignore_timestamps=False)
    assert [row["text"] for row in full["segments"]] == ["One teapot.", "Two teapots."]
    assert full["segments"][-1]["end"] == pytest.approx(full["duration"], abs=0.02)


def test_a_form_is_heard_as_well_and_the_language_is_the_one_heard(fleet: Live) -> None:
    body, headers = form([("language", b"en"), ("ignore_timestamps", b"false"), ("file", sound(fleet, "你好,世界。"))])
    body = body.replace(b'name="file"', b'name="audio"')
    told = fleet.call(request("POST", "/fish/v1/asr", body, KEY | headers)).json
    assert (told["text"], told["language"], told["language_code"]) == ("你好,世界。", "Chinese", "zh")
    assert told["segments"]


def test_transcripts_are_billed_by_the_second_begun(fleet: Live) -> None:
    packed(fleet, "POST", "/v1/asr", {"audio": sound(fleet)}, **{"x-windtunnel-case": "fish-asr"})
    (entry,) = fleet.journal("fish-asr")
    assert entry["model"] == "transcribe-1"
    assert entry["billed"] == {"input_seconds": 5.0, "usd": pytest.approx(5 * 0.0001)}


@pytest.mark.parametrize(
    ("audio", "status"), [(b"no sound", 400), (b"", 400), (bytes(21 << 20), 413), (None, 422), (5, 422)]
)
def test_what_is_no_sound_is_refused(fleet: Live, audio: object, status: int) -> None:
    assert packed(fleet, "POST", "/v1/asr", {"audio": audio}).status == status


# --- voices -----------------------------------------------------------------------------------------------------------


def test_a_voice_from_creation_to_deletion(fleet: Live) -> None:
    made = voice(fleet, "Ada", sound(fleet), tags=["calm", "low"], description="of a test")
    own = f"/model/{made['_id']}"
    assert (made["state"], made["languages"], made["tags"]) == ("trained", ["en"], ["calm", "low"])
    assert len(made["_id"]) == 32
    later(fleet, 5)
    patched = packed(fleet, "PATCH", own, {"title": "Grace", "visibility": "unlist"})
    assert (patched.status, patched.body) == (200, b"")
    told = call(fleet, "GET", own).json
    assert (told["title"], told["visibility"], told["description"]) == ("Grace", "unlist", "of a test")
    assert told["created_at"] == made["created_at"] < told["updated_at"]
    assert told["_id"] in [row["_id"] for row in call(fleet, "GET", "/model?self=true").json["items"]]
    deleted = call(fleet, "DELETE", own)
    assert (deleted.status, deleted.body) == (200, b"")
    for method in ("GET", "DELETE", "PATCH"):
        gone = call(fleet, method, own, {"title": "x"} if method == "PATCH" else None)
        assert (gone.status, gone.json["status"]) == (404, 404)


def test_a_clone_sounds_the_same_inline_and_as_a_voice_of_ones_own() -> None:
    """What differs between requests is only how the hum goes: the pitch is the voice's."""
    from simulator.dialects.fish.request import cloned

    with running(Clock("manual")) as fleet:
        first, second = sound(fleet, "One sound."), sound(fleet, "Another sound.")
        made = voice(fleet, "x", first)
        by_id = spoken(fleet, reference_id=made["_id"])
        inline = spoken(fleet, references=[{"audio": first, "text": "One sound."}])
        assert (by_id.status, inline.status) == (200, 200)
        assert asr(fleet, by_id.body)["text"] == asr(fleet, inline.body)["text"] == TEXT
    assert cloned([first]) == cloned((first,)) != cloned([second])
    assert cloned([first, second]) != cloned([second, first])


def test_a_voice_is_created_trained_and_then_spoken_in(fleet: Live) -> None:
    made = voice(fleet, f"slow {TRAINING}", sound(fleet))
    assert (made["state"], made["title"]) == ("created", "slow")
    assert spoken(fleet, reference_id=made["_id"]).status == 400
    later(fleet, 3)
    assert call(fleet, "GET", f"/model/{made['_id']}").json["state"] == "training"
    later(fleet, 7)
    assert call(fleet, "GET", f"/model/{made['_id']}").json["state"] == "trained"
    assert spoken(fleet, reference_id=made["_id"]).status == 200


@pytest.mark.parametrize(
    ("fault", "after_s", "status", "state"),
    [
        ("job_fails", 20, 200, "failed"),
        ("job_times_out", 4000, 200, "failed"),
        ("job_stuck_in_queue", 4000, 200, "created"),
        ("job_vanishes after_s=1", 2, 404, None),
    ],
)
def test_what_becomes_of_voices(fleet: Live, fault: str, after_s: float, status: int, state: str | None) -> None:
    made = voice(fleet, f"{fault} {TRAINING}[[fault: {fault}]]", sound(fleet))
    later(fleet, after_s)
    reply = call(fleet, "GET", f"/model/{made['_id']}")
    assert (reply.status, reply.json.get("state")) == (status, state)
    assert spoken(fleet, reference_id=made["_id"]).status == 400


def test_a_new_voice_may_not_be_found_at_once(fleet: Live) -> None:
    made = voice(fleet, "late [[fault: transient_404_after_submit for_s=0 polls=2]]", sound(fleet))
    path = f"/model/{made['_id']}"
    assert [call(fleet, "GET", path).status for _ in range(3)] == [404, 404, 200]


def test_lists_have_pages_and_filters(fleet: Live) -> None:
    made = [voice(fleet, f"page {nth}", sound(fleet), tags=["paged"])["_id"] for nth in range(3)]
    first = call(fleet, "GET", "/model?self=true&tag=paged&page_size=2&page_number=1").json
    rest = call(fleet, "GET", "/model?self=true&tag=paged&page_size=2&page_number=2").json
    assert (first["total"], first["has_more"], rest["has_more"]) == (3, True, False)
    assert {row["_id"] for row in (*first["items"], *rest["items"])} == set(made)
    public = call(fleet, "GET", "/model?language=ja").json
    assert {row["visibility"] for row in public["items"]} == {"public"}
    assert {tuple(row["languages"]) for row in public["items"]} == {("ja",)}
    assert call(fleet, "GET", "/model?title=PAGE%202&self=true").json["total"] == 1
    assert call(fleet, "GET", "/model?page_size=many").status == 422


def test_a_sample_is_behind_a_link_that_expires(fleet: Live) -> None:
    (sample,) = voice(fleet, "heard", sound(fleet), generate_sample=True)["samples"]
    reply = fetch(fleet, sample["audio"])
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    assert heard(reply.body) == sample["text"]
    assert fetch(fleet, sample["audio"].replace(".mp3", ".mp4")).status == 403
    later(fleet, 8 * 86_400)
    assert fetch(fleet, sample["audio"]).status == 403


def test_public_voices_are_spoken_in_and_cannot_be_deleted(fleet: Live) -> None:
    assert spoken(fleet, reference_id=PUBLIC).status == 200
    assert call(fleet, "GET", f"/model/{PUBLIC}").json["visibility"] == "public"
    assert call(fleet, "DELETE", f"/model/{PUBLIC}").status == 403


def test_voices_that_cannot_be_made(fleet: Live) -> None:
    body = {"type": "tts", "train_mode": "fast", "title": "x", "visibility": "private"}
    assert packed(fleet, "POST", "/model", body).json[0]["loc"] == ["body", "voices"]
    assert packed(fleet, "POST", "/model", body | {"voices": []}).json[0]["type"] == "too_short"
    assert packed(fleet, "POST", "/model", body | {"voices": [b"x"] * 21}).json[0]["type"] == "too_long"
    assert packed(fleet, "POST", "/model", body | {"voices": [b"no sound"]}).status == 400
    assert packed(fleet, "POST", "/model", body | {"voices": b"x", "visibility": "public"}).status == 400
    long = sound(fleet, "word " * 900, mp3_bitrate=64)
    assert packed(fleet, "POST", "/model", body | {"voices": [long]}).status == 400


def test_voices_by_a_description(fleet: Live) -> None:
    asked = {"instruction": "Warm [[case:fish-design]]", "reference_text": "Hello there.", "n": 2}
    rows = call(fleet, "POST", "/v1/voice-design", asked).json["candidates"]
    assert [(row["index"], row["text"], row["sample_rate"]) for row in rows] == [
        (0, "Hello there.", 44_100),
        (1, "Hello there.", 44_100),
    ]
    first, second = (base64.b64decode(row["audio_base64"]) for row in rows)
    assert first != second
    assert heard(first) == heard(second) == "Hello there."
    assert probed(first).seconds * 1000 == pytest.approx(rows[0]["duration_ms"], abs=10)
    assert fleet.journal("fish-design")[0]["billed"] == {"voice_designs": 1.0, "usd": 0.01}
    extra = call(fleet, "POST", "/v1/voice-design", {"instruction": "", "voice": 1}).json
    assert [row["type"] for row in extra] == ["string_too_short", "extra_forbidden"]


def test_the_wallet(fleet: Live) -> None:
    credit = call(fleet, "GET", "/wallet/self/api-credit").json
    assert credit["credit"] == "123.456789"
    assert credit["has_free_credit"] is None
    assert call(fleet, "GET", "/wallet/self/api-credit?check_free_credit=true").json["has_free_credit"] is False
    package = call(fleet, "GET", "/wallet/self/package").json
    assert package["user_id"] == credit["user_id"]
    assert 0 < package["balance"] <= package["total"]
    assert call(fleet, "GET", f"/wallet/{UNKNOWN}/package").status == 403


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_key(fleet: Live) -> None:
    reply = call(fleet, "POST", "/v1/tts", {"text": TEXT}, authorization="Bearer wrong")
    assert (reply.status, reply.body) == (401, b'{"message":"Invalid Token","status":401}')


def test_fields_that_are_wrong_are_told_together_in_a_bare_list(fleet: Live) -> None:
    sent = {"format": "ogg", "chunk_length": 99, "prosody": {"speed": 3}, "references": [{"text": 1}], "top_p": "x"}
    reply = call(fleet, "POST", "/v1/tts", sent)
    assert reply.status == 422
    rows = reply.json
    assert rows[0] == {"loc": ["body", "text"], "type": "missing", "msg": "Field required", "in": "body"}
    assert [(row["loc"][1:], row["type"]) for row in rows[1:]] == [
        (["references", 0, "audio"], "missing"),
        (["references", 0, "text"], "string_type"),
        (["format"], "literal_error"),
        (["chunk_length"], "greater_than_equal"),
        (["prosody", "speed"], "less_than_equal"),
        (["top_p"], "float_parsing"),
    ]


def test_inline_references_need_messagepack(fleet: Live) -> None:
    data = base64.b64encode(sound(fleet)).decode()
    reply = call(fleet, "POST", "/v1/tts", {"text": TEXT, "references": [{"audio": data, "text": TEXT}]})
    assert (reply.status, reply.json[0]["type"]) == (422, "bytes_type")


@pytest.mark.parametrize(("kind", "data"), [("application/json", b'{"text": '), ("application/msgpack", b"\xc1")])
def test_a_body_that_cannot_be_parsed_is_refused_in_plain_text(fleet: Live, kind: str, data: bytes) -> None:
    reply = fleet.call(request("POST", "/fish/v1/tts", data, KEY | {"content-type": kind}))
    assert (reply.status, reply.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert kind in reply.body.decode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"text": TEXT, "reference_id": UNKNOWN}, 400),
        ({"text": TEXT, "reference_id": [PUBLIC, "x"]}, 400),
        ({"text": TEXT, "sample_rate": 48_000}, 400),
        ({"text": "  "}, 400),
        ({"text": "x" * 32_001}, 413),
        ({"text": TEXT, "references": [{"audio": b"no sound", "text": "x"}]}, 400),
    ],
)
def test_other_refusals(fleet: Live, sent: dict[str, Any], status: int) -> None:
    reply = packed(fleet, "POST", "/v1/tts", sent)
    assert (reply.status, reply.json["status"], list(reply.json)) == (status, status, ["message", "status"])


def test_a_content_type_that_is_not_known(fleet: Live) -> None:
    assert call(fleet, "POST", "/v1/tts", {"text": TEXT}, **{"content-type": "text/plain"}).status == 415


@pytest.mark.parametrize(("fault", "status"), [("status status=402", 402), ("status status=503", 503)])
def test_faults_are_told_in_its_words(fleet: Live, fault: str, status: int) -> None:
    reply = spoken(fleet, f"{TEXT}[[fault: {fault}]]")
    assert (reply.status, reply.json["status"]) == (status, status)


def test_no_more_requests_at_once_than_the_account_has(fleet: Live) -> None:
    """A slot is held until the whole body is read; nothing tells how long to wait."""
    tier = {"limit": 5, "of": "concurrency", "by": ["key"]}
    fleet.control("PUT", "quotas", {"fish": [tier]})
    try:
        lines = [fleet.line() for _ in range(5)]
        for nth, line in enumerate(lines):
            body = {"text": f"{TEXT} {nth}[[case:fish-slot{nth}]][[fault: stall after_frames=1]]"}
            line.send(request("POST", "/fish/v1/tts", body, KEY))
            head = line.head()
            assert head is not None
            assert head.status == 200
        refused = spoken(fleet, "One more.")
        assert (refused.status, refused.json) == (429, {"message": "Rate limit exceeded", "status": 429})
        assert "retry-after" not in refused.headers
        for line in lines:
            line.close()
        for nth in range(5):
            fleet.journal(f"fish-slot{nth}")
        assert spoken(fleet, "One more, later.").status == 200
    finally:
        fleet.control("DELETE", "quotas?provider=fish")


def test_no_money_is_402(fleet: Live) -> None:
    cost = len(TEXT) * 15e-6
    fleet.control("PUT", "quotas", {"fish": [{"limit": cost, "of": "balance", "unit": "usd", "by": ["key"]}]})
    try:
        replies = [spoken(fleet, TEXT) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 402]
        assert replies[1].json == {"message": "No payment -- see charging schemes", "status": 402}
        assert spoken(fleet, TEXT, "s2.1-pro-free").status == 200
    finally:
        fleet.control("DELETE", "quotas?provider=fish")


def test_the_live_socket_is_not_there(fleet: Live) -> None:
    assert call(fleet, "GET", "/v1/tts/live").status == 404


# --- whatever comes ---------------------------------------------------------------------------------------------------

ROW = providers.load(providers.FILE, DIALECTS, 7)["fish"]
(MOUNT,) = ROW.mounts
PLACES = sorted((path, name) for (method, path), name in MOUNT.dialect.operations.items() if method != "GET")
FIELDS = ["text", "reference_id", "references", "format", "sample_rate", "mp3_bitrate", "opus_bitrate", "prosody"]
FIELDS += ["chunk_length", "audio", "language", "ignore_timestamps", "title", "voices", "visibility", "tags", "n"]
FIELDS += ["instruction", "speed", "type", "train_mode", "latency", "texts", "cover_image", "seed"]
leaves = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5) | st.binary(max_size=4)
)
leaves |= st.sampled_from(["tts", "fast", "mp3", "opus", "private", PUBLIC, "1", "true"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "speed", "volume"]), inner),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8) | values
KINDS = ["application/json", "application/msgpack", "multipart/form-data; boundary=x", "text/plain"]


def taken(path: str, name: str, data: bytes, kind: str) -> None:
    """Read, or refused with a reply in Fish Audio's form."""
    headers = {"content-type": kind, "authorization": "Bearer sk-fleet-fish"}
    asked = Request("POST", path, "", headers, data, {"id": UNKNOWN}, MOUNT.facts, "http://fleet/fish")
    dialect = MOUNT.dialect
    try:
        ask = dialect.decode(asked, name)
        profile = MOUNT.profile("fish", ask.model)
        if profile is not None:
            dialect.check(ask, profile)
        assert isinstance(ask, Ask)
    except Refused as refused:
        script = dialect.error(refused.problem, Serving("0" * 22, 0, 0, MOUNT.facts))
        assert 400 <= script.status < 500


@settings(max_examples=150)
@given(st.sampled_from(PLACES), bodies)
def test_any_value_is_read_or_refused(place: tuple[str, str], body: Any) -> None:
    taken(*place, msgspec.msgpack.encode(body), "application/msgpack")
    taken(*place, orjson.dumps(body, default=len), "application/json")


@settings(max_examples=150)
@given(st.sampled_from(PLACES), st.binary(max_size=60), st.sampled_from(KINDS))
def test_any_bytes_are_read_or_refused(place: tuple[str, str], data: bytes, kind: str) -> None:
    taken(*place, data, kind)
