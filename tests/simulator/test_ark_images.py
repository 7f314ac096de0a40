"""Ark's pictures (Seedream): held until made, streamed as made, each may fail by itself; sizes, formats, refusals."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.ask import Request
from simulator.clock import Clock
from simulator.dialects.ark import image_request
from simulator.models import facts
from simulator.problem import Refused
from tests.simulator.ark_exchange import AT_ONCE, IMAGES, PAINTER, call, fetch, inlined, later
from tests.simulator.live import Live, Reply, request, running

THREE = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}
REFUSED = "OutputImageSensitiveContentDetected"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def paint(fleet: Live, prompt: str = "A teapot", fault: str = "", **more: Any) -> Reply:
    """A request for pictures that takes no time."""
    faults = f"[[fault: {fault}]]" if fault else ""
    return call(fleet, "POST", IMAGES, {"model": PAINTER, "prompt": f"{prompt} {AT_ONCE}{faults}", **more})


def events(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event; the last is no JSON."""
    blocks = reply.body.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    found = []
    for block in blocks[:-2]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_picture_and_its_link(fleet: Live) -> None:
    reply = paint(fleet)
    (row,) = reply.json["data"]
    assert list(reply.json) == ["model", "created", "data", "usage"]
    assert row["size"] == "2048x2048"
    assert reply.json["usage"] == {"generated_images": 1, "output_tokens": 16384, "total_tokens": 16384}
    fetched = fetch(fleet, row["url"])
    image = Image.open(io.BytesIO(fetched.body))
    assert (fetched.headers["content-type"], image.size, image.format) == ("image/jpeg", (2048, 2048), "JPEG")
    later(fleet, 86_399)
    assert fetch(fleet, row["url"]).status == 200
    later(fleet, 1)
    assert fetch(fleet, row["url"]).status == 403


def test_base64_formats_and_the_watermark(fleet: Live) -> None:
    more = {"model": "doubao-seedream-5-0-260128", "size": "2K", "output_format": "png", "response_format": "b64_json"}
    marked, plain = (paint(fleet, watermark=mark, **more).json["data"][0]["b64_json"] for mark in (True, False))
    assert marked != plain
    assert Image.open(io.BytesIO(base64.b64decode(plain))).format == "PNG"
    assert paint(fleet, watermark=True, **more).json["data"][0]["b64_json"] == marked


@pytest.mark.parametrize(
    ("prompt", "more", "size"),
    [
        ("A teapot", {"size": "4K"}, "4096x4096"),
        ("A teapot, 16:9", {"size": "2k"}, "2848x1600"),
        ("A teapot", {"size": "2560x1440"}, "2560x1440"),
        ("A teapot", {"image": [inlined(300, 600)]}, "1600x2848"),
        ("A teapot", {"model": "doubao-seedream-4-0-250828", "size": "1K"}, "1024x1024"),
        ("A teapot", {"model": "doubao-seedream-3-0-t2i-250415", "size": "512x768", "seed": 3}, "512x768"),
    ],
)
def test_sizes(fleet: Live, prompt: str, more: dict[str, Any], size: str) -> None:
    assert paint(fleet, prompt, **more).json["data"][0]["size"] == size


def test_a_sequence_has_as_many_as_it_says(fleet: Live) -> None:
    auto = {"sequential_image_generation": "auto"}
    assert len(paint(fleet, **THREE).json["data"]) == 3
    assert len(paint(fleet, "5 images of a teapot", **auto).json["data"]) == 5
    assert len(paint(fleet, "生成4张茶壶", **auto).json["data"]) == 4
    assert len(paint(fleet, "9 images", **THREE).json["data"]) == 3
    assert 2 <= len(paint(fleet, **auto).json["data"]) <= 4
    many = [inlined(300, 300, colour) for colour in ("red", "blue")] * 7
    assert len(paint(fleet, "9 images", image=many, **auto).json["data"]) == 1
    assert len(paint(fleet, "9 images").json["data"]) == 1


def test_some_of_the_pictures_fail(fleet: Live) -> None:
    reply = paint(fleet, fault="partial_results lost=1", **THREE)
    rows = reply.json["data"]
    assert (reply.status, len(rows)) == (200, 3)
    failed = [row for row in rows if "error" in row]
    assert [row["error"]["code"] for row in failed] == [REFUSED]
    assert reply.json["usage"]["generated_images"] == 2
    names = [name for name, _ in events(paint(fleet, fault="partial_results lost=1", stream=True, **THREE))]
    assert sorted(names[:3]) == ["image_generation.partial_failed"] + ["image_generation.partial_succeeded"] * 2
    assert names[3:] == ["image_generation.completed"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("moderation_after_render", 400, REFUSED),
        ("moderation_after_render form=failed", 400, REFUSED),
        ("job_fails", 500, "InternalServiceError"),
        ("job_times_out", 500, "InternalServiceError"),
    ],
)
def test_all_of_it_fails(fleet: Live, fault: str, status: int, code: str) -> None:
    prompt = f"A teapot [[fault: job_times queue_s=0 run_s=0.01]][[fault: {fault}]]"
    line = fleet.line()
    body = {"model": PAINTER, "prompt": f"[[case:all-{code}-{len(fault)}]]{prompt}"}
    line.send(raw(body))
    fleet.seen(f"all-{code}-{len(fault)}")
    later(fleet, 1)
    reply = line.reply()
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def raw(body: dict[str, Any]) -> bytes:
    head = {"authorization": "Bearer sk-fleet-ark", "content-type": "application/json"}
    return request("POST", f"/ark/api/v3{IMAGES}", body, head)


