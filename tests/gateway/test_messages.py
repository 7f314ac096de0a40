"""POST /messages and /messages/count_tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.upstreams.memory import MemoryReply
from schemas import catalogue
from tests.gateway.lab import (
    HI,
    MESSAGE_UC,
    MESSAGES,
    SSE,
    by_upstream,
    error,
    message,
    message_delta,
    message_stream,
    named,
    ok,
    open_lab,
    run,
    start,
)

THOUGHT = {"type": "thinking", "thinking": "hm\u2028 \U0001f600", "signature": "Eo4="}
REDACTED = {"type": "redacted_thinking", "data": "abc="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1.50}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}
HISTORY: list[dict[str, Any]] = [
    *HI,
    {"role": "assistant", "content": [THOUGHT, REDACTED, {"type": "text", "text": "Well."}, CALL]},
    {"role": "user", "content": [RESULT]},
    {"role": "assistant", "content": [THOUGHT]},
    {"role": "user", "content": "Go on."},
]


def refusal(said: str = "messages.1.content.0: Invalid `signature` in `thinking` block") -> dict[str, Any]:
    """What Anthropic says of a foreign signature."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": said}, "request_id": "req_011"}


def reply(status: int, body: Any) -> MemoryReply:
    return MemoryReply(status, {}, [json.dumps(body).encode()])


def test_a_message_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message(stop_reason="stop_sequence", stop_sequence="END"))])
        answer = await lab.message()
        assert answer.body == message(stop_reason="stop_sequence", stop_sequence="END")
        assert await lab.spent_uc() == MESSAGE_UC
        (row,) = await lab.log()
        assert (row["endpoint"], row["model"], row["inputTokens"]) == ("/v1/messages", "claude-sonnet-4-6", 20)

    run(scene())


def test_cached_input_is_input() -> None:
    async def scene() -> None:
        usage = {
            "input_tokens": 10,
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 3000,
            "output_tokens": 7,
        }
        lab = await open_lab([ok(message(usage=usage)), ok(named(start(**usage), message_delta(output_tokens=7)))])
        await lab.message(max_tokens=4000)
        await lab.message(max_tokens=4000, stream=True)
        for row in await lab.log():
            assert (row["inputTokens"], row["cachedInputTokens"], row["cacheWriteTokens"]) == (3210, 3000, 200)
        assert await lab.spent_uc() == 2 * (3210 * 104 + 7 * 518)

    run(scene())


def test_usage_repeated_at_the_end_replaces_that_of_the_start() -> None:
    async def scene() -> None:
        lab = await open_lab(
            [ok(named(start(20), message_delta(input_tokens=30, output_tokens=7), {"type": "message_stop"}))]
        )
        await lab.message(stream=True)
        assert await lab.spent_uc() == 30 * 104 + 7 * 518

    run(scene())


def test_a_start_without_numbers_is_corrected_by_the_end() -> None:
    async def scene() -> None:
        late = message_delta(input_tokens=30, output_tokens=7)
        zero = message_delta(input_tokens=0, output_tokens=7)
        end = {"type": "message_stop"}
        lab = await open_lab([ok(named(start(0), late, end)), ok(named(start(30), zero, end))])
        await lab.message(stream=True)
        await lab.message(stream=True)
        assert await lab.spent_uc() == 2 * (30 * 104 + 7 * 518)

    run(scene())


OLDER = [name for name, ident in catalogue.ALIASES.items() if "messages" in catalogue.MODELS[ident].endpoints]


@pytest.mark.parametrize("name", [*OLDER, "claude-opus-4-6", "claude-haiku-4-5"])
def test_aliases_go_upstream_and_are_charged_as_what_they_stand_for(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message()), ok(message_stream("a"))])
        assert (await lab.message(model=name)).status == 200
        assert (await lab.message(model=name, stream=True)).status == 200
        model = catalogue.find(name)
        assert model is not None
        assert lab.sent(0)["model"] == lab.sent(1)["model"] == model.id
        assert await lab.spent_uc() == 2 * (20 * model.input_uc + 7 * model.output_uc)
        for row in await lab.log():
            assert (row["model"], row["requestedModel"]) == (model.id, name)

    run(scene())


def test_an_alias_changes_nothing_else_in_the_body() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message())])
        raw = b'{"max_tokens":5 ,"messages":[{"role":"user","content":"\\u2028 \\"model\\":1"}],  "model" : '
        raw += b'"claude-3-5-haiku-20241022"}'
        assert (await lab.ask(MESSAGES, raw)).status == 200
        assert lab.transport.requests[0].body == raw.replace(b"claude-3-5-haiku-20241022", b"claude-haiku-4-5")

    run(scene())


