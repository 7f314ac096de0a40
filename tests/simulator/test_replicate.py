"""Replicate: predictions by name, version and deployment; held, polled, streamed, cancelled, removed; models; files."""

from __future__ import annotations

import base64
import hmac
import io
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.predictions import inputs, works
from simulator.dialects.replicate.api import Replicate
from simulator.media.clips import probe
from simulator.media.speech import heard, listened, speech
from simulator.problem import Refused
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.receiver import Receiver, calls, receiving
from tests.simulator.replicate_exchange import FLUX, KEY, LLAMA, SDXL, TIMES, call, follow, later, run, told

ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def done(fleet: Live, model: str = FLUX, **given: Any) -> dict[str, Any]:
    """A prediction ten seconds later."""
    begun = run(fleet, model, **given)
    later(fleet, 10)
    return told(fleet, begun)


def test_a_prediction_is_created_polled_and_fetched(fleet: Live) -> None:
    begun = run(fleet, aspect_ratio="16:9", num_outputs=2, output_format="png")
    assert ID.fullmatch(begun["id"])
    assert list(begun)[:5] == ["id", "model", "version", "input", "logs"]
    assert (begun["status"], begun["output"], begun["data_removed"]) == ("starting", None, False)
    assert list(begun["input"]) == sorted(begun["input"])
    assert told(fleet, begun)["status"] == "starting"
    later(fleet, 6)
    half = told(fleet, begun)
    assert (half["status"], half["output"]) == ("processing", None)
    assert re.search(r"^ *50%\|█████ +\| 2/4 \[", half["logs"], re.MULTILINE)
    assert "metrics" not in half
    later(fleet, 4)
    ended = told(fleet, begun)
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    assert ended["metrics"] == {"predict_time": 8.0, "total_time": 10.0}
    assert ended["started_at"] < ended["completed_at"]
    assert len(ended["output"]) == 2
    drawn = [Image.open(io.BytesIO(follow(fleet, url).body)) for url in ended["output"]]
    assert [(one.size, one.format) for one in drawn] == [((1344, 768), "PNG")] * 2
    assert drawn[0].tobytes() != drawn[1].tobytes()


def test_the_same_body_twice_is_two_predictions(fleet: Live) -> None:
    assert len({run(fleet)["id"] for _ in range(3)}) == 3


def test_data_are_removed_an_hour_after_the_end(fleet: Live) -> None:
    ended = done(fleet)
    (url,) = ended["output"]
    later(fleet, 3599)
    assert follow(fleet, url).status == 200
    assert told(fleet, ended) == ended
    later(fleet, 1)
    gone = told(fleet, ended)
    assert follow(fleet, url).status == 404
    assert (gone["status"], gone["data_removed"], gone["input"], gone["output"]) == ("succeeded", True, {}, None)


def test_versions_deployments_and_names_lead_to_one_model(fleet: Live) -> None:
    body = {"input": {"prompt": f"x {TIMES}", "width": 320, "height": 256}}
    ways = [
        ("predictions", body | {"version": SDXL}),
        ("predictions", body | {"version": f"stability-ai/sdxl:{SDXL}"}),
        ("deployments/acme/image-upscaler/predictions", body),
    ]
    for path, content in ways:
        reply = call(fleet, "POST", path, content)
        assert reply.status == 201, reply
        assert (reply.json["model"], reply.json["version"]) == ("stability-ai/sdxl", SDXL)
        later(fleet, 10)
        (url,) = told(fleet, reply.json)["output"]
        assert Image.open(io.BytesIO(follow(fleet, url).body)).size == (320, 256)
    assert reply.json["deployment"] == "acme/image-upscaler"
    by_name = call(fleet, "POST", "predictions", {"version": FLUX, "input": {"prompt": "x"}})
    assert (by_name.status, by_name.json["model"]) == (201, FLUX)
    assert by_name.json["version"].startswith("dp-")


# --- held -------------------------------------------------------------------------------------------------------------


