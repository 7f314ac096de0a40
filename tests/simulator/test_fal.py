"""fal: runs that are held, and the queue with its status, logs, result, cancellation and signed webhooks."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.fal.api import FalQueue, FalRun
from simulator.media.clips import probe
from simulator.media.speech import heard, listened, speech
from simulator.problem import Refused
from tests.simulator.fal_exchange import FLUX, TIMES, at, call, later, submit, told
from tests.simulator.live import Live, Reply, running
from tests.simulator.receiver import Receiver, calls, receiving

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def held(fleet: Live, model: str, content: dict[str, Any], case: str, seconds: float = 10, **headers: str) -> Reply:
    """The reply to a run that is held for so long by the fleet's clock."""
    found: list[Reply] = []
    named = headers | {"x_windtunnel_case": case}
    thread = threading.Thread(target=lambda: found.append(call(fleet, "POST", model, content, **named)))
    thread.start()
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, seconds - 0.001)
    assert fleet.seen(case)[0]["ended"] == "pending"
    later(fleet, 0.001)
    thread.join(20)
    return found[0]


def result(fleet: Live, model: str = FLUX, fault: str = "", **given: Any) -> Reply:
    """The result of a request, ten seconds later."""
    begun = submit(fleet, model, fault, **given)
    later(fleet, 10)
    return at(fleet, "GET", begun["response_url"])


# --- held -------------------------------------------------------------------------------------------------------------


def test_a_run_is_held_until_it_is_over(fleet: Live) -> None:
    given = {"prompt": f"x {TIMES}", "image_size": "landscape_16_9", "num_images": 2, "seed": 5}
    reply = held(fleet, FLUX, given, "held")
    assert reply.status == 200
    assert UUID.fullmatch(reply.headers["x-fal-request-id"])
    assert reply.headers["x-fal-billable-units"] == "1.1796"  # megapixels
    body = reply.json
    assert list(body) == ["images", "timings", "seed", "has_nsfw_concepts", "prompt"]
    assert (body["seed"], body["timings"], body["has_nsfw_concepts"]) == (5, {"inference": 8.0}, [False, False])
    assert [list(image) for image in body["images"]] == [["url", "width", "height", "content_type"]] * 2
    drawn = [Image.open(io.BytesIO(at(fleet, "GET", image["url"]).body)) for image in body["images"]]
    assert [(one.size, one.format) for one in drawn] == [((1024, 576), "JPEG")] * 2


