"""Videos on OpenAI's wire, and jobs of the first Sora on Azure: begun, polled, downloaded, edited, deleted."""

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
from simulator.dialects.azure_videos.jobs import AzureVideos
from simulator.dialects.openai.videos import OpenAIVideos
from simulator.media.clips import clip, probe
from simulator.media.frames import thumbnail
from simulator.media.pictures import picture
from simulator.models import facts as models
from simulator.problem import Refused
from tests.simulator.live import Live, Reply, request, running

KEY = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
AZURE = {"api-key": "sk-fleet-azure", "content-type": "application/json"}
TIMES = "[[fault: job_times queue_s=1 cold_s=0 run_s=10]]"
JOBS = "/azure/openai/v1/video/generations"
VERSION = "?api-version=preview"
KEYS = ["id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt", "size"]
KEYS += ["seconds", "remixed_from_video_id", "error"]

Json = dict[str, Any]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, method: str, path: str, content: object = None, headers: Json | None = None) -> Reply:
    return fleet.call(request(method, path, content, KEY if headers is None else headers), method)


def prompt(fault: str = "", text: str = "A cat") -> str:
    return f"{text} {TIMES}" + (f"[[fault: {fault}]]" if fault else "")


def create(fleet: Live, fault: str = "", text: str = "A cat", **more: Any) -> str:
    """The id of a new video."""
    reply = call(fleet, "POST", "/openai/v1/videos", {"prompt": prompt(fault, text), **more})
    assert reply.status == 200, reply
    found: str = reply.json["id"]
    return found


def told(fleet: Live, video: str) -> Json:
    reply = call(fleet, "GET", f"/openai/v1/videos/{video}")
    assert reply.status == 200, reply
    found: Json = reply.json
    return found


def content(fleet: Live, video: str, variant: str = "video") -> Reply:
    return call(fleet, "GET", f"/openai/v1/videos/{video}/content?variant={variant}")