def held(fleet: Live, path: str, content: Any, case: str, seconds: float, prefer: str) -> Reply:
    """The reply to a request that is held for so long by the fleet's clock."""
    content["input"]["prompt"] += f"[[case:{case}]]"
    found: list[Reply] = []
    thread = threading.Thread(target=lambda: found.append(call(fleet, "POST", path, content, prefer=prefer)))
    thread.start()
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, seconds - 0.001)
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, 0.001)
    thread.join(20)
    return found[0]


def test_a_held_reply_has_the_output_and_is_still_processing(fleet: Live) -> None:
    content = {"input": {"prompt": f"x {TIMES}"}}
    reply = held(fleet, f"models/{FLUX}/predictions", content, "held", 10, "wait")
    assert (reply.status, reply.headers["preference-applied"]) == (201, "wait=60")
    assert (reply.json["status"], reply.json["logs"]) == ("processing", "")
    assert "completed_at" not in reply.json
    assert told(fleet, reply.json)["output"] == reply.json["output"]


def test_a_wait_that_is_too_short_tells_a_prediction_that_starts(fleet: Live) -> None:
    content = {"input": {"prompt": f"x {TIMES}"}}
    reply = held(fleet, f"models/{FLUX}/predictions", content, "short", 5, "wait=5")
    assert (reply.status, reply.json["status"], reply.json["output"]) == (202, "starting", None)
    assert told(fleet, reply.json)["status"] == "processing"


def test_a_model_may_inline_what_was_waited_for(fleet: Live) -> None:
    content = {"version": SDXL, "input": {"prompt": f"x {TIMES}", "width": 64, "height": 64}}
    reply = held(fleet, "predictions", content, "inlined", 10, "wait=60")
    kind, _, data = reply.json["output"][0].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (64, 64)


# --- what models make -------------------------------------------------------------------------------------------------


def test_a_clip_has_the_length_and_the_size_that_were_asked_for(fleet: Live) -> None:
    ended = done(fleet, "bytedance/seedance-1-lite", duration=3, resolution="480p", aspect_ratio="9:16")
    reply = follow(fleet, ended["output"])
    facts = probe(reply.body)
    assert reply.headers["content-type"] == "video/mp4"
    assert (facts.width, facts.height, facts.seconds, facts.fps) == (480, 854, 3.0, 24.0)


def test_speech_says_the_text_and_music_is_as_long_as_asked(fleet: Live) -> None:
    spoken = call(
        fleet, "POST", "models/minimax/speech-02-turbo/predictions", {"input": {"text": "Hello from the fleet"}}
    )
    version = "671ac645ce5e552cc63a54a2bbff63fcf798043055d2dac5fc9e36a837eedcfb"
    music = call(fleet, "POST", "predictions", {"version": version, "input": {"prompt": f"x {TIMES}", "duration": 3}})
    later(fleet, 120)
    said, played = (follow(fleet, told(fleet, one.json)["output"]) for one in (spoken, music))
    assert (said.headers["content-type"], heard(said.body)) == ("audio/mpeg", "Hello from the fleet")
    assert listened(played.body).seconds == pytest.approx(3.0)


def test_a_transcript_is_of_the_sound_that_was_sent(fleet: Live) -> None:
    sound = base64.b64encode(speech("What was said before", "narrator", "wav")).decode()
    version = "8099696689d249cf8b122d833c36ac3f75505c666a395ca40ef26f68e7d3d16e"
    given = {"audio": f"data:audio/wav;base64,{sound}"}
    begun = call(fleet, "POST", "predictions", {"version": version, "input": given}).json
    later(fleet, 120)
    assert told(fleet, begun)["output"]["text"] == "What was said before"


def test_text_comes_in_pieces_while_it_is_made(fleet: Live) -> None:
    begun = run(fleet, LLAMA, max_tokens=20)
    later(fleet, 6)
    half = told(fleet, begun)["output"]
    later(fleet, 4)
    ended = told(fleet, begun)
    assert 0 < len(half) < len(ended["output"]) <= 20
    assert ended["output"][: len(half)] == half
    assert ended["metrics"]["output_token_count"] == len(ended["output"])
    directed = done(fleet, LLAMA, text='[[answer: say="Forty-two."]]')
    assert "".join(directed["output"]) == "Forty-two."


