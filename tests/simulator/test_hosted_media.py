"""Pictures, speech, transcripts and documents at vendors whose wires are nearly OpenAI's, and behind Hugging Face."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from simulator.clock import Clock
from simulator.media.speech import heard, speech
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.xai_exchange import form, later, opened, png

TEXT = "A lighthouse keeps ships from the rocks."
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
GEMINI = "google/gemini-3.1-flash-lite-image"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def call(fleet: Live, row: str, path: str, content: object = None, **headers: str) -> Reply:
    """A POST to one of the rows."""
    key = {"authorization": f"Bearer sk-fleet-{row}", "content-type": "application/json"}
    return fleet.call(request("POST", f"/{row}{path}", content, key | headers))


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_together_gives_base64_or_links(fleet: Live) -> None:
    body = {"model": SDXL, "prompt": TEXT, "response_format": "base64", "width": 256, "height": 128, "n": 2}
    reply = call(fleet, "together", "/v1/images/generations", body)
    assert list(reply.json) == ["id", "model", "object", "data"]
    assert (reply.json["model"], reply.json["object"]) == (SDXL, "list")
    assert [list(row) for row in reply.json["data"]] == [["timings", "index", "b64_json"]] * 2
    pictures = [base64.b64decode(row["b64_json"]) for row in reply.json["data"]]
    assert [(opened(data).size, opened(data).format) for data in pictures] == [((256, 128), "JPEG")] * 2
    assert pictures[0] != pictures[1]
    linked = call(fleet, "together", "/v1/images/generations", body | {"response_format": "url", "seed": 3, "n": 1})
    url = urlsplit(linked.json["data"][0]["url"])
    get = request("GET", f"{url.path}?{url.query}")
    inline = call(fleet, "together", "/v1/images/generations", body | {"seed": 3, "n": 1}).json["data"][0]["b64_json"]
    assert fleet.call(get, "GET").body == base64.b64decode(inline)
    assert fleet.call(request("GET", url.path), "GET").status == 403
    later(fleet, 3600)
    assert fleet.call(get, "GET").status == 403


def test_a_seed_picks_the_picture(fleet: Live) -> None:
    def made(seed: int, prompt: str) -> Any:
        body = {"model_name": "SDXL1.0-base", "prompt": prompt, "seed": seed, "width": 64, "height": 64}
        return call(fleet, "hyperbolic", "/v1/image/generation", body).json

    one = made(5, TEXT)
    assert list(one) == ["images", "inference_time"]
    assert [list(row) for row in one["images"]] == [["index", "image", "random_seed"]]
    assert one["images"][0]["random_seed"] == 5
    assert opened(base64.b64decode(one["images"][0]["image"])).size == (64, 64)
    assert made(5, f" {TEXT}")["images"] == one["images"] != made(6, TEXT)["images"]


def test_hyperbolic_shows_what_it_refuses(fleet: Live) -> None:
    body = {"model": "SD2", "prompt": TEXT, "width": 128}
    reply = call(fleet, "hyperbolic", "/v1/images/generations", body)
    missing = {"type": "missing", "loc": ["body", "model_name"], "msg": "Field required", "input": body}
    assert (reply.status, reply.json) == (422, {"detail": [missing]})
    wrong = call(fleet, "hyperbolic", "/v1/image/generation", {"model_name": "SD2", "prompt": TEXT, "width": "wide"})
    (detail,) = wrong.json["detail"]
    assert (wrong.status, detail["loc"], detail["input"]) == (422, ["body", "width"], "wide")


def test_openrouter_tells_tokens_and_cost(fleet: Live) -> None:
    body = {"model": GEMINI, "prompt": TEXT, "aspect_ratio": "16:9", "output_format": "webp"}
    reply = call(fleet, "openrouter", "/api/v1/images", body)
    assert list(reply.json) == ["created", "data", "usage"]
    assert reply.json["created"] == 0
    (row,) = reply.json["data"]
    assert (list(row), row["media_type"]) == (["b64_json", "media_type"], "image/webp")
    assert opened(base64.b64decode(row["b64_json"])).size == (1360, 768)
    usage = reply.json["usage"]
    images = usage["completion_tokens_details"]["image_tokens"]
    assert images == round(1120 * 1360 * 768 / 1024**2)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    text = usage["completion_tokens"] - images
    cost = (0.25 * usage["prompt_tokens"] + 1.5 * text + 30 * images) / 1e6
    assert usage["cost"] == pytest.approx(cost, rel=1e-9)
    assert reply.headers["x-generation-id"].startswith("gen-img-")
    small = call(fleet, "openrouter", "/api/v1/images", {"model": GEMINI, "prompt": TEXT, "size": "512x256", "n": 2})
    assert [opened(base64.b64decode(row["b64_json"])).size for row in small.json["data"]] == [(512, 256)] * 2


@pytest.mark.parametrize(
    ("row", "path", "body", "code"),
    [
        ("together", "/v1/images/generations", {"model": SDXL}, 400),
        ("together", "/v1/images/generations", {"model": "nobody/none", "prompt": "x"}, 404),
        ("together", "/v1/images/generations", {"model": SDXL, "prompt": "x", "width": 9999}, 400),
        ("together", "/v1/images/generations", {"model": SDXL, "prompt": "x", "output_format": "gif"}, 400),
        ("together", "/v1/images/generations", b"[", 400),
        ("openrouter", "/api/v1/images", {"model": GEMINI, "prompt": "x", "size": "wide"}, 400),
        ("openrouter", "/api/v1/images", {"model": GEMINI, "prompt": "x", "size": "9999x1"}, 400),
        ("openrouter", "/api/v1/images", {"model": GEMINI, "prompt": "x", "aspect_ratio": "1:0"}, 400),
        ("hyperbolic", "/v1/image/generation", b"[", 422),
    ],
)
def test_pictures_that_are_refused(fleet: Live, row: str, path: str, body: object, code: int) -> None:
    reply = call(fleet, row, path, body)
    assert reply.status == code, reply
    wrong = call(fleet, row, path, body, authorization="Bearer sk-wrong-0000")
    assert wrong.status == 401


# --- sound ------------------------------------------------------------------------------------------------------------


def test_openrouter_speaks(fleet: Live) -> None:
    """The faults of the row, which are those of its events, leave the sound alone."""
    body = {"model": "hexgrad/kokoro-82m", "input": TEXT, "voice": "af_bella", "response_format": "mp3"}
    reply = call(fleet, "openrouter", "/api/v1/audio/speech", body)
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    assert reply.headers["x-generation-id"].startswith("gen-tts-")
    assert heard(reply.body) == TEXT
    assert reply.body[:2] == b"\xff\xf3"
    assert not any(word in reply.body for word in (b"OPENROUTER", b"[DONE]", b"data:"))
    assert call(fleet, "openrouter", "/api/v1/audio/speech", body | {"voice": "nobody"}).status == 400


def transcribed(fleet: Live, row: str, path: str, *fields: tuple[str, str], translate: bool = False) -> Reply:
    parts = [(name, value.encode()) for name, value in fields]
    body, headers = form([*parts, ("file", speech(TEXT, "alloy", "wav"))])
    end = "translations" if translate else "transcriptions"
    return call(fleet, row, f"{path}/audio/{end}", body, **headers)


def test_mistral_hears(fleet: Live) -> None:
    reply = transcribed(fleet, "mistral", "/v1", ("model", "voxtral-mini-latest"))
    told = reply.json
    assert list(told) == ["model", "text", "language", "segments", "usage", "finish_reason"]
    assert (told["text"], told["language"], told["segments"]) == (TEXT, None, [])
    usage = told["usage"]
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["audio_tokens"]) == (3, 375)
    assert usage["total_tokens"] == 3 + 375 + usage["completion_tokens"]
    assert usage["prompt_audio_seconds"] == 2
    more = ("language", "en"), ("timestamp_granularities[]", "segment")
    timed = transcribed(fleet, "mistral", "/v1", ("model", "voxtral-mini-latest"), *more).json
    assert timed["language"] == "en"
    assert [list(row) for row in timed["segments"]] == [["text", "start", "end"]]


def test_groq_hears(fleet: Live) -> None:
    plain = transcribed(fleet, "groq", "/openai/v1", ("model", "whisper-large-v3-turbo"))
    assert list(plain.json) == ["text", "x_groq"]
    assert plain.json["text"] == TEXT
    assert plain.json["x_groq"]["id"].startswith("req_01k")
    more = ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")
    verbose = transcribed(fleet, "groq", "/openai/v1", ("model", "whisper-large-v3"), *more).json
    assert list(verbose) == ["task", "language", "duration", "text", "words", "x_groq"]
    english = transcribed(fleet, "groq", "/openai/v1", ("model", "whisper-large-v3"), translate=True)
    assert english.json["text"] == TEXT
    refused = transcribed(fleet, "groq", "/openai/v1", ("model", "whisper-large-v3-turbo"), translate=True)
    assert (refused.status, list(refused.json["error"])) == (400, ["message", "type", "code"])


# --- documents --------------------------------------------------------------------------------------------------------


def pdf(pages: int) -> str:
    """A PDF as far as its pages are counted."""
    objects = b"".join(b"%d 0 obj<</Type /Page>>endobj\n" % at for at in range(2, 2 + pages))
    data = b"%PDF-1.4\n1 0 obj<</Type /Pages>>endobj\n" + objects + b"%%EOF"
    return "data:application/pdf;base64," + base64.b64encode(data).decode()


def read(fleet: Live, document: dict[str, Any], **more: Any) -> Reply:
    return call(fleet, "mistral", "/v1/ocr", {"model": "mistral-ocr-latest", "document": document, **more})


def test_a_document_becomes_pages(fleet: Live) -> None:
    reply = read(fleet, {"type": "document_url", "document_url": pdf(3)})
    pages = reply.json["pages"]
    assert [page["index"] for page in pages] == [0, 1, 2]
    assert len({page["markdown"] for page in pages}) == 3
    assert reply.json["usage_info"]["pages_processed"] == 3
    assert reply.headers["x-ratelimit-ocr-pages-query-cost"] == "3"
    for page in pages:
        assert page["markdown"] == "\n\n".join(block["content"] for block in page["blocks"])
        assert [block["type"] for block in page["blocks"]] == ["title", "text", "text", "text"]
    some = read(fleet, {"type": "document_url", "document_url": pdf(3)}, pages="0,2-9").json
    assert some["pages"] == [pages[0], pages[2]]
    assert read(fleet, {"type": "document_url", "document_url": pdf(3)}, pages=[1]).json["pages"] == [pages[1]]


def test_a_picture_is_a_page_of_its_size(fleet: Live) -> None:
    reply = read(fleet, {"type": "image_url", "image_url": {"url": png(300, 200)}})
    (page,) = reply.json["pages"]
    assert page["dimensions"] == {"dpi": 93, "height": 200, "width": 300}


@pytest.mark.parametrize(
    ("document", "more", "code"),
    [
        ({}, {}, 400),
        ({"document_url": 5}, {}, 400),
        ({"document_url": "data:application/pdf;base64,AAAA"}, {}, 400),
        ({"document_url": "data:application/pdf;base64,?"}, {}, 400),
        ({"document_url": "https://a.invalid/b.pdf"}, {}, 400),
        ({"document_url": "https://a/b.pdf"}, {"pages": "a"}, 400),
        ({"document_url": "https://a/b.pdf"}, {"pages": [[]]}, 400),
        ({"document_url": "https://a/b.pdf"}, {"model": "mistral-ocr-none"}, 400),
    ],
)
def test_documents_that_are_refused(fleet: Live, document: Any, more: dict[str, Any], code: int) -> None:
    reply = read(fleet, document, **more)
    assert (reply.status, reply.json["object"]) == (code, "error")


# --- Hugging Face -----------------------------------------------------------------------------------------------------


def inferred(fleet: Live, model: str, content: object, **headers: str) -> Reply:
    return call(fleet, "huggingface", f"/hf-inference/models/{model}", content, **headers)


def test_text_is_gone_on_with(fleet: Live) -> None:
    body = {"inputs": "One two and", "parameters": {"max_new_tokens": 9}}
    (row,) = inferred(fleet, "meta-llama/Llama-2-7b-hf", body).json
    assert row["generated_text"].startswith("One two and")
    bare = {"inputs": "One two and", "parameters": {"max_new_tokens": 9, "return_full_text": False}}
    assert not inferred(fleet, "meta-llama/Llama-2-7b-hf", bare).json[0]["generated_text"].startswith("One two")


def test_text_streams_token_by_token(fleet: Live) -> None:
    reply = inferred(fleet, "meta-llama/Llama-2-7b-hf", {"inputs": "One two and", "stream": True})
    frames = reply.body.decode().split("\n\n")[:-1]
    assert all(frame.startswith("data:{") for frame in frames)
    events = [orjson.loads(frame.removeprefix("data:")) for frame in frames]
    assert [event["index"] for event in events] == list(range(1, len(events) + 1))
    assert [event["generated_text"] for event in events[:-1]] == [None] * (len(events) - 1)
    said = "".join(event["token"]["text"] for event in events if not event["token"]["special"])
    assert events[-1]["generated_text"] == f"One two and{said}"
    assert events[-1]["token"]["special"] is True


def test_messages_are_answered_on_the_chat_wire(fleet: Live) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    reply = inferred(fleet, "mistralai/Mistral-7B-Instruct-v0.2", body)
    assert (reply.json["object"], reply.json["id"]) == ("chat.completion", "")
    assert inferred(fleet, "mistralai/Mistral-7B-Instruct-v0.2", body | {"stream": True}).body.endswith(b"[DONE]\n\n")


def test_pictures_speech_transcripts_and_answers(fleet: Live) -> None:
    drawn = inferred(fleet, SDXL, {"inputs": TEXT, "parameters": {"width": 128, "height": 64, "seed": 1}})
    assert (drawn.headers["content-type"], opened(drawn.body).size) == ("image/jpeg", (128, 64))
    spoken = inferred(fleet, "facebook/mms-tts-eng", {"inputs": TEXT})
    assert spoken.headers["content-type"] == "audio/flac"
    for sent in (spoken.body, {"inputs": base64.b64encode(spoken.body).decode()}):
        kind = "audio/flac" if isinstance(sent, bytes) else "application/json"
        told = inferred(fleet, "openai/whisper-large-v3", sent, **{"content-type": kind})
        assert told.json == {"text": TEXT}
    question = {"inputs": {"image": png().partition(",")[2], "question": "Which number?"}}
    (answer,) = inferred(fleet, "impira/layoutlm-document-qa", question).json
    assert list(answer) == ["score", "answer", "start", "end"]
    assert 0 <= answer["score"] <= 1


@pytest.mark.parametrize(
    ("model", "body", "code"),
    [
        ("nobody/none", {"inputs": "x"}, 404),
        (SDXL, {}, 400),
        (SDXL, {"inputs": "x", "parameters": {"width": 1}}, 400),
        (SDXL, {"inputs": "x", "parameters": []}, 400),
        ("openai/whisper-large-v3", {"inputs": "x"}, 400),
        ("meta-llama/Llama-2-7b-hf", {"inputs": ""}, 400),
        ("meta-llama/Llama-2-7b-hf", {"inputs": "x", "parameters": {"max_new_tokens": 0}}, 400),
        ("impira/layoutlm-document-qa", {"inputs": {"image": "AAAA"}}, 400),
    ],
)
def test_tasks_that_are_refused(fleet: Live, model: str, body: object, code: int) -> None:
    reply = inferred(fleet, model, body)
    assert (reply.status, list(reply.json)) == (code, ["error"])
