"""The Images wire: what is made, what it costs, and what each model takes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from PIL import Image

from simulator.clock import Clock
from simulator.dialects.openai.images_request import Picture
from simulator.dialects.openai.images_usage import image_tokens, picture_tokens
from simulator.media.pictures import picture
from tests.simulator.live import Live, Reply, request, running

KEY = {"authorization": "Bearer sk-fleet-openai"}
PNG = picture("logo", 128, 128, "png", 1)
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
BOUNDARY = "----fleet7f3a"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as made:
        yield made


def post(fleet: Live, path: str, body: dict[str, Any]) -> Reply:
    headers = {**KEY, "content-type": "application/json"}
    return fleet.call(request("POST", f"/openai/v1/images/{path}", body, headers))


def create(fleet: Live, model: str = "gpt-image-1", **more: object) -> Reply:
    return post(fleet, "generations", {"prompt": "A cat", "model": model, **more})


def form(fleet: Live, path: str, fields: dict[str, str], files: list[tuple[str, bytes, str]]) -> Reply:
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts += [
        f'name="{name}"; filename="{name}.png"\r\nContent-Type: {kind}\r\n\r\n'.encode() + data
        for name, data, kind in files
    ]
    body = b"".join(b"--%b\r\nContent-Disposition: form-data; %b\r\n" % (BOUNDARY.encode(), part) for part in parts)
    headers = {**KEY, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return fleet.call(request("POST", f"/openai/v1/images/{path}", body + f"--{BOUNDARY}--\r\n".encode(), headers))


def shown(entry: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(entry["b64_json"])))


def refusal(reply: Reply) -> tuple[str, str | None, str | None]:
    assert reply.status == 400, reply.body
    error = reply.json["error"]
    return error["message"], error["code"], error["param"]


def test_a_gpt_image_is_base64_with_usage(fleet: Live) -> None:
    reply = create(fleet, size="1024x1536", quality="low")
    body = reply.json
    assert list(body) == ["created", "background", "data", "output_format", "quality", "size", "usage"]
    assert [list(entry) for entry in body["data"]] == [["b64_json"]]
    assert (body["background"], body["output_format"], body["quality"], body["size"]) == (
        "opaque",
        "png",
        "low",
        "1024x1536",
    )
    assert body["usage"] == {
        "input_tokens": 2,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 2},
        "output_tokens": 408,
        "output_tokens_details": {"image_tokens": 408, "text_tokens": 0},
        "total_tokens": 410,
    }
    image = shown(body["data"][0])
    assert (image.size, image.format) == ((1024, 1536), "PNG")


def test_what_is_left_open_is_told(fleet: Live) -> None:
    first, other = create(fleet, size="auto", quality="auto", n=2).json, create(fleet, "gpt-image-1.5").json
    assert (first["size"], first["quality"], first["usage"]["output_tokens"]) == ("1024x1024", "high", 2 * 4160)
    assert len({entry["b64_json"] for entry in first["data"]}) == 2
    assert other["quality"] == "medium"
    assert other["usage"]["output_tokens_details"]["image_tokens"] == 1056
    assert other["usage"]["output_tokens_details"]["text_tokens"] > 0


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_format_compression_and_background(fleet: Live, output_format: str) -> None:
    more = {"background": "transparent"} if output_format != "jpeg" else {"output_compression": 20}
    body = create(fleet, output_format=output_format, quality="low", **more).json
    image = shown(body["data"][0])
    assert image.format == output_format.upper()
    assert body["output_format"] == output_format
    assert (image.mode == "RGBA") == (output_format != "jpeg")


def test_the_same_request_gives_the_same_picture_under_another_request_id(fleet: Live) -> None:
    one, again = create(fleet), create(fleet)
    assert one.json["data"] == again.json["data"]
    assert one.headers["x-request-id"] != again.headers["x-request-id"]


def test_the_journal_knows_the_usage(fleet: Live) -> None:
    told = post(fleet, "generations", {"prompt": "Cat [[case:pictured]]", "model": "gpt-image-1"}).json["usage"]
    (entry,) = fleet.journal("pictured")
    assert entry["operation"] == "create_image"
    assert entry["usage_true"]["output_tokens"] == told["output_tokens"] == entry["delivered"]["tokens"]
    assert entry["usage_told"] == entry["usage_true"]


@pytest.mark.parametrize("partials", [0, 3])
def test_a_stream_ends_with_the_whole_picture(fleet: Live, partials: int) -> None:
    reply = create(fleet, stream=True, partial_images=partials, size="1536x1024", quality="medium")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    rows = [chunk.decode().split("\n") for chunk in reply.chunks]
    events = [orjson.loads(row[1].removeprefix("data: ")) for row in rows]
    assert [row[0] for row in rows] == [f"event: {event['type']}" for event in events]
    assert [event["type"] for event in events] == ["image_generation.partial_image"] * partials + [
        "image_generation.completed"
    ]
    assert [event["partial_image_index"] for event in events[:-1]] == list(range(partials))
    assert events[-1]["usage"]["output_tokens"] == 1568 + 100 * partials
    assert {shown(event).size for event in events} == {(1536, 1024)}
    common = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format"}
    assert set(events[-1]) == common | {"usage"}
    assert all(set(event) == common | {"partial_image_index"} for event in events[:-1])


def test_an_edit_by_form(fleet: Live) -> None:
    fields = {"prompt": "Make it green", "model": "gpt-image-1", "n": "2", "quality": "low", "size": "1024x1024"}
    files = [(name, PNG, "image/png") for name in ("image[]", "image[]", "mask")]
    body = form(fleet, "edits", fields, files).json
    assert len(body["data"]) == 2
    assert body["usage"]["input_tokens_details"] == {"image_tokens": 2 * 194, "text_tokens": 3}
    assert body["usage"]["output_tokens"] == 2 * 272


def test_an_edit_by_form_can_stream(fleet: Live) -> None:
    fields = {"prompt": "Make it green", "model": "gpt-image-1", "stream": "true", "partial_images": "1"}
    reply = form(fleet, "edits", fields, [("image", PNG, "image/png")])
    assert [chunk.split(b"\n")[0] for chunk in reply.chunks] == [
        b"event: image_edit.partial_image",
        b"event: image_edit.completed",
    ]


def test_an_edit_by_json(fleet: Live) -> None:
    images = [{"image_url": DATA_URL}, {"image_url": "https://pictures.example/logo.png"}, {"file_id": "file-abc"}]
    body = post(fleet, "edits", {"model": "gpt-image-1.5", "prompt": "Green", "images": images}).json
    assert body["usage"]["input_tokens_details"]["image_tokens"] == 3 * 194


def test_a_variation(fleet: Live) -> None:
    reply = form(
        fleet, "variations", {"n": "2", "response_format": "b64_json", "size": "256x256"}, [("image", PNG, "image/png")]
    )
    assert {shown(entry).size for entry in reply.json["data"]} == {(256, 256)}
    assert "usage" not in reply.json


@pytest.mark.parametrize(
    ("model", "more", "said", "code", "param"),
    [
        (
            "gpt-image-1",
            {"response_format": "url"},
            "Unknown parameter: 'response_format'.",
            "unknown_parameter",
            "response_format",
        ),
        ("gpt-image-2", {"style": "vivid"}, "Unknown parameter: 'style'.", "unknown_parameter", "style"),
        ("dall-e-2", {"quality": "standard"}, "Unknown parameter: 'quality'.", "unknown_parameter", "quality"),
        ("dall-e-3", {"stream": True}, "Unknown parameter: 'stream'.", "unknown_parameter", "stream"),
        ("gpt-image-1", {"size": "256x256"}, "'auto', '1024x1024'", "invalid_value", "size"),
        ("dall-e-3", {"size": "512x512"}, "'1024x1792'", "invalid_value", "size"),
        ("dall-e-2", {"size": "1024x1792"}, "'256x256'", "invalid_value", "size"),
        ("gpt-image-1", {"quality": "hd"}, "'auto', 'low', 'medium', and 'high'", "invalid_value", "quality"),
        ("dall-e-3", {"quality": "high"}, "'standard', and 'hd'", "invalid_value", "quality"),
        ("dall-e-3", {"n": 2}, "You must provide n=1", None, None),
        ("gpt-image-1", {"n": 11}, "<= 10", "integer_above_max_value", "n"),
        ("gpt-image-1", {"n": 0}, ">= 1", "integer_below_min_value", "n"),
        ("dall-e-2", {"prompt": "x" * 1001}, "maximum length 1000", "string_above_max_length", "prompt"),
        ("dall-e-3", {"prompt": "x" * 4001}, "maximum length 4000", "string_above_max_length", "prompt"),
        ("gpt-image-1", {"prompt": "x" * 32001}, "maximum length 32000", "string_above_max_length", "prompt"),
        (
            "gpt-image-1",
            {"prompt": ""},
            "Missing required parameter: 'prompt'.",
            "missing_required_parameter",
            "prompt",
        ),
        ("gpt-image-1", {"prompt": 7}, "Invalid type for 'prompt'", "invalid_type", "prompt"),
        ("gpt-image-1", {"output_compression": 101}, "<= 100", "integer_above_max_value", "output_compression"),
        ("gpt-image-1", {"partial_images": 1}, "only allowed when 'stream'", None, "partial_images"),
        ("gpt-image-1", {"partial_images": 4, "stream": True}, "<= 3", "integer_above_max_value", "partial_images"),
        (
            "gpt-image-1",
            {"background": "transparent", "output_format": "jpeg"},
            "Transparent",
            "invalid_value",
            "background",
        ),
        ("gpt-image-2", {"size": "1000x1000"}, "divisible by 16", "invalid_value", "size"),
        ("gpt-image-2", {"size": "1024x256"}, "1:3 and 3:1", "invalid_value", "size"),
        ("gpt-image-2", {"size": "3856x2160"}, "3840x2160", "invalid_value", "size"),
        ("gpt-image-2", {"size": "big"}, "WIDTHxHEIGHT", "invalid_value", "size"),
    ],
)
def test_what_a_model_does_not_take(
    fleet: Live, model: str, more: dict[str, Any], said: str, code: str | None, param: str | None
) -> None:
    message, *rest = refusal(create(fleet, model, **more))
    assert said in message
    assert rest == [code, param]


def test_free_sizes(fleet: Live) -> None:
    body = create(fleet, "gpt-image-2", size="2048x1152", quality="low").json
    assert shown(body["data"][0]).size == (2048, 1152)
    assert body["usage"]["output_tokens_details"]["image_tokens"] == 612  # 272 x 2.25


@pytest.mark.parametrize(
    ("path", "fields", "files", "said"),
    [
        ("edits", {"prompt": "x", "model": "gpt-image-1"}, [], "Missing required parameter: 'image'."),
        ("edits", {"prompt": "x", "model": "dall-e-3"}, [PNG], "Invalid value: 'dall-e-3'."),
        ("variations", {"model": "gpt-image-1"}, [PNG], "Supported values are: 'dall-e-2'."),
        ("edits", {"prompt": "x", "model": "gpt-image-1", "n": "two"}, [PNG], "expected an integer"),
        ("edits", {"prompt": "x", "model": "gpt-image-1"}, [b"GIF89a"], "unsupported mimetype ('image/png')"),
        ("edits", {"prompt": "x"}, [picture("", 64, 32, "png", 1)], "must be square"),
        ("edits", {"prompt": "x"}, [picture("", 64, 64, "jpeg", 1)], "must be a PNG"),
        ("edits", {"prompt": "x", "model": "gpt-image-1"}, [PNG] * 17, "maximum length 16"),
    ],
)
def test_forms_that_are_refused(fleet: Live, path: str, fields: dict[str, str], files: list[bytes], said: str) -> None:
    assert said in refusal(form(fleet, path, fields, [("image[]", data, "image/png") for data in files]))[0]


def test_a_mask_is_as_large_as_its_picture(fleet: Live) -> None:
    files = [("image", PNG, "image/png"), ("mask", picture("", 64, 64, "png", 1), "image/png")]
    assert refusal(form(fleet, "edits", {"prompt": "x"}, files))[2] == "mask"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"image_url": "https://pictures.example/does-not-exist.png"}, "Upstream status code: 404"),
        ({"image_url": "ftp://pictures.example/a.png"}, "Upstream status code: 404"),
        ({"image_url": "data:image/png;base64,!"}, "base64-encoded data URL"),
        ({"image_url": "data:image/gif;base64,R0lGODlh"}, "unsupported mimetype ('image/gif')"),
        ({}, "Missing required parameter: 'images[0].image_url'."),
        ("x", "expected an object"),
    ],
)
def test_addresses_that_are_refused(fleet: Live, image: object, said: str) -> None:
    body = {"prompt": "x", "model": "gpt-image-1", "images": [image]}
    assert said in refusal(post(fleet, "edits", body))[0]


def test_a_broken_form_is_no_traceback(fleet: Live) -> None:
    for kind, data in (
        ("multipart/form-data", b"--x--"),
        (f"multipart/form-data; boundary={BOUNDARY}", b"--other\r\n"),
        (f"multipart/form-data; boundary={BOUNDARY}", f"--{BOUNDARY}\r\nContent-Disposition: form-data".encode()),
    ):
        raw = request("POST", "/openai/v1/images/edits", data, {**KEY, "content-type": kind})
        assert "Could not parse multipart form" in refusal(fleet.call(raw))[0]


def test_the_safety_system(fleet: Live) -> None:
    reply = create(fleet, prompt="An erotic drawing")
    error = reply.json["error"]
    assert (reply.status, error["type"], error["code"]) == (400, "image_generation_user_error", "moderation_blocked")
    assert reply.headers["x-request-id"] in error["message"]
    assert create(fleet, prompt="An erotic drawing", moderation="low").status == 200
    assert create(fleet, prompt="A pipe bomb", moderation="low").status == 400
    assert create(fleet, "dall-e-3", prompt="An erotic drawing").json["error"]["code"] == "content_policy_violation"


def test_no_key_and_no_such_model(fleet: Live) -> None:
    assert create(fleet, "no-such-model").json["error"]["code"] == "model_not_found"
    assert create(fleet, "gpt-4o").status == 404
    assert fleet.call(request("POST", "/openai/v1/images/generations", {"prompt": "x"})).status == 401


def test_token_formulas() -> None:
    assert image_tokens((1536, 1024), "high") == 6208
    assert image_tokens((2048, 2048), "low") == 4 * 272
    assert picture_tokens(Picture(1024, 1024, "PNG", 1)) == 194
    assert picture_tokens(Picture(1024, 2048, "PNG", 1)) == 65 + 2 * 129
    assert picture_tokens(Picture(512, 512, "PNG", 1), high=True) == 194 + 4160
    assert picture_tokens(Picture(512, 600, "PNG", 1), high=True) == 65 + 2 * 129 + 6240