def later(fleet: Live, seconds: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": seconds * 1000})


def form(*parts: tuple[str, str | bytes, str]) -> tuple[bytes, Json]:
    """A multipart body of (name, value, file name or "") and the headers that go with it."""
    lines = b""
    for name, value, file in parts:
        more = f'; filename="{file}"\r\ncontent-type: application/octet-stream' if file else ""
        data = value.encode() if isinstance(value, str) else value
        lines += f'--B\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"
    return lines + b"--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


# --- a video ----------------------------------------------------------------------------------------------------------


def test_a_video_is_queued_then_in_progress_then_completed(fleet: Live) -> None:
    reply = call(fleet, "POST", "/openai/v1/videos", {"prompt": prompt()})
    first = reply.json
    assert list(first) == KEYS
    assert re.fullmatch("video_[0-9a-f]{48}", first["id"])
    assert (first["status"], first["progress"], first["seconds"], first["size"]) == ("queued", 0, "4", "720x1280")
    assert [first[key] for key in ("completed_at", "expires_at", "remixed_from_video_id", "error")] == [None] * 4
    later(fleet, 6)
    polled = call(fleet, "GET", f"/openai/v1/videos/{first['id']}")
    assert (polled.json["status"], polled.json["progress"]) == ("in_progress", 50)
    assert polled.headers["openai-poll-after-ms"] == "2500"
    later(fleet, 5)
    polled = call(fleet, "GET", f"/openai/v1/videos/{first['id']}")
    assert "openai-poll-after-ms" not in polled.headers
    done = polled.json
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert done["completed_at"] == first["created_at"] + 11
    assert done["expires_at"] == done["completed_at"] + 3600


@pytest.mark.parametrize(
    ("more", "size", "seconds"),
    [
        ({}, (720, 1280), 4),
        ({"seconds": "8", "size": "1280x720"}, (1280, 720), 8),
        ({"model": "sora-2-pro", "seconds": "4", "size": "1792x1024"}, (1792, 1024), 4),
    ],
)
def test_a_video_is_as_asked(fleet: Live, more: Json, size: Any, seconds: int) -> None:
    video = create(fleet, **more)
    later(fleet, 11)
    reply = content(fleet, video)
    found = probe(reply.body)
    assert reply.headers["content-type"] == "video/mp4"
    assert ((found.width, found.height), found.seconds, found.sound) == (size, seconds, "aac")


def test_variants_are_pictures(fleet: Live) -> None:
    video = create(fleet, seconds="8")
    later(fleet, 11)
    small, sheet = content(fleet, video, "thumbnail"), content(fleet, video, "spritesheet")
    with Image.open(io.BytesIO(small.body)) as image:
        assert (image.format, image.size, small.headers["content-type"]) == ("WEBP", (720, 1280), "image/webp")
    with Image.open(io.BytesIO(sheet.body)) as image:
        assert (image.format, image.height, sheet.headers["content-type"]) == ("JPEG", 360, "image/jpeg")
    assert content(fleet, video, "poster").json["error"]["param"] == "variant"


def test_the_given_picture_is_the_first_frame(fleet: Live) -> None:
    data = picture("", 720, 1280, "png", 11)
    body, kind = form(("prompt", prompt(), ""), ("seconds", "4", ""), ("input_reference", data, "a.png"))
    by_form = call(fleet, "POST", "/openai/v1/videos", body, KEY | kind).json["id"]
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    by_json = create(fleet, input_reference={"image_url": url})
    later(fleet, 11)
    for video in (by_form, by_json):
        clip_data = content(fleet, video).body
        with Image.open(io.BytesIO(thumbnail(clip_data, "png"))) as first, Image.open(io.BytesIO(data)) as due:
            shown, meant = (image.resize((8, 8)).convert("RGB").tobytes() for image in (first, due))
            assert max(abs(one - other) for one, other in zip(shown, meant, strict=True)) < 24


@pytest.mark.parametrize(
    ("body", "param", "sentence"),
    [
        ({}, "prompt", "Missing required parameter"),
        ({"prompt": "x", "seconds": 8}, "seconds", "expected a string, but got an integer"),
        ({"prompt": "x", "seconds": "5"}, "seconds", "Supported values are: '4', '8', and '12'."),
        ({"prompt": "x", "size": "1024x1792"}, "size", "Supported values are"),
        ({"prompt": "x", "duration": 4}, "duration", "Unknown parameter: 'duration'."),
        ({"prompt": "x", "model": "sora-9"}, None, "does not exist"),
        ({"prompt": "x", "input_reference": "http://x/y.png"}, "input_reference", "expected a file, but got a string"),
        ({"prompt": "x", "input_reference": {}}, "input_reference.image_url", "Missing required parameter"),
        (
            {"prompt": "x", "input_reference": {"image_url": "data:image/png;base64,AAAA"}},
            "input_reference",
            "mimetype",
        ),
    ],
)
def test_requests_that_are_refused(fleet: Live, body: Json, param: str | None, sentence: str) -> None:
    reply = call(fleet, "POST", "/openai/v1/videos", body)
    assert reply.status in (400, 404)
    assert reply.json["error"]["param"] == param
    assert sentence in reply.json["error"]["message"]


def test_a_picture_of_another_size_is_refused(fleet: Live) -> None:
    body, kind = form(("prompt", "x", ""), ("input_reference", picture("", 64, 64, "png", 1), "a.png"))
    reply = call(fleet, "POST", "/openai/v1/videos", body, KEY | kind)
    assert reply.json["error"]["message"] == "Inpaint image must match the requested width and height"


def test_content_waits_for_the_end_and_expires(fleet: Live) -> None:
    video, dead = create(fleet), create(fleet, "result_url_expired status=404")
    early = content(fleet, video)
    assert (early.status, early.json["error"]["type"]) == (404, "invalid_request_error")
    later(fleet, 11)
    assert content(fleet, dead).status == 404
    later(fleet, 3599.999)
    assert content(fleet, video).status == 200
    later(fleet, 0.001)
    assert content(fleet, video).status == 404


@pytest.mark.parametrize(
    ("text", "fault", "code", "message"),
    [
        ("A cat", "job_fails message=Oops", "internal_error", "Oops"),
        ("A cat", "job_times_out", "internal_error", "timed out"),
        ("A cat", "moderation_after_render", "moderation_blocked", "blocked"),
        ("A cat", "moderation_after_render form=failed", "moderation_blocked", "blocked"),
        ("flag:sexual", "", "moderation_blocked", "blocked"),
    ],
)
def test_a_video_fails(fleet: Live, text: str, fault: str, code: str, message: str) -> None:
    """There is no success without a video: what is held back has failed."""
    video = create(fleet, fault, text)
    later(fleet, 11)
    failed = told(fleet, video)
    assert (failed["status"], failed["error"]["code"], failed["completed_at"]) == ("failed", code, None)
    assert message in failed["error"]["message"]
    assert content(fleet, video).status == 404


def test_a_video_may_be_found_late_or_no_more(fleet: Live) -> None:
    hidden, lost = create(fleet, "transient_404_after_submit"), create(fleet, "job_vanishes after_s=5")
    path = f"/openai/v1/videos/{hidden}"
    missing = call(fleet, "GET", path)
    assert (missing.status, missing.json["error"]["message"]) == (404, f"Video with id '{hidden}' not found.")
    assert told(fleet, lost)["status"] == "queued"
    later(fleet, 5)
    assert told(fleet, hidden)["status"] == "in_progress"
    assert call(fleet, "GET", f"/openai/v1/videos/{lost}").status == 404
    assert call(fleet, "GET", "/openai/v1/videos/video_1").status == 404
    assert call(fleet, "GET", path.replace("video_", "video_0")[:-1]).status == 404


def test_progress_may_never_advance(fleet: Live) -> None:
    video = create(fleet, "progress_never_advances")
    later(fleet, 10)
    assert told(fleet, video)["progress"] == 0
    later(fleet, 1)
    assert told(fleet, video)["progress"] == 100


def test_the_same_body_twice_is_two_videos(fleet: Live) -> None:
    assert len({create(fleet, text="again") for _ in range(3)}) == 3


# --- made of another --------------------------------------------------------------------------------------------------


def test_remix_edit_and_extension_are_made_of_a_completed_video(fleet: Live) -> None:
    source = create(fleet, seconds="8", size="1280x720", model="sora-2-pro")
    bodies = {
        f"{source}/remix": {"prompt": prompt()},
        "edits": {"prompt": prompt(), "video": {"id": source}},
        "extensions": {"prompt": prompt(), "video": {"id": source}, "seconds": "16"},
    }
    for path, body in bodies.items():
        refused = call(fleet, "POST", f"/openai/v1/videos/{path}", body)
        assert refused.json["error"]["message"] == "The source video must be completed."
    later(fleet, 11)
    made = {path: call(fleet, "POST", f"/openai/v1/videos/{path}", body).json for path, body in bodies.items()}
    assert [row["seconds"] for row in made.values()] == ["8", "8", "24"]
    assert {(row["model"], row["size"]) for row in made.values()} == {("sora-2-pro", "1280x720")}
    assert [row["remixed_from_video_id"] for row in made.values()] == [source, None, None]
    later(fleet, 11)
    assert probe(content(fleet, made["extensions"]["id"]).body).seconds == 24
    assert call(fleet, "DELETE", f"/openai/v1/videos/{source}").status == 200
    assert told(fleet, made[f"{source}/remix"]["id"])["remixed_from_video_id"] == source


def test_a_clip_that_was_sent_is_edited(fleet: Live) -> None:
    body, kind = form(("prompt", prompt(), ""), ("video", clip("old", 2, 160, 96), "a.mp4"))
    video = call(fleet, "POST", "/openai/v1/videos/edits", body, KEY | kind).json
    assert (video["seconds"], video["size"]) == ("2", "160x96")
    wrong, kind = form(("prompt", prompt(), ""), ("video", b"no clip", "a.mp4"))
    assert call(fleet, "POST", "/openai/v1/videos/edits", wrong, KEY | kind).json["error"]["param"] == "video"
    nested, kind = form(("prompt", prompt(), ""), ("video[id]", "video_1", ""))
    assert call(fleet, "POST", "/openai/v1/videos/edits", nested, KEY | kind).status == 404


def test_a_character_is_kept(fleet: Live) -> None:
    body, kind = form(("name", "Mossy", ""), ("video", clip("old", 1, 64, 64), "a.mp4"))
    made = call(fleet, "POST", "/openai/v1/videos/characters", body, KEY | kind).json
    assert re.fullmatch("char_[0-9a-f]{48}", made["id"])
    assert call(fleet, "GET", f"/openai/v1/videos/characters/{made['id']}").json == made
    as_video = made["id"].replace("char", "video")
    assert call(fleet, "GET", f"/openai/v1/videos/{as_video}").status == 404
    assert call(fleet, "GET", f"/openai/v1/videos/characters/{create(fleet)}").status == 404


def test_list_and_delete() -> None:
    with running(Clock("manual")) as fleet:
        videos = []
        for _ in range(3):
            videos.append(create(fleet))
            later(fleet, 1)
        first = call(fleet, "GET", "/openai/v1/videos?limit=2").json
        assert [row["id"] for row in first["data"]] == [videos[2], videos[1]]
        assert (first["has_more"], first["last_id"]) == (True, videos[1])
        rest = call(fleet, "GET", f"/openai/v1/videos?limit=2&after={videos[1]}").json
        assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([videos[0]], False)
        up = call(fleet, "GET", "/openai/v1/videos?order=asc").json
        assert [row["id"] for row in up["data"]] == videos
        deleted = call(fleet, "DELETE", f"/openai/v1/videos/{videos[0]}").json
        assert deleted == {"id": videos[0], "object": "video.deleted", "deleted": True}
        assert call(fleet, "GET", f"/openai/v1/videos/{videos[0]}").status == 404
        assert call(fleet, "DELETE", f"/openai/v1/videos/{videos[0]}").status == 404
        assert len(call(fleet, "GET", "/openai/v1/videos").json["data"]) == 2
        assert call(fleet, "GET", "/openai/v1/videos?limit=0").json["error"]["param"] == "limit"


def test_refusals_are_openais(fleet: Live) -> None:
    assert call(fleet, "GET", "/openai/v1/videos", headers={}).status == 401
    limited = call(fleet, "POST", "/openai/v1/videos", {"prompt": prompt("status=429")})
    assert limited.json["error"]["code"] == "rate_limit_exceeded"
    lost = call(fleet, "POST", "/openai/v1/videos", {"prompt": prompt("submit_5xx_after_accept", "[[case:twice]]")})
    assert lost.status == 502
    assert len(fleet.control("GET", "jobs?case=twice")["jobs"]) == 1
    chat = {"model": "sora-2", "messages": [{"role": "user", "content": "x"}]}
    assert call(fleet, "POST", "/openai/v1/chat/completions", chat).status == 404


def test_what_was_made_is_charged(fleet: Live) -> None:
    dialect, desk = OpenAIVideos(), fleet.runtime.fleet.desk
    now = fleet.runtime.fleet.clock.now_ms()
    kept = {fault: desk.kept("openai", create(fleet, fault, seconds="8")[-22:]) for fault in ("", "job_fails")}
    charged = {fault: dialect.charge(one, now + 11_000) for fault, one in kept.items() if one is not None}
    assert charged == {"": {"output_seconds": 8.0, "usd": 0.8}, "job_fails": {}}


# --- Azure ------------------------------------------------------------------------------------------------------------


def begin(fleet: Live, fault: str = "", **more: Any) -> Json:
    """A new job of the first Sora."""
    body = {"prompt": prompt(fault), "model": "sora", "width": 480, "height": 480, "n_seconds": 5, **more}
    reply = call(fleet, "POST", f"{JOBS}/jobs{VERSION}", body, AZURE)
    assert reply.status == 201, reply
    found: Json = reply.json
    return found


def job(fleet: Live, name: str) -> Reply:
    return call(fleet, "GET", f"{JOBS}/jobs/{name}{VERSION}", None, AZURE)


def test_a_job_goes_through_its_stages(fleet: Live) -> None:
    made = begin(fleet, n_variants=2)
    assert re.fullmatch("task_01[0-9a-hjkmnp-tv-z]{24}", made["id"])
    assert (made["object"], made["generations"], made["failure_reason"]) == ("video.generation.job", [], None)
    words = []
    for seconds in (0, 1.5, 5, 4, 0.5):
        later(fleet, seconds)
        words.append(job(fleet, made["id"]).json["status"])
    assert words == ["queued", "preprocessing", "running", "processing", "succeeded"]
    done = job(fleet, made["id"]).json
    assert done["expires_at"] == done["finished_at"] + 86_400
    clips = []
    for row in done["generations"]:
        assert (row["object"], row["job_id"]) == ("video.generation", made["id"])
        clips.append(call(fleet, "GET", f"{JOBS}/{row['id']}/content/video{VERSION}", None, AZURE).body)
        assert call(fleet, "GET", f"{JOBS}/{row['id']}{VERSION}", None, AZURE).json == row
    assert [(probe(data).seconds, probe(data).width) for data in clips] == [(5, 480)] * 2
    assert clips[0] != clips[1]
    small = call(fleet, "GET", f"{JOBS}/{row['id']}/content/thumbnail{VERSION}", None, AZURE)
    assert Image.open(io.BytesIO(small.body)).format == "JPEG"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("job_fails", "internal_error"),
        ("moderation_after_render", "moderation_blocked"),
        ("job_times_out", "internal_error"),
    ],
)
def test_a_job_fails_for_a_reason(fleet: Live, fault: str, reason: str) -> None:
    name = begin(fleet, fault)["id"]
    later(fleet, 11)
    failed = job(fleet, name).json
    assert (failed["status"], failed["failure_reason"], failed["generations"]) == ("failed", reason, [])