def test_a_run_may_inline_its_pictures(fleet: Live) -> None:
    given = {"prompt": f"x {TIMES}", "sync_mode": True, "image_size": {"width": 96, "height": "64"}}
    (image,) = held(fleet, FLUX, given, "inlined").json["images"]
    kind, _, data = image["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (96, 64)


def test_a_run_that_does_not_begin_in_time_times_out(fleet: Live) -> None:
    reply = held(fleet, FLUX, {"prompt": f"x {TIMES}"}, "late", 1.5, x_fal_request_timeout="1.5")
    assert (reply.status, reply.json) == (504, {"detail": "Request timed out", "error_type": "request_timeout"})
    assert (reply.headers["x-fal-error-type"], reply.headers["x-fal-request-timeout-type"]) == (
        "request_timeout",
        "user",
    )
    assert held(fleet, FLUX, {"prompt": f"x {TIMES}"}, "in-time", 10, x_fal_request_timeout="2").status == 200


def test_a_run_that_never_ends_is_given_up_after_an_hour(fleet: Live) -> None:
    reply = held(fleet, FLUX, {"prompt": "x [[fault: job_never_finishes]]"}, "never", 3600)
    assert reply.status == 504


def test_a_held_run_cannot_be_asked_for_in_the_queue_of_another_app(fleet: Live) -> None:
    begun = submit(fleet)
    assert at(fleet, "GET", begun["status_url"].replace("flux", "fast-sdxl")).status == 404


# --- the queue --------------------------------------------------------------------------------------------------------


def test_a_request_waits_runs_and_is_done(fleet: Live) -> None:
    begun = submit(fleet)
    assert UUID.fullmatch(begun["request_id"])
    assert begun["response_url"].endswith(f"/fal/queue/fal-ai/flux/requests/{begun['request_id']}")
    assert (begun["status"], begun["logs"], begun["metrics"]) == ("IN_QUEUE", None, {})
    queued = at(fleet, "GET", begun["status_url"])
    assert (queued.status, queued.json["status"]) == (202, "IN_QUEUE")
    assert queued.json["queue_position"] == begun["queue_position"]
    later(fleet, 6)
    half = at(fleet, "GET", begun["status_url"] + "?logs=1").json
    assert (half["status"], "queue_position" in half) == ("IN_PROGRESS", False)
    assert "| 14/28" in half["logs"][-1]["message"]
    assert at(fleet, "GET", begun["status_url"]).json["logs"] is None
    undone = at(fleet, "GET", begun["response_url"])
    assert (undone.status, undone.json) == (400, {"detail": "Request is still in progress"})
    later(fleet, 4)
    over = at(fleet, "GET", begun["status_url"])
    assert (over.status, over.json["status"], over.json["metrics"]) == (200, "COMPLETED", {"inference_time": 8.0})
    assert at(fleet, "GET", begun["response_url"]).json["images"][0]["width"] == 1024


def test_the_status_is_streamed_at_each_change(fleet: Live) -> None:
    begun = submit(fleet)
    later(fleet, 10)
    reply = at(fleet, "GET", begun["status_url"] + "/stream?logs=1")
    assert reply.headers["content-type"].startswith("text/event-stream")
    (event,) = reply.body.split(b"\n\n")[:-1]
    assert json.loads(event.removeprefix(b"data: "))["status"] == "COMPLETED"


def test_a_request_is_cancelled_once(fleet: Live) -> None:
    begun = submit(fleet)
    later(fleet, 1)
    reply = at(fleet, "PUT", begun["cancel_url"])
    assert (reply.status, reply.json) == (202, {"status": "CANCELLATION_REQUESTED"})
    over = at(fleet, "GET", begun["status_url"]).json
    assert (over["status"], over["error_type"]) == ("COMPLETED", "client_cancelled")
    assert at(fleet, "GET", begun["response_url"]).status == 499
    again = at(fleet, "PUT", begun["cancel_url"])
    assert (again.status, again.json) == (400, {"status": "ALREADY_COMPLETED"})
    unknown = at(fleet, "PUT", begun["cancel_url"].replace(begun["request_id"][-4:], "0000"))
    assert unknown.status == 404


@pytest.mark.parametrize(
    ("fault", "status", "detail"),
    [
        ("job_fails message=Boom", 500, ("internal_server_error", "Boom")),
        (
            "moderation_after_render form=failed",
            422,
            ("content_policy_violation", "Content moderated: the output was blocked"),
        ),
    ],
)
def test_a_run_fails_in_the_models_words(fleet: Live, fault: str, status: int, detail: tuple[str, str]) -> None:
    begun = submit(fleet, fault=fault)
    later(fleet, 10)
    over = at(fleet, "GET", begun["status_url"]).json
    assert (over["status"], over["error"]) == ("COMPLETED", detail[1])
    reply = at(fleet, "GET", begun["response_url"])
    (entry,) = reply.json["detail"]
    assert (reply.status, entry["type"], entry["msg"]) == (status, *detail)
    assert reply.headers["x-fal-retryable"] == ("true" if status == 500 else "false")


def test_a_timeout_is_the_platforms_error(fleet: Live) -> None:
    reply = result(fleet, fault="job_times_out")
    assert (reply.status, reply.json["error_type"]) == (504, "request_timeout")


def test_moderation_blanks_pictures_and_leaves_clips_out(fleet: Live) -> None:
    blank = result(fleet, fault="moderation_after_render").json
    assert blank["has_nsfw_concepts"] == [True]
    picture = Image.open(io.BytesIO(at(fleet, "GET", blank["images"][0]["url"]).body))
    assert max(high for _, high in picture.getextrema()) == 0
    clip = result(fleet, "fal-ai/mochi-v1", "moderation_after_render")
    assert (clip.status, clip.json["detail"][0]["type"]) == (422, "no_media_generated")
    flagged = result(fleet, text="flag:violence")
    assert flagged.json["has_nsfw_concepts"] == [True]


def test_requests_vanish_or_are_not_found_at_first(fleet: Live) -> None:
    vanishes = submit(fleet, fault="job_vanishes after_s=5")
    hidden = submit(fleet, fault="transient_404_after_submit for_s=3")
    assert (told(fleet, vanishes), told(fleet, hidden)) == ("IN_QUEUE", "404")
    later(fleet, 5)
    assert (told(fleet, vanishes), told(fleet, hidden)) == ("404", "IN_PROGRESS")


def test_files_live_for_a_week_or_as_asked(fleet: Live) -> None:
    week = result(fleet).json["images"][0]["url"]
    dead = result(fleet, fault="result_url_expired status=403").json["images"][0]["url"]
    asked = call(
        fleet,
        "POST",
        f"queue/{FLUX}",
        {"prompt": f"x {TIMES}"},
        x_fal_object_lifecycle_preference='{"expiration_duration_seconds": 3600}',
    ).json
    later(fleet, 10)
    hour = at(fleet, "GET", asked["response_url"]).json["images"][0]["url"]
    assert at(fleet, "GET", dead).status == 403
    later(fleet, 3600)
    assert (at(fleet, "GET", hour).status, at(fleet, "GET", week).status) == (404, 200)
    later(fleet, 7 * 86_400)
    assert at(fleet, "GET", week).status == 404


# --- what models make -------------------------------------------------------------------------------------------------


def test_clips_have_the_asked_frames_and_size(fleet: Live) -> None:
    reply = result(fleet, "fal-ai/hunyuan-video", num_frames=85, resolution="480p", seed=3).json
    video = reply["video"]
    assert (list(reply), reply["seed"]) == (["video", "seed"], 3)
    data = at(fleet, "GET", video["url"]).body
    assert (video["content_type"], video["file_size"]) == ("application/octet-stream", len(data))
    facts = probe(data)
    assert (facts.width, facts.height, facts.frames) == (854, 480, 85)
    kling = result(fleet, "fal-ai/kling-video/v2.1/standard/text-to-video", duration="10", aspect_ratio="9:16").json
    facts = probe(at(fleet, "GET", kling["video"]["url"]).body)
    assert (facts.width, facts.height, facts.seconds) == (720, 1280, 10.0)


def test_sounds_and_texts(fleet: Live) -> None:
    spoken = call(fleet, "POST", "queue/fal-ai/minimax/speech-02-turbo", {"text": "Hello from the fleet"}).json
    later(fleet, 60)
    audio = at(fleet, "GET", spoken["response_url"]).json["audio"]
    assert heard(at(fleet, "GET", audio["url"]).body) == "Hello from the fleet"
    music = result(fleet, "fal-ai/stable-audio", seconds_total=2).json["audio_file"]
    assert listened(at(fleet, "GET", music["url"]).body).seconds == pytest.approx(2.0)
    text = result(fleet, "fal-ai/any-llm", text='[[answer: say="Forty-two."]]').json
    assert text == {"output": "Forty-two.", "partial": False, "error": None}


def test_a_transcript_has_the_recorded_keys(fleet: Live) -> None:
    sound = base64.b64encode(speech("What was said before", "narrator", "wav")).decode()
    begun = call(fleet, "POST", "queue/fal-ai/whisper", {"audio_url": f"data:audio/wav;base64,{sound}"}).json
    later(fleet, 60)
    body = at(fleet, "GET", begun["response_url"]).json
    assert list(body) == ["text", "chunks", "inferred_languages", "diarization_segments"]
    assert (body["text"], body["inferred_languages"]) == (" What was said before", ["en"])
    assert list(body["chunks"][0]) == ["timestamp", "text", "speaker"]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "entry"),
    [
        ({}, {"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}),
        ({"prompt": {}}, {"loc": ["body", "prompt"], "msg": "str type expected", "type": "type_error.str"}),
        (
            {"prompt": "x", "num_images": 9},
            {
                "loc": ["body", "num_images"],
                "msg": "ensure this value is less than or equal to 4",
                "type": "value_error.number.not_le",
                "ctx": {"limit_value": 4},
            },
        ),
        (
            {"prompt": "x", "seed": "many"},
            {"loc": ["body", "seed"], "msg": "value is not a valid integer", "type": "type_error.integer"},
        ),
    ],
)
def test_the_queue_takes_any_input_and_the_run_refuses_it(fleet: Live, given: object, entry: object) -> None:
    begun = call(fleet, "POST", f"queue/{FLUX}", given)
    assert begun.status == 200
    later(fleet, 60)
    assert told(fleet, begun.json) == "COMPLETED"
    reply = at(fleet, "GET", begun.json["response_url"])
    assert (reply.status, reply.json) == (422, {"detail": [entry]})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5"])
def test_a_body_that_is_no_object_is_refused_at_once(fleet: Live, body: bytes) -> None:
    reply = call(fleet, "POST", f"queue/{FLUX}", body)
    assert (reply.status, reply.json["detail"][0]["loc"][0]) == (422, "body")


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (403, "You are not allowed to access this application"),
        (429, "Too many requests. Please slow down."),
        (503, "No runner is available"),
    ],
)
def test_refusals_of_the_platform_are_texts(fleet: Live, status: int, detail: str) -> None:
    reply = call(fleet, "POST", f"queue/{FLUX}", {"prompt": f"x [[fault: status={status}]]"})
    assert (reply.status, reply.json["detail"]) == (status, detail)