@pytest.mark.parametrize("name", ["gpt-5.5", "gemini-3.1-pro", "nano_banana_pro", "veo3.1-fast", "audio-tts"])
def test_other_models_belong_elsewhere(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        for path in (MESSAGES, MESSAGES + "/count_tokens"):
            answer = await lab.ask(path, {"model": name, "max_tokens": 5, "messages": HI})
            assert (answer.status, answer.error[0]) == (400, "invalid_request_error")

    run(scene())


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None},
        {"max_tokens": "5"},
        {"max_tokens": -1},
        {"max_tokens": 1.5},
        {"messages": "hi"},
        {"messages": [{"role": None, "content": "x"}]},
        {"stream": "yes"},
        {"thinking": "enabled"},
        {"thinking": []},
    ],
)
def test_bad_bodies(fields: dict[str, Any]) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.message(**fields)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")

    run(scene())


def test_version_and_betas_go_upstream_on_every_attempt() -> None:
    async def scene() -> None:
        lab = await open_lab(by_upstream({"anthropic": [error(529)], "anthropic-eu": [ok(message())]}))
        headers = {
            "x-api-key": lab.secret,
            "anthropic-version": "2026-10-21",
            "anthropic-beta": "a-1, b-2,a-1,,c-3,bad\x01name",
            "anthropic-dangerous": "1",
        }
        await lab.ask(MESSAGES, {"model": "claude-opus-4-6", "max_tokens": 5, "messages": HI}, headers=headers)
        assert lab.upstreams == ["anthropic", "anthropic", "anthropic-eu"]
        for request in lab.transport.requests:
            sent = dict(request.headers)
            assert sent.pop("x-api-key").startswith("sk-ant-fleet-anthropic")
            assert sent == {
                "anthropic-version": "2026-10-21",
                "anthropic-beta": "a-1,b-2,c-3",
                "content-type": "application/json",
            }

    run(scene())


def test_repeated_beta_headers_are_joined() -> None:
    from gateway.exchange import first_values

    pairs = [(b"anthropic-beta", b"a"), (b"x", b"1"), (b"anthropic-beta", b"b,c"), (b"x", b"2")]
    assert first_values(pairs) == {b"anthropic-beta": b"a,b,c", b"x": b"1"}


def test_the_version_has_a_default() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message())])
        await lab.message()
        assert dict(lab.transport.requests[0].headers)["anthropic-version"] == "2023-06-01"

    run(scene())


def test_thinking_goes_upstream_untouched_at_first() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message())])
        thinking = {"type": "enabled", "budget_tokens": 1024}
        await lab.message(messages=HISTORY, thinking=thinking)
        assert lab.sent()["messages"] == HISTORY
        assert lab.sent()["thinking"] == thinking

    run(scene())


SIGNATURE_REFUSALS: dict[str, Any] = {
    "plain": refusal(),
    "wrapped": {"error": {"type": "request_fail", "upstream_error": refusal()}},
    "escaped": {"error": {"code": 400, "message": json.dumps(refusal()), "status": "INVALID_ARGUMENT"}},
    "bedrock": {"message": "ValidationException: ***.***.content.0: Invalid `signature` in `thinking` block"},
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("form", SIGNATURE_REFUSALS)
def test_a_refused_signature_is_filtered_and_asked_again_once(form: str, streamed: bool) -> None:
    async def scene() -> None:
        good = message_stream("fine") if streamed else message("fine")
        lab = await open_lab([reply(400, SIGNATURE_REFUSALS[form]), ok(good)])
        answer = await lab.message(messages=HISTORY, stream=streamed)
        assert answer.status == 200
        assert lab.upstreams == ["anthropic", "anthropic"]
        assert lab.sent()["messages"] == [
            *HI,
            {"role": "assistant", "content": [{"type": "text", "text": "Well."}, CALL]},
            {"role": "user", "content": [RESULT]},
            {"role": "user", "content": "Go on."},
        ]
        assert b'"x": 1.5}' in lab.transport.requests[-1].body
        assert await lab.spent_uc() == MESSAGE_UC

    run(scene())


def test_a_tool_loop_goes_on_without_thinking_when_its_signature_is_refused() -> None:
    async def scene() -> None:
        lab = await open_lab([reply(400, refusal()), ok(message()), reply(400, refusal()), ok(message())])
        enabled = {"type": "enabled", "budget_tokens": 1024}
        await lab.message(messages=HISTORY[:3], thinking=enabled)
        assert lab.sent()["thinking"] == {"type": "disabled"}
        await lab.message(messages=HISTORY[:3], thinking={"type": "adaptive"})
        assert lab.sent()["thinking"] == {"type": "adaptive"}

    run(scene())


UNTHOUGHT = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."


def test_a_tool_loop_that_began_without_thinking_goes_on_without() -> None:
    """As one does that another vendor's model began while Anthropic was down."""

    async def scene() -> None:
        lab = await open_lab([reply(400, refusal(UNTHOUGHT)), ok(message())])
        begun = [*HI, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}]
        answer = await lab.message(messages=begun, thinking={"type": "enabled", "budget_tokens": 1024})
        assert answer.status == 200
        assert lab.sent()["thinking"] == {"type": "disabled"}
        assert lab.sent()["messages"] == begun
        assert lab.upstreams == ["anthropic", "anthropic"]

    run(scene())