def test_the_head_of_a_stream_is_held_until_the_first_picture() -> None:
    with running(Clock("manual")) as fleet:
        prompt = "[[case:held]]A teapot [[fault: job_times queue_s=0 run_s=48]]"
        two = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 2}}
        line = fleet.line()
        line.send(raw({"model": PAINTER, "prompt": prompt, "stream": True, **two}))
        assert fleet.seen("held")[0]["ended"] == "pending"
        later(fleet, 23.999)
        assert fleet.seen("held")[0]["status"] is None
        later(fleet, 0.001)
        head = line.head()
        assert head is not None
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        first = line.until(b"\n\n")
        assert first is not None
        assert b'"image_index":0' in first
        began_s = json.loads(first.split(b"data: ")[1])["created"]
        assert fleet.seen("held")[0]["ended"] == "pending"
        later(fleet, 24)
        rest = line.until(b"[DONE]") or b""
        last = json.loads(rest.split(b"image_generation.completed\ndata: ")[1].split(b"\n")[0])
        assert last["usage"]["generated_images"] == 2
        assert last["created"] - began_s == 24


def test_a_whole_reply_is_held_until_all_are_made() -> None:
    with running(Clock("manual")) as fleet:
        line = fleet.line()
        line.send(raw({"model": PAINTER, "prompt": "[[case:whole]]A teapot [[fault: job_times queue_s=1 run_s=26]]"}))
        fleet.seen("whole")
        later(fleet, 26.999)
        assert fleet.seen("whole")[0]["ended"] == "pending"
        later(fleet, 0.001)
        assert line.reply().status == 200
        (job,) = fleet.control("GET", "jobs?case=whole")["jobs"]
        assert (job["state"], job["run_ms"]) == ("succeeded", 26_000)


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"prompt": None}, "prompt", "it is missing `prompt` parameter"),
        ({"size": "512x512"}, "size", "image size must be at least 3686400 pixels"),
        ({"size": "1K"}, "size", "size 1K is not supported"),
        ({"size": "8192x128"}, "size", "must be at least"),
        ({"output_format": "png"}, "output_format", "output_format is not supported"),
        ({"model": "doubao-seedream-5-0-260128", "output_format": "webp"}, "output_format", "is not supported"),
        ({"seed": 1}, "seed", "seed is not supported"),
        ({"guidance_scale": 2.5}, "guidance_scale", "guidance_scale is not supported"),
        ({"optimize_prompt_options": {"mode": "fast"}}, "optimize_prompt_options.mode", "must be 'standard'"),
        ({"model": "doubao-seedream-5-0-pro-260628", "stream": True}, "stream", "stream is not supported"),
        ({"image": [inlined(300, 300)] * 15}, "image", "at most 14"),
        ({"image": "nothing"}, "image", "invalid url specified"),
        ({"response_format": "png"}, "response_format", "must be one of url, b64_json"),
        ({"stream": "yes"}, "stream", "expected boolean, but got string"),
    ],
)
def test_what_is_refused(fleet: Live, given: dict[str, Any], param: str, said: str) -> None:
    body = {"model": PAINTER, "prompt": "A teapot", **given}
    reply = call(fleet, "POST", IMAGES, body)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert (reply.json["error"]["param"], said in reply.json["error"]["message"]) == (param, True)


def test_refusals_of_a_stream_are_no_stream(fleet: Live) -> None:
    reply = paint(fleet, stream=True, size="1x1")
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert paint(fleet, "flag:sexual", stream=True).json["error"]["code"] == "InputTextSensitiveContentDetected"
    names = [name for name, _ in events(paint(fleet, "flag:harassment", stream=True))]
    assert names == ["image_generation.partial_failed", "image_generation.completed"]


OWN = {"vendors": ["ark"], "signature_secret": b"key"}
FIELDS = (
    "model prompt image size seed guidance_scale stream watermark response_format tools "
    "sequential_image_generation sequential_image_generation_options optimize_prompt_options"
)
NAMES = st.sampled_from(FIELDS.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("max_images") | st.just("type"), inner),
    max_leaves=6,
)


@given(st.binary(max_size=40) | st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_body_is_read_or_refused(raw: bytes | dict[str, Any]) -> None:
    data = raw if isinstance(raw, bytes) else orjson.dumps(raw)
    request = Request("POST", f"/api/v3{IMAGES}", "", {}, data, {}, OWN, "http://x/ark")
    kind = ""
    profile = facts.profile("ark", "ark_images", "doubao-seedream-4-0-250828", OWN)
    assert profile is not None
    try:
        ask = image_request.decode(request)
        image_request.check(ask, profile)
    except Refused as refused:
        kind = refused.problem.kind
    assert kind in ("", "invalid_request", "missing")
    if not kind:
        assert 1 <= image_request.work(ask, profile, 5).number <= 15
