"""POST /gemini in both shapes, and the paths of Google's SDKs: answers in one piece, counts, lists and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from gateway import config
from schemas import catalogue
from tests.gateway.gemini_lab import (
    COUNT,
    DOCUMENTED,
    GEMINI_UC,
    GENERATE,
    HELLO,
    INPUT_UC,
    MODEL,
    OUTPUT_UC,
    STREAM,
    USAGE,
    ask,
    events,
    raw,
    reply,
)
from tests.gateway.lab import CHAT, HI, completion, ok, open_lab, run

BASES = ["/api/v1/gemini/v1", "/api/v1/gemini/v1beta", "/api/v1/gemini/v1alpha", "/api/v1/gemini", "/v1/gemini/v1beta",
         "/api/v1/v1beta", "/api/v1/v1", "/api/v1", "/v1/v1beta", "/v1", "/api/v1beta", "/v1beta"]  # fmt: skip
GEMINI = [model for model in catalogue.MODELS.values() if "gemini" in model.endpoints]
DATA = "iVBORw0KGgo" * 4000


def scene(play: Callable[[], Any]) -> None:
    run(play())


def test_a_native_answer_passes_unchanged_and_is_charged_with_its_thoughts() -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply()))])
        answer = await ask(lab)
        assert answer.body == raw(reply())
        assert answer.headers["content-type"] == "application/json"
        assert {"x-ratelimit-remaining", "x-request-id"} <= set(answer.headers)
        assert await lab.spent_uc() == GEMINI_UC
        (row,) = await lab.log()
        assert (row["endpoint"], row["model"], row["upstream"]) == ("/v1/gemini", MODEL, "gemini")
        assert (row["inputTokens"], row["outputTokens"], row["reasoningTokens"]) == (10, 35, 30)
        assert (row["estimated"], row["stream"]) == (False, False)
        assert lab.services.metrics.requests["/api/v1/gemini", 200] == 1

    scene(play)


@pytest.mark.parametrize("base", BASES)
def test_every_path_that_the_sdks_make_of_a_base_url(base: str) -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply())), ok(events(reply())), ok(raw({"totalTokens": 3}))])
        assert (await ask(lab, f"{base}/models/{MODEL}:generateContent")).json == reply()
        assert (await ask(lab, f"{base}/models/{MODEL}:streamGenerateContent")).data == [reply()]
        assert (await ask(lab, f"{base}/models/{MODEL}:countTokens")).json == {"totalTokens": 3}
        assert [request.url.partition("/gemini/v1beta/models/")[2] for request in lab.transport.requests] == [
            f"{MODEL}:generateContent", f"{MODEL}:streamGenerateContent?alt=sse", f"{MODEL}:countTokens"
        ]  # fmt: skip
        assert await lab.spent_uc() == 2 * GEMINI_UC

    scene(play)


def test_what_goes_upstream_is_the_body_and_nothing_else_of_the_caller_s() -> None:
    async def play() -> None:
        lab = await open_lab(lambda _request: ok(raw(reply())))
        body = b'{ "contents":[{"parts":[{"text":"\\u00e9 1.50"}]}],\n "generationConfig": {"temperature": 0.60} }'
        await lab.ask(GENERATE, body, headers={"x-goog-api-key": lab.secret, "x-goog-api-client": "c", "cookie": "a=b"})
        (request,) = lab.transport.requests
        assert request.body == body
        assert dict(request.headers) == {"x-goog-api-key": "sk-fleet-gemini", "content-type": "application/json"}

    scene(play)


@pytest.mark.parametrize("model", GEMINI, ids=lambda model: model.id)
def test_every_gemini_model_is_served_and_charged_at_its_price(model: catalogue.Model) -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply())), ok(events(reply()))])
        await lab.ask(DOCUMENTED, {"model": model.id, "contents": HELLO})
        await lab.ask(DOCUMENTED, {"model": model.id, "contents": HELLO, "stream": True})
        assert await lab.spent_uc() == 2 * (10 * model.input_uc + 35 * model.output_uc)
        assert [row["status"] for row in await lab.log()] == ["succeeded"] * 2

    scene(play)


def test_the_documented_path_takes_the_native_shape_with_the_model_in_the_body() -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply())), ok(events(reply()))])
        settings = {"temperature": 0.6, "maxOutputTokens": 2048}
        body = {"model": "gemini-3.1-pro", "contents": HELLO, "generationConfig": settings}
        assert (await lab.ask(DOCUMENTED, body)).body == raw(reply())
        assert (await lab.ask(f"{DOCUMENTED}/", {**body, "stream": True})).data == [reply()]
        assert lab.sent(0) == lab.sent(1) == {"contents": HELLO, "generationConfig": settings}
        assert lab.transport.requests[1].url.endswith("/v1beta/models/gemini-3.1-pro:streamGenerateContent?alt=sse")

    scene(play)


def test_the_documented_path_takes_openai_s_shape_and_answers_in_it() -> None:
    async def play() -> None:
        lab = await open_lab([ok(completion())])
        body = {"model": "gemini-2.0-flash-vip", "messages": HI, "max_tokens": 9}
        assert (await lab.ask(DOCUMENTED, body)).body == completion()
        assert lab.transport.requests[0].url.endswith("/aggregator/v1/chat/completions")
        assert lab.sent() == body
        assert await lab.spent_uc() == 10 * 5 + 5 * 21
        (row,) = await lab.log()
        assert (row["endpoint"], row["requestedModel"]) == ("/v1/gemini", "gemini-2.0-flash-vip")

    scene(play)


@pytest.mark.parametrize("form", ["authorization", "x-goog-api-key", "x-api-key", "?key="])
@pytest.mark.parametrize("path", [DOCUMENTED, GENERATE])
def test_all_key_forms(form: str, path: str) -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply()))])
        body = {"contents": HELLO} | ({"model": MODEL} if path == DOCUMENTED else {})
        secret = f"Bearer {lab.secret}" if form == "authorization" else lab.secret
        given = {} if form == "?key=" else {form: secret}
        query = f"key={lab.secret}" if form == "?key=" else ""
        assert (await lab.ask(path, body, headers=given, query=query)).status == 200
        assert lab.secret not in lab.transport.requests[0].url

    scene(play)


def test_counting_is_free() -> None:
    async def play() -> None:
        counted = {"totalTokens": 5, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]}
        lab = await open_lab([ok(raw(counted)), ok(raw(counted)), *[ok(b"{}")] * 4])
        assert (await ask(lab, COUNT)).json == counted
        inner = {"model": f"models/{MODEL}", "contents": HELLO}
        await lab.ask(COUNT, {"generateContentRequest": {**inner, "model": "models/other"}})
        assert lab.sent() == {"generateContentRequest": inner}
        assert (await ask(lab, COUNT)).json["error"]["code"] == 502
        assert await lab.spent_uc() == 0
        assert await lab.log() == []

    scene(play)


@pytest.mark.parametrize(
    "base", ["/api/v1/gemini/v1beta", "/api/v1/gemini/v1", "/v1/gemini", "/api/v1/v1beta", "/v1beta"]
)
def test_the_list_of_models(base: str) -> None:
    async def play() -> None:
        lab = await open_lab([])
        listed = (await lab.ask(f"{base}/models", method="GET")).json["models"]
        assert [row["name"] for row in listed] == [f"models/{model.id}" for model in GEMINI]
        assert (await lab.ask(f"{base}/models/{MODEL}", method="GET")).json in listed
        assert (await lab.ask(f"{base}/models/gpt-5.5", method="GET")).json["error"]["status"] == "NOT_FOUND"
        assert (await lab.ask(f"{base}/models", method="GET", headers={})).status == 401

    scene(play)


def test_a_google_sdk_is_known_on_the_path_it_shares_with_anthropic_s() -> None:
    async def play() -> None:
        lab = await open_lab([])
        for path in ("/api/v1/v1/models", "/api/v1/models"):
            sdk = {"x-goog-api-key": lab.secret, "x-goog-api-client": "google-genai-sdk/3.4.0"}
            assert len((await lab.ask(path, method="GET", headers=sdk)).json["models"]) == len(GEMINI)
            assert (await lab.ask(f"{path}/{MODEL}", method="GET", headers=sdk)).json["name"] == f"models/{MODEL}"
            assert "data" in (await lab.ask(path, method="GET", headers={"x-goog-api-key": lab.secret})).json

    scene(play)


def test_usage_that_is_not_told_is_estimated_and_told() -> None:
    async def play() -> None:
        partial = {"promptTokenCount": 10, "totalTokenCount": 10}
        blob = {"inlineData": {"mimeType": "image/png", "data": DATA}}
        lab = await open_lab([ok(raw(reply("abcdefgh", None))), ok(raw(reply("abcdefgh", partial)))])
        contents = [{"role": "user", "parts": [{"text": "x" * 36}, blob]}]
        answer = await ask(lab, contents=contents)
        due = 13  # "user", the text, "image/png": 49 bytes
        assert answer.json["usageMetadata"] == {
            "promptTokenCount": due,
            "candidatesTokenCount": 2,
            "totalTokenCount": 15,
        }
        assert await lab.spent_uc() == due * INPUT_UC + 2 * OUTPUT_UC
        await ask(lab)
        assert await lab.spent_uc() == (due + 10) * INPUT_UC + 4 * OUTPUT_UC
        assert [row["estimated"] for row in await lab.log()] == [True, True]

    scene(play)


USAGES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, int]]] = {
    "cached": ({"promptTokenCount": 30, "cachedContentTokenCount": 20, "candidatesTokenCount": 5}, {}, (30, 5)),
    "tools": ({"promptTokenCount": 30, "toolUsePromptTokenCount": 12, "candidatesTokenCount": 5}, {}, (42, 5)),
    "nothing said": ({"promptTokenCount": 30}, {"content": {"role": "model"}, "finishReason": "SAFETY"}, (30, 0)),
    "thoughts alone": (
        {"promptTokenCount": 30, "thoughtsTokenCount": 8},
        {"content": {}, "finishReason": "MAX_TOKENS"},
        (30, 8),
    ),
}


@pytest.mark.parametrize("case", USAGES)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_charged_of_a_usage(case: str, stream: bool) -> None:
    async def play() -> None:
        usage, candidate, (input_tokens, output_tokens) = USAGES[case]
        whole = reply("Hi", usage, **candidate)
        lab = await open_lab([ok(events(whole) if stream else raw(whole))])
        answer = await ask(lab, STREAM if stream else GENERATE)
        assert (answer.data if stream else [answer.json]) == [whole]
        assert await lab.spent_uc() == input_tokens * INPUT_UC + output_tokens * OUTPUT_UC
        assert not (await lab.log())[0]["estimated"]

    scene(play)


def test_a_refused_prompt_is_an_answer() -> None:
    async def play() -> None:
        blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 10}}
        lab = await open_lab([ok(raw(blocked)), ok(events(blocked))])
        assert (await ask(lab)).json == blocked
        assert (await ask(lab, STREAM)).data == [blocked]
        assert await lab.spent_uc() == 2 * 10 * INPUT_UC

    scene(play)


def test_a_picture_is_held_for_as_a_picture() -> None:
    async def play() -> None:
        for name, mime in (("inlineData", "mimeType"), ("inline_data", "mime_type")):
            blob = {name: {mime: "image/png", "data": DATA * 40}}  # as text it would cost $4
            lab = await open_lab([ok(raw(reply()))], credits=250)
            contents = [{"role": "user", "parts": [blob, {"text": "What is this?"}]}]
            assert (await ask(lab, contents=contents, generationConfig={"maxOutputTokens": 50})).status == 200

    scene(play)


def test_the_hold_covers_every_candidate() -> None:
    async def play() -> None:
        lab = await open_lab([], credits=300)
        settings = {"maxOutputTokens": 1_000_000, "candidateCount": 8}
        answer = await ask(lab, generationConfig=settings)
        assert answer.status == 402
        assert "1840." in answer.json["error"]["message"]

    scene(play)


@pytest.mark.parametrize("form", ["events", "array"])
def test_a_stream_that_nobody_asked_for_is_put_together(form: str) -> None:
    async def play() -> None:
        call = {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "Ab=="}
        chunks: list[Any] = [
            {"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}}]},
            {"candidates": [{"content": {"parts": [{"text": "b"}], "role": "model"}}], "usageMetadata": {"x": 1}},
            {"candidates": [{"content": {"parts": [call], "role": "model"}}]},
            reply("", USAGE),
        ]
        lab = await open_lab([ok(events(*chunks) if form == "events" else json.dumps(chunks).encode())])
        answer = (await ask(lab)).json
        (candidate,) = answer["candidates"]
        assert candidate["content"] == {"parts": [{"text": "ab"}, call], "role": "model"}
        assert (candidate["finishReason"], answer["usageMetadata"]) == ("STOP", USAGE)
        assert await lab.spent_uc() == GEMINI_UC

    scene(play)


def test_the_same_key_is_answered_once() -> None:
    async def play() -> None:
        lab = await open_lab([ok(raw(reply()))])
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "one"}
        first = await lab.ask(GENERATE, {"contents": HELLO}, headers=headers)
        again = await lab.ask(GENERATE, {"contents": HELLO}, headers=headers)
        assert first.body == again.body
        other = await lab.ask(CHAT, {"model": MODEL, "messages": HI}, headers=headers)
        assert other.error[0] == "conflict_error"
        assert await lab.spent_uc() == GEMINI_UC

    scene(play)


def test_a_model_goes_by_the_upstream_s_name() -> None:
    async def play() -> None:
        rows = yaml.safe_load(config.DEFAULTS_FILE.read_text())["upstreams"]
        rows["gemini"]["models"] = {MODEL: "gemini-2.5-flash"}
        lab = await open_lab([ok(raw(reply())), ok(raw({"totalTokens": 3}))], upstreams=rows)
        await ask(lab)
        await lab.ask(COUNT, {"generateContentRequest": {"contents": HELLO}})
        assert lab.transport.requests[0].url.endswith("/models/gemini-2.5-flash:generateContent")
        assert lab.transport.requests[1].url.endswith("/models/gemini-2.5-flash:countTokens")
        assert lab.sent()["generateContentRequest"]["model"] == "models/gemini-2.5-flash"
        assert (await lab.log())[0]["model"] == MODEL

    scene(play)