def test_a_key_and_a_model_are_needed(fleet: Live) -> None:
    reply = call(fleet, "POST", f"queue/{FLUX}", {"prompt": "x"}, authorization="Bearer sk-fleet-fal")
    assert (reply.status, reply.json) == (401, {"detail": "No user found for Key ID and Secret"})
    unknown = call(fleet, "POST", "queue/fal-ai/none", {"prompt": "x"})
    assert (unknown.status, unknown.json) == (404, {"detail": "Application fal-ai/none not found"})
    assert call(fleet, "GET", f"queue/{FLUX}/requests/nonsense/status").status == 405
    assert call(fleet, "GET", "queue/fal-ai/flux/requests/nonsense/status").status == 404


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-fal-request-timeout", "x-fal-object-lifecycle-preference"]),
    VALUES.map(str) | st.text(max_size=9),
)


@settings(max_examples=150)
@given(st.binary(max_size=30) | VALUES.map(lambda value: json.dumps(value).encode()), HEADERS, st.text(max_size=9))
def test_any_body_is_read_or_refused(body: bytes, headers: dict[str, str], rest: str) -> None:
    for dialect in (FalRun(), FalQueue()):
        for (method, path), operation in dialect.operations.items():
            params = dict.fromkeys(re.findall(r"\{(\w+)\}", path), rest)
            asked = Request(method, path, rest, headers, body, params)
            try:
                dialect.decode(asked, operation)
            except Refused:
                continue


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["prompt", "seed", "image_size", "num_images", "loras", "sync_mode"]), VALUES))
def test_any_input_leads_to_an_answer(fleet: Live, given_input: dict[str, Any]) -> None:
    """No input of a model makes the fleet stumble: a result, or the model's own complaint."""
    content = json.dumps(given_input | {"num_inference_steps": 1}).encode()
    begun = call(fleet, "POST", "queue/fal-ai/flux-lora", content)
    if begun.status == 200:
        later(fleet, 3600)
        begun = at(fleet, "GET", begun.json["response_url"])
    assert begun.status in (200, 422)


