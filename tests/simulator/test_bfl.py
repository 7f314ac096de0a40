"""BFL's FLUX: submitted, polled at its cluster, fetched; moderation, credits, webhooks, refusals in FastAPI's form."""

from __future__ import annotations

import base64
import hmac
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.bfl import replies
from simulator.jobs.job import Job
from simulator.media.clips import probe
from simulator.models import facts
from simulator.problem import Refused
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.test_webhooks import Receiver, after, receiver  # noqa: F401

TIMES = "[[fault: job_times queue_s=1 cold_s=0 run_s=5]]"  # it runs from 1 s to 6 s
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NOTHING = {"progress": None, "details": None, "preview": None}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, method: str, path: str, content: object = None, provider: str = "bfl", **headers: str) -> Reply:
    """One call, at a path below the provider's name."""
    head = {"x-key": f"sk-fleet-{provider}", "content-type": "application/json"} | headers
    return fleet.call(request(method, f"/{provider}{path}", content, head), method)


def submit(
    fleet: Live, model: str = "flux-2-pro", fault: str = "", provider: str = "bfl", **more: Any
) -> dict[str, Any]:
    """The reply to a submission."""
    faults = f"[[fault: {fault}]]" if fault else ""
    prompt = f"{more.pop('prompt', 'A lighthouse')} {TIMES}{faults}"
    reply = call(fleet, "POST", f"/v1/{model}", {"prompt": prompt, **more}, provider)
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def poll(fleet: Live, begun: dict[str, Any], **headers: str) -> dict[str, Any]:
    """How a task stands, asked where its submission says."""
    parts = urlsplit(begun["polling_url"])
    reply = fleet.call(request("GET", f"{parts.path}?{parts.query}", None, {"x-key": "sk-fleet-bfl"} | headers), "GET")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


