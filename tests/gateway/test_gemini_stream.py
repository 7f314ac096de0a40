"""Streams on the Gemini wire: framing, both forms, usage, endings, deaths, hang-ups."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.estimate import tokens
from gateway.upstreams.memory import HANG
from gateway.upstreams.transport import TransportError
from tests.gateway.gemini_lab import (
    DOCUMENTED,
    GEMINI_UC,
    HELLO,
    INPUT_UC,
    MODEL,
    OUTPUT_UC,
    STREAM,
    USAGE,
    ask,
    chunk,
    events,
    google,
    raw,
    reply,
    said,
)
from tests.gateway.lab import HI, SSE, Answer, by_upstream, chat_stream, ok, open_lab, run

CUT = TransportError("broken", "the connection broke")
WHOLE = [chunk("Hel", 1), chunk("lo, ", 3), reply("you")]


def scene(play: Callable[[], Any]) -> None:
    run(play())


def content(call: Any, **more: Any) -> dict[str, Any]:
    """A chunk of one part."""
    return {"candidates": [{"content": {"parts": [call], "role": "model"}, "index": 0, **more}]}


def test_a_stream_passes_in_google_s_framing_and_is_charged_by_its_last_usage() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(*WHOLE), **SSE)])
        answer = await ask(lab, STREAM)
        assert answer.body == events(*WHOLE)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.ended
        assert await lab.spent_uc() == GEMINI_UC
        (row,) = await lab.log()
        assert (row["endpoint"], row["stream"], row["outputTokens"], row["estimated"]) == (
            "/v1/gemini",
            True,
            35,
            False,
        )

    scene(play)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_framing_of_the_upstream_gives_the_same(size: int, line_end: str) -> None:
    async def play() -> None:
        sent = events(*WHOLE[:2], reply("\u00e9\U0001f600")).replace(b"\r\n", line_end.encode())
        lab = await open_lab([ok(*(sent[at : at + size] for at in range(0, len(sent), size)))])
        assert (await ask(lab, STREAM)).body == events(*WHOLE[:2], reply("\u00e9\U0001f600"))

    scene(play)


def test_without_alt_a_stream_is_one_json_array() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(*WHOLE)), ok(events(WHOLE[-1])), ok(events(*WHOLE))])
        answer = await ask(lab, STREAM, alt="")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json == WHOLE
        assert len(answer.writes) >= 2
        assert (await ask(lab, STREAM, alt="json")).json == WHOLE[-1:]
        assert all(request.url.endswith("?alt=sse") for request in lab.transport.requests)
        assert (await lab.ask(STREAM, {"contents": HELLO}, query=f"key={lab.secret}&alt=sse")).data == WHOLE
        assert await lab.spent_uc() == 3 * GEMINI_UC

    scene(play)


def test_the_last_chunk_goes_out_when_the_charge_is_durable() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(*WHOLE))])
        charged: list[int] = []
        settle = lab.services.money.settle

        async def settling(*args: Any, **named: Any) -> Any:
            charged.append(len(answer_writes))
            return await settle(*args, **named)

        lab.services.money.settle = settling  # type: ignore[method-assign]
        answer_writes: list[bytes] = []

        def note(answer: Answer) -> bool:
            answer_writes[:] = answer.writes
            return False

        answer = await ask(lab, STREAM, hang_up=note)
        before = b"".join(answer.writes[: charged[0]])
        assert before == events(*WHOLE[:2])
        assert answer.body == events(*WHOLE)

    scene(play)


@pytest.mark.parametrize("alt", ["sse", ""])
def test_a_stream_without_usage_is_estimated_and_the_last_chunk_says_so(alt: str) -> None:
    async def play() -> None:
        bare = [json.loads(json.dumps(one)) for one in WHOLE]
        for one in bare:
            one.pop("usageMetadata")
        lab = await open_lab([ok(events(*bare))])
        answer = await ask(lab, STREAM, alt=alt)
        chunks = answer.data if alt else answer.json
        assert chunks[:-1] == bare[:-1]
        assert chunks[-1] == bare[-1] | {
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 3, "totalTokenCount": 6}
        }
        assert await lab.spent_uc() == 3 * INPUT_UC + 3 * OUTPUT_UC
        assert (await lab.log())[0]["estimated"]

    scene(play)


def test_a_last_chunk_after_the_finish_reason_is_the_last() -> None:
    async def play() -> None:
        call = content({"functionCall": {"name": "f", "args": {"city": "Oslo"}}}, finishReason="STOP")
        tail = {"usageMetadata": USAGE, "modelVersion": "m"}
        lab = await open_lab([ok(events(call, tail))])
        assert (await ask(lab, STREAM)).body == events(call, tail)
        assert await lab.spent_uc() == GEMINI_UC

    scene(play)


def test_every_candidate_must_finish() -> None:
    async def play() -> None:
        one, two = (reply("x", USAGE, index=index) for index in (0, 1))
        both = {"candidates": [chunk("a")["candidates"][0], chunk("b")["candidates"][0] | {"index": 1}]}
        lab = await open_lab([ok(events(both, one, two)), ok(events(both, one))])
        assert (await ask(lab, STREAM)).body == events(both, one, two)
        cut = await ask(lab, STREAM)
        assert not cut.ended
        assert "error" in cut.data[-1]

    scene(play)


DEATHS: dict[str, tuple[Any, str]] = {
    "the end": (b"", "the upstream ended the stream in mid-answer"),
    "a broken connection": (CUT, "the connection broke"),
    "an error": (
        b"data: " + google(503, "UNAVAILABLE", "overloaded at https://x.googleapis.com").replace(b"\n", b"") + b"\n\n",
        "overloaded at [redacted]",
    ),
    "rubbish": (b"data: {nonsense\r\n\r\n", "the upstream sent a stream event that is not a JSON object"),
    "abyss": (
        b'data: {"candidates":%b0%b}\r\n\r\n' % (b"[" * 300, b"]" * 300),
        "the upstream sent a stream event that is not a JSON object",
    ),
}


@pytest.mark.parametrize("case", DEATHS)
@pytest.mark.parametrize("alt", ["sse", ""])
def test_an_upstream_that_dies_in_mid_answer_ends_in_an_error_and_never_well(case: str, alt: str) -> None:
    async def play() -> None:
        death, message = DEATHS[case]
        lab = await open_lab([ok(events(chunk("Hello"), chunk(", you")), death)])
        answer = await ask(lab, STREAM, alt=alt)
        assert not answer.ended  # neither the body nor the array has an end
        chunks = answer.data if alt else json.loads(answer.body + b"]")
        assert chunks[:-1] == [chunk("Hello"), chunk(", you")]
        error = chunks[-1]["error"]
        assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
        assert error["message"] == f"The upstream failed in mid-answer: {message}"
        assert len(lab.transport.requests) == 1
        assert await lab.spent_uc() == 10 * INPUT_UC + tokens(len("Hello, you")) * OUTPUT_UC
        (row,) = await lab.log()
        assert (row["status"], row["estimated"]) == ("upstream_failed", True)

    scene(play)


def test_what_was_told_in_mid_answer_is_charged_as_told() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(chunk("Hello", 4), chunk(", you", 9)), CUT)])
        await ask(lab, STREAM)
        assert await lab.spent_uc() == 10 * INPUT_UC + 9 * OUTPUT_UC
        assert not (await lab.log())[0]["estimated"]

    scene(play)


def test_an_answer_that_told_its_finish_reason_is_whole_though_the_connection_breaks() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(*WHOLE), CUT), ok(events(*WHOLE), HANG)], finish_grace_s=0.01)
        for _ in range(2):
            answer = await ask(lab, STREAM)
            assert answer.body == events(*WHOLE)
            assert answer.ended
        assert await lab.spent_uc() == 2 * GEMINI_UC

    scene(play)


@pytest.mark.parametrize("alt", ["sse", ""])
def test_a_death_before_content_is_failed_over(alt: str) -> None:
    async def play() -> None:
        thinking = {"usageMetadata": {"promptTokenCount": 10, "thoughtsTokenCount": 9}, "modelVersion": "m"}
        dead = [ok(events(thinking), CUT), ok(b"")]
        lab = await open_lab(by_upstream({"gemini": dead, "gemini-eu": [ok(events(*WHOLE))]}))
        answer = await ask(lab, STREAM, alt=alt)
        assert (answer.data if alt else answer.json) == WHOLE
        assert lab.upstreams == ["gemini", "gemini", "gemini-eu"]
        assert await lab.spent_uc() == GEMINI_UC

    scene(play)


@pytest.mark.parametrize("alt", ["sse", ""])
def test_when_all_fail_before_content_it_is_an_error_response(alt: str) -> None:
    async def play() -> None:
        preamble = {"usageMetadata": {"promptTokenCount": 10}}
        lab = await open_lab(lambda _request: ok(events(preamble), CUT))
        answer = await ask(lab, STREAM, alt=alt)
        assert answer.status == answer.json["error"]["code"] == 502
        assert "x-accel-buffering" not in answer.headers
        assert await lab.spent_uc() == 0
        late = await open_lab(lambda _request: ok(events(preamble), 0.03, CUT), keepalive_s=0.01)
        answer = await ask(late, STREAM, alt=alt)
        assert (answer.status, answer.ended) == (200, False)
        (error,) = answer.data if alt else json.loads(answer.body + b"]")
        assert error["error"]["code"] == 502

    scene(play)


@pytest.mark.parametrize("alt", ["sse", ""])
def test_silence_is_filled_with_blank_lines_alone(alt: str) -> None:
    async def play() -> None:
        pieces = [0.03, events(WHOLE[0]), 0.03, events(*WHOLE[1:])]
        lab = await open_lab([ok(*pieces)], keepalive_s=0.01)
        answer = await ask(lab, STREAM, alt=alt)
        assert answer.writes.count(b"\n\n") >= 2
        assert (answer.data if alt else answer.json) == WHOLE
        if alt:
            assert b"".join(data for data in answer.writes if data != b"\n\n") == events(*WHOLE)

    scene(play)


def test_who_hangs_up_pays_for_what_was_delivered_and_the_upstream_is_cancelled() -> None:
    async def play() -> None:
        lab = await open_lab([ok(events(chunk("Hello"), chunk(", you")), HANG)])
        await ask(lab, STREAM, hang_up=lambda answer: b"you" in answer.body)
        assert lab.transport.replies[0].closed
        assert await lab.spent_uc() == 10 * INPUT_UC + tokens(len("Hello, you")) * OUTPUT_UC
        (row,) = await lab.log()
        assert (row["status"], row["statusCode"]) == ("client_closed", 499)

    scene(play)


def test_what_counts_as_delivered() -> None:
    async def play() -> None:
        parts: list[dict[str, Any]] = [
            {"text": "Hm\u00e9.", "thought": True},
            {"functionCall": {"name": "f", "args": {"x": "y"}}},
            {"functionCall": {"name": "g", "partialArgs": [{"jsonPath": "$.a", "stringValue": "Oslo"}]}},
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        ]
        lab = await open_lab([ok(events(*map(content, parts)), CUT)])
        assert len((await ask(lab, STREAM)).data) == 6
        size = len("Hm\u00e9.".encode()) + len('{"x":"y"}') + len("Oslo") + len("print(1)") + len("1")
        assert (await lab.log())[0]["outputTokens"] == tokens(size)

    scene(play)


@pytest.mark.parametrize("body", [raw(reply()), json.dumps([*WHOLE[:-1], reply("you")]).encode()], ids=["one", "array"])
def test_a_whole_reply_where_a_stream_was_due_becomes_a_stream(body: bytes) -> None:
    async def play() -> None:
        lab = await open_lab([ok(body)])
        answer = await ask(lab, STREAM)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert said(answer) in ("Hi there", "Hello, you")
        assert await lab.spent_uc() == GEMINI_UC

    scene(play)


@pytest.mark.parametrize("broken", [b"<html>", b"[]", b'[{"error":{"code":500,"message":"x","status":"INTERNAL"}}]'])
def test_what_is_no_stream_is_tried_elsewhere(broken: bytes) -> None:
    async def play() -> None:
        lab = await open_lab(by_upstream({"gemini": [ok(broken)], "gemini-eu": [ok(events(*WHOLE))]}))
        assert (await ask(lab, STREAM)).data == WHOLE
        assert lab.upstreams == ["gemini", "gemini", "gemini-eu"]

    scene(play)


def test_openai_s_shape_streams_in_openai_s_form() -> None:
    async def play() -> None:
        lab = await open_lab([ok(chat_stream("Hel", "lo"))])
        answer = await lab.ask(DOCUMENTED, {"model": MODEL, "messages": HI, "stream": True})
        assert answer.text == "Hello"
        assert answer.data[-1] == "[DONE]"
        assert lab.sent()["stream_options"] == {"include_usage": True}
        assert await lab.spent_uc() == 10 * INPUT_UC + 5 * OUTPUT_UC

    scene(play)