def test_a_refusal_that_no_other_thinking_can_mend_is_passed_on() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: reply(400, refusal(UNTHOUGHT)))
        answer = await lab.message()
        assert (answer.status, answer.error[1]) == (400, UNTHOUGHT)
        assert len(lab.transport.requests) == 1

    run(scene())


def test_a_signature_refused_after_a_failover() -> None:
    async def scene() -> None:
        replies = {"anthropic": [error(500)], "anthropic-eu": [reply(400, refusal()), ok(message())]}
        lab = await open_lab(by_upstream(replies))
        assert (await lab.message(messages=HISTORY)).status == 200
        assert lab.upstreams == ["anthropic", "anthropic", "anthropic-eu", "anthropic-eu"]

    run(scene())


def test_a_signature_refused_twice_is_passed_on() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: reply(400, refusal()))
        answer = await lab.message(messages=HISTORY)
        assert (answer.status, answer.error[1]) == (400, refusal()["error"]["message"])
        assert len(lab.transport.requests) == 2
        without = await lab.message()
        assert without.status == 400
        assert len(lab.transport.requests) == 3

    run(scene())


def test_foreign_tool_ids_are_rewritten_in_pairs_when_refused() -> None:
    async def scene() -> None:
        said = "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        history = [
            *HI,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call:1/2", "name": "f", "input": {"id": "a:b"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call:1/2", "content": "ok"}]},
        ]
        lab = await open_lab([reply(400, refusal(said)), ok(message())])
        assert (await lab.message(messages=history)).status == 200
        assert lab.sent(0)["messages"] == history
        fixed = lab.sent(1)["messages"]
        assert fixed[1]["content"][0]["id"] == fixed[2]["content"][0]["tool_use_id"] == "call_1_2"
        assert fixed[1]["content"][0]["input"] == {"id": "a:b"}

    run(scene())


def test_rewritten_ids_stay_different() -> None:
    from gateway.upstreams.anthropic_messages import plain_ids

    told = ["a:b", "a/b", "a_b", "", "?", "toolu_1", "a:b"]
    made = plain_ids(told)
    assert made["toolu_1"] == "toolu_1"
    assert made["a_b"] == "a_b"
    assert len(set(made.values())) == len(made) == 6
    assert all(set(name) <= set("ab_123456789toolu") and name for name in made.values())


def test_a_stream_where_none_was_asked_for_is_made_whole() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message_stream("Hel", "lo"), **SSE)])
        answer = await lab.message()
        body = answer.json
        assert body["content"] == [{"type": "text", "text": "Hello"}]
        assert body["stop_reason"] == "end_turn"
        assert body["usage"]["output_tokens"] == 7
        assert await lab.spent_uc() == MESSAGE_UC

    run(scene())


def test_errors_inside_a_200_fail_over() -> None:
    async def scene() -> None:
        bad = ok(json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}).encode())
        lab = await open_lab(by_upstream({"anthropic": [bad], "anthropic-eu": [ok(message())]}))
        assert (await lab.message()).status == 200
        assert lab.upstreams == ["anthropic", "anthropic", "anthropic-eu"]

    run(scene())


def test_counting_is_free_and_unlimited() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(b'{"input_tokens":19}'), limits={"chat": 0}, credits=0)
        for path in ("/api/v1/messages/count_tokens", "/v1/messages/count_tokens", "/api/v1/v1/messages/count_tokens"):
            answer = await lab.ask(path, {"model": "claude-3-5-sonnet-20241022", "messages": HI})
            assert (answer.status, answer.json) == (200, {"input_tokens": 19})
        assert all(request.url.endswith("/anthropic/v1/messages/count_tokens") for request in lab.transport.requests)
        assert lab.sent()["model"] == "claude-sonnet-4-6"
        assert await lab.log() == []

    run(scene())


def test_counting_fails_over_and_fails() -> None:
    async def scene() -> None:
        replies = {"anthropic": [ok(b'{"tokens":19}')], "anthropic-eu": [ok(b'{"input_tokens":19}')]}
        lab = await open_lab(by_upstream(replies))
        body = {"model": "claude-haiku-4-5", "messages": HI}
        assert (await lab.ask(MESSAGES + "/count_tokens", body)).json == {"input_tokens": 19}
        lab.transport.answer = lambda _request: error(500)
        answer = await lab.ask(MESSAGES + "/count_tokens", body)
        assert (answer.status, answer.error[0]) == (502, "api_error")

    run(scene())


def test_missing_usage_is_estimated() -> None:
    async def scene() -> None:
        content = [
            {"type": "thinking", "thinking": "1234", "signature": "x"},
            {"type": "text", "text": "5678"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ]
        lab = await open_lab([ok(message(usage=None, content=content))])
        await lab.message()
        (row,) = await lab.log()
        assert (row["inputTokens"], row["outputTokens"], row["estimated"]) == (3, 4, True)

    run(scene())