def test_a_job_begins_with_the_picture_that_is_cut(fleet: Live) -> None:
    image = Image.new("RGB", (200, 100), (200, 20, 20))
    image.paste((20, 20, 200), (100, 0, 200, 100))
    out = io.BytesIO()
    image.save(out, "PNG")
    bounds = {"left_fraction": 0.5, "top_fraction": 0, "right_fraction": 1, "bottom_fraction": 1}
    items = [{"frame_index": 0, "type": "image", "file_name": "a.png", "crop_bounds": bounds}]
    values = {"prompt": prompt(), "model": "sora", "width": "480", "height": "480", "n_seconds": "5"}
    fields = [(name, value, "") for name, value in values.items()]
    body, kind = form(*fields, ("inpaint_items", orjson.dumps(items), ""), ("files", out.getvalue(), "a.png"))
    made = call(fleet, "POST", f"{JOBS}/jobs{VERSION}", body, AZURE | kind)
    assert made.status == 201, made
    later(fleet, 11)
    (row,) = job(fleet, made.json["id"]).json["generations"]
    data = call(fleet, "GET", f"{JOBS}/{row['id']}/content/video{VERSION}", None, AZURE).body
    with Image.open(io.BytesIO(thumbnail(data, "png"))) as first:
        red, _, blue = first.convert("RGB").getpixel((60, 240))
    assert blue > 150 > red