# --- webhooks and money -----------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def verify(fleet: Live, headers: dict[str, str], body: bytes) -> None:
    """Check a signature against the key set, as the documentation has it. Raises InvalidSignature."""
    (key,) = call(fleet, "GET", ".well-known/jwks.json", authorization="").json["keys"]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    names = ("request-id", "user-id", "timestamp")
    lines = [*(headers[f"x-fal-webhook-{name}"] for name in names), sha256(body).hexdigest()]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), "\n".join(lines).encode())


def test_a_webhook_tells_the_result_and_is_signed(fleet: Live, receiver: Receiver) -> None:
    begun = submit(fleet, query=f"?fal_webhook={receiver.url}")
    later(fleet, 10)
    calls(fleet)
    (body,) = receiver.bodies
    payload = at(fleet, "GET", begun["response_url"]).json
    own = begun["request_id"]
    assert body == {"request_id": own, "gateway_request_id": own, "status": "OK", "error": None, "payload": payload}
    verify(fleet, receiver.headers[0], receiver.got[0])
    with pytest.raises(InvalidSignature):
        verify(fleet, receiver.headers[0], receiver.got[0] + b" ")


def test_a_webhook_tells_an_error(fleet: Live, receiver: Receiver) -> None:
    receiver.answers = [500]
    submit(fleet, fault="job_fails message=Boom", query=f"?fal_webhook={receiver.url}")
    later(fleet, 10)
    calls(fleet)
    later(fleet, 720)
    calls(fleet)
    first, again = receiver.bodies
    assert first == again
    assert (first["status"], first["error"]) == ("ERROR", "Invalid status code: 500")
    assert first["payload"]["detail"][0]["msg"] == "Boom"


@pytest.mark.parametrize(
    ("fault", "charged"), [("", {"megapixels": 1.5729, "usd": 0.0393225}), ("job_fails", {}), ("job_times_out", {})]
)
def test_what_came_is_charged(fleet: Live, fault: str, charged: dict[str, float]) -> None:
    begun = submit(fleet, fault=fault, num_images=2)
    kept = fleet.runtime.fleet.desk.kept("fal", begun["request_id"][14:])
    assert kept is not None
    assert kept.serving.job is not None
    assert dict(FalQueue().charge(kept, kept.serving.job.submitted_ms + 10_000)) == charged
