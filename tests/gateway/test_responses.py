"""POST /responses, not streamed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway import estimate
from gateway.upstreams.memory import MemoryReply
from schemas import catalogue
from schemas.catalogue import Model
from tests.gateway.lab import SSE, by_upstream, error, ok, open_lab, run
from tests.gateway.responses_lab import (
    CALL,
    MODEL,
    PRICE_UC,
    RESPONSES,
    THOUGHT,
    USAGE,
    closing,
    delta,
    item,
    item_done,
    made,
    message_start,
    opening,
    price_uc,
    respond,
    stream,
    whole,
)

BY_CHAT = ("gpt-audio-1.5-official", "gpt-realtime-1.5-official")  # test_translated has them
LISTED = [m for m in catalogue.MODELS.values() if "responses" in m.endpoints and m.vendor == "OpenAI"]
SERVED = [m for m in LISTED if m.id not in BY_CHAT]


def name_of(model: Model) -> str:
    return model.id


def test_a_response_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole(THOUGHT, CALL))])
        answer = await respond(lab)
        assert (answer.status, answer.body) == (200, whole(THOUGHT, CALL))
        assert await lab.spent_uc() == PRICE_UC
        (row,) = await lab.log()
        assert (row["endpoint"], row["model"], row["upstream"], row["stream"]) == (
            "/v1/responses",
            MODEL,
            "openai",
            False,
        )
        counts = ("inputTokens", "cachedInputTokens", "outputTokens", "reasoningTokens")
        assert [row[name] for name in counts] == [30, 16, 9, 4]
        assert not row["estimated"]

    run(scene())


@pytest.mark.parametrize("path", [RESPONSES, "/v1/responses", "/api/v1/responses/"])
def test_paths(path: str) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        assert (await respond(lab, path)).status == 200

    run(scene())


def test_every_field_passes_as_it_was_written() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        raw = (
            b'{"input": [{"type":"message","role":"user","content":[{"type":"input_text","text":"\\u00e9 1.50"}]},'
            b'{"type":"additional_tools","x":1.0}], "tools":[{"type":"namespace"},{"type":"web_search"}],\n'
            b'"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","client_metadata":{"a":1e2},'
            b'"reasoning":{"effort":"high"},"store":false,"model":"gpt-5.3-codex", "parallel_tool_calls":true}'
        )
        assert (await lab.ask(RESPONSES, raw)).status == 200
        (request,) = lab.transport.requests
        assert request.body == raw
        assert request.url.endswith("/openai/v1/responses")
        assert dict(request.headers) == {
            "authorization": "Bearer sk-fleet-openai",
            "content-type": "application/json",
        }

    run(scene())


def test_the_model_gets_the_upstream_s_name_and_nothing_else_changes() -> None:
    async def scene() -> None:
        row = {"dialect": ["openai_responses"], "base_url": "http://up/mine", "models": {MODEL: "theirs"}}
        lab = await open_lab([ok(whole())], upstreams={"mine": row}, chains={"*": ["mine"]})
        raw = b'{"input":"x",  "model": "gpt-5.3-codex","temperature":1.00}'
        assert (await lab.ask(RESPONSES, raw)).status == 200
        assert lab.transport.requests[0].body == raw.replace(b'"gpt-5.3-codex"', b'"theirs"')
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


@pytest.mark.parametrize("model", SERVED, ids=name_of)
def test_every_openai_model_is_served_at_its_price(model: Model) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole()), ok(stream("Hi"))])
        assert (await respond(lab, model=model.id)).status == 200
        assert (await respond(lab, model=model.id, stream=True)).status == 200
        assert await lab.spent_uc() == 2 * (30 * model.input_uc + 9 * model.output_uc)

    run(scene())


FLAWED: dict[str, MemoryReply] = {
    "status": error(500),
    "limited": error(429, "slow down"),
    "no account": error(401, "Incorrect API key"),
    "not JSON": ok(b"<html>"),
    "empty body": ok(b""),
    "an array": ok(b"[]"),
    "error in a 200": ok(json.dumps({"error": {"message": "m", "type": "server_error"}}).encode()),
    "failed": ok(whole(status="failed", error={"code": "server_error", "message": "m"})),
    "unfinished": ok(whole(status="in_progress")),
    "no output": ok(json.dumps(made() | {"output": []}).encode()),
    "chat's form": ok(b'{"id":"chatcmpl-1","choices":[]}'),
    "a stream cut short": ok(opening() + message_start() + delta(4, "Hi"), **SSE),
    "a stream that fails": ok(opening() + closing(2, kind="failed", error={"code": "c", "message": "m"}), **SSE),
}


@pytest.mark.parametrize("case", FLAWED)
def test_a_flawed_reply_is_failed_over_and_costs_nothing(case: str) -> None:
    async def scene() -> None:
        lab = await open_lab(by_upstream({"openai": [FLAWED[case]], "openai-eu": [ok(whole(CALL))]}))
        answer = await respond(lab)
        assert answer.body == whole(CALL)
        assert lab.upstreams == (["openai"] if case == "no account" else ["openai"] * 2) + ["openai-eu"]
        assert await lab.spent_uc() == PRICE_UC
        (row,) = await lab.log()
        assert row["upstream"] == "openai-eu"

    run(scene())


def test_all_upstreams_failed() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: error(503, "overloaded"))
        answer = await respond(lab)
        assert answer.status == 502
        assert answer.error == ("api_error", f"All upstreams failed for {MODEL}: overloaded")
        assert await lab.spent_uc() == 0

    run(scene())


def test_an_incomplete_response_is_an_answer() -> None:
    async def scene() -> None:
        body = whole(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
        empty = json.dumps(made(status="incomplete") | {"output": []}).encode()
        lab = await open_lab([ok(body), ok(empty)])
        assert (await respond(lab, max_output_tokens=16)).body == body
        assert (await respond(lab, max_output_tokens=16)).body == empty
        assert await lab.spent_uc() == 2 * PRICE_UC

    run(scene())


def test_a_stream_where_none_was_asked_becomes_the_response() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(stream("Hi ", "there"), **SSE)])
        answer = await respond(lab, stream=False)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json == made()
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


def test_items_that_the_last_event_leaves_out_are_put_in() -> None:
    async def scene() -> None:
        bare = closing(4).replace(json.dumps([item()]).encode(), b"[]")
        assert b'"output": []' in bare
        lab = await open_lab([ok(opening() + item_done(2, CALL, 1) + item_done(3, THOUGHT, 0) + bare)])
        assert (await respond(lab)).json["output"] == [THOUGHT, CALL]

    run(scene())


def test_an_end_mark_after_the_object_is_left_out() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole() + b"\ndata: [DONE]\n\n", **SSE)])
        assert (await respond(lab)).json == made()

    run(scene())


def test_usage_that_is_missing_is_estimated_and_told() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole(THOUGHT, item("four"), CALL, usage=None))])
        answer = await respond(lab, instructions="Be brief.", input=[{"role": "user", "content": "Hi!"}])
        text = "Hm." + "four" + CALL["arguments"]
        counts = (-(-len("Be brief.userHi!") // 4), -(-len(text) // 4))
        usage = answer.json["usage"]
        assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (*counts, sum(counts))
        assert await lab.spent_uc() == price_uc(*counts)
        (row,) = await lab.log()
        assert row["estimated"]

    run(scene())


def test_a_charge_is_never_above_the_hold() -> None:
    async def scene() -> None:
        usage = USAGE | {"input_tokens": 10**6, "output_tokens": 10**6}
        lab = await open_lab([ok(whole(usage=usage))])
        await respond(lab, max_output_tokens=20)
        (row,) = await lab.log()
        assert row["capped"]
        body = len(json.dumps({"model": MODEL, "input": "Say hi.", "max_output_tokens": 20}))
        assert await lab.spent_uc() == price_uc(body, 20)

    run(scene())


def test_the_hold_follows_the_limit_of_the_caller() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())], credits=300)
        assert (await respond(lab, max_output_tokens=10**6)).status == 402
        assert (await respond(lab, max_output_tokens=10**3)).status == 200

    run(scene())


def test_pictures_count_as_pictures_for_the_hold() -> None:
    data = "data:image/png;base64," + "A" * 100_000
    parts = [{"type": "input_image", "image_url": data}]
    fields = {"input": [{"role": "user", "content": parts}, {"type": "function_call_output", "output": parts}]}
    raw = json.dumps(fields).encode()
    assert estimate.input_bound(raw, fields) == len(raw) - 2 * len(data) + 2 * estimate.TOKENS_PER_IMAGE
    assert estimate.input_tokens(fields) == estimate.tokens(len("userinput_imagefunction_call_outputinput_image"))


def test_the_hour_is_shared_with_chat() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())], limits={"chat": 1})
        assert (await respond(lab)).headers["x-ratelimit-remaining"] == "0"
        assert (await lab.chat()).status == 429
        assert (await respond(lab)).status == 429

    run(scene())


def test_an_idempotency_key_is_answered_again_and_charged_once() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k"}
        first, again = [await respond(lab, headers=headers) for _ in range(2)]
        assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


SEALED = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAA=="}
UNREADABLE = "The encrypted content gAAA...A== could not be verified. Reason: it could not be decrypted or parsed."


def test_reasoning_that_another_upstream_sealed_is_left_out_and_the_request_sent_again() -> None:
    async def scene() -> None:
        refusal = error(400, UNREADABLE, "invalid_encrypted_content")
        lab = await open_lab(by_upstream({"openai": [error(500)], "openai-eu": [refusal, ok(whole())]}))
        history = [{"role": "user", "content": "x"}, SEALED, CALL, {"type": "function_call_output", "output": "1.50"}]
        assert (await respond(lab, input=history)).status == 200
        assert lab.upstreams == ["openai", "openai", "openai-eu", "openai-eu"]
        assert lab.sent()["input"] == [entry for entry in history if entry is not SEALED]
        assert lab.sent(2)["input"] == history

    run(scene())


def test_reasoning_that_nobody_stored_is_left_out_and_the_request_sent_again() -> None:
    """As that of a translated response is, which an SDK sends back with its id to a model of OpenAI's."""

    async def scene() -> None:
        lost = {"type": "reasoning", "id": "rs_tr4nsl4t3d0000", "summary": []}
        said = f"Item with id '{lost['id']}' not found. Items are not persisted when `store` is set to false."
        lab = await open_lab([error(404, said), ok(whole())])
        history = [{"role": "user", "content": "x"}, lost, CALL, {"type": "function_call_output", "output": "1.50"}]
        assert (await respond(lab, input=history)).status == 200
        assert lab.upstreams == ["openai", "openai"]
        assert lab.sent()["input"] == [entry for entry in history if entry is not lost]

    run(scene())


