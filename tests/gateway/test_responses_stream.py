"""POST /responses as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import ResponseErrorEvent, ResponseFailedEvent

from gateway import estimate
from gateway.sse import Parser
from gateway.upstreams import openai_responses_modes
from gateway.upstreams.memory import HANG, MemoryReply
from gateway.upstreams.transport import TransportError
from tests.gateway.lab import SSE, by_upstream, chat_stream, error, ok, open_lab, run
from tests.gateway.responses_lab import (
    CALL,
    MODEL,
    PRICE_UC,
    THOUGHT,
    closing,
    delta,
    event,
    item,
    item_done,
    kinds,
    made,
    message_start,
    opening,
    price_uc,
    respond,
    said,
    stream,
    whole,
)

HI_TOKENS = estimate.input_tokens({"input": "Say hi."})
BEGUN = opening() + message_start()
RESET = TransportError("broken", "the connection broke off")


def test_a_stream_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(stream("Hi ", "there"), **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.body == stream("Hi ", "there")
        assert answer.ended
        assert await lab.spent_uc() == PRICE_UC
        (row,) = await lab.log()
        assert (row["stream"], row["status"], row["inputTokens"], row["reasoningTokens"]) == (True, "succeeded", 30, 4)

    run(scene())


def test_the_last_event_waits_for_the_charge() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(stream("Hi"), **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.writes[-1] == closing(6, item("Hi"))
        assert b"response.completed" not in b"".join(answer.writes[:-1])

    run(scene())


def test_any_framing_and_unknown_events_pass() -> None:
    async def scene() -> None:
        news = event(2, "response.shell_call.in_progress", novelty=[1.50])
        keep = event(3, "keepalive")
        sent = opening() + news + keep + message_start(4) + delta(6, "Hi") + closing(7)
        cut = sent.replace(b"\n", b"\r\n").replace(b"event: keepalive\r\n", b": hello\r\n")
        lab = await open_lab([ok(*[cut[at : at + 7] for at in range(0, len(cut), 7)], **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.body == sent
        assert [payload["sequence_number"] for payload in answer.data] == list(range(8))

    run(scene())


def test_the_smallest_stream_is_an_answer() -> None:
    async def scene() -> None:
        smallest = item_done(0, CALL) + closing(1, CALL)
        lab = await open_lab([ok(smallest, **SSE), ok(closing(0, CALL), **SSE)])
        assert (await respond(lab, stream=True)).body == smallest
        assert (await respond(lab, stream=True)).body == closing(0, CALL)
        assert await lab.spent_uc() == 2 * PRICE_UC

    run(scene())


def test_a_last_event_without_the_items_gets_them() -> None:
    async def scene() -> None:
        bare = closing(4).replace(json.dumps([item()]).encode(), b"[]")
        lab = await open_lab([ok(opening() + item_done(2, CALL, 1) + item_done(3, THOUGHT, 0) + bare, **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.data[-1]["response"] == made(THOUGHT, CALL)
        assert answer.body.startswith(opening() + item_done(2, CALL, 1))

    run(scene())


def test_a_beginning_said_twice_is_told_once() -> None:
    async def scene() -> None:
        begun = event(0, "response.created", response=made(usage=None) | {"status": "in_progress", "output": []})
        lab = await open_lab([ok(begun + opening() + closing(2), **SSE)])
        answer = await respond(lab, stream=True)
        assert kinds(answer) == ["response.created", "response.in_progress", "response.completed"]

    run(scene())


def test_another_answer_inside_the_answer_ends_it() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(BEGUN + delta(4, "four") + opening(name="resp_2") + closing(9), **SSE)])
        answer = await respond(lab, stream=True)
        assert kinds(answer)[-2:] == ["error", "response.failed"]
        assert answer.data[-1]["response"]["id"] == "resp_1"
        assert await lab.spent_uc() == price_uc(HI_TOKENS, 1)

    run(scene())


def test_an_incomplete_response_ends_well() -> None:
    async def scene() -> None:
        sent = opening() + closing(2, kind="incomplete", incomplete_details={"reason": "content_filter"})
        bare = sent.replace(json.dumps([item()]).encode(), b"[]")
        lab = await open_lab([ok(bare, **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.body == bare
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


def test_json_where_a_stream_was_asked_becomes_one() -> None:
    async def scene() -> None:
        call = {**CALL, "type": "custom_tool_call", "input": "*** Begin"}
        search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
        no = {**item(), "content": [{"type": "refusal", "refusal": "No."}]}
        output = [THOUGHT, item("Hi there"), CALL, call, search, no]
        lab = await open_lab([ok(whole(*output))])
        answer = await respond(lab, stream=True)
        assert [payload["sequence_number"] for payload in answer.data] == list(range(len(answer.data)))
        assert (kinds(answer)[0], kinds(answer)[-1]) == ("response.created", "response.completed")
        assert answer.data[-1]["response"] == made(*output)
        done = [payload["item"] for payload in answer.data if payload["type"] == "response.output_item.done"]
        assert done == output
        assert said(answer) == "Hi there"
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


def test_both_ways_and_back_is_the_same() -> None:
    body = json.dumps(made(THOUGHT, item("a"), CALL)).encode()
    there = openai_responses_modes.disassemble(body)
    back = openai_responses_modes.assemble(there)
    assert isinstance(back, bytes)
    assert json.loads(back) == json.loads(body)


FLAWED: dict[str, MemoryReply] = {
    "status": error(500),
    "a page": ok(b"<html></html>"),
    "nothing": ok(b"", **SSE),
    "preamble only": ok(BEGUN, **SSE),
    "reset after the preamble": ok(BEGUN, RESET, **SSE),
    "error event": ok(opening() + event(2, "error", error={"type": "server_error", "message": "m"}), **SSE),
    "flat error event": ok(opening() + event(2, "error", code="server_error", message="m", param=None), **SSE),
    "failed": ok(opening() + closing(2, kind="failed", error={"code": "server_error", "message": "m"}), **SSE),
    "not JSON": ok(opening() + b"event: x\ndata: {oops\n\n", **SSE),
    "empty answer": ok(opening() + closing(2).replace(json.dumps([item()]).encode(), b"[]"), **SSE),
    "end mark of chat": ok(BEGUN + b"data: [DONE]\n\n", **SSE),
    "unsound JSON": ok(b"{}"),
    "a type of two lines": ok(event(0, "response.created\n\ndata: x", response=made()), **SSE),
    "another wire": ok(chat_stream("Hi"), **SSE),
}


@pytest.mark.parametrize("case", FLAWED)
def test_before_content_another_upstream_takes_over(case: str) -> None:
    async def scene() -> None:
        lab = await open_lab(by_upstream({"openai": [FLAWED[case]], "openai-eu": [ok(stream("Hi"), **SSE)]}))
        answer = await respond(lab, stream=True)
        assert answer.body == stream("Hi")
        assert lab.upstreams == ["openai", "openai", "openai-eu"]
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


def test_quota_inside_a_stream_moves_to_the_next_at_once() -> None:
    async def scene() -> None:
        empty = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded…", "param": None}
        lab = await open_lab([ok(opening() + event(2, "error", error=empty), **SSE), ok(stream("Hi"), **SSE)])
        assert (await respond(lab, stream=True)).body == stream("Hi")
        assert lab.upstreams == ["openai", "openai-eu"]

    run(scene())


DEATHS: dict[str, tuple[Any, ...]] = {
    "reset": (BEGUN + delta(4, "four"), RESET),
    "end": (BEGUN + delta(4, "four"),),
    "end between items": (BEGUN + delta(4, "four") + item_done(5, item("four")),),
    "silence": (BEGUN + delta(4, "four"), HANG),
    "error": (BEGUN + delta(4, "four") + event(5, "error", error={"message": "at 127.0.0.1:8101", "type": "e"}),),
    "failed": (BEGUN + delta(4, "four") + closing(5, kind="failed", error={"code": "server_error", "message": "m"}),),
    "not JSON": (BEGUN + delta(4, "four") + b"data: {\n\n",),
}


@pytest.mark.parametrize("case", DEATHS)
def test_an_upstream_that_dies_in_mid_answer_is_told_in_the_form_of_the_wire(case: str) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(*DEATHS[case], **SSE)], idle_timeout_s=0.05)
        answer = await respond(lab, stream=True)
        assert answer.ended
        assert said(answer) == "four"
        assert kinds(answer)[-2:] == ["error", "response.failed"]
        assert "response.completed" not in kinds(answer)
        assert [payload["sequence_number"] for payload in answer.data] == list(range(len(answer.data)))
        told, failed = answer.data[-2:]
        message = told["error"]["message"]
        assert message.startswith("The upstream failed in mid-answer: ")
        assert "8101" not in message
        response = failed["response"]
        assert (response["id"], response["status"]) == ("resp_1", "failed")
        assert response["error"] == {"code": "server_error", "message": message}
        assert await lab.spent_uc() == price_uc(HI_TOKENS, 1)
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"], row["estimated"]) == ("upstream_failed", 502, True)

    run(scene())


def test_the_sdk_reads_what_a_death_leaves() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(*DEATHS["reset"], **SSE)])
        answer = await respond(lab, stream=True)
        assert ResponseFailedEvent.model_validate(answer.data[-1]).response.status == "failed"
        assert ResponseErrorEvent.model_construct(**answer.data[-2]).sequence_number == 5

    run(scene())


def test_tool_arguments_and_reasoning_count_as_delivered() -> None:
    async def scene() -> None:
        pieces = (
            event(2, "response.output_item.added", output_index=0, item={**THOUGHT, "summary": []})
            + event(3, "response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm.")
            + item_done(4, THOUGHT)
            + event(5, "response.output_item.added", output_index=1, item={**CALL, "arguments": ""})
            + event(6, "response.function_call_arguments.delta", output_index=1, delta='{"city":"Ü')
            + event(7, "response.audio.delta", delta="A" * 400)
            + item_done(8, {**CALL, "arguments": "x" * 50}, 2)
        )
        lab = await open_lab([ok(opening() + pieces, RESET, **SSE)])
        await respond(lab, stream=True)
        size = len("Hm.") + len('{"city":"Ü'.encode()) + 50
        assert await lab.spent_uc() == price_uc(HI_TOKENS, -(-size // 4))

    run(scene())


ODD = (None, 5, -1, 10**30, True, "x", [], [[]], {}, {"a": []})


@pytest.mark.parametrize("streamed", [False, True])
def test_no_oddity_of_an_upstream_is_the_gateway_s_fault(streamed: bool) -> None:
    """Every member of every event, changed to every sort of value: an answer or a 502, and the books are right."""

    async def scene() -> None:
        sound = [json.loads(told.data) for told in Parser().feed(stream("four"))]
        lab = await open_lab(
            lambda _request: ok(b"".join(sent), **SSE), limits={"chat": 10**6}, breaker_failures=10**6, retries=0
        )
        for number, told in enumerate(sound):
            for changed in oddities(told):
                events = [*sound[:number], changed, *sound[number + 1 :]]
                sent = [f"data: {json.dumps(payload)}\n\n".encode() for payload in events]
                answer = await respond(lab, stream=streamed)
                assert answer.status in (200, 502), changed
        assert await lab.spent_uc() > 0

    run(scene())


def oddities(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The event with one member, at its top or in what it holds, changed."""
    for name, value in told.items():
        yield from ({**told, name: odd} for odd in ODD)
        if isinstance(value, dict):
            yield from ({**told, name: inner} for inner in oddities(value))