@pytest.mark.parametrize(
    ("body", "query", "status"),
    [
        ({"width": 1920, "height": 1080, "n_seconds": 11}, VERSION, 400),
        ({"width": 100, "height": 100}, VERSION, 400),
        ({"width": 1920, "height": 1080, "n_variants": 2}, VERSION, 400),
        ({"model": "sora-9"}, VERSION, 404),
        ({}, "", 404),
        ({"inpaint_items": [{"type": "image", "file_name": "none.png"}]}, VERSION, 400),
    ],
)
def test_jobs_that_are_refused(fleet: Live, body: Json, query: str, status: int) -> None:
    sent = {"prompt": "x", "model": "sora", "width": 480, "height": 480, **body}
    assert call(fleet, "POST", f"{JOBS}/jobs{query}", sent, AZURE).status == status


def test_jobs_are_listed_and_deleted(fleet: Live) -> None:
    name = begin(fleet)["id"]
    listed = call(fleet, "GET", f"{JOBS}/jobs{VERSION}", None, AZURE).json
    assert name in [row["id"] for row in listed["data"]]
    assert call(fleet, "DELETE", f"{JOBS}/jobs/{name}{VERSION}", None, AZURE).status == 204
    assert job(fleet, name).status == 404


def test_the_later_sora_is_on_openais_wire_at_azure_as_well(fleet: Live) -> None:
    made = call(fleet, "POST", "/azure/openai/v1/videos", {"prompt": prompt(), "model": "sora-2"}, AZURE)
    later(fleet, 11)
    path = f"/azure/openai/v1/videos/{made.json['id']}"
    assert call(fleet, "GET", path, None, AZURE).json["status"] == "completed"
    assert call(fleet, "GET", f"{path}/content", None, AZURE).body[4:8] == b"ftyp"
    rows = call(fleet, "GET", "/azure/openai/v1/videos", None, AZURE).json["data"]
    assert [row["id"] for row in rows] == [made.json["id"]]  # and no job of the first Sora