def test_reasoning_that_is_kept_is_never_left_out() -> None:
    async def scene() -> None:
        kept = {"type": "reasoning", "id": "rs_1", "summary": []}
        lab = await open_lab([ok(whole(kept)), error(404, "Item with id 'rs_1' not found.")])
        assert (await respond(lab)).status == 200
        answer = await respond(lab, input=[{"role": "user", "content": "x"}, kept])
        assert answer.error == ("invalid_request_error", "Item with id 'rs_1' not found.")
        assert lab.upstreams == ["openai", "openai"]

    run(scene())


def test_a_history_of_sealed_reasoning_alone_is_refused() -> None:
    async def scene() -> None:
        lab = await open_lab([error(400, UNREADABLE, "invalid_encrypted_content")])
        answer = await respond(lab, input=[SEALED])
        assert answer.error == ("invalid_request_error", UNREADABLE)

    run(scene())


def test_a_caller_who_hangs_up_ends_the_upstream_s_work() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(5.0, whole())])
        await respond(lab, hang_up=lambda _answer: True)
        assert lab.transport.replies[0].closed
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"]) == ("client_closed", 499)
        assert await lab.spent_uc() == price_uc(estimate.input_tokens({"input": "Say hi."}), 0)

    run(scene())


def test_tokens_are_counted_for_nothing() -> None:
    async def scene() -> None:
        told = b'{\n  "object": "response.input_tokens",\n  "input_tokens": 11\n}'
        lab = await open_lab([ok(whole()), ok(b"{}"), ok(stream("x"), **SSE), ok(told)], limits={"chat": 1})
        await respond(lab)
        answer = await respond(lab, RESPONSES + "/input_tokens", previous_response_id="resp_1")
        assert answer.status == 502
        answer = await respond(lab, RESPONSES + "/input_tokens")
        assert (answer.status, answer.body) == (200, told)
        assert lab.transport.requests[-1].url.endswith("/openai/v1/responses/input_tokens")
        unknown = await respond(lab, RESPONSES + "/input_tokens", previous_response_id="resp_9")
        assert unknown.error[1] == "Previous response with id 'resp_9' not found."
        assert await lab.spent_uc() == PRICE_UC
        assert len(await lab.log()) == 1

    run(scene())


def test_calls_at_once_do_not_mix() -> None:
    async def scene() -> None:
        def answer(request: Any) -> MemoryReply:
            asked = json.loads(request.body)["input"]
            return ok(0.01, whole(item(asked), name=f"resp_{asked}"))

        lab = await open_lab(answer)
        answers = await asyncio.gather(*(respond(lab, input=str(n)) for n in range(30)))
        for number, got in enumerate(answers):
            assert got.json["id"] == f"resp_{number}"
            assert got.json["output"] == [item(str(number))]
        assert await lab.spent_uc() == 30 * PRICE_UC

    run(scene())
