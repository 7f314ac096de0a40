"""What the client side of Responses, Gemini and the media endpoints understands, and what order it insists on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from suites import gemini_generate, media, openai_responses
from suites.heard import Told
from suites.outcomes import Violation
from suites.sse import Event, parse

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
RESPONSE = {"id": "r", "model": "m", "status": "completed", "output": [MESSAGE, CALL], "usage": USAGE}
STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "r", "model": "m"}},
    {"type": "response.output_text.delta", "delta": "Hel"},
    {"type": "response.output_text.delta", "delta": "lo"},
    {"type": "response.output_item.done", "item": MESSAGE},
    {"type": "response.completed", "response": RESPONSE},
]


def events(*told: dict[str, Any]) -> list[Event]:
    numbered = [{"sequence_number": number} | one for number, one in enumerate(told)]
    return parse(b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in numbered))


def test_responses_stream_and_whole_say_the_same() -> None:
    streamed, whole = openai_responses.read_stream(events(*STREAM)), openai_responses.read_json(RESPONSE)
    for heard in (streamed, whole):
        assert (heard.id, heard.model, heard.text, heard.stop) == ("r", "m", "Hello", "completed")
        assert heard.usage == Told(9, 7, cached_tokens=4, reasoning_tokens=5)
        assert [(call.id, call.name, call.arguments) for call in heard.calls] == [("c", "f", "{}")]
    assert (streamed.starts, streamed.terminals, len(streamed.deltas)) == (1, 1, 2)


def test_responses_failure() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "died"}}
    failed = {"type": "response.failed", "response": {"id": "r", "status": "failed", "error": {"code": "x"}}}
    heard = openai_responses.read_stream(events(*STREAM[:2], error, failed))
    assert (heard.error, heard.text, heard.stop) == (("api_error", "died"), "Hel", "failed")


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (STREAM, ""),
        (STREAM[1:], "the first event is"),
        ([*STREAM[:2], {**STREAM[2], "sequence_number": 0}, *STREAM[3:]], "the sequence numbers are"),
        ([{**one, "sequence_number": 2 * at} for at, one in enumerate(STREAM)], "the sequence numbers are"),
        (STREAM[:-1], "terminal events: []"),
        ([*STREAM, STREAM[-1]], "terminal events: ["),
        ([*STREAM[:-1], STREAM[-1], STREAM[1]], "comes after the terminal event"),
        ([STREAM[0], *STREAM], "2 times response.created"),
    ],
)
def test_responses_order(told: list[dict[str, Any]], problem: str) -> None:
    problems = openai_responses.stream_problems(events(*told))
    assert bool(problems) is bool(problem)
    assert problem in "; ".join(problems)


def test_gemini_chunks() -> None:
    usage = {"promptTokenCount": 5, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 4}
    parts = [
        {"text": "hm", "thought": True},
        {"text": "Hello", "thoughtSignature": "s"},
        {"functionCall": {"name": "f"}},
    ]
    chunk = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
    heard = gemini_generate.read_json(chunk)
    assert (heard.text, heard.thinking, heard.stop, heard.signatures) == ("Hello", "hm", "STOP", ["s"])
    assert heard.usage == Told(8, 6, reasoning_tokens=4)
    assert heard.blocks == parts
    assert gemini_generate.read_chunks([(chunk, 0.0), (chunk, 1.0)]).text == "HelloHello"


def test_gemini_endpoint_reads_either_shape() -> None:
    completion = {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}
    assert gemini_generate.read_json(completion).text == "Hello"
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}
    assert gemini_generate.read_stream(parse(f"data: {json.dumps(chunk)}\n\n".encode())).text == "Hello"
    assert gemini_generate.read_json({"error": {"type": "t", "message": "m"}}).error == ("t", "m")


def test_media_items() -> None:
    assert media.IMAGES.body("m", "p", False) == {"model": "m", "prompt": "p"}
    assert media.AUDIO.body("m", "p", False) == {"model": "m", "text": "p"}
    assert media.items({"data": [{"url": "u"}]}) == [{"url": "u"}]
    for wrong in ({}, {"data": {}}, {"data": ["u"]}):
        with pytest.raises(Violation):
            media.items(wrong)
