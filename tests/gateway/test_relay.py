"""Streams through the whole gateway: what goes out, what is held back, who takes over, what is charged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.upstreams.memory import HANG, MemoryReply
from gateway.upstreams.transport import TransportError
from tests.gateway.lab import (
    CHAT,
    CHAT_UC,
    HI,
    MESSAGE_STOP,
    MESSAGE_UC,
    ROLE,
    USAGE,
    USAGE_CHUNK,
    Answer,
    Lab,
    block,
    by_upstream,
    chat_stream,
    chunk,
    completion,
    delta,
    error,
    frames,
    message,
    message_delta,
    message_stream,
    named,
    ok,
    open_lab,
    run,
    start,
    stop,
)

RESET = TransportError("broken", "connection reset")


def test_a_chat_stream_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(chat_stream("Hel", "lo"))])
        answer = await lab.chat(stream=True)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.body == chat_stream("Hel", "lo")
        assert answer.ended
        assert await lab.spent_uc() == CHAT_UC
        (row,) = await lab.log()
        assert (row["status"], row["inputTokens"], row["outputTokens"]) == ("succeeded", 10, 5)
        assert row["ttftMs"] is not None
        assert lab.sent()["stream_options"] == {"include_usage": True}

    run(scene())


def test_a_messages_stream_passes_unchanged_and_is_charged() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message_stream("Hel", "lo"))])
        answer = await lab.message(stream=True)
        assert answer.body == message_stream("Hel", "lo")
        assert await lab.spent_uc() == MESSAGE_UC

    run(scene())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_make_the_same_stream(size: int) -> None:
    async def scene() -> None:
        whole = chat_stream("Grüße, 世界 🎈", "!")
        lab = await open_lab([ok(*(whole[n : n + size] for n in range(0, len(whole), size)))])
        answer = await lab.chat(stream=True)
        assert answer.body == whole
        assert answer.text == "Grüße, 世界 🎈!"

    run(scene())


QUIRKS = {
    "crlf": chat_stream("a", "b").replace(b"\n", b"\r\n"),
    "cr_only": chat_stream("a", "b").replace(b"\n", b"\r"),
    "bom": b"\xef\xbb\xbf" + chat_stream("a", "b"),
    "data_no_space": chat_stream("a", "b").replace(b"data: ", b"data:"),
    "comments": b": hello\n\n" + chat_stream("a", "b").replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "missing_done": chat_stream("a", "b", done=False),
    "double_done": chat_stream("a", "b") + b"data: [DONE]\n\n",
    "unterminated": chat_stream("a", "b").rstrip(b"\n"),
    "id_and_retry": b"retry: 10\nid: 1\n" + chat_stream("a", "b"),
    "empty_data": b"data:\n\n" + chat_stream("a", "b"),
    "multi_line": chat_stream("a", "b").replace(b', "choices"', b'\ndata: , "choices"'),
    "single_newline": chat_stream("a", "b").replace(b"\n\n", b"\n") + b"\n",
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_framing_quirks_are_made_plain(quirk: str) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(QUIRKS[quirk], content_type="text/event-stream")])
        answer = await lab.chat(stream=True)
        assert answer.text == "ab"
        assert [p for p in answer.data if p == "[DONE]"] == ["[DONE]"]
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert all(line.startswith((b"data: ", b"")) for line in answer.body.split(b"\n"))
        assert answer.data[-2]["usage"] == USAGE
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_the_last_event_waits_for_the_settle() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(chat_stream("a"))])
        seen: list[bytes] = []
        settle = lab.services.money.settle
        answer = Answer()

        async def watched(*positional: Any, **options: Any) -> Any:
            seen.append(answer.body)
            return await settle(*positional, **options)

        lab.services.money.settle = watched  # type: ignore[method-assign]

        def look(shown: Answer) -> bool:
            answer.body = shown.body
            return False

        await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI, "stream": True}, hang_up=look)
        assert len(seen) == 1
        assert b'"finish_reason": "stop"' in seen[0]
        assert b'"choices": []' not in seen[0]
        assert b"[DONE]" not in seen[0]
        assert answer.body.index(b'"choices": []') < answer.body.index(b"[DONE]")

    run(scene())


BEFORE_CONTENT = {
    "status": error(503),
    "cut before anything": ok(),
    "role only, then the end": ok(frames(ROLE)),
    "role only, then a reset": ok(frames(ROLE), RESET),
    "error event": ok(frames({"error": {"message": "overloaded", "type": "server_error"}})),
    "error after the role": ok(frames(ROLE, {"error": {"message": "overloaded"}})),
    "json error as stream": ok(b'{"error":{"message":"overloaded"}}', content_type="text/event-stream"),
    "html": ok(b"<html>login</html>"),
    "garbage": ok(frames("not json")),
    "only done": ok(frames("[DONE]")),
    "only comments": ok(b": hi\n\n: hi\n\n"),
    "reset before headers": MemoryReply(200, {}, [RESET]),
}


@pytest.mark.parametrize("fault", BEFORE_CONTENT)
def test_failures_before_content_fail_over(fault: str) -> None:
    async def scene() -> None:
        bad = BEFORE_CONTENT[fault]
        lab = await open_lab(by_upstream({"openai": [bad], "openai-eu": [ok(chat_stream("from b"))]}))
        answer = await lab.chat(stream=True)
        assert answer.body == chat_stream("from b")
        assert lab.upstreams == ["openai", "openai", "openai-eu"]
        assert await lab.spent_uc() == CHAT_UC
        (row,) = await lab.log()
        assert (row["upstream"], row["attempts"]) == ("openai-eu", 3)

    run(scene())


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("how", ["end", "reset", "error", "garbage"])
def test_failures_after_content_end_in_an_error_event(after: int, how: str) -> None:
    async def scene() -> None:
        sent = frames(ROLE, *(chunk(f"part{n} ") for n in range(after)))
        ending: dict[str, list[Any]] = {
            "end": [],
            "reset": [RESET],
            "error": [frames({"error": {"message": "died", "type": "server_error"}})],
            "garbage": [frames('{"id":"chatcmpl-1","cho')],
        }
        replies = {"openai": [ok(sent, *ending[how])], "openai-eu": [ok(chat_stream("never"))]}
        lab = await open_lab(by_upstream(replies))
        answer = await lab.chat(stream=True)
        assert answer.body.startswith(sent)
        last = answer.data[-1]
        assert last["error"]["type"] == "api_error"
        assert b"[DONE]" not in answer.body
        assert answer.ended
        assert lab.upstreams == ["openai"]
        (row,) = await lab.log()
        assert (row["status"], row["estimated"]) == ("upstream_failed", True)
        assert row["outputTokens"] == -(-6 * after // 4)
        assert row["inputTokens"] == 3  # "user" + "Say hi." in quarters, rounded up
        assert await lab.spent_uc() == 3 * 25 + row["outputTokens"] * 145

    run(scene())


def test_a_messages_stream_that_dies_ends_in_its_own_error_event() -> None:
    async def scene() -> None:
        sent = named(start(33), block(), delta("partial"))
        lab = await open_lab([ok(sent, RESET)])
        answer = await lab.message(stream=True)
        assert answer.events[-1].name == b"error"
        assert answer.data[-1]["type"] == "error"
        assert b"message_stop" not in answer.body
        (row,) = await lab.log()
        assert (row["inputTokens"], row["outputTokens"], row["estimated"]) == (33, 2, True)

    run(scene())


def test_all_failed_is_one_clean_502() -> None:
    async def scene() -> None:
        lab = await open_lab(by_upstream({"openai": [error(500, "alpha")], "openai-eu": [error(500, "beta")]}))
        answer = await lab.chat(stream=True)
        assert answer.status == 502
        assert answer.error == ("api_error", "All upstreams failed for gpt-5.5: beta")
        assert answer.headers["content-type"] == "application/json"
        assert lab.upstreams == ["openai", "openai", "openai-eu", "openai-eu"]
        assert await lab.spent_uc() == 0
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"], row["costUc"]) == ("upstream_failed", 502, 0)

    run(scene())


def test_keepalives_before_the_first_byte_do_not_stop_failover() -> None:
    async def scene() -> None:
        lab = await open_lab(
            by_upstream({"anthropic": [ok(0.05, RESET)], "anthropic-eu": [ok(message_stream("late"))]}),
            keepalive_s=0.02,
        )
        answer = await lab.message(stream=True)
        pings = [event for event in answer.events if event.name == b"ping"]
        assert len(pings) >= 2
        assert answer.text == "late"
        assert answer.body.count(b"event: message_start") == 1

    run(scene())


def test_a_stream_that_only_got_keepalives_ends_in_an_error_event() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _r: ok(0.03, RESET), keepalive_s=0.02)
        answer = await lab.chat(stream=True)
        assert answer.status == 200
        assert answer.body.startswith(b": keepalive\n\n")
        assert answer.data[-1]["error"]["message"].startswith("All upstreams failed for gpt-5.5: ")
        assert answer.ended

    run(scene())


def test_keepalives_stand_between_events() -> None:
    async def scene() -> None:
        whole = chat_stream("a", "b")
        cut = whole.index(b'"content": "b"')
        lab = await open_lab([ok(whole[:cut], 0.05, whole[cut:])], keepalive_s=0.02)
        answer = await lab.chat(stream=True)
        assert answer.body.replace(b": keepalive\n\n", b"") == whole
        assert answer.body.count(b": keepalive\n\n") >= 2

    run(scene())


def test_a_silent_upstream_is_left() -> None:
    async def scene() -> None:
        replies = {"openai": [ok(HANG)], "openai-eu": [ok(chat_stream("b"))]}
        lab = await open_lab(by_upstream(replies), first_byte_timeout_s=0.03, retries=0)
        assert (await lab.chat(stream=True)).text == "b"
        assert lab.transport.replies[0].closed

    run(scene())


def test_a_stall_in_mid_answer_ends_in_an_error_event() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("a")), HANG)], idle_timeout_s=0.03)
        answer = await lab.chat(stream=True)
        assert answer.data[-1]["error"]["message"].endswith("the upstream fell silent")
        assert lab.transport.replies[0].closed

    run(scene())


def test_heartbeats_after_the_finish_do_not_hold_the_stream() -> None:
    async def scene() -> None:
        beats = [piece for _ in range(100) for piece in (0.01, b": hb\n\n")]
        lab = await open_lab(
            [ok(frames(ROLE, chunk("a"), chunk(finish="stop"), USAGE_CHUNK), *beats)], finish_grace_s=0.05
        )
        answer = await lab.chat(stream=True)
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert lab.transport.replies[0].closed
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_usage_after_a_pause_is_waited_for() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("a"), chunk(finish="stop")), 0.05, frames(USAGE_CHUNK, "[DONE]"))])
        assert (await lab.chat(stream=True)).data[-2]["usage"] == USAGE
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_missing_usage_is_estimated_and_told() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(chat_stream("12345", "678", usage=False))])
        answer = await lab.chat(stream=True)
        assert answer.data[-2]["usage"]["prompt_tokens"] == 3
        assert answer.data[-2]["usage"]["completion_tokens"] == 2
        assert answer.data[-2]["usage"]["total_tokens"] == 5
        assert answer.data[-2]["choices"] == []
        (row,) = await lab.log()
        assert (row["inputTokens"], row["outputTokens"], row["estimated"]) == (3, 2, True)

    run(scene())


def test_a_client_that_leaves_cancels_the_upstream_and_pays_for_what_it_got() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("12345678")), HANG)])
        answer = await lab.ask(
            CHAT, {"model": "gpt-5.5", "messages": HI, "stream": True}, hang_up=lambda a: b"12345678" in a.body
        )
        assert not answer.ended
        assert lab.transport.replies[0].closed
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"], row["estimated"]) == ("client_closed", 499, True)
        assert (row["inputTokens"], row["outputTokens"]) == (3, 2)
        assert await lab.spent_uc() == 3 * 25 + 2 * 145

    run(scene())


def test_a_client_that_leaves_while_the_upstream_is_silent() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(HANG)])
        await lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI, "stream": True}, hang_up=lambda _answer: True)
        assert lab.transport.replies[0].closed
        assert lab.upstreams == ["openai"]
        (row,) = await lab.log()
        assert row["status"] == "client_closed"
        assert row["outputTokens"] == 0

    run(scene())


def test_a_client_that_does_not_read_stops_the_reading_upstream() -> None:
    async def scene() -> None:
        read = asyncio.Event()
        reply = ok(frames(ROLE, chunk("a")), *(frames(chunk("b")) for _ in range(50)), chat_stream("c"))
        lab = await open_lab([reply])
        task = asyncio.create_task(lab.ask(CHAT, {"model": "gpt-5.5", "messages": HI, "stream": True}, stalled=read))
        for _ in range(100):
            await asyncio.sleep(0)
        assert reply.taken <= 2
        read.set()
        assert (await task).text == "a" + "b" * 50 + "c"

    run(scene())


def test_the_whole_time_is_bounded() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("a")), HANG)], total_timeout_s=0.05)
        answer = await lab.chat(stream=True)
        assert answer.data[-1]["error"]["type"] == "api_error"
        (row,) = await lab.log()
        assert row["status"] == "upstream_failed"

    run(scene())


def test_the_whole_time_is_bounded_before_content_too() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(HANG)], total_timeout_s=0.05)
        answer = await lab.chat(stream=True)
        assert answer.status == 502
        assert await lab.spent_uc() == 0

    run(scene())


def test_json_where_a_stream_was_asked_for_is_made_a_stream() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(completion("Hi there"))])
        answer = await lab.chat(stream=True)
        assert answer.text == "Hi there"
        assert answer.data[-1] == "[DONE]"
        assert answer.data[-2]["usage"] == USAGE
        assert all(p["object"] == "chat.completion.chunk" for p in answer.data[:-1])
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_message_where_a_stream_was_asked_for_is_made_a_stream() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(message("Hi there"))])
        answer = await lab.message(stream=True)
        assert answer.text == "Hi there"
        assert [event.name for event in answer.events] == [
            b"message_start",
            b"content_block_start",
            b"content_block_delta",
            b"content_block_stop",
            b"message_delta",
            b"message_stop",
        ]
        assert await lab.spent_uc() == MESSAGE_UC

    run(scene())


def test_several_answers_keep_their_indexes() -> None:
    async def scene() -> None:
        many = [chunk(str(n)) | {"choices": [{"index": n % 3, "delta": {"content": str(n)}}]} for n in range(9)]
        ends = [chunk() | {"choices": [{"index": n, "delta": {}, "finish_reason": "stop"}]} for n in range(3)]
        lab = await open_lab([ok(frames(*many, *ends, USAGE_CHUNK, "[DONE]"))])
        answer = await lab.chat(stream=True, n=3)
        assert [p["choices"][0]["index"] for p in answer.data[:9]] == [n % 3 for n in range(9)]
        assert answer.data[-1] == "[DONE]"

    run(scene())


def test_one_of_several_answers_cut_short_is_no_clean_end() -> None:
    async def scene() -> None:
        many = [chunk(str(n)) | {"choices": [{"index": n, "delta": {"content": "x"}}]} for n in range(2)]
        end = chunk() | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        lab = await open_lab([ok(frames(*many, end))])
        assert "error" in (await lab.chat(stream=True, n=2)).data[-1]

    run(scene())


def test_cumulative_usage_is_not_added_up() -> None:
    async def scene() -> None:
        told = [{"prompt_tokens": 10, "completion_tokens": n} for n in (1, 3, 5)]
        events = [chunk("x", usage=usage) for usage in told]
        lab = await open_lab([ok(frames(*events, chunk(finish="stop", usage=told[-1]), "[DONE]"))])
        await lab.chat(stream=True)
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_cost_of_zero_in_usage_is_not_believed() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("x"), chunk(finish="stop", usage=USAGE | {"cost": 0}), "[DONE]"))])
        await lab.chat(stream=True)
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_the_start_is_said_once_and_the_second_message_is_an_error() -> None:
    async def scene() -> None:
        other = start() | {"message": {"id": "msg_2", "usage": {}}}
        lab = await open_lab(
            [
                ok(named(start(), start(), block(), delta("a"), stop(), message_delta(output_tokens=7), MESSAGE_STOP)),
                ok(named(start(), block(), delta("a"), other, block(), delta("b"))),
            ]
        )
        answer = await lab.message(stream=True)
        assert answer.body.count(b"event: message_start") == 1
        assert answer.body.count(b"event: message_stop") == 1
        spliced = await lab.message(stream=True)
        assert spliced.body.count(b"event: message_start") == 1
        assert spliced.events[-1].name == b"error"

    run(scene())


def test_thinking_and_signatures_pass_whole() -> None:
    async def scene() -> None:
        signed = [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": part}}
            for part in ("Eo", "4D", "Cg==")
        ]
        thought = {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm\u2028"},
        }
        redacted = block(1, "redacted_thinking", data="abc=")
        whole = named(
            start(), block(0, "thinking"), thought, *signed, stop(0), redacted, stop(1),
            block(2), delta("ok", 2), stop(2), message_delta(output_tokens=7), MESSAGE_STOP,
        )  # fmt: skip
        lab = await open_lab([ok(whole)])
        assert (await lab.message(stream=True)).body == whole

    run(scene())


def test_a_refusal_without_content_is_an_answer() -> None:
    async def scene() -> None:
        whole = named(start(), {"type": "ping"}, message_delta("refusal", output_tokens=3), MESSAGE_STOP)
        lab = await open_lab([ok(whole)])
        answer = await lab.message(stream=True)
        assert answer.data[-2]["delta"]["stop_reason"] == "refusal"
        assert answer.data[-1] == MESSAGE_STOP

    run(scene())


def test_events_without_names_get_them() -> None:
    async def scene() -> None:
        bare = frames(*(json.loads(e.data) for e in Answer(body=message_stream("hi")).events))
        lab = await open_lab([ok(bare)])
        assert (await lab.message(stream=True)).body == message_stream("hi")

    run(scene())


def test_a_bug_gives_the_hold_back() -> None:
    async def scene() -> None:
        def broken(_request: Any) -> MemoryReply:
            raise RuntimeError("a bug")

        lab = await open_lab(broken)
        answer = await lab.chat(stream=True)
        assert answer.status == 500
        assert answer.error[0] == "internal_error"
        assert "bug" not in answer.error[1]
        assert await lab.spent_uc() == 0

    run(scene())


def test_streams_at_once_do_not_mix() -> None:
    async def scene() -> None:
        def answer(request: Any) -> MemoryReply:
            name = json.loads(request.body)["messages"][0]["content"]
            parts = [part for n in range(20) for part in (frames(chunk(f"{name}.{n} ")), 0.001)]
            return ok(frames(ROLE), *parts, frames(chunk(finish="stop"), USAGE_CHUNK, "[DONE]"))

        lab: Lab = await open_lab(answer)
        asked = [lab.chat(stream=True, messages=[{"role": "user", "content": f"u{n}"}]) for n in range(30)]
        for number, got in enumerate(await asyncio.gather(*asked)):
            assert got.text == "".join(f"u{number}.{n} " for n in range(20))
        assert await lab.spent_uc() == 30 * CHAT_UC

    run(scene())
