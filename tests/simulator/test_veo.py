"""Veo on the Gemini API and on Vertex AI: submitted, polled, downloaded, refused; and what is predicted at once."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.gemini.predict import GooglePredict
from simulator.dialects.veo.operations import Veo, VertexVeo
from simulator.media import crc32c
from simulator.media.clips import clip, probe
from simulator.media.frames import thumbnail
from simulator.media.pictures import picture
from simulator.media.speech import listened
from simulator.models import facts as models
from simulator.problem import Refused
from tests.simulator.live import Live, Reply, request, running

KEY = {"x-goog-api-key": "sk-fleet-gemini", "content-type": "application/json"}
TOKEN = {"authorization": "Bearer sk-fleet-vertex", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=1 cold_s=0 run_s=10]]"
LITE, STANDARD, VEO_2 = "veo-3.1-lite-generate-preview", "veo-3.1-generate-preview", "veo-2.0-generate-001"
PLACE = "projects/p/locations/us-central1/publishers/google"
PROJECT = f"/vertex/v1/{PLACE}/models/veo-3.1-generate-001"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
RED = base64.b64encode(picture("", 64, 36, "png", 3)).decode()

Json = dict[str, Any]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, method: str, path: str, content: object = None, headers: Json | None = None) -> Reply:
    return fleet.call(request(method, path, content, KEY if headers is None else headers), method)


def asked(fault: str = "", text: str = "A cat", instance: Json | None = None, **parameters: Any) -> Json:
    """A submission of one instance."""
    prompt = f"{text} {TIMES}" + (f"[[fault: {fault}]]" if fault else "")
    return {"instances": [{"prompt": prompt, **(instance or {})}], "parameters": parameters}


def submit(fleet: Live, fault: str = "", model: str = LITE, **more: Any) -> str:
    """The name of a new operation of the Gemini API."""
    reply = call(fleet, "POST", f"/gemini/v1beta/models/{model}:predictLongRunning", asked(fault, **more))
    assert reply.status == 200, reply
    found: str = reply.json["name"]
    return found


def poll(fleet: Live, name: str) -> Reply:
    return call(fleet, "GET", f"/gemini/v1beta/{name}")


def later(fleet: Live, seconds: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def links(told: Json) -> list[str]:
    samples = told["response"]["generateVideoResponse"]["generatedSamples"]
    return [sample["video"]["uri"].partition("//fleet")[2] for sample in samples]


def downloaded(fleet: Live, link: str, headers: Json | None = None) -> Reply:
    """The bytes behind a link, by both hops."""
    first = call(fleet, "GET", link, headers=headers)
    if first.status != 302:
        return first
    return call(fleet, "GET", first.headers["location"].partition("//fleet")[2], headers=headers)


def made(fleet: Live, fault: str = "", **more: Any) -> bytes:
    """The clip of a submission."""
    name = submit(fleet, fault, **more)
    later(fleet, 11)
    reply = downloaded(fleet, links(poll(fleet, name).json)[0])
    assert reply.status == 200, reply
    return reply.body


# --- the Gemini API ---------------------------------------------------------------------------------------------------


def test_a_pending_poll_is_the_submission_byte_for_byte(fleet: Live) -> None:
    reply = call(fleet, "POST", f"/gemini/v1beta/models/{LITE}:predictLongRunning", asked())
    name = reply.json["name"]
    assert re.fullmatch(rf"models/{LITE}/operations/[a-z0-9]{{12}}", name)
    assert reply.body == b'{\n  "name": "%s"\n}\n' % name.encode()
    later(fleet, 10.999)
    assert poll(fleet, name).body == reply.body
    later(fleet, 0.001)
    done = poll(fleet, name).json
    assert list(done) == ["name", "done", "response"]
    assert done["done"] is True
    assert done["response"]["@type"].endswith("generativelanguage.v1beta.PredictLongRunningResponse")
    assert len(links(done)) == 1


def test_a_download_redirects_and_echoes_the_key(fleet: Live) -> None:
    name = submit(fleet)
    later(fleet, 11)
    link = links(poll(fleet, name).json)[0]
    first = call(fleet, "GET", link, headers={"x-goog-api-key": "sk-fleet-gemini", "x-mine": "yes"})
    assert first.status == 302
    assert first.json == {"error": {"code": 302, "message": "Unknown Error.", "status": "UNKNOWN"}}
    assert (first.headers["x-goog-api-key"], first.headers["x-mine"]) == ("sk-fleet-gemini", "yes")
    target = first.headers["location"]
    assert target == f"http://fleet{link.replace('/gemini/', '/gemini/download/')}"
    second = call(fleet, "GET", target.partition("//fleet")[2])
    assert second.headers["content-type"] == "video/mp4"
    assert (second.headers["server"], second.headers["content-disposition"]) == ("UploadServer", "attachment")
    assert second.headers["x-goog-hash"] == f"crc32c={crc32c.told(second.body)}"
    assert second.body[4:8] == b"ftyp"


def test_both_hops_want_the_key_in_a_header_or_in_the_query(fleet: Live) -> None:
    name = submit(fleet)
    later(fleet, 11)
    link = links(poll(fleet, name).json)[0]
    keyed = call(fleet, "GET", f"{link}&key=sk-fleet-gemini", headers={})
    assert keyed.headers["location"].endswith("?alt=media&key=sk-fleet-gemini")
    assert downloaded(fleet, f"{link}&key=sk-fleet-gemini", {}).body[4:8] == b"ftyp"
    for path in (link, link.replace("/gemini/", "/gemini/download/")):
        assert call(fleet, "GET", path, headers={}).status == 403
        assert (
            call(fleet, "GET", path, headers={"x-goog-api-key": "wrong"}).json["error"]["status"] == "INVALID_ARGUMENT"
        )


@pytest.mark.parametrize(
    ("model", "parameters", "size", "seconds"),
    [
        (LITE, {"durationSeconds": 4}, (1280, 720), 4),
        (LITE, {"durationSeconds": 6, "aspectRatio": "9:16"}, (720, 1280), 6),
        (STANDARD, {"resolution": "1080p"}, (1920, 1080), 8),
        (VEO_2, {"durationSeconds": 5}, (1280, 720), 5),
    ],
)
def test_a_clip_is_as_asked(fleet: Live, model: str, parameters: Json, size: Any, seconds: int) -> None:
    found = probe(made(fleet, model=model, **parameters))
    assert ((found.width, found.height), found.seconds) == (size, seconds)
    assert found.sound == ("" if model == VEO_2 else "aac")
    assert found.title == "A cat"


@pytest.mark.parametrize("form", [{"bytesBase64Encoded": RED}, {"inlineData": {"mimeType": "image/png", "data": RED}}])
def test_the_given_picture_is_the_first_frame(fleet: Live, form: Json) -> None:
    image = {"image": {**form, "mimeType": "image/png"} if "bytesBase64Encoded" in form else form}
    data = made(fleet, instance=image, durationSeconds=4)
    with Image.open(io.BytesIO(thumbnail(data, "png"))) as first, Image.open(io.BytesIO(base64.b64decode(RED))) as due:
        assert first.size == (1280, 720)
        colours = zip(
            first.resize((1, 1)).convert("RGB").getpixel((0, 0)), due.resize((1, 1)).getpixel((0, 0)), strict=True
        )
        assert all(abs(one - other) < 12 for one, other in colours)


def test_a_clip_is_extended_by_seven_seconds(fleet: Live) -> None:
    first = submit(fleet, model=STANDARD, durationSeconds=4, aspectRatio="9:16")
    early = asked(instance={"video": {"uri": f"http://fleet/gemini/v1beta/files/{first[-12:]}:download?alt=media"}})
    path = f"/gemini/v1beta/models/{STANDARD}:predictLongRunning"
    assert call(fleet, "POST", path, early).json["error"]["message"] == "The source video is not ready."
    later(fleet, 11)
    name = call(fleet, "POST", path, early).json["name"]
    later(fleet, 11)
    found = probe(downloaded(fleet, links(poll(fleet, name).json)[0]).body)
    assert (found.seconds, found.width, found.height) == (11, 720, 1280)


def test_the_safety_filter_is_no_error(fleet: Live) -> None:
    name = submit(fleet, "moderation_after_render")
    later(fleet, 11)
    told = poll(fleet, name).json
    assert "error" not in told
    response = told["response"]["generateVideoResponse"]
    assert response["raiMediaFilteredCount"] == 1
    assert "generatedSamples" not in response
    assert len(response["raiMediaFilteredReasons"]) == 1
    assert downloaded(fleet, f"/gemini/v1beta/files/{name[-12:]}:download?alt=media").status == 404


@pytest.mark.parametrize(
    ("text", "fault", "code"),
    [
        ("A cat", "job_fails message=Oops", 13),
        ("A cat", "job_times_out", 4),
        ("A cat", "moderation_after_render form=failed", 3),
        ("flag:sexual", "", 3),
    ],
)
def test_an_operation_fails_with_a_status(fleet: Live, text: str, fault: str, code: int) -> None:
    name = submit(fleet, fault, text=text)
    later(fleet, 11)
    told = poll(fleet, name).json
    assert list(told) == ["name", "done", "error"]
    assert (told["error"]["code"], told["error"]["details"]) == (code, [])
    assert told["error"]["message"]


def test_an_operation_may_be_found_late_or_no_more(fleet: Live) -> None:
    hidden, lost = submit(fleet, "transient_404_after_submit for_s=3"), submit(fleet, "job_vanishes after_s=5")
    gone = poll(fleet, hidden)
    assert (gone.status, gone.json["error"]["status"]) == (404, "NOT_FOUND")
    assert poll(fleet, lost).status == 200
    later(fleet, 5)
    assert (poll(fleet, hidden).status, poll(fleet, lost).status) == (200, 404)
    assert poll(fleet, hidden.replace(LITE, STANDARD)).status == 404
    assert poll(fleet, f"models/{LITE}/operations/umz7sqimep69").status == 404


def test_a_file_is_kept_for_two_days_or_as_a_fault_has_it(fleet: Live) -> None:
    name, dead = submit(fleet), submit(fleet, "result_url_expired status=403")
    later(fleet, 11)
    link = links(poll(fleet, name).json)[0]
    assert downloaded(fleet, links(poll(fleet, dead).json)[0]).json["error"]["status"] == "PERMISSION_DENIED"
    later(fleet, 2 * 86_400 - 0.001)
    assert downloaded(fleet, link).status == 200
    later(fleet, 0.001)
    assert downloaded(fleet, link).json["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("model", "body", "sentence"),
    [
        (
            LITE,
            {"instances": [{"prompt": "x"}], "parameters": {"negativePrompt": "y"}},
            "`negativePrompt` isn't supported",
        ),
        (
            STANDARD,
            {"instances": [{"prompt": "x"}], "parameters": {"generateAudio": True}},
            "`generateAudio` isn't supp",
        ),
        (
            STANDARD,
            {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": 7}},
            "for durationSeconds is out of",
        ),
        (STANDARD, {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": "8"}}, "needs to be a number"),
        (STANDARD, {"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 2}}, "between 1 and 1, inclusive"),
        (
            STANDARD,
            {"instances": [{"prompt": "x"}], "parameters": {"personGeneration": "allow_adult"}},
            "allow_adult for personGeneration is currently not supported.",
        ),
        (
            STANDARD,
            {"instances": [{"prompt": "x"}], "parameters": {"resolution": "1080p", "durationSeconds": 4}},
            "Resolution 1080p requires duration seconds to be 8 seconds, but got 4.",
        ),
        (STANDARD, {"instances": [{"prompt": "x", "image": {"data": RED}}]}, "`data` isn't supported by this model."),
        (
            STANDARD,
            {"instances": [{"prompt": "x", "image": {"bytesBase64Encoded": "AAAA"}}]},
            "Unable to process input",
        ),
        (STANDARD, {"instances": [{"prompt": "x", "image": {"uri": "http://x/y.png"}}]}, "`uri` isn't supported"),
        (STANDARD, {"instances": []}, "exactly one instance"),
        (STANDARD, {"instances": [{}]}, "Either a prompt or an image"),
        (STANDARD, {"prompt": "x"}, 'Unknown name "prompt"'),
    ],
)
def test_requests_that_a_model_does_not_take(fleet: Live, model: str, body: Json, sentence: str) -> None:
    reply = call(fleet, "POST", f"/gemini/v1beta/models/{model}:predictLongRunning", body)
    assert (reply.status, reply.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert sentence in reply.json["error"]["message"]


def test_refusals_are_googles(fleet: Live) -> None:
    path = f"/gemini/v1beta/models/{LITE}:predictLongRunning"
    assert call(fleet, "POST", path, asked("status=503")).json["error"]["status"] == "UNAVAILABLE"
    limited = call(fleet, "POST", path, asked("status=429"))
    kinds = {detail["@type"].rpartition(".")[2] for detail in limited.json["error"]["details"]}
    assert {"QuotaFailure", "RetryInfo"} <= kinds
    assert call(fleet, "POST", path.replace(LITE, "veo-9"), asked()).status == 404
    assert call(fleet, "POST", f"/gemini/v1beta/models/{LITE}:generateContent", {}).status in (400, 404)
    listed = call(fleet, "GET", f"/gemini/v1beta/models/{LITE}").json
    assert listed["supportedGenerationMethods"] == ["predictLongRunning"]


# --- Vertex AI --------------------------------------------------------------------------------------------------------


def begun(fleet: Live, fault: str = "", **parameters: Any) -> str:
    """The name of a new operation of Vertex."""
    reply = call(fleet, "POST", f"{PROJECT}:predictLongRunning", asked(fault, **parameters), TOKEN)
    assert reply.status == 200, reply
    found: str = reply.json["name"]
    return found


def fetched(fleet: Live, name: str) -> Reply:
    return call(fleet, "POST", f"{PROJECT}:fetchPredictOperation", {"operationName": name}, TOKEN)


def test_vertex_gives_clips_inline(fleet: Live) -> None:
    name = begun(fleet, durationSeconds=4, sampleCount=2)
    assert re.fullmatch(f"{PLACE}/models/veo-3.1-generate-001/operations/{UUID}", name)
    assert fetched(fleet, name).json == {"name": name}
    later(fleet, 11)
    response = fetched(fleet, name).json["response"]
    assert response["@type"].endswith("vision.GenerateVideoResponse")
    assert response["raiMediaFilteredCount"] == 0
    clips = [base64.b64decode(video["bytesBase64Encoded"]) for video in response["videos"]]
    assert [probe(data).seconds for data in clips] == [4, 4]
    assert clips[0] != clips[1]


def test_vertex_tells_where_in_a_bucket_clips_are(fleet: Live) -> None:
    name = begun(fleet, storageUri="gs://bucket/out/", generateAudio=False)
    later(fleet, 11)
    (video,) = fetched(fleet, name).json["response"]["videos"]
    assert list(video) == ["gcsUri", "mimeType"]
    assert re.fullmatch(r"gs://bucket/out/\d+/sample_0\.mp4", video["gcsUri"])


def test_vertex_filters_and_fails_in_the_same_way(fleet: Live) -> None:
    empty, failed = begun(fleet, "moderation_after_render"), begun(fleet, "job_fails")
    later(fleet, 11)
    response = fetched(fleet, empty).json["response"]
    assert response["raiMediaFilteredCount"] == 1
    assert "videos" not in response
    assert fetched(fleet, failed).json["error"]["code"] == 13


def test_fewer_clips_than_asked_for_are_filtered_ones(fleet: Live) -> None:
    name = begun(fleet, "partial_results lost=1", durationSeconds=4, sampleCount=3)
    later(fleet, 11)
    response = fetched(fleet, name).json["response"]
    assert (len(response["videos"]), response["raiMediaFilteredCount"]) == (2, 1)


def test_vertex_wants_its_own_names(fleet: Live) -> None:
    name = begun(fleet)
    assert fetched(fleet, name.replace("/p/", "/q/")).status == 404
    assert fetched(fleet, f"{name[:-3]}000").status == 404
    assert fetched(fleet, "operations/1").status == 400
    assert fetched(fleet, name.replace("3.1", "3.0")).status == 400
    unknown = call(fleet, "POST", f"{PROJECT}:fetchPredictOperation", {"operationName": name}, {})
    assert unknown.json["error"]["status"] == "UNAUTHENTICATED"


def test_what_was_delivered_is_charged(fleet: Live) -> None:
    """By the second and by the resolution; nothing for what failed, runs or was held back."""
    dialect = Veo()
    kept = {}
    for fault in ("", "job_fails", "moderation_after_render"):
        name = submit(fleet, fault, durationSeconds=4)
        kept[fault] = fleet.runtime.fleet.desk.kept("gemini", name[-12:])
    now = fleet.runtime.fleet.clock.now_ms()
    told = {fault: dialect.charge(one, now + 11_000) for fault, one in kept.items() if one is not None}
    assert told == {"": {"output_seconds": 4.0, "usd": 0.2}, "job_fails": {}, "moderation_after_render": {}}
    assert kept[""] is not None
    assert dialect.charge(kept[""], now) == {}


# --- what is predicted at once ----------------------------------------------------------------------------------------


def test_imagen_draws_as_many_pictures_as_asked(fleet: Live) -> None:
    parameters = {"sampleCount": 2, "aspectRatio": "16:9", "outputOptions": {"mimeType": "image/jpeg"}}
    body = {"instances": [{"prompt": "A cat"}], "parameters": parameters}
    rows = call(fleet, "POST", "/gemini/v1beta/models/imagen-4.0-generate-001:predict", body).json["predictions"]
    pictures = [base64.b64decode(row["bytesBase64Encoded"]) for row in rows]
    assert [Image.open(io.BytesIO(data)).size for data in pictures] == [(1408, 768)] * 2
    assert {row["mimeType"] for row in rows} == {"image/jpeg"}
    assert pictures[0] != pictures[1]
    refused = call(fleet, "POST", "/gemini/v1beta/models/imagen-4.0-generate-001:predict", {"instances": [{}]})
    assert refused.status == 400
    many = {"instances": [{"prompt": "A cat"}], "parameters": {"sampleCount": 5}}
    assert call(fleet, "POST", "/gemini/v1beta/models/imagen-4.0-generate-001:predict", many).status == 400


def test_vertex_predicts_vectors(fleet: Live) -> None:
    path = f"/vertex/v1beta1/{PLACE}/models/text-embedding-004:predict"
    body = {
        "instances": [{"content": "Ruby"}, {"content": "Hello, world!"}],
        "parameters": {"outputDimensionality": 16},
    }
    told = call(fleet, "POST", path, body, TOKEN).json
    assert told["metadata"] == {"billableCharacterCount": 16}
    assert [len(row["embeddings"]["values"]) for row in told["predictions"]] == [16, 16]
    assert told["predictions"][1]["embeddings"]["statistics"] == {"token_count": 4, "truncated": False}


def test_speech_is_bare_samples_that_say_the_prompt(fleet: Live) -> None:
    config = {"responseModalities": ["AUDIO"]}
    voice = {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}}
    path = "/gemini/v1beta/models/gemini-2.5-flash-preview-tts:"
    said: dict[str, bytes] = {}
    for name, more in (("default", {}), ("puck", voice)):
        body = {"contents": [{"parts": [{"text": "Hello to all of you"}]}], "generationConfig": {**config, **more}}
        told = call(fleet, "POST", f"{path}generateContent", body).json
        (part,) = told["candidates"][0]["content"]["parts"]
        assert part["inlineData"]["mimeType"] == "audio/L16;codec=pcm;rate=24000"
        said[name] = base64.b64decode(part["inlineData"]["data"])
        (row,) = told["usageMetadata"]["candidatesTokensDetails"]
        assert (row["modality"], row["tokenCount"]) == ("AUDIO", told["usageMetadata"]["candidatesTokenCount"])
    assert listened(said["puck"]).text == "Hello to all of you"
    assert said["default"] != said["puck"]
    stream = call(fleet, "POST", f"{path}streamGenerateContent?alt=sse", body)
    pieces = re.findall(rb'"data": "([^"]+)"', stream.body)
    assert len(pieces) > 1
    assert listened(b"".join(map(base64.b64decode, pieces))).text == "Hello to all of you"


# --- any bytes --------------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-9, 9999) | st.floats(-9, 99) | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner))
WORDS = ["bytesBase64Encoded", "inlineData", "gcsUri", "uri", "encodedVideo", "mimeType", "compressionQuality"]
DATA = st.dictionaries(st.sampled_from(WORDS), VALUES | st.sampled_from(["image/png", "gs://b/c", RED]), max_size=3)
NAMES = st.sampled_from(["prompt", "image", "lastFrame", "referenceImages", "video", "mask", "content", "x"])
OF_CLIPS = ["durationSeconds", "resolution", "aspectRatio", "personGeneration", "seed", "sampleCount", "generateAudio"]
OF_OTHERS = ["outputOptions", "sampleImageSize", "outputDimensionality", "autoTruncate", "storageUri", "negativePrompt"]
SETTINGS = st.sampled_from(OF_CLIPS) | st.sampled_from(OF_OTHERS)
PARAMETERS = st.dictionaries(SETTINGS, VALUES | DATA | st.sampled_from([4, 8, "720p", "1:1"]), max_size=3)
PROMPTED = st.fixed_dictionaries({"prompt": st.just("x"), "content": st.just("x")})
INSTANCES = PROMPTED | st.dictionaries(NAMES, VALUES | DATA | st.lists(DATA, max_size=2), max_size=3)
BODIES = st.fixed_dictionaries(
    {"instances": st.lists(INSTANCES, max_size=2) | VALUES},
    optional={"parameters": PARAMETERS | VALUES, "operationName": VALUES},
)
TAKERS = (
    (Veo(), STANDARD, "generate_videos"),
    (VertexVeo(), "veo-3.1-generate-001", "generate_videos"),
    (VertexVeo(), "veo-3.1-generate-001", "get_operation"),
    (GooglePredict(), "imagen-4.0-generate-001", "predict"),
    (GooglePredict(), "text-embedding-004", "predict"),
)


def outcome(dialect: Any, model: str, operation: str, data: bytes) -> str:
    """What comes of a request: "read", or the kind of the refusal."""
    sent = Request("POST", f"/v1/models/{model}:predict", "", {}, data, {"model": model})
    profile = models.profile("p", dialect.name, model, {})
    assert profile is not None
    try:
        dialect.check(dialect.decode(sent, operation), profile)
    except Refused as refused:
        return refused.problem.kind
    return "read"


@settings(max_examples=200)
@given(body=BODIES | VALUES)
def test_any_body_is_read_or_refused(body: Any) -> None:
    data = orjson.dumps(body)
    told = {outcome(*taker, data) for taker in TAKERS}
    assert told <= {"read", "invalid_request", "bad_request", "not_kept"}


@settings(max_examples=50)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    told = {outcome(*taker, data) for taker in TAKERS}
    assert told <= {"invalid_request", "bad_request", "bad_json"}


def test_a_clip_that_was_sent_is_extended(fleet: Live) -> None:
    sent = base64.b64encode(clip("old", 2, 160, 96)).decode()
    name = begun(fleet, instance={"video": {"bytesBase64Encoded": sent, "mimeType": "video/mp4"}})
    later(fleet, 11)
    (video,) = fetched(fleet, name).json["response"]["videos"]
    found = probe(base64.b64decode(video["bytesBase64Encoded"]))
    assert (found.seconds, found.width, found.height) == (9, 160, 96)