# --- the stream -------------------------------------------------------------------------------------------------------


def events(data: bytes) -> list[tuple[str, str, str]]:
    """(event, id, data) of a stream, comments left out."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if fields:
            lines = [value for name, _, value in fields if name == "data"]
            named = {name: value for name, _, value in fields if name != "data"}
            found.append((named["event"], named["id"], "\n".join(lines)))
    return found


def test_a_stream_has_the_recorded_form(fleet: Live) -> None:
    """`: hi`, then outputs named by second and number, then `done`; each piece with its line breaks as lines."""
    ended = done(fleet, LLAMA, text='[[answer: say="Line one.\n\nLine two."]]')
    reply = follow(fleet, ended["urls"]["stream"])
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.body.startswith(b": hi\n\nevent: output\nid: ")
    told_events = events(reply.body)
    assert "".join(data for name, _, data in told_events if name == "output") == "Line one.\n\nLine two."
    assert (told_events[-1][0], told_events[-1][2]) == ("done", "{}")
    assert all(re.fullmatch(r"\d{10}:\d+", number) for _, number, _ in told_events)
    assert len({number for _, number, _ in told_events}) == len(told_events)


def test_a_stream_is_paced_by_the_clock_and_tells_a_failure(fleet: Live) -> None:
    begun = run(fleet, LLAMA, "job_fails percent=50 message=Oops")
    line = fleet.line()
    path = re.sub(r"^http://[^/]+", "", begun["urls"]["stream"])
    line.send(request("GET", path))
    head = line.head()
    assert head is not None
    assert head.status == 200
    first = line.until(b": hi\n\n")
    assert first is not None
    later(fleet, 6)
    rest = line.until(b'{"reason":"error"}\n\n')
    assert rest is not None
    assert b"event: error\nid: " in rest
    assert b'data: {"detail":"Oops"}' in rest


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_prediction_is_cancelled_once(fleet: Live) -> None:
    begun = run(fleet)
    later(fleet, 3)
    reply = call(fleet, "POST", f"predictions/{begun['id']}/cancel")
    assert (reply.status, reply.json["status"]) == (200, "canceled")
    assert reply.json["metrics"] == {"predict_time": 1.0, "total_time": 3.0}
    later(fleet, 20)
    assert told(fleet, begun)["status"] == "canceled"
    ended = done(fleet)
    assert call(fleet, "POST", f"predictions/{ended['id']}/cancel").json["status"] == "succeeded"
    deaf = run(fleet, fault="cancel_ignored")
    assert call(fleet, "POST", f"predictions/{deaf['id']}/cancel").json["status"] == "canceled"
    later(fleet, 10)
    assert told(fleet, deaf)["status"] == "succeeded"


@pytest.mark.parametrize(("after", "word"), [("5s", "canceled"), ("1m", "succeeded")])
def test_a_deadline_cancels(fleet: Live, after: str, word: str) -> None:
    body = {"input": {"prompt": f"x {TIMES}"}}
    begun = call(fleet, "POST", f"models/{FLUX}/predictions", body, cancel_after=after).json
    later(fleet, 60)
    assert told(fleet, begun)["status"] == word


def test_a_deadline_before_the_start_aborts(fleet: Live) -> None:
    body = {"input": {"prompt": "x [[fault: job_stuck_in_queue]]"}}
    begun = call(fleet, "POST", f"models/{FLUX}/predictions", body, cancel_after="1m30s").json
    later(fleet, 89.999)
    assert told(fleet, begun)["status"] == "starting"
    later(fleet, 0.001)
    assert told(fleet, begun)["status"] == "aborted"
    refused = call(fleet, "POST", f"models/{FLUX}/predictions", body, cancel_after="2s")
    assert (refused.status, "at least 5 seconds" in refused.json["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("job_fails message=Boom", "failed", "Boom"),
        ("job_times_out", "failed", "Prediction timed out"),
        ("moderation_after_render form=failed", "failed", "Content moderated: the output was blocked"),
    ],
)
def test_a_prediction_fails_in_the_models_words(fleet: Live, fault: str, status: str, error: str) -> None:
    ended = done(fleet, fault=fault)
    assert (ended["status"], ended["error"], ended["output"]) == (status, error, None)


def test_moderation_after_render_leaves_nothing_in_the_output(fleet: Live) -> None:
    assert done(fleet, fault="moderation_after_render")["output"] == []
    assert done(fleet, "bytedance/seedance-1-lite", fault="moderation_after_render")["output"] is None


def test_a_flagged_prompt_fails_once_it_ran(fleet: Live) -> None:
    ended = done(fleet, text="flag:violence")
    assert (ended["status"], ended["error"][:21]) == ("failed", "NSFW content detected")


def test_predictions_vanish_or_are_not_found_at_first(fleet: Live) -> None:
    vanishes = run(fleet, fault="job_vanishes after_s=5")
    hidden = run(fleet, fault="transient_404_after_submit for_s=3")
    for prediction, statuses in ((vanishes, [200, 404]), (hidden, [404, 200])):
        assert call(fleet, "GET", f"predictions/{prediction['id']}").status == statuses[0]
    later(fleet, 5)
    for prediction, statuses in ((vanishes, [200, 404]), (hidden, [404, 200])):
        reply = call(fleet, "GET", f"predictions/{prediction['id']}")
        assert reply.status == statuses[1]
    missing = call(fleet, "GET", f"predictions/{vanishes['id']}")
    assert missing.json == {"detail": "The requested resource could not be found.", "status": 404}


def test_links_die_early_and_times_are_told_wrong_where_asked(fleet: Live) -> None:
    dead = done(fleet, fault="result_url_expired status=403")
    assert follow(fleet, dead["output"][0]).status == 403
    wrong = done(fleet, fault="wrong_execution_time factor=0")
    assert wrong["metrics"]["predict_time"] == 0.0
    url = done(fleet)["output"][0]
    assert follow(fleet, url[:-4] + "0000").status == 404


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field", "kind", "said"),
    [
        ({}, "input", "required", "prompt is required"),
        ({"prompt": 5}, "input.prompt", "invalid_type", "Invalid type. Expected: string, given: integer"),
        ({"prompt": None}, "input.prompt", "invalid_type", "Invalid type. Expected: string, given: null"),
        ({"prompt": "x", "num_outputs": 9}, "input.num_outputs", "number_lte", "Must be less than or equal to 4"),
        (
            {"prompt": "x", "output_quality": -1},
            "input.output_quality",
            "number_gte",
            "Must be greater than or equal to 0",
        ),
    ],
)
def test_an_input_is_refused_by_its_fields(fleet: Live, given: object, field: str, kind: str, said: str) -> None:
    reply = call(fleet, "POST", f"models/{FLUX}/predictions", {"input": given}, prefer="wait")
    assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json")
    assert reply.headers["preference-applied"] == "wait=60"
    assert reply.json == {
        "detail": f"- {field}: {said}\n",
        "status": 422,
        "title": "Input validation failed",
        "invalid_fields": [{"type": kind, "field": field, "description": said}],
    }


@pytest.mark.parametrize(
    ("path", "content", "status", "title"),
    [
        ("predictions", {"version": "0" * 64, "input": {}}, 422, "Invalid version or not permitted"),
        ("models/stability-ai/sdxl/predictions", {"input": {}}, 404, None),
        ("models/no/such/predictions", {"input": {}}, 404, None),
        ("deployments/no/such/predictions", {"input": {}}, 404, None),
        (f"models/{FLUX}/predictions", b"{", 422, "Input validation failed"),
        (f"models/{FLUX}/predictions", [], 422, "Input validation failed"),
        (f"models/{FLUX}/predictions", {"input": {"prompt": "x [[fault: status=402]]"}}, 402, "Insufficient credit"),
        (f"models/{FLUX}/predictions", {"input": {"prompt": "x [[fault: status=429]]"}}, 429, None),
    ],
)
def test_refusals_are_problem_details(fleet: Live, path: str, content: object, status: int, title: str | None) -> None:
    reply = call(fleet, "POST", path, content)
    assert (reply.status, reply.json["status"], reply.json.get("title")) == (status, status, title)


def test_a_token_is_needed_but_for_links(fleet: Live) -> None:
    reply = call(fleet, "GET", "account", authorization="Bearer r8_wrong")
    assert reply.status == 401
    assert reply.json["title"] == "Unauthenticated"
    assert call(fleet, "GET", "account", authorization="Token sk-fleet-replicate").status == 200


REST = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["version", "input", "webhook", "webhook_events_filter", "stream", "destination", "owner", "name"]
HEADERS = st.dictionaries(st.sampled_from(["prefer", "cancel-after", "content-type"]), st.text(max_size=12))


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(Replicate.operations.items())),
    st.binary(max_size=40) | st.dictionaries(st.sampled_from(FIELDS), REST).map(lambda body: str(body).encode()),
    st.dictionaries(st.sampled_from(FIELDS), REST),
    HEADERS,
)
def test_any_body_is_read_or_refused(
    operation: Any, raw: bytes, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    (method, path), name = operation
    params = dict.fromkeys(re.findall(r"\{(\w+)\}", path), "x")
    for body in (raw, json.dumps(fields).encode()):
        asked = Request(method, "/v1" + re.sub(r"\{(\w+)\}", "x", path), "cursor=x", headers, body, params)
        try:
            Replicate().decode(asked, name)
        except Refused:
            continue


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["prompt", "width", "num_outputs", "seed", "scheduler"]), REST), st.booleans())
def test_an_input_without_flaws_is_a_work(given_input: dict[str, Any], lenient: bool) -> None:
    fields = {
        "prompt": {"type": "string", "default": ""},
        "width": {"type": "integer", "default": 512},
        "num_outputs": {"type": "integer", "default": 1, "min": 1, "max": 4, "means": "count"},
        "seed": {"type": "integer"},
        "scheduler": {"type": "string", "enum": ["A", "B"]},
    }
    found = inputs.read(fields, given_input, lenient=lenient)
    if not found.flaws:
        work = works.read(found.values, {"inputs": fields, "makes": "image"}, 1)
        assert works.SIDES[0] <= work.width <= works.SIDES[1]
        assert 1 <= work.number <= 4


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["prompt", "width", "num_outputs", "seed", "scheduler", "image"]), REST))
def test_any_input_leads_to_a_prediction_or_a_refusal(fleet: Live, given_input: dict[str, Any]) -> None:
    content = json.dumps({"version": SDXL, "input": given_input}).encode()
    reply = call(fleet, "POST", "predictions", content)
    assert reply.status in (201, 422)
    if reply.status == 201:
        later(fleet, 3000)
        assert told(fleet, reply.json)["status"] == "succeeded"


# --- lists, models, files ---------------------------------------------------------------------------------------------


def test_predictions_are_listed_the_newest_first_in_pages() -> None:
    with running(Clock("manual")) as fleet:
        made = []
        for _ in range(103):
            made.append(run(fleet)["id"])
            later(fleet, 0.001)
        page = call(fleet, "GET", "predictions").json
        assert [row["id"] for row in page["results"]] == made[:2:-1]
        assert page["previous"] is None
        rest = follow_list(fleet, page["next"])
        assert ([row["id"] for row in rest["results"]], rest["next"]) == (made[2::-1], None)
        assert call(fleet, "GET", "trainings").json["results"] == []
        assert call(fleet, "GET", "predictions?cursor=nonsense").json == page


def follow_list(fleet: Live, url: str) -> Any:
    """The page behind the address of a page."""
    return fleet.call(request("GET", re.sub(r"^http://[^/]+", "", url), None, KEY), "GET").json


def test_models_are_listed_searched_and_told(fleet: Live) -> None:
    listed = [f"{row['owner']}/{row['name']}" for row in call(fleet, "GET", "models").json["results"]]
    assert {"stability-ai/sdxl", FLUX, LLAMA} <= set(listed)
    assert "files" not in str(listed)
    found = fleet.call(request("QUERY", "/replicate/v1/models", b"llama chat", KEY)).json["results"]
    assert {row["name"] for row in found} == {
        "meta-llama-3-8b-instruct",
        "meta-llama-3-70b-instruct",
        "llama-2-70b-chat",
    }
    sdxl = call(fleet, "GET", "models/stability-ai/sdxl").json
    schemas = sdxl["latest_version"]["openapi_schema"]["components"]["schemas"]
    assert schemas["Input"]["properties"]["num_outputs"]["maximum"] == 4
    assert schemas["scheduler"]["enum"][0] == "DDIM"
    versions = call(fleet, "GET", "models/stability-ai/sdxl/versions").json["results"]
    assert versions[0]["id"] == sdxl["latest_version"]["id"] == SDXL
    assert call(fleet, "GET", f"models/stability-ai/sdxl/versions/{SDXL}").json == versions[0]
    assert call(fleet, "GET", "models/stability-ai/sdxl/versions/none").status == 404
    (url,) = sdxl["default_example"]["output"]
    assert Image.open(io.BytesIO(follow(fleet, url).body)).size == (768, 768)


def test_the_account_has_collections_deployments_and_hardware(fleet: Live) -> None:
    slugs = [row["slug"] for row in call(fleet, "GET", "collections").json["results"]]
    for slug in slugs:
        assert call(fleet, "GET", f"collections/{slug}").json["models"], slug
    assert call(fleet, "GET", "collections/none").status == 404
    (deployment,) = call(fleet, "GET", "deployments").json["results"]
    assert call(fleet, "GET", "deployments/acme/image-upscaler").json == deployment
    assert {row["sku"] for row in call(fleet, "GET", "hardware").json} >= {"cpu", "gpu-t4"}
    assert call(fleet, "GET", "account").json["type"] == "organization"


def test_a_training_makes_a_version_and_weights(fleet: Live) -> None:
    path = f"models/stability-ai/sdxl/versions/{SDXL}/trainings"
    body = {"destination": "acme/mine", "input": {"input_images": f"https://x.test/a.zip#{TIMES}"}}
    begun = call(fleet, "POST", path, body).json
    assert (begun["status"], begun["model"]) == ("starting", "stability-ai/sdxl")
    later(fleet, 10)
    ended = call(fleet, "GET", f"trainings/{begun['id']}").json
    assert ended["status"] == "succeeded"
    assert ended["output"]["version"].startswith("acme/mine:")
    assert follow(fleet, ended["output"]["weights"]).headers["content-type"] == "application/x-tar"
    assert begun["id"] in [row["id"] for row in call(fleet, "GET", "trainings").json["results"]]
    refused = call(fleet, "POST", path, {"destination": "acme/mine", "input": {}})
    assert refused.json["invalid_fields"][0]["description"] == "input_images is required"


def upload(fleet: Live, content: bytes) -> Reply:
    """A file, as a form."""
    head = (
        b'--b\r\ncontent-disposition: form-data; name="content"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\n'
    )
    metadata = b'\r\n--b\r\ncontent-disposition: form-data; name="metadata"\r\n\r\n{"a": 1}\r\n--b--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}
    return fleet.call(request("POST", "/replicate/v1/files", head + content + metadata, KEY | kind))


def test_files_are_uploaded_told_listed_and_gone(fleet: Live) -> None:
    made = upload(fleet, b"hello")
    assert made.status == 201
    file = made.json
    assert (file["name"], file["content_type"], file["size"], file["metadata"]) == ("a.txt", "text/plain", 5, {"a": 1})
    assert file["etag"] == file["checksums"]["md5"] == "5d41402abc4b2a76b9719d911017c592"
    assert call(fleet, "GET", f"files/{file['id']}").json == file
    assert file in call(fleet, "GET", "files").json["results"]
    assert call(fleet, "GET", f"predictions/{file['id'][-26:]}").status == 404
    assert call(fleet, "DELETE", f"files/{file['id']}").status == 204
    assert call(fleet, "GET", f"files/{file['id']}").status == 404
    other = upload(fleet, b"").json
    later(fleet, 86_400)
    assert call(fleet, "GET", f"files/{other['id']}").status == 404


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


SECRET = "whsec_cmVwbGljYXRlLWZsZWV0LXNpZ25pbmcta2V5LTI0Yg=="


def hooked(fleet: Live, url: str, events: list[str] | None = None, fault: str = "") -> dict[str, Any]:
    """A prediction that tells a receiver."""
    more = {} if events is None else {"webhook_events_filter": events}
    faults = f"[[fault: {fault}]]" if fault else ""
    body = {"input": {"prompt": f"x {TIMES}{faults}"}, "webhook": url, **more}
    found: dict[str, Any] = call(fleet, "POST", f"models/{FLUX}/predictions", body).json
    return found


@pytest.mark.parametrize(
    ("events", "words"),
    [(None, ["succeeded"]), (["start", "completed"], ["processing", "succeeded"]), (["start"], ["processing"])],
)
def test_a_filter_picks_the_moments_that_are_told(
    fleet: Live, receiver: Receiver, events: list[str] | None, words: list[str]
) -> None:
    begun = hooked(fleet, receiver.url, events)
    later(fleet, 2)
    calls(fleet)
    later(fleet, 8)
    calls(fleet)
    assert [body["status"] for body in receiver.bodies] == words
    if words[-1] == "succeeded":
        assert receiver.bodies[-1] == told(fleet, begun)


def test_a_call_is_signed_as_standard_webhooks(fleet: Live, receiver: Receiver) -> None:
    hooked(fleet, receiver.url)
    later(fleet, 10)
    calls(fleet)
    assert call(fleet, "GET", "webhooks/default/secret").json == {"key": SECRET}
    headers, body = receiver.headers[0], receiver.got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    due = hmac.digest(base64.b64decode(SECRET.removeprefix("whsec_")), signed, "sha256")
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(due).decode()}"


def test_an_unknown_event_is_refused(fleet: Live) -> None:
    body = {"input": {"prompt": "x"}, "webhook": "https://x.test", "webhook_events_filter": ["done"]}
    assert call(fleet, "POST", f"models/{FLUX}/predictions", body).status == 422


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        ("", {"images": 3.0, "usd": 0.009}),
        ("job_fails", {}),
        ("moderation_after_render", {"images": 3.0, "usd": 0.009}),
    ],
)
def test_official_models_are_charged_by_what_came(fleet: Live, fault: str, charged: dict[str, float]) -> None:
    assert charge(fleet, run(fleet, fault=fault, num_outputs=3)) == charged


def test_other_models_are_charged_by_the_time_of_the_hardware(fleet: Live) -> None:
    body = {"version": SDXL, "input": {"prompt": f"x {TIMES}[[fault: job_fails percent=50]]"}}
    charged = charge(fleet, call(fleet, "POST", "predictions", body).json)
    assert charged == {"run_seconds": 4.0, "usd": round(4 * 0.000975, 8)}


def charge(fleet: Live, prediction: dict[str, Any]) -> dict[str, float]:
    """What is due for a prediction once it is over."""
    kept = fleet.runtime.fleet.desk.kept("replicate", prediction["id"][4:])
    assert kept is not None
    assert kept.serving.job is not None
    assert Replicate().charge(kept, kept.serving.job.submitted_ms + 1000) == {}
    return dict(Replicate().charge(kept, kept.serving.job.submitted_ms + 10_000))
