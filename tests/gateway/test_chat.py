"""POST /chat/completions: what is admitted, what goes upstream, what comes back, what it costs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway import edge
from gateway.upstreams.memory import HANG, MemoryReply
from gateway.upstreams.transport import TransportError
from schemas import catalogue
from tests.gateway.lab import (
    CHAT,
    CHAT_UC,
    CREDIT,
    HI,
    SSE,
    USAGE,
    by_upstream,
    chat_stream,
    completion,
    error,
    frames,
    ok,
    open_lab,
    run,
)

LLMS = [model.id for model in catalogue.MODELS.values() if "chat" in model.endpoints]


def test_a_completion_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        told = completion("Grüße", system_fingerprint=None) + b"\n"
        lab = await open_lab([ok(told, server="upstream", set_cookie="a=b", x_request_id="theirs")])
        answer = await lab.chat()
        assert (answer.status, answer.body) == (200, told)
        assert set(answer.headers) == {
            "content-type",
            "content-length",
            "x-request-id",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        }
        assert answer.headers["x-request-id"].startswith("req_")
        assert await lab.spent_uc() == CHAT_UC
        (row,) = await lab.log()
        assert row["requestId"] == answer.headers["x-request-id"]
        assert (row["endpoint"], row["model"], row["upstream"]) == ("/v1/chat/completions", "gpt-5.5", "openai")
        assert (row["status"], row["statusCode"], row["attempts"]) == ("succeeded", 200, 1)
        assert (row["inputTokens"], row["outputTokens"], row["costUc"]) == (10, 5, CHAT_UC)
        assert not row["estimated"]

    run(scene())


def test_the_body_goes_upstream_byte_for_byte() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion())])
        raw = (
            b'{ "model":"gpt-5.5", "messages" : [{"role":"user","content":"\\u2028 \\ud83d\\ude00 \xc3\xa9\\/"}],'
            b'"temperature":1.50, "seed":12345678901234567890123,"x":[1e2,-0.0],"stream":false } \n'
        )
        assert (await lab.ask(CHAT, raw)).status == 200
        assert lab.transport.requests[0].body == raw

    run(scene())


def test_nothing_of_the_callers_headers_goes_upstream() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion())])
        sent = {
            "authorization": f"Bearer {lab.secret}",
            "cookie": "session=1",
            "x-forwarded-for": "10.0.0.1",
            "connection": "x-secret",
            "x-secret": "1",
            "te": "trailers",
            "idempotency-key": "k",
            "user-agent": "me",
            "openai-organization": "org",
            "anthropic-beta": "b",
        }
        await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI}, headers=sent, query="key=ck_x&a=b")
        (request,) = lab.transport.requests
        assert request.headers == [("authorization", "Bearer sk-fleet-openai"), ("content-type", "application/json")]
        assert request.url.endswith("/openai/v1/chat/completions")

    run(scene())


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"include_obfuscation": False}}, {"include_obfuscation": False, "include_usage": True}),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
    ],
)
def test_a_stream_always_asks_for_its_usage(given: dict[str, Any], due: dict[str, Any]) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(chat_stream("a"))])
        await lab.chat(stream=True, temperature=0.5, **given)
        assert lab.sent()["stream_options"] == due
        assert lab.sent()["temperature"] == 0.5
        assert lab.sent()["messages"] == HI

    run(scene())


BAD_BODIES: dict[str, Any] = {
    "empty": b"",
    "blank": b"  ",
    "not json": b"{",
    "not utf-8": b'{"model":"\xff"}',
    "nan": b'{"model":"gpt-5.5","temperature":NaN}',
    "array": [],
    "string": b'"x"',
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep object": b'{"model":"gpt-5.5","messages":' + b'{"a":' * 50_000,
    "model missing": {"messages": HI},
    "model null": {"model": None, "messages": HI},
    "model number": {"model": 5, "messages": HI},
    "model empty": {"model": " ", "messages": HI},
    "messages missing": {"model": "gpt-5.5"},
    "messages empty": {"model": "gpt-5.5", "messages": []},
    "messages object": {"model": "gpt-5.5", "messages": {}},
    "messages of strings": {"model": "gpt-5.5", "messages": ["hi"]},
    "role missing": {"model": "gpt-5.5", "messages": [{"content": "hi"}]},
    "role number": {"model": "gpt-5.5", "messages": [{"role": 1, "content": "hi"}]},
    "stream string": {"model": "gpt-5.5", "messages": HI, "stream": "true"},
    "stream number": {"model": "gpt-5.5", "messages": HI, "stream": 1},
    "stream_options": {"model": "gpt-5.5", "messages": HI, "stream": True, "stream_options": []},
    "max_tokens string": {"model": "gpt-5.5", "messages": HI, "max_tokens": "5"},
    "max_tokens zero": {"model": "gpt-5.5", "messages": HI, "max_tokens": 0},
    "max_tokens negative": {"model": "gpt-5.5", "messages": HI, "max_tokens": -1},
    "max_tokens float": {"model": "gpt-5.5", "messages": HI, "max_tokens": 1.5},
    "max_tokens true": {"model": "gpt-5.5", "messages": HI, "max_tokens": True},
    "max_tokens huge": b'{"model":"gpt-5.5","messages":[{"role":"user","content":"a"}],"max_tokens":1e400}',
    "n zero": {"model": "gpt-5.5", "messages": HI, "n": 0},
    "n many": {"model": "gpt-5.5", "messages": HI, "n": 129},
    "twice": b'{"model":"gpt-5.5","messages":[{"role":"user","content":"a"}],"max_tokens":1,"max_tokens":100}',
    "twice, disguised": b'{"model":"gpt-5.4-nano","messages":[{"role":"user","content":"a"}],"mod\\u0065l":"gpt-5.5"}',
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_are_400_and_cost_nothing(case: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.ask(CHAT, BAD_BODIES[case])
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert "x-ratelimit-remaining" not in answer.headers
        assert not lab.transport.requests
        assert await lab.spent_uc() == 0
        assert await lab.log() == []

    run(scene())


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "GPT-5.5",
        "gpt-5.5 ",
        "gpt-5.5\0",
        "../../v1/keys",
        "a" * 5000,
        "gpt-5.5-2026-04-23",
        "日本",
        "a?b=c",
        "\u202e",
    ],
)
def test_unknown_models_list_what_there_is(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.chat(model=name)
        assert answer.status == 400
        body = answer.json
        assert set(body) == {"error", "available_models"}
        assert body["error"]["type"] == "invalid_request_error"
        assert len(body["error"]["message"]) < 300
        listed = (await lab.ask("/api/v1/models", method="GET")).json["data"]
        assert body["available_models"] == [model["id"] for model in listed]

    run(scene())


@pytest.mark.parametrize("name", ["claude-sonnet-4-6", "claude-3-5-sonnet-20241022"])
def test_anthropic_models_belong_elsewhere(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        kind, said = (await lab.chat(model=name)).error
        assert kind == "invalid_request_error"
        assert "/v1/messages" in said

    run(scene())


@pytest.mark.parametrize("name", [m.id for m in catalogue.MODELS.values() if m.kind != "llm"])
def test_media_models_are_400(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.chat(model=name)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")

    run(scene())


@pytest.mark.parametrize("name", LLMS)
def test_every_chat_model_is_served_and_charged_at_its_price(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), credits=1_000_000)
        assert (await lab.chat(model=name)).status == 200
        model = catalogue.MODELS[name]
        assert await lab.spent_uc() == 10 * model.input_uc + 5 * model.output_uc
        assert lab.upstreams == (["openai"] if name.startswith("gpt-") else ["aggregator"])

    run(scene())


def test_the_minimum_balance() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), credits=0)
        money = lab.services.money
        await money.top_up(lab.user_id, 200 * CREDIT - 1)
        answer = await lab.chat(max_tokens=1)
        assert (answer.status, answer.error[0]) == (402, "insufficient_credits")
        assert not lab.transport.requests
        await money.top_up(lab.user_id, 1)
        assert (await lab.chat(max_tokens=1)).status == 200

    run(scene())


def test_the_estimate_must_be_covered() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), credits=300)
        body = {"model": "gpt-5.5", "messages": HI, "max_tokens": 1000, "n": 2}
        raw = json.dumps(body).encode()
        assert len(raw) * 25 + 2 * 1000 * 145 < 300 * CREDIT
        assert (await lab.ask(CHAT, raw)).status == 200
        for huge in (10**7, 10**18, 10**19):
            refused = await lab.chat(max_tokens=huge)
            assert refused.status in (400, 402)
        assert len(lab.transport.requests) == 1

    run(scene())


def test_the_hold_is_the_bound() -> None:
    async def scene() -> None:
        held: list[int] = []

        async def peek(_request: Any) -> MemoryReply:
            held.append((await lab.services.money.balance(lab.user_id)).held_uc)
            return ok(completion())

        lab = await open_lab(peek)
        for fields in (
            {},
            {"max_tokens": 100},
            {"max_completion_tokens": 7, "max_tokens": 9},
            {"n": 3, "stream": False},
        ):
            body = {"model": "gpt-5.5", "messages": HI, **fields}
            await lab.ask(CHAT, body)
            limit = fields.get("max_completion_tokens") or fields.get("max_tokens") or 4096
            assert held[-1] == len(json.dumps(body).encode()) * 25 + limit * fields.get("n", 1) * 145

    run(scene())


def test_holds_of_calls_in_flight_count() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def wait(_request: Any) -> MemoryReply:
            await release.wait()
            return ok(completion())

        lab = await open_lab(wait, credits=250)
        calls = [asyncio.create_task(lab.chat(max_tokens=400_000)) for _ in range(5)]
        for _ in range(200):
            await asyncio.sleep(0)
        release.set()
        statuses = sorted(answer.status for answer in await asyncio.gather(*calls))
        assert statuses == [200, 402, 402, 402, 402]
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_charge_is_capped_by_the_hold() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion(usage={"prompt_tokens": 10, "completion_tokens": 10**6}))])
        answer = await lab.chat(max_tokens=10)
        assert answer.status == 200
        (row,) = await lab.log()
        assert row["capped"]
        assert row["costUc"] == await lab.spent_uc()
        assert row["outputTokens"] == 10**6

    run(scene())


def test_the_tier_comes_before_the_credit() -> None:
    async def scene() -> None:
        model = next(m for m in catalogue.MODELS.values() if m.min_top_up_uc and "chat" in m.endpoints)
        name = model.id
        lab = await open_lab(lambda _request: ok(completion()), credits=model.min_top_up_uc // CREDIT - 1)
        answer = await lab.chat(model=name, max_tokens=10**9)
        assert (answer.status, answer.error[0]) == (403, "access_denied")
        await lab.services.money.top_up(lab.user_id, CREDIT)
        assert (await lab.chat(model=name, max_tokens=10**9)).status == 402
        assert (await lab.chat(model=name, max_tokens=10)).status == 200

    run(scene())


def test_the_hourly_limit() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), limits={"chat": 3})
        for left in (2, 1, 0):
            assert (await lab.chat(model="nope")).status == 400
            answer = await lab.chat()
            assert answer.status == 200
            assert answer.headers["x-ratelimit-limit"] == "3"
            assert answer.headers["x-ratelimit-remaining"] == str(left)
        refused = await lab.chat()
        assert (refused.status, refused.error[0]) == (429, "rate_limit_error")
        now_s = lab.services.clock.now_s()
        reset_s, retry_s = int(refused.headers["x-ratelimit-reset"]), int(refused.headers["retry-after"])
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert abs(reset_s - now_s - retry_s) <= 1
        assert len(lab.transport.requests) == 3
        assert await lab.spent_uc() == 3 * CHAT_UC
        lab.services.clock.advance(retry_s * 1000)
        assert (await lab.chat()).status == 200

    run(scene())


def test_failed_calls_count_and_calls_at_once_are_counted_exactly() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: error(500), limits={"chat": 4}, retries=0)
        answers = await asyncio.gather(*(lab.chat() for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [429] * 16 + [502] * 4
        assert await lab.spent_uc() == 0

    run(scene())


FAILS_OVER: dict[str, tuple[MemoryReply, int]] = {
    **{f"status {status}": (error(status), 2) for status in (500, 502, 503, 504, 529, 408, 429)},
    **{f"status {status}": (error(status), 1) for status in (401, 402, 403)},
    "quota": (error(429, code="insufficient_quota"), 1),
    "long retry-after": (error(429, retry_after="30"), 1),
    "short retry-after": (error(429, retry_after="0.01"), 2),
    "error in 200": (ok(b'{"error":{"message":"overloaded"}}'), 2),
    "no choices": (ok(b'{"id":"x","choices":[]}'), 2),
    "base_resp": (ok(b'{"base_resp":{"status_code":1002,"status_msg":"limit"}}'), 2),
    "empty": (ok(), 2),
    "html": (ok(b"<html></html>"), 2),
    "truncated": (ok(completion()[:-20]), 2),
    "not an object": (ok(b"[1]"), 2),
    "broken off": (ok(completion()[:20], TransportError("broken", "reset")), 2),
    "choice without message": (ok(b'{"choices":[{"index":0}]}'), 2),
}


@pytest.mark.parametrize("case", FAILS_OVER)
def test_failures_fail_over(case: str) -> None:
    async def scene() -> None:
        bad, tries = FAILS_OVER[case]
        lab = await open_lab(by_upstream({"openai": [bad], "openai-eu": [ok(completion("from b"))]}))
        answer = await lab.chat()
        assert answer.json["choices"][0]["message"]["content"] == "from b"
        assert lab.upstreams == ["openai"] * tries + ["openai-eu"]
        assert lab.transport.requests[0].body == lab.transport.requests[-1].body
        assert all(reply.closed for reply in lab.transport.replies)
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_connection_that_fails_fails_over() -> None:
    async def scene() -> None:
        async def answer(request: Any) -> MemoryReply:
            if "/openai/" in request.url:
                raise TransportError("connect", "no connection (ConnectionRefusedError)")
            return ok(completion())

        lab = await open_lab(answer)
        assert (await lab.chat()).status == 200
        assert lab.upstreams == ["openai", "openai", "openai-eu"]

    run(scene())


@pytest.mark.parametrize(("status", "due"), [(400, 400), (404, 400), (409, 400), (422, 400), (413, 413)])
def test_refusals_of_the_request_are_passed_on(status: int, due: int) -> None:
    async def scene() -> None:
        lab = await open_lab([error(status, "context too long: 9 > 8 tokens")])
        answer = await lab.chat()
        assert answer.status == due
        assert answer.error == (
            "invalid_request_error" if due == 400 else "request_too_large",
            "context too long: 9 > 8 tokens",
        )
        assert lab.upstreams == ["openai"]
        assert await lab.spent_uc() == 0
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"]) == ("failed", due)

    run(scene())


def test_all_failed() -> None:
    async def scene() -> None:
        replies = {"openai": [error(500, "alpha")], "openai-eu": [error(503, "beta", retry_after="29.2")]}
        lab = await open_lab(by_upstream(replies))
        answer = await lab.chat()
        assert (answer.status, answer.error) == (502, ("api_error", "All upstreams failed for gpt-5.5: beta"))
        assert answer.headers["retry-after"] == "30"
        assert answer.headers["content-type"] == "application/json"
        assert lab.upstreams == ["openai", "openai", "openai-eu"]
        assert await lab.spent_uc() == 0

    run(scene())


def test_nobody_sees_402_for_the_gateways_own_account() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: error(402, "Your balance is empty"))
        assert (await lab.chat()).status == 502
        assert lab.upstreams == ["openai", "openai-eu"]

    run(scene())


def test_retries_wait_with_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def wait(delay_s: float) -> None:
        waits.append(delay_s)

    async def scene() -> None:
        monkeypatch.setattr(edge, "sleep", wait)
        monkeypatch.setattr(edge, "jitter", lambda: 0.0)
        lab = await open_lab(lambda _request: error(500), backoff_ms=200)
        await lab.chat()
        assert waits == [0.1, 0.2]

    run(scene())


def test_a_breaker_keeps_calls_away_and_lets_one_try_later() -> None:
    async def scene() -> None:
        replies = {"openai": [error(500)], "openai-eu": [ok(completion())]}
        lab = await open_lab(by_upstream(replies), breaker_failures=4, breaker_cooldown_s=30)
        for _ in range(3):
            assert (await lab.chat()).status == 200
        assert lab.upstreams == ["openai", "openai", "openai-eu"] * 2 + ["openai-eu"]
        assert lab.services.upstreams_view()["upstreams"]["openai"]["breaker"] == "open"
        assert (await lab.chat(model="gpt-5.4")).status == 200
        assert lab.upstreams[-3:] == ["openai", "openai", "openai-eu"]
        lab.services.clock.advance(30_000)
        assert lab.services.upstreams_view()["upstreams"]["openai"]["breaker"] == "half_open"
        assert (await lab.chat()).status == 200
        assert lab.upstreams[-2:] == ["openai", "openai-eu"]
        lab.transport.answer = lambda _request: ok(completion())
        lab.services.clock.advance(30_000)
        await lab.chat()
        await lab.chat()
        assert lab.upstreams[-2:] == ["openai", "openai"]

    run(scene())


def test_refusals_and_hang_ups_do_not_open_a_breaker() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: error(400), breaker_failures=1)
        await lab.chat()
        lab.transport.answer = lambda _request: ok(HANG)
        await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI}, hang_up=lambda _answer: True)
        assert lab.services.breaker_states()["openai"] == "closed"

    run(scene())


def test_a_stream_where_none_was_asked_for_is_made_whole() -> None:
    async def scene() -> None:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
        piece = {"index": 0, "function": {"arguments": '{"a":1}'}}
        deltas = [{"role": "assistant", "content": None}, {"tool_calls": [call]}, {"tool_calls": [piece]}]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        events = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": USAGE}
        lab = await open_lab([ok(chat_stream("Hel", "lo"), **SSE), ok(frames(*events, end, "[DONE]"))])
        answer = await lab.chat()
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["object"] == "chat.completion"
        assert answer.json["choices"] == [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        ]
        called = (await lab.chat()).json["choices"][0]
        assert called["finish_reason"] == "tool_calls"
        assert called["message"]["tool_calls"] == [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ]
        assert await lab.spent_uc() == 2 * CHAT_UC

    run(scene())


def test_missing_usage_is_estimated() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion("123456789", usage=None))])
        assert (await lab.chat()).status == 200
        (row,) = await lab.log()
        assert (row["inputTokens"], row["outputTokens"], row["estimated"]) == (3, 3, True)
        assert await lab.spent_uc() == 3 * 25 + 3 * 145

    run(scene())


def test_a_dated_model_in_the_reply_changes_no_price() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion(model="gpt-5.4-pro-official-20991231"))])
        assert (await lab.chat()).json["model"] == "gpt-5.4-pro-official-20991231"
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_client_that_leaves_cancels_the_upstream() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(HANG)])
        answer = await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI}, hang_up=lambda _answer: True)
        assert answer.status == 0
        assert lab.transport.replies[0].closed
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"], row["outputTokens"]) == ("client_closed", 499, 0)

    run(scene())


def test_a_large_body_works_and_a_larger_one_is_413() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), max_body_bytes=21_000_000)
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000_000}}
        body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": [image]}]}
        assert (await lab.ask(CHAT, body)).status == 200
        assert lab.sent() == body
        refused = await lab.ask(CHAT, b" " * 21_000_001)
        assert (refused.status, refused.error[0]) == (413, "request_too_large")
        compressed = {"authorization": f"Bearer {lab.secret}", "content-encoding": "gzip"}
        assert (await lab.ask(CHAT, b"\x1f\x8b", headers=compressed)).status == 400

    run(scene())


def test_a_flood_beyond_the_limit_writes_nothing_to_the_ledger() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()), limits={"chat": 1})
        assert (await lab.chat()).status == 200
        assert (await lab.chat()).status == 429
        before = (await lab.services.money.audit()).transfers
        assert {(await lab.chat()).status for _ in range(10)} == {429}
        assert (await lab.services.money.audit()).transfers == before
        user = lab.services.accounts.user(lab.user_id)
        assert user is not None
        await lab.services.accounts.set_limits(user, {"chat": 2})
        assert (await lab.chat()).status == 200
        assert (await lab.chat(max_tokens=10**9)).status == 402
        assert (await lab.chat()).status == 429

    run(scene())
