"""POST /images/generations: what is asked of each vendor, what its replies come to, and what the reference refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import TransportError
from schemas import catalogue
from tests.gateway.lab import CREDIT, Lab, run
from tests.gateway.media_lab import HOST, IMAGES, draw, file_of, headers, inlined, opened, scripted
from tests.gateway.picture_wires import (
    B64,
    PNG,
    SOURCE,
    ark,
    bfl_state,
    bfl_task,
    by_path,
    fal_task,
    file,
    gemini,
    openai,
    prediction,
    told,
    xai,
)

FAL = "http://127.0.0.1:8101/fal/queue/fal-ai/nano-banana-pro"
READY = {"/bfl/v1/": bfl_task(), "get_result": bfl_state("Ready"), "delivery.bfl": file(mime="image/jpeg")}
QUEUE = {
    "/requests/r1/status": told({"status": "COMPLETED"}),
    "/requests/r1": told({"images": [{"url": "https://fal.media/a.png", "content_type": "image/png"}]}),
    "/fal/queue": fal_task(FAL),
}


def only(name: str, **more: Any) -> dict[str, Any]:
    """A chain of one upstream."""
    return {"chains": {"*": [name]}, **more}


def body_of(lab: Lab, number: int = 0) -> Any:
    return json.loads(lab.transport.requests[number].body)


# --- what each vendor is asked ----------------------------------------------------------------------------------------

ASKED: dict[str, tuple[str, str, dict[str, Any], Any, str, dict[str, str], dict[str, Any]]] = {
    # upstream, model, what the caller sends, replies, path, headers, body
    "openai": (
        "openai",
        "gpt-image-2",
        {"n": 3, "size": "1536x1024", "quality": "high"},
        {"/": openai(3)},
        "/openai/v1/images/generations",
        {"authorization": "Bearer sk-fleet-openai"},
        {"model": "gpt-image-2", "prompt": "a teapot", "n": 3, "size": "1536x1024", "quality": "high"},
    ),
    "openai, edit": (
        "openai",
        "gpt-image-2",
        {"reference_images": ["https://example.com/a.jpg", "https://example.com/b.jpg"]},
        {"/": openai()},
        "/openai/v1/images/edits",
        {},
        {
            "model": "gpt-image-2",
            "prompt": "a teapot",
            "n": 1,
            "images": [{"image_url": "https://example.com/a.jpg"}, {"image_url": "https://example.com/b.jpg"}],
        },
    ),
    "openai, another model": (
        "openai",
        "gpt-4o-image",
        {"aspect_ratio": "9:16"},
        {"/": openai()},
        "/openai/v1/images/generations",
        {},
        {"model": "gpt-image-1", "prompt": "a teapot", "n": 1, "size": "1024x1536"},
    ),
    "openrouter": (
        "openrouter",
        "nano_banana_2",
        {"n": 2, "resolution": "0.5K", "aspect_ratio": "16:9", "image_urls": ["https://example.com/a.png"]},
        {"/": openai(2)},
        "/openrouter/api/v1/images",
        {"authorization": "Bearer sk-fleet-openrouter"},
        {
            "model": "google/gemini-3.1-flash-image",
            "prompt": "a teapot",
            "n": 2,
            "aspect_ratio": "16:9",
            "resolution": "512",
            "input_references": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
        },
    ),
    "gemini": (
        "gemini",
        "nano_banana_2",
        {"resolution": "2K", "aspect_ratio": "21:9", "image_urls": [SOURCE]},
        {"/": gemini({"text": "Here you are."}, {"inlineData": {"mimeType": "image/png", "data": B64}})},
        "/gemini/v1beta/models/gemini-3.1-flash-image-preview:generateContent",
        {"x-goog-api-key": "sk-fleet-gemini"},
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [{"text": "a teapot"}, {"inlineData": {"mimeType": "image/png", "data": B64}}],
                }
            ],
            "generationConfig": {
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": "21:9", "imageSize": "2K"},
            },
        },
    ),
    "gemini, by size": (
        "gemini",
        "nano_banana",
        {"size": "1536x1024", "seed": 7},
        {"/": gemini()},
        "/gemini/v1beta/models/gemini-2.5-flash-image:generateContent",
        {},
        {
            "contents": [{"role": "user", "parts": [{"text": "a teapot"}]}],
            "generationConfig": {
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": "3:2"},
                "seed": 7,
            },
        },
    ),
    "bfl": (
        "bfl",
        "flux-2-pro",
        {"size": "1024x768", "seed": 3, "safety_tolerance": 4, "output_format": "png", "image": SOURCE},
        READY,
        "/bfl/v1/flux-2-pro",
        {"x-key": "sk-fleet-bfl"},
        {
            "prompt": "a teapot",
            "width": 1024,
            "height": 768,
            "input_image": B64,
            "seed": 3,
            "safety_tolerance": 4,
            "output_format": "png",
        },
    ),
    "bfl, by ratio": (
        "bfl",
        "flux-kontext-max",
        {"size": "1200x900", "images": ["https://example.com/a.png", SOURCE]},
        READY,
        "/bfl/v1/flux-kontext-max",
        {},
        {"prompt": "a teapot", "aspect_ratio": "4:3", "input_image": "https://example.com/a.png", "input_image_2": B64},
    ),
    "ark": (
        "ark",
        "doubao-seedream-4-5",
        {"size": "2560x1440", "image": ["https://example.com/a.png", SOURCE]},
        {"/": ark()},
        "/ark/api/v3/images/generations",
        {"authorization": "Bearer sk-fleet-ark"},
        {
            "model": "doubao-seedream-4-5-251128",
            "prompt": "a teapot",
            "watermark": False,
            "response_format": "url",
            "size": "2560x1440",
            "image": ["https://example.com/a.png", SOURCE],
        },
    ),
    "ark, by ratio": (
        "ark",
        "doubao-seedream-5-0",
        {"aspect_ratio": "1:1", "watermark": True, "output_format": "png"},
        {"/": ark()},
        "/ark/api/v3/images/generations",
        {},
        {
            "model": "doubao-seedream-5-0-260128",
            "prompt": "a teapot",
            "watermark": True,
            "response_format": "url",
            "size": "2048x2048",
            "output_format": "png",
        },
    ),
    "xai": (
        "xai",
        "flux-2-pro",
        {"n": 2, "aspect_ratio": "16:9", "resolution": "2K"},
        {"/v1/images": xai(2), "imgen": file(mime="image/jpeg")},
        "/xai/v1/images/generations",
        {"authorization": "Bearer sk-fleet-xai"},
        {
            "model": "flux-2-pro",
            "prompt": "a teapot",
            "n": 2,
            "response_format": "url",
            "aspect_ratio": "16:9",
            "resolution": "2k",
        },
    ),
    "xai, edit": (
        "xai",
        "flux-2-pro",
        {"image": "https://example.com/a.png"},
        {"/v1/images": xai(), "imgen": file(mime="image/jpeg")},
        "/xai/v1/images/edits",
        {},
        {
            "model": "flux-2-pro",
            "prompt": "a teapot",
            "n": 1,
            "response_format": "url",
            "image": {"url": "https://example.com/a.png", "type": "image_url"},
        },
    ),
    "fal": (
        "fal",
        "nano_banana_pro",
        {"size": "2048x2048"},
        QUEUE,
        "/fal/queue/fal-ai/nano-banana-pro",
        {"authorization": "Key sk-fleet-fal"},
        {"prompt": "a teapot", "aspect_ratio": "1:1", "resolution": "2K"},
    ),
    "fal, edit": (
        "fal",
        "flux-kontext-pro",
        {"aspect_ratio": "16:9", "image": SOURCE},
        QUEUE,
        "/fal/queue/fal-ai/flux-pro/kontext",
        {},
        {"prompt": "a teapot", "aspect_ratio": "16:9", "image_url": SOURCE},
    ),
    "fal, without a reference": (
        "fal",
        "flux-kontext-max",
        {},
        QUEUE,
        "/fal/queue/fal-ai/flux-pro/kontext/max/text-to-image",
        {},
        {"prompt": "a teapot"},
    ),
    "replicate": (
        "replicate",
        "flux-2-pro",
        {"size": "1024x768", "output_format": "jpeg", "seed": 5},
        {"/v1/models": prediction("succeeded", "https://replicate.delivery/a.jpg", code=201), "delivery": file()},
        "/replicate/v1/models/black-forest-labs/flux-2-pro/predictions",
        {"authorization": "Bearer sk-fleet-replicate", "prefer": "wait=60"},
        {
            "input": {
                "prompt": "a teapot",
                "width": 1024,
                "height": 768,
                "aspect_ratio": "custom",
                "seed": 5,
                "output_format": "jpg",
            }
        },
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_a_vendor_is_asked(tmp_path: Path, name: str) -> None:
    upstream, model, fields, replies, path, due, body = ASKED[name]

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only(upstream))
        answer = await draw(lab, model, **fields)
        assert answer.status == 200, answer.body
        first = lab.transport.requests[0]
        assert first.url == f"http://127.0.0.1:8101{path}"
        assert due.items() <= dict(first.headers).items()
        assert json.loads(first.body) == body
        count = fields.get("n", 1)
        assert len(answer.json["data"]) == count
        assert await lab.spent_uc() == count * catalogue.MODELS[model].unit_uc

    run(work())


@pytest.mark.parametrize("upstream", ["gemini", "bfl", "ark", "fal", "replicate"])
def test_several_pictures_are_several_requests_where_the_wire_has_no_number(tmp_path: Path, upstream: str) -> None:
    replies = {
        **READY,
        **QUEUE,
        "generateContent": gemini(),
        "/api/v3": ark(),
        "/v1/models/": prediction("succeeded", ["https://replicate.delivery/a.jpg"], code=201),
        "delivery": file(),
    }
    model = {"ark": "doubao-seedream-4-0", "gemini": "nano_banana_pro"}.get(upstream, "flux-2-pro")

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only(upstream))
        answer = await draw(lab, model, n=4)
        assert len(answer.json["data"]) == 4
        orders = [request for request in lab.transport.requests if request.body]
        assert len(orders) == 4
        assert len({request.body for request in orders}) == 1
        (row,) = await lab.log()
        assert (row["units"], row["attempts"]) == (4, 1)
        assert await lab.spent_uc() == 4 * catalogue.MODELS[model].unit_uc

    run(work())


@pytest.mark.parametrize(
    "fields",
    [
        {"num_images": 10},
        {"parameters": {"n": 10}},
        {"num_outputs": 10},
        {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 10}},
        {"candidateCount": 8},
        {"N": 10},
        {"model_name": "dearer"},
    ],
    ids=lambda fields: next(iter(fields)),
)
@pytest.mark.parametrize("upstream", ["openai", "gemini", "ark", "fal", "replicate", "bfl", "xai"])
def test_nobody_orders_more_than_is_held(tmp_path: Path, upstream: str, fields: dict[str, Any]) -> None:
    replies = {
        **READY,
        **QUEUE,
        "generateContent": gemini(),
        "/api/v3": ark(*["https://tos.example/a.jpeg"] * 10),
        "/v1/models/": prediction("succeeded", ["https://replicate.delivery/a.jpg"] * 10, code=201),
        "delivery": file(),
        "xai/v1/images": xai(10),
        "imgen": file(),
        "v1/images": openai(10),
    }
    made_there = {"openai": "gpt-image-2", "ark": "doubao-seedream-4-0", "gemini": "nano_banana_pro"}
    model = made_there.get(upstream, "flux-2-pro")

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only(upstream))
        answer = await draw(lab, model, **fields)
        assert answer.status == 200, answer.body
        assert not set(fields) & set(json.dumps(body_of(lab)).replace('"', " ").split())
        assert len(answer.json["data"]) == 1
        assert await lab.spent_uc() == catalogue.MODELS[model].unit_uc

    run(work())


# --- what comes of replies --------------------------------------------------------------------------------------------

BLOCKED = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
SENSITIVE = {"error": {"code": "InputTextSensitiveContentDetected", "message": "The text is not wanted", "type": "x"}}
CENSORED = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "The picture is not wanted"}}
FAILURES: dict[str, tuple[str, Any, int, int]] = {
    # upstream, replies, status for the caller, attempts (of a chain of this upstream alone)
    "openai: moderation": (
        "openai",
        {"/": told({"error": {"code": "moderation_blocked", "message": "Rejected by the safety system"}}, 400)},
        400,
        1,
    ),
    "openai: no picture": ("openai", {"/": told({"created": 1, "data": []})}, 502, 2),
    "openai: broken base64": ("openai", {"/": told({"data": [{"b64_json": "%%"}]})}, 502, 2),
    "openai: empty account": (
        "openai",
        {"/": told({"error": {"code": "insufficient_quota", "message": "x"}}, 429)},
        502,
        1,
    ),
    "openai: overloaded": ("openai", {"/": told({"error": {"message": "x"}}, 503)}, 502, 2),
    "openai: no JSON": ("openai", {"/": MemoryReply(200, {}, [b"<html>"])}, 502, 2),
    "gemini: prompt blocked": ("gemini", {"/": told(BLOCKED)}, 400, 1),
    "gemini: picture blocked": ("gemini", {"/": gemini({"text": ""}, finish="IMAGE_SAFETY")}, 502, 1),
    "gemini: recitation": ("gemini", {"/": told({"candidates": [{"finishReason": "IMAGE_RECITATION"}]})}, 502, 1),
    "gemini: words alone": ("gemini", {"/": gemini({"text": "I cannot draw."})}, 502, 2),
    "gemini: a draft alone": (
        "gemini",
        {"/": gemini({"inlineData": {"mimeType": "image/png", "data": B64}, "thought": True})},
        502,
        2,
    ),
    "gemini: nothing": ("gemini", {"/": told({})}, 502, 2),
    "gemini: a bad key": (
        "gemini",
        {
            "/": told(
                {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "X"}},
                400,
            )
        },
        502,
        1,
    ),
    "bfl: request moderated": ("bfl", {**READY, "get_result": bfl_state("Request Moderated")}, 400, 1),
    "bfl: content moderated": ("bfl", {**READY, "get_result": bfl_state("Content Moderated")}, 502, 1),
    "bfl: error": ("bfl", {**READY, "get_result": bfl_state("Error", details={"error": "boom"})}, 502, 1),
    "bfl: unheard of": ("bfl", {**READY, "get_result": bfl_state("Request Rejected Somehow")}, 502, 1),
    "bfl: lost": ("bfl", {**READY, "get_result": bfl_state("Task not found")}, 502, 1),
    "bfl: no credits": ("bfl", {"/": told({"detail": "Insufficient credits"}, 402)}, 502, 1),
    "bfl: invalid": (
        "bfl",
        {"/": told({"detail": [{"type": "x", "loc": ["body", "width"], "msg": "too wide"}]}, 422)},
        400,
        1,
    ),
    "bfl: busy": ("bfl", {"/": told({"detail": "Too many active tasks"}, 429)}, 502, 2),
    "bfl: no polling URL": ("bfl", {"/": told({"id": "t"})}, 502, 1),
    "bfl: ready without a picture": ("bfl", {**READY, "get_result": bfl_state("Ready", result={})}, 502, 1),
    "ark: prompt": ("ark", {"/": told(SENSITIVE, 400)}, 400, 1),
    "ark: every picture": ("ark", {"/": told({"data": [CENSORED, CENSORED]})}, 502, 1),
    "ark: overdue": ("ark", {"/": told({"error": {"code": "AccountOverdueError", "message": "x"}}, 403)}, 502, 1),
    "ark: a limit": (
        "ark",
        {"/": told({"error": {"code": "ModelAccountRpmRateLimitExceeded", "message": "x"}}, 429)},
        502,
        2,
    ),
    "ark: a parameter": ("ark", {"/": told({"error": {"code": "InvalidParameter", "message": "size"}}, 400)}, 400, 1),
    "ark: internal": ("ark", {"/": told({"error": {"code": "InternalServiceError", "message": "x"}}, 500)}, 502, 2),
    "xai: all blocked": ("xai", {"/": told({"data": [{"url": "", "respect_moderation": False}]})}, 502, 1),
    "xai: left out": ("xai", {"/": told({"data": []})}, 502, 1),
    "xai: refused": ("xai", {"/": told({"code": "400", "error": "Argument not supported: size"}, 400)}, 400, 1),
    "fal: policy": (
        "fal",
        {
            **QUEUE,
            "/requests/r1/status": told({"status": "COMPLETED"}),
            "/requests/r1": told({"detail": [{"type": "content_policy_violation", "msg": "no"}]}, 422),
        },
        400,
        1,
    ),
    "fal: black": (
        "fal",
        {
            **QUEUE,
            "/requests/r1/status": told({"status": "COMPLETED"}),
            "/requests/r1": told({"images": [{"url": "https://fal.media/a.png"}], "has_nsfw_concepts": [True]}),
        },
        502,
        1,
    ),
    "fal: elsewhere": ("fal", {"/fal/queue": fal_task("https://evil.example/q")}, 502, 1),
    "fal: a key": ("fal", {"/": told({"detail": "Authentication is required"}, 401)}, 502, 1),
    "replicate: failed": ("replicate", {"/": prediction("failed", error="boom", code=201)}, 502, 1),
    "replicate: flagged": ("replicate", {"/": prediction("failed", error="NSFW content detected", code=201)}, 502, 1),
    "replicate: nothing": ("replicate", {"/": prediction("succeeded", [], code=201)}, 502, 1),
    "replicate: an input": (
        "replicate",
        {"/": told({"title": "Input validation failed", "detail": "- width: bad"}, 422)},
        400,
        1,
    ),
    "replicate: gone": (
        "replicate",
        {"/v1/models": prediction("starting", code=201), "/v1/predictions/p1": told({"detail": "not found"}, 404)},
        502,
        1,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_failure_means(tmp_path: Path, name: str) -> None:
    upstream, replies, status, attempts = FAILURES[name]

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only(upstream))
        answer = await draw(lab, "nano_banana_pro")
        assert (answer.status, answer.error[0]) == (
            status,
            "invalid_request_error" if status == 400 else "api_error",
        ), answer.body
        (row,) = await lab.log()
        assert (row["attempts"], row["statusCode"], row["costUc"]) == (attempts, status, 0)
        assert await lab.spent_uc() == 0
        assert "sk-fleet" not in answer.body.decode()

    run(work())


def test_what_is_blocked_here_another_vendor_may_draw(tmp_path: Path) -> None:
    replies = {"generateContent": gemini({"text": ""}, finish="IMAGE_SAFETY"), **QUEUE}

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path)
        answer = await draw(lab, "nano_banana_pro")
        assert answer.status == 200
        (row,) = await lab.log()
        assert (row["upstream"], row["attempts"]) == ("fal", 2)

    run(work())


def test_pictures_and_errors_side_by_side_are_charged_by_what_came(tmp_path: Path) -> None:
    replies = [ark(), told({"data": [CENSORED]}), ark()]

    async def work() -> None:
        lab = await scripted(by_path({"/": replies}), tmp_path, **only("ark"))
        answer = await draw(lab, "doubao-seedream-4-5", n=3)
        assert len(answer.json["data"]) == 2
        (row,) = await lab.log()
        assert (row["status"], row["units"]) == ("succeeded", 2)
        assert await lab.spent_uc() == 2 * catalogue.MODELS["doubao-seedream-4-5"].unit_uc

    run(work())


def test_a_part_that_fails_in_passing_is_made_once_more(tmp_path: Path) -> None:
    busy = told({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}, 429)
    replies = [gemini(), busy, gemini(), gemini()]

    async def work() -> None:
        lab = await scripted(by_path({"/": replies}), tmp_path, **only("gemini"))
        answer = await draw(lab, "nano_banana", n=3)
        assert len(answer.json["data"]) == 3
        assert len(lab.transport.requests) == 4

    run(work())


def test_parts_that_fail_for_good_are_not_made_four_times(tmp_path: Path) -> None:
    busy = told({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, 503)

    async def work() -> None:
        lab = await scripted(by_path({"/": busy}), tmp_path, **only("gemini"))
        answer = await draw(lab, "nano_banana", n=2)
        assert answer.status == 502
        assert len(lab.transport.requests) == 4  # two of each

    run(work())


# --- BFL's polls ------------------------------------------------------------------------------------------------------


def test_a_task_is_polled_where_it_was_told_until_it_is_ready(tmp_path: Path) -> None:
    states = [bfl_state("Task not found"), bfl_state("Queued"), bfl_state("Pending", progress=0.4), bfl_state("Ready")]
    replies = {
        "/v1/flux": bfl_task("https://api.us1.bfl.ai"),
        "get_result": states,
        "delivery": file(mime="image/jpeg"),
    }
    rows = {"bfl": {"dialect": "bfl", "base_url": "https://api.bfl.ai", "key": "bfl-key"}}

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only("bfl", upstreams=rows))
        assert (await draw(lab, "flux-2-pro")).status == 200
        polls = [request for request in lab.transport.requests if "get_result" in request.url]
        assert {request.url for request in polls} == {"https://api.us1.bfl.ai/v1/get_result?id=t-1"}
        assert all(dict(request.headers)["x-key"] == "bfl-key" for request in polls)
        assert len(polls) == 4

    run(work())


@pytest.mark.parametrize("host", ["https://evil.example", "http://api.us1.bfl.ai", "https://bfl.ai.evil.example"])
def test_the_key_goes_to_no_strange_host(tmp_path: Path, host: str) -> None:
    replies = {"/v1/flux": bfl_task(host), "get_result": bfl_state("Ready"), "delivery": file(mime="image/jpeg")}
    rows = {"bfl": {"dialect": "bfl", "base_url": "https://api.bfl.ai", "key": "bfl-key"}}

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only("bfl", upstreams=rows))
        await draw(lab, "flux-2-pro")
        (poll,) = [request for request in lab.transport.requests if "get_result" in request.url]
        assert "x-key" not in dict(poll.headers)

    run(work())


def test_a_submission_that_got_no_reply_is_not_made_again(tmp_path: Path) -> None:
    lost = MemoryReply(200, {}, [TransportError("broken", "the connection broke off")])

    async def work() -> None:
        lab = await scripted(by_path({"/bfl/v1": lost, **QUEUE}), tmp_path)
        assert (await draw(lab, "flux-2-pro")).status == 200
        assert [request.url.split("/")[3] for request in lab.transport.requests].count("bfl") == 1

    run(work())


# --- references -------------------------------------------------------------------------------------------------------


def test_a_reference_is_fetched_once_and_without_a_key(tmp_path: Path) -> None:
    replies = {"example.com": file(PNG, "text/plain"), "generateContent": [told({}, 503), told({}, 503)], **QUEUE}

    async def work() -> None:
        lab = await scripted(by_path({**replies, "generateContent": [told({}, 503), gemini()]}), tmp_path)
        answer = await draw(lab, "nano_banana_pro", image="https://example.com/a.png")
        assert answer.status == 200, answer.body
        first, *calls = lab.transport.requests
        assert first.url == "https://example.com/a.png"
        assert first.address == "93.184.215.14"
        assert not {"authorization", "x-goog-api-key", "cookie"} & set(dict(first.headers))
        assert len(calls) == 2
        part = json.loads(calls[0].body)["contents"][0]["parts"][1]
        assert part == {"inlineData": {"mimeType": "image/png", "data": B64}}

    run(work())


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8101/x.png",
        "http://[::1]/x.png",
        "http://10.0.0.1/",
    ],
)
def test_a_reference_does_not_lead_into_our_own_network(tmp_path: Path, url: str) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": gemini()}), tmp_path)
        answer = await draw(lab, "nano_banana_pro", image=url)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert lab.transport.requests == []
        assert await lab.spent_uc() == 0

    run(work())


@pytest.mark.parametrize(
    "reply",
    [
        file(b"<html>", "image/png"),
        file(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        file(status=404),
        file(b""),
    ],
    ids=["a page", "svg", "404", "empty"],
)
def test_a_reference_that_is_no_picture_is_the_callers_affair(tmp_path: Path, reply: MemoryReply) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"example.com": reply, "/": gemini()}), tmp_path)
        answer = await draw(lab, "nano_banana_pro", image="https://example.com/a.png")
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert len(lab.transport.requests) == 1
        assert await lab.spent_uc() == 0

    run(work())


# --- what the reference refuses ---------------------------------------------------------------------------------------

HTTPS = "https://example.com/a.png"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no prompt": ({"model": "gpt-image-2"}, "`prompt` is missing"),
    "empty prompt": ({"model": "gpt-image-2", "prompt": "  "}, "`prompt` is empty"),
    "prompt of another type": ({"model": "gpt-image-2", "prompt": 5}, "a string was due"),
    "no model": ({"prompt": "x"}, "`model` is missing"),
    "unknown model": ({"model": "dall-e-9", "prompt": "x"}, "available_models"),
    "a chat model": ({"model": "gpt-5.5", "prompt": "x"}, "is not served on"),
    "n as a text": ({"model": "gpt-image-2", "prompt": "x", "n": "2"}, "an integer was due"),
    "n as a fraction": ({"model": "gpt-image-2", "prompt": "x", "n": 1.5}, "an integer was due"),
    "n as a boolean": ({"model": "gpt-image-2", "prompt": "x", "n": True}, "an integer was due"),
    "gpt-image-2: size": ({"model": "gpt-image-2", "prompt": "x", "size": "512x512"}, "one of 1024x1024"),
    "gpt-image-2: 2K landscape": ({"model": "gpt-image-2", "prompt": "x", "size": "2048x1152"}, "one of 1024x1024"),
    "gpt-image-2: base64": ({"model": "gpt-image-2", "prompt": "x", "reference_images": [SOURCE]}, "public https URL"),
    "gpt-image-2: five": ({"model": "gpt-image-2", "prompt": "x", "reference_images": [HTTPS] * 5}, "at most 4"),
    "gpt-image-2: no URL": ({"model": "gpt-image-2", "prompt": "x", "reference_images": ["a.png"]}, "public https URL"),
    "NanoBanana 2: ratio": ({"model": "gemini-3-1-flash-t2i", "prompt": "x", "aspect_ratio": "5:1"}, "one of 1:1"),
    "NanoBanana 2: resolution": ({"model": "nano_banana_2", "prompt": "x", "resolution": "8K"}, "one of 0.5K"),
    "NanoBanana 2: five": ({"model": "nano_banana_2", "prompt": "x", "image_urls": [SOURCE] * 5}, "at most 4"),
    "NanoBanana 2: a number": ({"model": "nano_banana_2", "prompt": "x", "image_urls": [3]}, "`image_urls[0]`"),
    "Gemini 3 Pro: 4K is another model": (
        {"model": "gemini-3-pro-image-preview", "prompt": "x", "resolution": "4K"},
        "one of 1K, 2K",
    ),
    "Gemini 3 Pro: 4K by size": ({"model": "gemini-3-pro-image-preview", "prompt": "x", "size": "4096x4096"}, "1K, 2K"),
    "Gemini 3 Pro: 4K in words": (
        {"model": "gemini-3-pro-image-preview", "prompt": "x", "size": "4k"},
        "one of 1K, 2K",
    ),
    "flux-kontext: five": ({"model": "flux-kontext-pro", "prompt": "x", "images": [SOURCE] * 5}, "at most 4"),
    "a size of nothing": ({"model": "flux-2-pro", "prompt": "x", "size": "0x100"}, "one pixel or more"),
    "a format": ({"model": "flux-2-pro", "prompt": "x", "response_format": "png"}, "one of url, b64_json"),
    "an intent": ({"intent": "text-to-opera", "prompt": "x"}, "one of text-to-image-fast"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_before_anything_is_held(tmp_path: Path, name: str) -> None:
    body, words = REFUSED[name]

    async def work() -> None:
        lab = await scripted(by_path({}), tmp_path)
        answer = await lab.ask(IMAGES, body, headers=headers(lab))
        assert answer.status == 400
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert words in answer.body.decode()
        assert lab.transport.requests == []
        assert await lab.log() == []
        transfers = await lab.services.money.balance(lab.user_id)
        assert transfers.held_uc == 0
        assert "x-ratelimit-remaining" not in answer.headers  # it does not count

    run(work())


@pytest.mark.parametrize(("n", "count"), [(None, 1), (0, 1), (-5, 1), (1, 1), (10, 10), (11, 10), (10**9, 10)])
def test_n_is_clamped(tmp_path: Path, n: int | None, count: int) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai(count)}), tmp_path)
        answer = await draw(lab, n=n)
        assert len(answer.json["data"]) == count
        assert body_of(lab)["n"] == count
        assert await lab.spent_uc() == count * catalogue.MODELS["gpt-image-2"].unit_uc

    run(work())


@pytest.mark.parametrize(
    ("fields", "usd"),
    [
        ({}, "0.030"),
        ({"size": "1536x1024"}, "0.030"),
        ({"size": "2048x2048"}, "0.060"),
        ({"size": "4096x4096"}, "0.120"),
        ({"size": "4096x4096", "resolution": "1K"}, "0.120"),  # nobody pays for less than what is made
        ({"resolution": "2K"}, "0.060"),
    ],
)
def test_sizes_of_gpt_image_2_have_their_own_prices(tmp_path: Path, fields: dict[str, Any], usd: str) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai(2)}), tmp_path)
        await draw(lab, n=2, **fields)
        assert await lab.spent_uc() == 2 * catalogue.whole_uc(usd, 1, "test")

    run(work())


# --- admission --------------------------------------------------------------------------------------------------------


def test_the_order_of_refusals(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path, credits=0)
        good = {"model": "gpt-image-2", "prompt": "x", "n": 10}
        bad = {"authorization": "Bearer ck_nobody"}
        assert (await lab.ask(IMAGES, {}, headers=bad)).status == 401
        assert (await lab.ask(IMAGES, {"model": "gpt-image-2"})).status == 400
        assert (await lab.ask(IMAGES, good)).status == 403  # $19.99 of top-up
        await lab.services.money.top_up(lab.user_id, 1998 * CREDIT)
        assert (await lab.ask(IMAGES, good)).status == 403
        await lab.services.money.top_up(lab.user_id, 1 * CREDIT)
        assert (await lab.ask(IMAGES, good)).status == 200
        assert (await lab.ask(IMAGES, good, method="GET")).status == 405

    run(work())


def test_credit_must_cover_every_picture(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai(1)}), tmp_path, credits=2000)
        dear = {"model": "gemini-3-pro-image-preview-official", "prompt": "x", "n": 10}  # 10 x $0.216 = $2.16 < $20
        await lab.services.money.hold(
            user_id=lab.user_id, amount_uc=1790 * CREDIT, minimum_uc=0, request_id="r", deadline_ms=2**50
        )
        answer = await lab.ask(IMAGES, dear)
        assert (answer.status, answer.error[0]) == (402, "insufficient_credits")
        assert lab.transport.requests == []

    run(work())


def test_pictures_have_an_hourly_limit_of_their_own(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path)
        first = await draw(lab)
        assert first.headers["x-ratelimit-limit"] == "500"
        assert first.headers["x-ratelimit-remaining"] == "499"

    run(work())


# --- replies ----------------------------------------------------------------------------------------------------------


def test_base64_is_given_where_it_is_asked_for(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path(READY), tmp_path, **only("bfl"))
        answer = await draw(lab, "flux-2-pro", response_format="b64_json")
        (entry,) = answer.json["data"]
        assert list(entry) == ["b64_json"]
        assert inlined(entry).size == (8, 8)
        assert not (tmp_path / "objects").exists()

    run(work())


@pytest.mark.parametrize("public_url", [None, "https://cdn.example.com/"])
def test_bytes_are_kept_behind_a_link(tmp_path: Path, public_url: str | None) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path, public_url=public_url)
        url = (await draw(lab)).json["data"][0]["url"]
        site = "https://cdn.example.com" if public_url else f"http://{HOST}"
        assert url.startswith(f"{site}/files/")
        answer = await file_of(lab, f"http://{HOST}/{url.split('/', 3)[3]}")
        assert answer.body == PNG
        assert opened(answer.body).format == "PNG"

    run(work())


@pytest.mark.parametrize("host", ["evil/../x", "a b", "x@y", 'x"y', "x\\y"])
def test_a_strange_host_header_makes_no_strange_link(tmp_path: Path, host: str) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path)
        named = {**headers(lab), "host": host}
        answer = await lab.ask(IMAGES, {"model": "gpt-image-2", "prompt": "x"}, headers=named)
        assert answer.json["data"][0]["url"].startswith("http://127.0.0.1:80/files/")

    run(work())


def test_links_that_last_are_passed_on(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": ark()}), tmp_path, **only("ark"))
        answer = await draw(lab, "doubao-seedream-4-0")
        assert answer.json["data"] == [{"url": "https://tos.example/a.jpeg"}]
        assert len(lab.transport.requests) == 1

    run(work())


def test_a_download_that_fails_is_made_again_and_the_picture_is_not(tmp_path: Path) -> None:
    replies = {**READY, "delivery.bfl": [told({}, 503), told({}, 500), file(mime="image/jpeg")]}

    async def work() -> None:
        lab = await scripted(by_path(replies), tmp_path, **only("bfl"))
        assert (await draw(lab, "flux-2-pro")).status == 200
        assert len([request for request in lab.transport.requests if request.body]) == 1

    run(work())


def test_a_repeated_call_is_made_and_charged_once(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path)
        named = headers(lab, idempotency_key="k1")
        first = await lab.ask(IMAGES, {"model": "gpt-image-2", "prompt": "x"}, headers=named)
        again = await lab.ask(IMAGES, {"model": "gpt-image-2", "prompt": "x"}, headers=named)
        assert again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"
        assert len(lab.transport.requests) == 1
        assert await lab.spent_uc() == catalogue.MODELS["gpt-image-2"].unit_uc

    run(work())


@pytest.mark.parametrize("path", ["/api/v1/images/generations", "/v1/images/generations", "/v1/images/generate"])
def test_the_cheapest_model_of_an_intent(tmp_path: Path, path: str) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path)
        answer = await lab.ask(path, {"intent": "text-to-image-fast", "prompt": "x"}, headers=headers(lab))
        assert answer.status == 200
        (row,) = await lab.log()
        assert (row["model"], row["requestedModel"]) == ("gpt-4o-image", "text-to-image-fast")

    run(work())


def test_every_model_has_a_primary_and_a_fallback_at_another_vendor(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({}), tmp_path)
        media = {"openai_images", "openrouter_images", "gemini_images", "bfl", "ark", "xai", "fal", "replicate"}
        for model in catalogue.MODELS.values():
            if model.kind == "image":
                wires = [set(upstream.dialects) & media for upstream in lab.services.chain_of(model.id).values()]
                assert len(wires) >= 2
                assert all(wires), model.id
                bases = {upstream.name.split("-")[0] for upstream in lab.services.chain_of(model.id).values()}
                assert len(bases) >= 2, model.id

    run(work())