def later(fleet: Live, seconds: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def fetch(fleet: Live, url: str) -> Reply:
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def bare(width: int, height: int) -> str:
    """A picture in base64, as the wire has it."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def opened(fleet: Live, begun: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(fetch(fleet, poll(fleet, begun)["result"]["sample"]).body))


def test_a_task_is_submitted_polled_and_fetched(fleet: Live) -> None:
    now_s = fleet.control("GET", "clock")["now_ms"] / 1000
    begun = submit(fleet, width=512, height=256, seed=42)
    job = begun["id"]
    assert UUID.fullmatch(job)
    assert begun == {
        "id": job,
        "polling_url": f"http://fleet/bfl/us1/v1/get_result?id={job}",
        "cost": 3.0,
        "input_mp": 0.0,
        "output_mp": 0.13,
    }
    pending = {"id": job, "status": "Pending", **NOTHING, "cost": 3.0, "result": None}
    assert poll(fleet, begun) == pending
    later(fleet, 3)
    assert poll(fleet, begun) == pending | {"progress": 0.4}
    later(fleet, 3)
    done = poll(fleet, begun)
    result = done.pop("result")
    pending.pop("result")
    assert done == pending | {"status": "Ready"}
    url = result.pop("sample")
    assert result.pop("prompt").startswith("A lighthouse")
    assert result == {"seed": 42, "start_time": now_s + 1, "end_time": now_s + 6, "duration": 5.0}
    image = Image.open(io.BytesIO(fetch(fleet, url).body))
    assert (image.size, image.format) == ((512, 256), "JPEG")
    later(fleet, 599)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    late = fetch(fleet, url)
    assert (late.status, b"<Code>AuthenticationFailed</Code>" in late.body) == (403, True)


def test_a_task_is_found_at_its_cluster_alone(fleet: Live) -> None:
    begun = submit(fleet)
    lost = {"id": begun["id"], "status": "Task not found", **NOTHING, "result": None}
    assert call(fleet, "GET", f"/v1/get_result?id={begun['id']}").json == lost
    assert poll(fleet, begun)["status"] == "Pending"
    assert call(fleet, "GET", f"/v1/get_result?id={begun['id']}", provider="bfl-eu").json == lost
    assert call(fleet, "GET", "/us1/v1/get_result?id=nonsense").json == lost | {"id": "nonsense"}
    own = submit(fleet, provider="bfl-eu")
    assert own["polling_url"] == f"http://fleet/bfl-eu/v1/get_result?id={own['id']}"
    assert poll(fleet, own, **{"x-key": "sk-fleet-bfl-eu"})["status"] == "Pending"


def test_a_row_may_find_tasks_everywhere_and_use_other_words() -> None:
    facts = {
        "vendors": ["bfl"],
        "credits": 10,
        "finds_all": True,
        "states": {"queued": "Queued", "running": "Processing"},
    }
    dialects = [
        {"dialect": "bfl", "facts": {"clusters": {"us1": "/us1/v1"}}},
        {"dialect": "bfl", "at": "/us1/v1", "facts": {"cluster": "us1"}},
    ]
    row = {"name": "bfl", "region": "us-east", "dialects": dialects, "facts": {**facts, "error_form": "named"}}
    with running(Clock("manual"), rows={"providers": [row]}) as fleet:
        begun = submit(fleet)
        assert call(fleet, "GET", f"/v1/get_result?id={begun['id']}").json["status"] == "Queued"
        later(fleet, 1)
        assert poll(fleet, begun)["status"] == "Processing"
        refused = call(fleet, "GET", "/v1/credits", **{"x-windtunnel-fault": "status=429"})
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        assert refused.json["error"] == "rate_limit_exceeded"
        later(fleet, 5)
        assert call(fleet, "GET", "/v1/credits").json == {"credits": 7.0}


@pytest.mark.parametrize(
    ("model", "more", "size", "form", "cost"),
    [
        ("flux-2-pro", {"width": 2048, "height": 1024, "output_format": "png"}, (2048, 1024), "PNG", 4.5),
        ("flux-2-max", {"input_image": bare(640, 320)}, (640, 320), "JPEG", 10.0),
        ("flux-2-flex", {"steps": 20, "guidance": 4.5}, (1024, 1024), "JPEG", 6.0),
        ("flux-kontext-pro", {"aspect_ratio": "16:9"}, (1360, 768), "JPEG", 4.0),
        ("flux-kontext-max", {"input_image": bare(300, 600)}, (720, 1456), "JPEG", 8.0),
        ("flux-pro-1.1", {}, (1024, 768), "JPEG", 4.0),
        ("flux-pro-1.1-ultra", {"aspect_ratio": "1:1", "raw": True}, (2048, 2048), "JPEG", 6.0),
        ("flux-pro-1.0-fill", {"image": bare(320, 200), "mask": bare(320, 200)}, (320, 200), "JPEG", 5.0),
        ("flux-pro-1.0-expand", {"image": bare(320, 200), "top": 100, "right": 80}, (400, 300), "JPEG", 5.0),
    ],
)
def test_what_the_models_make(fleet: Live, model: str, more: dict[str, Any], size: Any, form: str, cost: float) -> None:
    begun = submit(fleet, model, **more)
    assert begun["cost"] == cost
    later(fleet, 6)
    image = opened(fleet, begun)
    assert (image.size, image.format) == (size, form)


def test_clips(fleet: Live) -> None:
    begun = submit(fleet, "flux-3-video", mode="t2v", duration=5, resolution="hd", aspect_ratio="16:9")
    quiet = submit(fleet, "flux-3-video", mode="i2v", keyframes=[[0, bare(480, 480)]], generate_audio=False)
    assert begun["cost"] == 85.0
    later(fleet, 6)
    url = poll(fleet, begun)["result"]["sample"]
    clip = probe(fetch(fleet, url).body)
    assert (clip.width, clip.height, clip.seconds, clip.fps, clip.sound) == (1280, 720, 5.0, 24.0, "aac")
    other = probe(fetch(fleet, poll(fleet, quiet)["result"]["sample"]).body)
    assert (other.width, other.height, other.sound) == (960, 960, "")
    assert 5 <= other.seconds <= 10
    later(fleet, 7199)
    assert fetch(fleet, url).status == 200
    later(fleet, 1)
    assert fetch(fleet, url).status == 403


def test_a_null_counts_as_absent(fleet: Live) -> None:
    begun = submit(fleet, "flux-3-video", mode="t2v", resolution=None, duration=5, seed=None)
    assert begun["cost"] == 85.0


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "prompt", "status", "details"),
    [
        ("job_fails", "A cat", "Error", {"error": "CUDA out of memory"}),
        ("job_times_out", "A cat", "Error", {"error": "The task timed out"}),
        ("moderation_after_render", "A cat", "Content Moderated", {"Moderation Reasons": ["Content Filter"]}),
        (
            "moderation_after_render form=failed",
            "A cat",
            "Content Moderated",
            {"Moderation Reasons": ["Content Filter"]},
        ),
        ("noop", "flag:harassment", "Content Moderated", {"Moderation Reasons": ["Content Filter"]}),
        ('job_fails message="Task not found"', "A cat", "Task not found", {"error": "Task not found"}),
    ],
)
def test_ends_of_a_task(fleet: Live, fault: str, prompt: str, status: str, details: dict[str, Any]) -> None:
    begun = submit(fleet, fault=fault, prompt=prompt)
    later(fleet, 6)
    found = poll(fleet, begun)
    assert (found["status"], found["details"], found["result"]) == (status, details, None)


def test_a_prompt_is_refused_soon_and_for_nothing(fleet: Live) -> None:
    before = call(fleet, "GET", "/v1/credits").json["credits"]
    reply = call(fleet, "POST", "/v1/flux-2-pro", {"prompt": "flag:sexual"})
    later(fleet, 0.4)
    refused = poll(fleet, reply.json)
    assert (refused["status"], refused["details"]) == ("Request Moderated", {"Moderation Reasons": ["Safety Filter"]})
    mild = submit(fleet, prompt="flag:harassment", safety_tolerance=5)
    later(fleet, 6)
    assert poll(fleet, mild)["status"] == "Ready"
    assert call(fleet, "GET", "/v1/credits").json["credits"] == before - 3


def test_tasks_that_are_hidden_vanish_or_lose_their_links(fleet: Live) -> None:
    hidden = submit(fleet, fault="transient_404_after_submit for_s=3")
    gone = submit(fleet, fault="job_vanishes after_s=3")
    dead = submit(fleet, fault="result_url_expired after_s=2")
    assert [poll(fleet, one)["status"] for one in (hidden, gone)] == ["Task not found", "Pending"]
    later(fleet, 6)
    assert [poll(fleet, one)["status"] for one in (hidden, gone)] == ["Ready", "Task not found"]
    url = poll(fleet, dead)["result"]["sample"]
    assert fetch(fleet, url).status == 200
    later(fleet, 2)
    assert fetch(fleet, url).status == 403


CLIP = {"mode": "t2v", "prompt": "A"}
MOST = "Input should be less than or equal to {}"
PIXELS = "Value error, The total number of pixels must be at most 4194304"
NO_IMAGE = "Value error, Invalid image: no URL, and no base64"
NO_RATIO = "Value error, Invalid aspect ratio"


@pytest.mark.parametrize(
    ("model", "body", "flaws"),
    [
        ("flux-2-pro", {}, {("missing", "prompt", "Field required")}),
        (
            "flux-2-pro",
            {"prompt": 5, "width": 100, "height": 32, "seed": "x", "output_format": "webp", "prompt_upsampling": "no"},
            {
                ("string_type", "prompt", "Input should be a valid string"),
                ("multiple_of", "width", "Input should be a multiple of 16"),
                ("greater_than_equal", "height", "Input should be greater than or equal to 64"),
                ("int_parsing", "seed", "Input should be a valid integer, unable to parse string as an integer"),
                ("enum", "output_format", "Input should be 'jpeg' or 'png'"),
                ("bool_parsing", "prompt_upsampling", "Input should be a valid boolean, unable to interpret input"),
            },
        ),
        (
            "flux-2-pro",
            {"prompt": "A", "safety_tolerance": 6},
            {("less_than_equal", "safety_tolerance", MOST.format(5))},
        ),
        ("flux-2-pro", {"prompt": "A", "width": 4096, "height": 2048}, {("value_error", "", PIXELS)}),
        ("flux-2-pro", {"prompt": "A", "input_image": "!"}, {("value_error", "input_image", NO_IMAGE)}),
        ("flux-2-flex", {"prompt": "A", "steps": 51}, {("less_than_equal", "steps", MOST.format(50))}),
        ("flux-kontext-pro", {"prompt": "A", "aspect_ratio": "9:1"}, {("value_error", "aspect_ratio", NO_RATIO)}),
        ("flux-3-video", {"prompt": "A"}, {("missing", "mode", "Field required")}),
        ("flux-3-video", {"mode": "i2v", "prompt": "A"}, {("missing", "keyframes", "Field required")}),
        ("flux-3-video", {**CLIP, "seed": 5}, {("extra_forbidden", "seed", "Extra inputs are not permitted")}),
        ("flux-3-video", {**CLIP, "duration": 21}, {("less_than_equal", "duration", MOST.format(20))}),
    ],
)
def test_what_is_not_valid(fleet: Live, model: str, body: dict[str, Any], flaws: set[tuple[str, str, str]]) -> None:
    reply = call(fleet, "POST", f"/v1/{model}", body)
    assert reply.status == 422
    found = reply.json["detail"]
    assert all(entry["loc"][0] == "body" and "input" in entry for entry in found)
    assert {(entry["type"], ".".join(entry["loc"][1:]), entry["msg"]) for entry in found} == flaws


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "/v1/flux-9", {"prompt": "A"}, 404, "Not Found"),
        ("GET", "/v1/flux-2-pro", None, 405, "Method Not Allowed"),
        ("GET", "/v2/credits", None, 404, "Not Found"),
    ],
)
def test_what_is_not_there(fleet: Live, method: str, path: str, body: object, status: int, detail: str) -> None:
    reply = call(fleet, method, path, body)
    assert (reply.status, reply.json) == (status, {"detail": detail})


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (402, "Insufficient credits. Please add credits to your account."),
        (403, "Not authenticated - Access denied"),
        (429, "Rate limit exceeded. Too many active tasks."),
        (500, "Internal Server Error"),
        (418, "I'm a Teapot"),
    ],
)
def test_faults_of_the_wire_speak_its_words(fleet: Live, status: int, detail: str) -> None:
    reply = call(fleet, "GET", "/v1/credits", **{"x-windtunnel-fault": f"status={status}"})
    assert (reply.status, reply.json) == (status, {"detail": detail})


def test_a_key_is_due_in_its_own_header(fleet: Live) -> None:
    for headers in ({"x-key": "other"}, {"x-key": "", "authorization": "Bearer sk-fleet-bfl"}):
        reply = call(fleet, "GET", "/v1/credits", **headers)
        assert (reply.status, reply.json) == (403, {"detail": "Not authenticated - Invalid Authentication"})


def test_the_documented_limit_as_a_quota() -> None:
    with running(Clock("manual")) as fleet:
        fleet.control("PUT", "quotas", {"bfl": [{"limit": 2, "of": "jobs", "operations": ["submit"]}]})
        submit(fleet)
        submit(fleet, prompt="another")
        refused = call(fleet, "POST", "/v1/flux-2-pro", {"prompt": "one more"})
        assert refused.status == 429
        later(fleet, 6)
        submit(fleet, prompt="one more")


def test_a_balance_of_credits_runs_out() -> None:
    with running(Clock("manual")) as fleet:
        fleet.control("PUT", "quotas", {"bfl": [{"limit": 5, "of": "balance", "unit": "credits"}]})
        submit(fleet)
        refused = call(fleet, "POST", "/v1/flux-2-pro", {"prompt": "one more"})
        assert (refused.status, refused.json["detail"].startswith("Insufficient credits")) == (402, True)


def test_webhooks_are_signed_and_tried_again(receiver: Receiver) -> None:  # noqa: F811
    with running(Clock("manual")) as fleet:
        receiver.answers = [500, 500]
        begun = submit(fleet, webhook_url=receiver.url, webhook_secret="s3cret")
        assert begun == {"id": begun["id"], "status": "Pending", "webhook_url": receiver.url}
        for seconds in (6, 1, 5):
            made = after(fleet, seconds)
        assert [one["status"] for one in made] == [500, 500, 200]
        for headers, raw in zip(receiver.headers, receiver.got, strict=True):
            due = hmac.new(b"s3cret", raw, sha256).hexdigest()
            assert headers["x-bfl-signature"] == f"sha256={due}"
        told = receiver.bodies[0]
        assert (told["id"], told["status"], told["timestamp"]) == (begun["id"], "Ready", "2026-01-01T00:00:06Z")
        assert fetch(fleet, told["result"]["sample"]).status == 200
        refused = call(fleet, "POST", "/v1/flux-2-pro", {"prompt": "flag:sexual", "webhook_url": receiver.url})
        after(fleet, 1)
        last = receiver.bodies[-1]
        assert (last["id"], last["status"], last["error"]) == (refused.json["id"], "Error", "content_policy_violation")
        assert "x-bfl-signature" not in receiver.headers[-1]


MODELS = sorted(facts.listed("bfl", {"vendors": ["bfl"]}))
FIELDS = (
    "prompt width height seed input_image image mask aspect_ratio steps guidance keyframes start_video mode duration "
    "resolution draft safety_tolerance output_format webhook_url webhook_secret top image_prompt raw"
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["t2v", "i2v", "v2v", "hd", "auto", "16:9", "0:0", "https://x.test/a.png", "1024", 1e300])
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)


@given(
    model=st.sampled_from(MODELS),
    raw=st.binary(max_size=40) | st.dictionaries(st.sampled_from(FIELDS.split()), VALUES, max_size=8),
)
def test_any_body_is_taken_or_refused(model: str, raw: bytes | dict[str, Any]) -> None:
    dialect = DIALECTS["bfl"]
    data = raw if isinstance(raw, bytes) else orjson.dumps(raw)
    own = {"vendors": ["bfl"], "signature_secret": b"key"}
    request = Request("POST", f"/v1/{model}", "", {}, data, {"model": model}, own, "http://x/bfl")
    profile = facts.profile("bfl", "bfl", model, own)
    assert isinstance(profile, Profile)
    kind = ""
    try:
        ask = dialect.decode(request, "submit")
        dialect.check(ask, profile)
    except Refused as refused:
        kind = refused.problem.kind
    assert kind in ("", "invalid_request")
    if not kind:
        begun = Serving("nonce", 0, 5, own, path=f"/v1/{model}")
        job = Job(0, dialect.plan(ask, profile, begun))  # type: ignore[attr-defined]
        kept = Kept(ask, None, profile, replace(begun, job=job))
        assert dialect.perform(ask, profile, kept.serving, None).status == 200
        assert replies.result(kept, 10**9)["status"] in ("Ready", "Request Moderated", "Content Moderated")
