"""What the Gemini endpoint refuses, how it says so on either kind of path, and what becomes of upstreams' failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.upstreams.memory import MemoryReply
from tests.gateway.gemini_lab import (
    DOCUMENTED,
    GEMINI_UC,
    GENERATE,
    HELLO,
    MODEL,
    ask,
    google,
    raw,
    reply,
)
from tests.gateway.lab import HI, by_upstream, completion, ok, open_lab, run


def scene(play: Callable[[], Any]) -> None:
    run(play())


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "no contents": ({"contents": None}, "`contents` is null; an array was due."),
    "empty": ({"contents": []}, "`contents` is empty"),
    "text": ({"contents": "hi"}, "`contents` is a string"),
    "content": ({"contents": ["hi"]}, "`contents[0]` is a string"),
    "parts": ({"contents": [{"parts": "hi"}]}, "`contents[0].parts` is no array of objects"),
    "part": ({"contents": [{"parts": ["hi"]}]}, "`contents[0].parts` is no array of objects"),
    "config": ({"generationConfig": []}, "`generationConfig` is an array"),
    "limit": ({"generationConfig": {"maxOutputTokens": 0}}, "`maxOutputTokens` is 0"),
    "limit, snake case": ({"generation_config": {"max_output_tokens": "5"}}, "`max_output_tokens` is a string"),
    "answers": ({"generationConfig": {"candidateCount": 9}}, "`candidateCount` is 9; 1 to 8 was due."),
    "both spellings": ({"generationConfig": {}, "generation_config": {}}, "Both `generationConfig` and"),
    "both shapes": ({"messages": HI}, "Both `contents` and `messages`"),
    "cache": ({"cachedContent": "cachedContents/x"}, "`cachedContent` is not served"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_bodies_are_refused_in_both_forms_of_errors(case: str) -> None:
    async def play() -> None:
        fields, message = UNFIT[case]
        lab = await open_lab([])
        native = await ask(lab, **fields)
        assert native.status == native.json["error"]["code"] == 400
        assert native.json["error"]["status"] == "INVALID_ARGUMENT"
        assert message in native.json["error"]["message"]
        documented = await lab.ask(DOCUMENTED, {"model": MODEL, "contents": HELLO, **fields})
        assert documented.error[0] == "invalid_request_error"
        assert message in documented.error[1]

    scene(play)


def test_a_limit_that_stands_twice_is_refused() -> None:
    async def play() -> None:
        lab = await open_lab([])
        body = b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"max\\u004futputTokens":9}}'
        answer = await lab.ask(GENERATE, body)
        assert answer.json["error"]["message"] == "`generationConfig` has 'maxOutputTokens' twice."
        assert (await lab.ask(GENERATE, b'{"contents":[{}],"contents":[{}]}')).status == 400

    scene(play)


def test_refusals_in_google_s_form() -> None:
    async def play() -> None:
        lab = await open_lab([], credits=0)
        body = {"contents": HELLO}
        paths = {
            (401, "UNAUTHENTICATED", "AUTHENTICATION_ERROR"): await lab.ask(GENERATE, body, headers={}),
            (400, "INVALID_ARGUMENT", "INVALID_REQUEST_ERROR"): await ask(lab, GENERATE.replace(MODEL, "gpt-5.5")),
            (402, "FAILED_PRECONDITION", "INSUFFICIENT_CREDITS"): await ask(lab),
            (405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"): await lab.ask(GENERATE, method="PUT"),
            (404, "NOT_FOUND", "NOT_FOUND_ERROR"): await ask(lab, GENERATE.replace(":generate", ":embed")),
        }
        for (status, word, reason), answer in paths.items():
            error = answer.json["error"]
            assert (answer.status, error["code"], error["status"]) == (status, status, word)
            assert error["details"][0]["reason"] == reason
            assert "x-request-id" in answer.headers
        unknown = await ask(lab, GENERATE.replace(MODEL, "nobody"))
        assert unknown.status == 400
        assert MODEL in unknown.json["available_models"]
        assert not lab.transport.requests

    scene(play)


def test_refusals_on_the_documented_path_are_the_reference_s() -> None:
    async def play() -> None:
        lab = await open_lab([], credits=0)
        body = {"model": MODEL, "contents": HELLO}
        assert (await lab.ask(DOCUMENTED, body, headers={})).error[0] == "authentication_error"
        assert (await lab.ask(DOCUMENTED, {"contents": HELLO})).error == (
            "invalid_request_error",
            "`model` is missing.",
        )
        assert "is not served on /v1/gemini" in (await lab.ask(DOCUMENTED, {**body, "model": "gpt-5.5"})).error[1]
        assert "available_models" in (await lab.ask(DOCUMENTED, {**body, "model": "nobody"})).json
        assert (await lab.ask(DOCUMENTED, body)).error[0] == "insufficient_credits"
        assert (await lab.ask(DOCUMENTED, {**body, "messages": HI})).status == 400

    scene(play)


def test_the_hourly_limit_is_the_chat_limit_and_tells_when_to_come_back() -> None:
    async def play() -> None:
        lab = await open_lab([ok(completion()), ok(raw(reply()))], limits={"chat": 2})
        await lab.chat()
        await ask(lab)
        refused = await ask(lab)
        error = refused.json["error"]
        assert (refused.status, error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert error["details"][1]["retryDelay"] == f"{refused.headers['retry-after']}s"
        assert refused.headers["x-ratelimit-remaining"] == "0"

    scene(play)


def refusal(status: int, message: str, word: str = "INVALID_ARGUMENT", *details: Any, **headers: str) -> MemoryReply:
    return MemoryReply(status, headers, [google(status, word, message, *details)])


def test_failover_and_what_is_told_when_all_have_failed() -> None:
    async def play() -> None:
        sick = refusal(503, "The model is overloaded. See https://ai.google.dev/x", "UNAVAILABLE")
        lab = await open_lab(by_upstream({"gemini": [sick], "gemini-eu": [sick, ok(raw(reply()))]}))
        assert (await ask(lab)).status == 200
        assert lab.upstreams == ["gemini", "gemini", "gemini-eu", "gemini-eu"]
        assert await lab.spent_uc() == GEMINI_UC
        everybody = ("gemini", "gemini-eu", "aggregator", "aggregator-eu")
        lab = await open_lab(by_upstream({name: [sick] for name in everybody}))
        error = (await ask(lab)).json["error"]
        assert lab.upstreams == [name for name in everybody for _ in range(2)]
        assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
        assert error["message"] == f"All upstreams failed for {MODEL}: The model is overloaded. See [redacted]"
        assert await lab.spent_uc() == 0

    scene(play)


def test_a_provider_that_refuses_the_gateway_s_own_key_is_left_for_the_next() -> None:
    async def play() -> None:
        bad = refusal(400, "API key not valid. Please pass a valid API key.")
        lab = await open_lab(by_upstream({"gemini": [bad], "gemini-eu": [ok(raw(reply()))]}))
        assert (await ask(lab)).status == 200
        assert lab.upstreams == ["gemini", "gemini-eu"]

    scene(play)


def test_a_retry_delay_in_the_body_is_honoured() -> None:
    async def play() -> None:
        delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.4s"}
        busy = refusal(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED", delay)
        lab = await open_lab(by_upstream({"gemini": [busy], "gemini-eu": [ok(raw(reply()))]}))
        assert (await ask(lab)).status == 200
        assert lab.upstreams == ["gemini", "gemini-eu"]  # 36 s are not waited for

    scene(play)


def test_a_request_that_google_refuses_is_the_caller_s() -> None:
    async def play() -> None:
        lab = await open_lab([refusal(400, "* GenerateContentRequest.tools: bad") for _ in range(2)])
        error = (await ask(lab)).json["error"]
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert error["message"] == "* GenerateContentRequest.tools: bad"
        assert len(lab.transport.requests) == 1
        answer = await lab.ask(DOCUMENTED, {"model": MODEL, "contents": HELLO})
        assert answer.error == ("invalid_request_error", "* GenerateContentRequest.tools: bad")

    scene(play)


@pytest.mark.parametrize(
    "broken", [b"", b"<html>", b"[]", b"7", b"{}", raw({"candidates": []}), google(500, "INTERNAL", "An error")]
)
def test_broken_replies_are_tried_elsewhere(broken: bytes) -> None:
    async def play() -> None:
        lab = await open_lab(by_upstream({"gemini": [ok(broken)], "gemini-eu": [ok(raw(reply()))]}))
        assert (await ask(lab)).json == reply()
        assert lab.upstreams == ["gemini", "gemini", "gemini-eu"]

    scene(play)
