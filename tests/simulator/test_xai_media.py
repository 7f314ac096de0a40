"""xAI Imagine: pictures at once, videos as jobs, their public links, and what is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.dialects.base import Kept
from simulator.jobs.desk import JobDialect
from simulator.media import clips
from tests.simulator.live import Live, running
from tests.simulator.xai_exchange import call, done, drawn, fetch, later, opened, png, poll, submit

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RATES = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


# --- videos -----------------------------------------------------------------------------------------------------------


def test_a_video_is_submitted_polled_and_fetched(fleet: Live) -> None:
    job = submit(fleet, duration=1)
    assert UUID.fullmatch(job)
    assert poll(fleet, job) == (202, {"status": "pending", "progress": 1})
    later(fleet, 99.999)
    status, body = poll(fleet, job)
    assert (status, body) == (202, {"status": "pending", "progress": 99})
    later(fleet, 0.001)
    status, body = poll(fleet, job)
    url = f"http://fleet/xai/v1/xai-vidgen-bucket/xai-video-{job}.mp4"
    assert (status, body) == (
        200,
        {
            "status": "done",
            "video": {"url": url, "duration": 1, "respect_moderation": True},
            "model": "grok-imagine-video",
            "usage": {"cost_in_usd_ticks": 500_000_000},
            "progress": 100,
        },
    )
    assert list(body) == ["status", "video", "model", "usage", "progress"]
    file = fetch(fleet, url)
    facts = clips.probe(file.body)
    assert (facts.width, facts.height, facts.seconds, facts.sound) == (854, 480, 1.0, "aac")
    told = {name: file.headers[name] for name in ("content-type", "cache-control", "accept-ranges")}
    assert told == {"content-type": "video/mp4", "cache-control": "public, max-age=14400", "accept-ranges": "bytes"}
    assert fetch(fleet, url).body == file.body


def test_the_rate_is_told_by_a_submission_and_not_by_a_poll(fleet: Live) -> None:
    reply = call(fleet, "POST", "videos/generations", {"prompt": "A teapot"})
    assert [reply.headers[name] for name in RATES] == ["300", "300"]
    told = call(fleet, "GET", f"videos/{reply.json['request_id']}").headers
    assert not set(RATES) & set(told)
    assert {"x-request-id", "traceparent", "x-zero-data-retention", "x-data-retention"} <= set(told)


def test_progress_stands_still_for_most_of_the_time_and_never_falls(fleet: Live) -> None:
    job = submit(fleet)
    seen = []
    for _ in range(20):
        seen.append(poll(fleet, job)[1]["progress"])
        later(fleet, 5)
    assert seen == sorted(seen)
    assert seen == [1] * 18 + [33, 66]


def test_the_same_body_twice_is_two_jobs(fleet: Live) -> None:
    assert len({submit(fleet) for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"resolution": "720p"}, (1280, 720)),
        ({"aspect_ratio": "9:16"}, (480, 854)),
        ({"aspect_ratio": "1:1", "resolution": "720p"}, (720, 720)),
        ({"image": {"url": png(120, 80)}}, (720, 480)),
        ({"image": {"url": png(120, 80)}, "aspect_ratio": "1:1"}, (480, 480)),
    ],
)
def test_sizes(fleet: Live, asked: dict[str, Any], size: tuple[int, int]) -> None:
    """As asked for, else 16:9, else those of the first frame."""
    facts = clips.probe(fetch(fleet, done(fleet, submit(fleet, duration=1, **asked))["url"]).body)
    assert (facts.width, facts.height) == size


def test_a_clip_begins_with_the_picture_that_was_sent_and_may_be_silent(fleet: Live) -> None:
    one, other = (
        fetch(fleet, done(fleet, submit(fleet, duration=1, generate_audio=False, image={"url": url}))["url"]).body
        for url in (png(120, 80), png(80, 120))
    )
    assert clips.probe(one).sound == clips.probe(other).sound == ""
    assert one != other


def test_an_extension_begins_with_its_input_and_costs_only_what_is_added(fleet: Live) -> None:
    first = done(fleet, submit(fleet, duration=2, resolution="720p", aspect_ratio="1:1"))
    job = submit(fleet, path="videos/extensions", video={"url": first["url"]}, duration=3)
    video = done(fleet, job)
    assert video["duration"] == 5
    assert poll(fleet, job)[1]["usage"] == {"cost_in_usd_ticks": 3 * 700_000_000}
    facts = clips.probe(fetch(fleet, video["url"]).body)
    assert (facts.width, facts.height, facts.seconds) == (720, 720, 5.0)
    again = done(fleet, submit(fleet, path="videos/extensions", video={"url": video["url"]}))
    assert again["duration"] == 5 + 6


def test_an_edit_keeps_length_and_size(fleet: Live) -> None:
    data = base64.b64encode(clips.clip("in", 3, 320, 240)).decode()
    video = done(fleet, submit(fleet, path="videos/edits", video={"url": f"data:video/mp4;base64,{data}"}))
    assert video["duration"] == 3
    facts = clips.probe(fetch(fleet, video["url"]).body)
    assert (facts.width, facts.height) == (320, 240)
    elsewhere = done(fleet, submit(fleet, path="videos/edits", video={"url": "https://clips.example/a.mp4"}))
    assert elsewhere["duration"] == 6


def test_an_input_that_the_fleet_never_made_is_not_found(fleet: Live) -> None:
    url = "http://fleet/xai/v1/xai-vidgen-bucket/xai-video-00000000-0000-4000-8000-000000000000.mp4"
    reply = call(fleet, "POST", "videos/edits", {"prompt": "x", "video": {"url": url}})
    assert reply.status == 404


# --- videos that go wrong ---------------------------------------------------------------------------------------------


def test_a_job_fails(fleet: Live) -> None:
    job = submit(fleet, "job_fails percent=50 message='GPU lost'")
    later(fleet, 50)
    error = {"code": "internal_error", "message": "GPU lost"}
    assert poll(fleet, job) == (200, {"status": "failed", "progress": 0, "error": error})


def test_a_job_expires(fleet: Live) -> None:
    timed_out, stuck = submit(fleet, "job_times_out percent=50"), submit(fleet, "job_stuck_in_queue")
    later(fleet, 50)
    assert poll(fleet, timed_out) == (200, {"status": "expired"})
    assert poll(fleet, stuck) == (202, {"status": "pending", "progress": 1})
    later(fleet, 86_400)
    assert poll(fleet, stuck) == (200, {"status": "expired"})


def test_a_job_is_not_found_for_a_while_or_no_more(fleet: Live) -> None:
    vanished, hidden = submit(fleet, "job_vanishes after_s=5"), submit(fleet, "transient_404_after_submit for_s=3")
    refusal = {"code": "Some requested entity was not found", "error": "The requested resource was not found"}
    assert poll(fleet, hidden) == (404, refusal)
    later(fleet, 3)
    assert poll(fleet, hidden)[0] == poll(fleet, vanished)[0] == 202
    later(fleet, 2)
    assert poll(fleet, vanished) == (404, refusal)


def test_moderated_videos_are_done_without_an_address_and_charged(fleet: Live) -> None:
    for job in (submit(fleet, "moderation_after_render", duration=2), submit(fleet, prompt="You idiot", duration=2)):
        video = done(fleet, job)
        assert video == {"url": "", "duration": 2, "respect_moderation": False}
        assert poll(fleet, job)[1]["usage"]["cost_in_usd_ticks"] == 1_000_000_000
        assert fetch(fleet, f"/xai/v1/xai-vidgen-bucket/xai-video-{job}.mp4").status == 404
    failed = submit(fleet, "moderation_after_render form=failed message='blocked'")
    later(fleet, 100)
    assert poll(fleet, failed)[1]["error"] == {"code": "internal_error", "message": "blocked"}


def test_links_last_a_day_or_as_long_as_a_fault_says(fleet: Live) -> None:
    url = done(fleet, submit(fleet, duration=1))["url"]
    dead = done(fleet, submit(fleet, "result_url_expired after_s=0 status=403", duration=1))["url"]
    short = done(fleet, submit(fleet, "result_url_expired after_s=200 status=404", duration=1))["url"]
    assert (fetch(fleet, dead).status, fetch(fleet, short).status) == (403, 200)
    later(fleet, 200)
    refused = fetch(fleet, short)
    assert (refused.status, b"<Code>NoSuchKey</Code>" in refused.body) == (404, True)
    later(fleet, 86_400 - 400.001)
    assert fetch(fleet, url).status == 200
    later(fleet, 0.001)
    assert fetch(fleet, url).status == 404


def test_a_file_is_there_only_once_its_job_is_done_and_only_by_its_name(fleet: Live) -> None:
    job = submit(fleet, duration=1)
    path = "/xai/v1/xai-vidgen-bucket/xai-video-{}.mp4"
    assert fetch(fleet, path.format(job)).status == 404
    later(fleet, 100)
    assert fetch(fleet, path.format(job)).status == 200
    other = ("0" if job[0] != "0" else "1") + job[1:]
    assert fetch(fleet, path.format(other)).status == 404
    assert fetch(fleet, path.format("nonsense")).status == 404
    assert poll(fleet, other)[0] == poll(fleet, "nonsense")[0] == 404


def test_progress_that_never_advances_and_a_job_that_runs_again(fleet: Live) -> None:
    frozen = submit(fleet, "progress_never_advances")
    reopened = submit(fleet, "status_regress_after_completion after_s=2 for_s=10")
    later(fleet, 99)
    assert poll(fleet, frozen)[1]["progress"] == 1
    later(fleet, 1)
    assert poll(fleet, reopened)[0] == 200
    later(fleet, 2)
    assert poll(fleet, reopened) == (202, {"status": "pending", "progress": 99})


def test_what_a_job_is_charged(fleet: Live) -> None:
    job = submit(fleet, duration=3, resolution="720p", prompt="Charged")
    later(fleet, 100)
    runtime: Any = fleet.runtime
    kept: Kept = runtime.fleet.desk.kept("xai", job[14:])
    mounts = runtime.fleet.providers["xai"].mounts
    dialect: JobDialect = next(mount.dialect for mount in mounts if mount.dialect.name == "xai_imagine")
    now_ms = kept.serving.job.submitted_ms if kept.serving.job else 0
    assert dialect.charge(kept, now_ms) == {}
    assert dialect.charge(kept, now_ms + 100_000) == {"output_seconds": 3, "usd": 0.21}


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_come_as_links(fleet: Live) -> None:
    reply = drawn(fleet, n=2, aspect_ratio="16:9")
    assert list(reply.json) == ["data", "usage"]
    assert reply.json["usage"] == {"cost_in_usd_ticks": 400_000_000}
    assert [list(row) for row in reply.json["data"]] == [["url", "mime_type"]] * 2
    assert [reply.headers[name] for name in RATES] == ["300", "300"]
    assert 4000 < float(reply.headers["x-metrics-e2e-ms"]) < 6000
    form = re.compile(rf"http://fleet/xai/v1/xai-imgen/xai-tmp-imgen-{UUID.pattern}-[0-9a-f]{{8}}\.jpeg")
    files = []
    for row in reply.json["data"]:
        assert form.fullmatch(row["url"])
        file = fetch(fleet, row["url"])
        assert file.headers["content-type"] == row["mime_type"] == "image/jpeg"
        assert (opened(file.body).format, opened(file.body).size) == ("JPEG", (1360, 768))
        files.append(file.body)
    assert files[0] != files[1]
    again = drawn(fleet, n=2, aspect_ratio="16:9").json["data"]
    assert again[0]["url"] != reply.json["data"][0]["url"]
    assert [fetch(fleet, row["url"]).body for row in again] == files


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (1024, 1024)),
        ({"resolution": "2k"}, (2048, 2048)),
        ({"aspect_ratio": "auto"}, (1024, 1024)),
        ({"aspect_ratio": "19.5:9"}, (1504, 688)),
        ({"aspect_ratio": "1:2"}, (720, 1456)),
    ],
)
def test_picture_sizes(fleet: Live, asked: dict[str, Any], size: tuple[int, int]) -> None:
    (row,) = drawn(fleet, response_format="b64_json", **asked).json["data"]
    assert opened(base64.b64decode(row["b64_json"])).size == size


def test_an_edit_takes_one_picture_or_several_as_json(fleet: Live) -> None:
    one = drawn(fleet, "images/edits", image={"url": png(300, 100), "type": "image_url"})
    assert opened(fetch(fleet, one.json["data"][0]["url"]).body).size == (1776, 592)
    assert one.json["usage"] == {"cost_in_usd_ticks": 200_000_000 + 20_000_000}
    images = [{"url": png(), "type": "image_url"}, {"url": "https://pictures.example/a.png"}]
    model = "grok-imagine-image-quality"
    two = drawn(fleet, "images/edits", model=model, images=images)
    assert two.json["usage"] == {"cost_in_usd_ticks": 700_000_000}


def test_a_link_of_a_picture_lasts_a_day(fleet: Live) -> None:
    url = drawn(fleet, prompt="A teapot for a day").json["data"][0]["url"]
    later(fleet, 86_399)
    assert fetch(fleet, url).status == 200
    assert fetch(fleet, url.replace(".jpeg", "0.jpeg")).status == 404
    assert fetch(fleet, url[:-13] + "00000000.jpeg").status == 404
    later(fleet, 1)
    assert fetch(fleet, url).status == 404


def test_a_blocked_picture_has_no_address(fleet: Live) -> None:
    reply = drawn(fleet, prompt="You idiot", n=2)
    assert reply.status == 200
    assert reply.json["data"] == [{"url": "", "mime_type": "image/jpeg", "respect_moderation": False}] * 2
    assert reply.json["usage"]["cost_in_usd_ticks"] == 400_000_000


# --- refusals ---------------------------------------------------------------------------------------------------------

ARGUMENT = "Client specified an invalid argument"
PARSER = "Failed to deserialize the JSON body into the target type: "


@pytest.mark.parametrize(
    ("path", "body", "code", "error"),
    [
        ("images/generations", {"model": "grok-imagine-image"}, 422, f"{PARSER}missing field `prompt`"),
        ("images/generations", {"prompt": "x"}, 422, f"{PARSER}missing field `model`"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": 5}, 422, f"{PARSER}prompt: invalid type"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": "x", "n": True}, 422, f"{PARSER}n: invalid"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": "x", "n": 11}, 400, "n must be between"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": "x", "n": 0}, 400, "n must be between"),
        (
            "images/generations",
            {"model": "grok-imagine-image", "prompt": "x", "aspect_ratio": "5:1"},
            422,
            f"{PARSER}aspect_ratio: unknown variant `5:1`",
        ),
        ("images/generations", {"model": "grok-9", "prompt": "x"}, 404, "The model grok-9 does not exist"),
        ("images/generations", {"model": "grok-imagine-video", "prompt": "x"}, 404, "The model grok-imagine-video"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": "x" * 8001}, 400, "Prompt length exceeds"),
        ("images/generations", {"model": "grok-imagine-image", "prompt": "naked"}, 400, "The request was rejected"),
        ("images/generations", b"{", 400, "Failed to parse the request body as JSON"),
        ("images/edits", {"model": "grok-imagine-image", "prompt": "x"}, 422, f"{PARSER}missing field `image`"),
        (
            "images/edits",
            {"model": "grok-imagine-image", "prompt": "x", "image": {"url": "data:image/png;base64,AAAA"}},
            400,
            "The input is not an image",
        ),
        (
            "images/edits",
            {"model": "grok-imagine-image", "prompt": "x", "images": [{"url": png()}] * 4},
            400,
            "At most 3 input images",
        ),
        (
            "images/edits",
            {"model": "grok-imagine-image", "prompt": "x", "image": {"url": "https://a.invalid/b.png"}},
            400,
            "Failed to fetch",
        ),
        ("videos/generations", {}, 400, "Either a prompt or an image"),
        ("videos/generations", {"prompt": "x", "duration": 16}, 400, "duration must be between 1 and 15"),
        ("videos/generations", {"prompt": "x", "duration": "5"}, 422, f"{PARSER}duration: invalid type"),
        ("videos/generations", {"prompt": "x", "resolution": "1080p"}, 422, f"{PARSER}resolution: unknown variant"),
        (
            "videos/generations",
            {"prompt": "x", "image": {"url": png()}, "reference_images": [{"url": png()}]},
            400,
            "image and reference_images",
        ),
        (
            "videos/generations",
            {
                "prompt": "x",
                "model": "grok-imagine-video-1.5",
                "resolution": "1080p",
                "reference_images": [{"url": png()}],
            },
            400,
            "resolution must be 720p or less",
        ),
        ("videos/edits", {"prompt": "x"}, 422, f"{PARSER}missing field `video`"),
        ("videos/edits", {"prompt": "x", "video": {}}, 422, f"{PARSER}missing field `video`"),
        ("videos/edits", {"prompt": "x", "video": {"url": "data:video/mp4;base64,AAAA"}}, 400, "The input is not a"),
        ("videos/extensions", {"prompt": "x", "video": {"url": "https://a/b"}, "duration": 11}, 400, "duration must"),
    ],
)
def test_what_is_refused(fleet: Live, path: str, body: object, code: int, error: str) -> None:
    reply = call(fleet, "POST", path, body)
    assert reply.status == code, reply
    assert list(reply.json) == ["code", "error"]
    assert reply.json["error"].startswith(error)


def test_what_openai_s_wire_has_and_this_one_lacks_has_the_status_as_its_code(fleet: Live) -> None:
    reply = drawn(fleet, size="1024x1024")
    assert (reply.status, reply.json) == (400, {"code": "400", "error": "Argument not supported: size"})


def test_an_input_that_is_too_long_or_too_short(fleet: Live) -> None:
    data = base64.b64encode(clips.clip("in", 1, 64, 64)).decode()
    short = call(fleet, "POST", "videos/extensions", {"prompt": "x", "video": {"url": f"data:video/mp4;base64,{data}"}})
    assert (short.status, short.json["error"]) == (400, "The input video must be between 2 and 30 seconds long.")
    url = done(fleet, submit(fleet, duration=9))["url"]
    long = call(fleet, "POST", "videos/edits", {"prompt": "x", "video": {"url": url}})
    assert (long.status, long.json["error"]) == (400, "The input video must be between 0 and 8.7 seconds long.")


def test_keys(fleet: Live) -> None:
    for path in ("videos/generations", "images/generations"):
        wrong = call(fleet, "POST", path, {"prompt": "x"}, authorization="Bearer sk-wrong-0000")
        assert (wrong.status, list(wrong.json)) == (400, ["code", "error"])
        assert "Incorrect API key" in wrong.json["error"]
        none = call(fleet, "POST", path, {"prompt": "x"}, authorization="")
        assert none.status == 401


@pytest.mark.parametrize(("fault", "code"), [("status=429", 429), ("status=500", 500), ("status=503", 503)])
def test_faults_of_the_wire_speak_its_words(fleet: Live, fault: str, code: int) -> None:
    refused = call(fleet, "POST", "videos/generations", {"prompt": "x"}, **{"x-windtunnel-fault": fault})
    assert (refused.status, list(refused.json)) == (code, ["code", "error"])
    lost = fetch_with(fleet, fault)
    assert (lost.status, lost.headers["content-type"]) == (code, "application/xml; charset=UTF-8")


def fetch_with(fleet: Live, fault: str) -> Any:
    url = drawn(fleet).json["data"][0]["url"].removeprefix("http://fleet/xai/v1/")
    return call(fleet, "GET", url, **{"x-windtunnel-fault": fault})


def mounted(**facts: Any) -> dict[str, Any]:
    """A fleet of one row, with these facts laid over those of its models."""
    mount = {"dialect": "xai_imagine", "facts": {"errors": "xai_media", **facts}}
    return {"providers": [{"name": "xai", "region": "us-east", "facts": {"vendors": ["xai"]}, "dialects": [mount]}]}


@pytest.mark.parametrize(
    ("errors", "keys"),
    [("xai_media", ["code", "error"]), ("xai_speech", ["error"]), ("xai_enveloped", ["error"])],
)
def test_three_envelopes(errors: str, keys: list[str]) -> None:
    """Which endpoint has which is not known: the fact `errors` of the mount picks one."""
    with running(Clock("manual"), rows=mounted(errors=errors)) as live:
        body = call(live, "POST", "videos/generations", {"prompt": "x", "duration": 99}).json
        assert list(body) == keys
        said = body["error"]["message"] if errors == "xai_enveloped" else body["error"]
        assert said.startswith("duration must be")
        if errors == "xai_enveloped":
            assert list(body["error"]) == ["message", "type", "param", "code"]


@pytest.mark.parametrize(("form", "body"), [("empty", None), ("id", "request_id")])
def test_other_bodies_of_a_pending_job(form: str, body: str | None) -> None:
    with running(Clock("manual"), rows=mounted(pending_body=form, tells_status=False)) as live:
        job = submit(live, duration=1)
        status, told = poll(live, job)
        assert (status, told) == (202, None if body is None else {body: job})
        later(live, 100)
        status, told = poll(live, job)
        assert (status, list(told)) == (200, ["video", "model", "usage", "progress"])


def test_an_empty_list_where_all_was_blocked() -> None:
    with running(Clock("manual"), rows=mounted(blocked="left_out")) as live:
        assert drawn(live, prompt="You idiot").json["data"] == []