# --- any bytes --------------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-9, 9999) | st.floats(-9, 99) | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner))
OBJECTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "image_url", "file_id", "type", "file_name", "crop_bounds"), VALUES)
)
FIELDS = ["prompt", "model", "seconds", "size", "input_reference", "video", "name", "width", "height", "inpaint_items"]
BODIES = st.dictionaries(
    st.sampled_from(FIELDS) | st.text(max_size=4),
    VALUES | OBJECTS | st.lists(OBJECTS, max_size=2) | st.sampled_from(["x", "4", "720x1280", "sora", "sora-2", 480]),
    max_size=5,
)
TAKERS = [(OpenAIVideos(), operation) for operation in set(OpenAIVideos.operations.values())]
TAKERS += [(AzureVideos(), operation) for operation in set(AzureVideos.operations.values())]


def outcome(dialect: Any, operation: str, data: bytes, kind: str, query: str = "") -> str:
    """What comes of a request: "read", or the kind of the refusal."""
    sent = Request("POST", "/v1/videos", query, {"content-type": kind}, data, {"id": query})
    try:
        ask = dialect.decode(sent, operation)
        profile = models.profile("p", dialect.name, ask.model, {}) if ask.model else None
        if profile is not None:
            dialect.check(ask, profile)
    except Refused as refused:
        return refused.problem.kind
    return "read"


@settings(max_examples=150)
@given(body=BODIES | VALUES, query=st.text("limit=0&orderascvnt ", max_size=24))
def test_any_body_is_read_or_refused(body: Any, query: str) -> None:
    data = orjson.dumps(body)
    found = {outcome(*taker, data, "application/json", query) for taker in TAKERS}
    assert found <= {"read", "invalid_request", "bad_json", "not_kept"}


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*FIELDS, "video[id]", "seconds[a]", "files"]),
            st.binary(max_size=24),
            st.sampled_from(["", "a.png"]),
        ),
        max_size=5,
    )
)
def test_any_form_is_read_or_refused(parts: list[tuple[str, bytes, str]]) -> None:
    data, kind = form(*parts)
    found = {outcome(*taker, data, kind["content-type"]) for taker in TAKERS}
    found |= {outcome(*taker, data[:-9], kind["content-type"]) for taker in TAKERS}
    assert found <= {"read", "invalid_request", "bad_json", "not_kept"}
