"""Calls that upstreams of another dialect answer: failover across dialects, money, failures, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.upstreams.memory import MemoryReply
from schemas import catalogue
from schemas.catalogue import Model
from tests.gateway.gemini_lab import DOCUMENTED, events, raw, reply
from tests.gateway.lab import (
    HI,
    ROLE,
    SSE,
    Answer,
    Lab,
    by_upstream,
    chat_stream,
    chunk,
    completion,
    error,
    frames,
    message,
    message_stream,
    ok,
    open_lab,
    run,
)
from tests.gateway.responses_lab import respond

ELSEWHERE = [m for m in catalogue.MODELS.values() if "responses" in m.endpoints and m.vendor != "OpenAI"]
DOWN = error(500, "anthropic is down")
CLAUDE = catalogue.MODELS["claude-sonnet-4-6"]
DEEPSEEK = catalogue.MODELS["deepseek-v3.2"]
SPENT = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
GEMINI = "gemini-2.5-flash-official"


def price_uc(model: Model, input_tokens: int, output_tokens: int) -> int:
    return input_tokens * model.input_uc + output_tokens * model.output_uc


def kinds(answer: Answer) -> list[str]:
    """The names of the events of a named stream."""
    return [(event.name or b"").decode() for event in answer.events]


def streamed(raw: bytes) -> MemoryReply:
    return MemoryReply(200, SSE, [raw])


def claude_down(*router: MemoryReply) -> Any:
    """Anthropic is down everywhere; the router, which speaks Chat Completions, answers so."""
    return by_upstream({"anthropic": [DOWN], "anthropic-eu": [DOWN], "openrouter": list(router)})


def test_messages_go_on_at_a_chat_upstream_when_anthropic_is_down() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(ok(completion("Bonjour"))))
        answer = await lab.message(system="Be brief.")
        assert answer.status == 200
        assert answer.json["content"] == [{"type": "text", "text": "Bonjour"}]
        assert (answer.json["role"], answer.json["stop_reason"]) == ("assistant", "end_turn")
        assert lab.upstreams == ["anthropic", "anthropic", "anthropic-eu", "anthropic-eu", "openrouter"]
        request = lab.transport.requests[-1]
        assert request.url.endswith("/openrouter/api/v1/chat/completions")
        assert dict(request.headers)["authorization"].startswith("Bearer ")
        assert lab.sent()["model"] == "anthropic/claude-sonnet-4.6"
        assert [turn["role"] for turn in lab.sent()["messages"]] == ["system", "user"]
        assert await lab.spent_uc() == price_uc(CLAUDE, 10, 5)
        (row,) = await lab.log()
        assert (row["upstream"], row["attempts"], row["estimated"]) == ("openrouter", 5, False)

    run(play())


def test_a_messages_stream_goes_on_at_a_chat_upstream() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(streamed(chat_stream("Bon", "jour"))))
        answer = await lab.message(stream=True)
        assert answer.text == "Bonjour"
        assert kinds(answer) == [
            *("message_start", "content_block_start", "content_block_delta", "content_block_delta"),
            *("content_block_stop", "message_delta", "message_stop"),
        ]
        assert answer.data[-2]["usage"]["output_tokens"] == 5
        assert lab.sent()["stream_options"] == {"include_usage": True}
        assert await lab.spent_uc() == price_uc(CLAUDE, 10, 5)

    run(play())


def test_thoughts_of_earlier_turns_stay_behind() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(ok(completion())))
        thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
        history = [*HI, {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi."}]}, *HI]
        assert (await lab.message(messages=history)).status == 200
        assert "Hm." not in json.dumps(lab.sent())
        assert [turn["role"] for turn in lab.sent()["messages"]] == ["user", "assistant", "user"]

    run(play())


def test_chat_goes_on_at_a_messages_upstream() -> None:
    async def play() -> None:
        replies = {
            "aggregator": [DOWN],
            "aggregator-eu": [DOWN],
            "deepseek": [streamed(message_stream("Hi", " there"))],
        }
        lab = await open_lab(by_upstream(replies))
        answer = await lab.chat(model=DEEPSEEK.id, stream=True)
        assert answer.text == "Hi there"
        assert answer.data[-1] == "[DONE]"
        assert answer.data[-2]["usage"]["total_tokens"] == 27
        assert dict(lab.transport.requests[-1].headers)["x-api-key"] == "sk-fleet-deepseek"
        assert lab.transport.requests[-1].url.endswith("/deepseek/anthropic/v1/messages")
        assert lab.sent()["max_tokens"] == DEEPSEEK.max_output_tokens
        assert await lab.spent_uc() == price_uc(DEEPSEEK, 20, 7)

    run(play())


@pytest.mark.parametrize("model", ELSEWHERE, ids=lambda model: model.id)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_serves_every_model_and_charges_it(model: Model, stream: bool) -> None:
    async def play() -> None:
        if model.vendor == "Google":
            lab = await open_lab([streamed(events(reply("Hi", SPENT))) if stream else ok(raw(reply("Hi", SPENT)))])
        else:
            lab = await open_lab([streamed(chat_stream("Hi")) if stream else ok(completion("Hi"))])
        if model.min_top_up_uc:
            await lab.services.money.top_up(lab.user_id, model.min_top_up_uc)
        answer = await respond(lab, model=model.id, stream=stream)
        response = answer.data[-1]["response"] if stream else answer.json
        assert response["output"][-1]["content"][0]["text"] == "Hi"
        assert (response["model"], response["store"], response["status"]) == (model.id, False, "completed")
        assert response["usage"]["total_tokens"] == 15
        assert await lab.spent_uc() == price_uc(model, 10, 5)

    run(play())


@pytest.mark.parametrize("name", ["gpt-audio-1.5-official", "gpt-realtime-1.5-official"])
def test_a_model_that_its_vendor_lacks_on_responses_is_asked_by_chat(name: str) -> None:
    async def play() -> None:
        lab = await open_lab([ok(completion("Hi"))])
        answer = await respond(lab, model=name)
        assert answer.json["output"][-1]["content"][0]["text"] == "Hi"
        assert lab.transport.requests[-1].url.endswith("/openai/v1/chat/completions")
        assert await lab.spent_uc() == price_uc(catalogue.MODELS[name], 10, 5)

    run(play())


def test_gemini_goes_on_at_a_chat_upstream() -> None:
    async def play() -> None:
        replies = {name: [DOWN] for name in ("gemini", "gemini-eu")} | {"aggregator": [streamed(chat_stream("Hi"))]}
        lab = await open_lab(by_upstream(replies))
        contents = [{"role": "user", "parts": [{"text": "Say hi."}]}]
        path = f"/api/v1/gemini/v1beta/models/{GEMINI}:streamGenerateContent"
        answer = await lab.ask(path, {"contents": contents})
        chunks = answer.json  # one array, which grew as chunks came
        assert "".join(part["text"] for one in chunks for part in one["candidates"][0]["content"]["parts"]) == "Hi"
        assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 15
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"

    run(play())


def test_an_upstream_that_does_not_stream_is_told_as_a_stream() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(ok(completion("Bonjour"))))
        answer = await lab.message(stream=True)
        assert (answer.text, kinds(answer)[-1]) == ("Bonjour", "message_stop")
        assert await lab.spent_uc() == price_uc(CLAUDE, 10, 5)

    run(play())


def test_an_upstream_that_always_streams_is_told_whole() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(streamed(chat_stream("Bon", "jour"))))
        answer = await lab.message()
        assert answer.json["content"] == [{"type": "text", "text": "Bonjour"}]
        assert answer.json["usage"]["output_tokens"] == 5

    run(play())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_usage_that_the_upstream_does_not_tell_is_estimated_and_told(stream: bool) -> None:
    async def play() -> None:
        reply = streamed(chat_stream("Hi there", usage=False)) if stream else ok(completion("Hi there", usage=None))
        lab = await open_lab(claude_down(reply))
        answer = await lab.message(stream=stream)
        usage = answer.data[-2]["usage"] if stream else answer.json["usage"]
        (row,) = await lab.log()
        assert row["estimated"] is True
        assert (usage["input_tokens"], usage["output_tokens"]) == (row["inputTokens"], row["outputTokens"]) == (3, 2)
        assert await lab.spent_uc() == price_uc(CLAUDE, 3, 2)

    run(play())


async def as_chat(lab: Lab) -> Answer:
    return await lab.chat(model=DEEPSEEK.id, stream=True)


async def as_responses(lab: Lab) -> Answer:
    return await respond(lab, model=DEEPSEEK.id, stream=True)


async def as_messages(lab: Lab) -> Answer:
    return await lab.message(stream=True)


async def as_gemini(lab: Lab) -> Answer:
    contents = [{"role": "user", "parts": [{"text": "Say hi."}]}]
    return await lab.ask(DOCUMENTED, {"model": GEMINI, "contents": contents, "stream": True})


CUT = streamed(frames(ROLE, chunk("Hi"), chunk(" the")))  # and no more
CUT_MESSAGE = streamed(message_stream("Hi", " the").split(b"event: content_block_stop")[0])
WIRES: dict[str, tuple[Any, MemoryReply, list[str], bytes]] = {
    "chat": (as_chat, CUT_MESSAGE, ["aggregator", "aggregator-eu"], b'"type":"api_error"'),
    "responses": (as_responses, CUT, [], b"event: response.failed"),
    "messages": (as_messages, CUT, ["anthropic", "anthropic-eu"], b"event: error"),
    "gemini": (as_gemini, CUT, ["gemini", "gemini-eu"], b'"status":"UNAVAILABLE"'),
}


@pytest.mark.parametrize("wire", WIRES)
def test_an_upstream_that_dies_in_mid_answer_is_told_in_the_callers_own_form(wire: str) -> None:
    ask, reply, down, told = WIRES[wire]

    def answered(request: Any) -> MemoryReply:
        return DOWN if request.url.split("/")[3] in down else MemoryReply(200, SSE, reply.pieces)

    async def play() -> None:
        lab = await open_lab(answered)
        answer = await ask(lab)
        assert answer.status == 200
        assert b"Hi" in answer.body
        assert told in answer.body
        assert b"message_stop" not in answer.body
        assert b"[DONE]" not in answer.body
        assert b"response.completed" not in answer.body
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"]) == ("upstream_failed", 502)
        assert row["outputTokens"] == 2  # "Hi the"
        assert await lab.spent_uc() == row["costUc"] > 0

    run(play())


def test_a_caller_who_hangs_up_pays_for_what_was_delivered() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(MemoryReply(200, SSE, [frames(ROLE, chunk("Hi there")), 60.0])))
        body = {"model": CLAUDE.id, "max_tokens": 50, "messages": HI, "stream": True}
        answer = await lab.ask("/api/v1/messages", body, hang_up=lambda seen: b"Hi there" in seen.body)
        assert answer.text == "Hi there"
        (row,) = await lab.log()
        assert (row["status"], row["outputTokens"]) == ("client_closed", 2)
        assert lab.transport.replies[-1].closed

    run(play())


def test_what_cannot_be_translated_passes_that_upstream_by() -> None:
    async def play() -> None:
        lab = await open_lab(by_upstream({"aggregator": [DOWN], "aggregator-eu": [error(503, "no room")]}))
        answer = await lab.chat(model=DEEPSEEK.id, n=2)
        assert answer.error == ("api_error", f"All upstreams failed for {DEEPSEEK.id}: no room")
        assert lab.upstreams == ["aggregator", "aggregator", "aggregator-eu", "aggregator-eu"]
        assert await lab.spent_uc() == 0

    run(play())


def test_what_nobody_can_be_asked_is_refused_before_anything_is_held() -> None:
    async def play() -> None:
        lab = await open_lab([])
        answer = await respond(lab, model="glm-5", tools=[{"type": "web_search"}], tool_choice="required")
        kind, said = answer.error
        assert (answer.status, kind) == (400, "invalid_request_error")
        assert said.startswith("glm-5 is not served so on /v1/responses: ")
        assert lab.upstreams == []
        assert (await lab.services.money.audit()).ok
        assert await lab.log() == []

    run(play())


def test_an_open_breaker_leads_to_the_other_dialect_at_once() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(ok(completion())), breaker_failures=2, retries=1)
        assert (await lab.message()).status == 200
        asked = len(lab.upstreams)
        assert (await lab.message()).status == 200
        assert lab.upstreams[asked:] == ["openrouter"]

    run(play())


def test_tokens_are_never_counted_by_another_model() -> None:
    async def play() -> None:
        lab = await open_lab(claude_down(ok(message())))
        answer = await lab.ask("/api/v1/messages/count_tokens", {"model": CLAUDE.id, "messages": HI})
        assert answer.status == 502
        assert "openrouter" not in lab.upstreams

    run(play())