def test_usage_that_is_missing_is_estimated_and_told() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(stream("four", usage=None), **SSE)])
        answer = await respond(lab, stream=True)
        usage = answer.data[-1]["response"]["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (HI_TOKENS, 1)
        assert kinds(answer)[-1] == "response.completed"
        assert answer.data[-1]["response"]["output"] == [item("four")]
        assert await lab.spent_uc() == price_uc(HI_TOKENS, 1)
        (row,) = await lab.log()
        assert row["estimated"]

    run(scene())


def test_a_caller_who_hangs_up_pays_for_what_was_delivered() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(BEGUN + delta(4, "four"), 5.0, delta(5, "more"), **SSE)])
        await respond(lab, stream=True, hang_up=lambda answer: b"four" in answer.body)
        assert lab.transport.replies[0].closed
        assert await lab.spent_uc() == price_uc(HI_TOKENS, 1)
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"], row["estimated"]) == ("client_closed", 499, True)

    run(scene())


def test_silence_is_filled_with_comments_between_events() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(0.05, BEGUN, delta(4, "Hi"), 0.05, closing(5), **SSE)], keepalive_s=0.02)
        answer = await respond(lab, stream=True)
        comments = [write for write in answer.writes if write.startswith(b":")]
        assert set(comments) == {b": keepalive\n\n"}
        assert len(comments) >= 2
        assert answer.body.replace(comments[0], b"") == BEGUN + delta(4, "Hi") + closing(5)

    run(scene())


def test_a_stream_that_began_with_a_comment_and_then_failed() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(0.05, opening(), **SSE), keepalive_s=0.02)
        answer = await respond(lab, stream=True)
        assert answer.status == 200
        assert kinds(answer) == ["error", "response.failed"]
        assert [payload["sequence_number"] for payload in answer.data] == [0, 1]
        assert answer.data[1]["response"]["id"].startswith("resp_")
        assert answer.data[0]["error"]["message"].startswith(f"All upstreams failed for {MODEL}: ")
        assert await lab.spent_uc() == 0

    run(scene())


def test_failure_before_anything_is_sent_is_an_http_error() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(BEGUN, **SSE))
        answer = await respond(lab, stream=True)
        assert (answer.status, answer.error[0]) == (502, "api_error")
        assert answer.headers["content-type"] == "application/json"

    run(scene())
