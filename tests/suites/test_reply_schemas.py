"""The schema layer: sound replies pass, and each way to be wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from schemas.requirements import load
from suites.exchange import Reply, Sent
from suites.reply_kinds import kind_of
from suites.reply_schemas import FOLDER, REQUIREMENTS, Findings, problems_of
from tests.suites.test_wires import EVENTS, MESSAGE, chat_stream, named

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
HEAD: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CHUNKS: list[Any] = [
    HEAD | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    HEAD | {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]},
    HEAD | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    HEAD | {"choices": [], "usage": USAGE},
    "[DONE]",
]
WHOLE: dict[str, Any] = MESSAGE | {
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}
SOUND: list[dict[str, Any]] = [{"type": "message_start", "message": WHOLE}, *EVENTS[1:]]
ERROR = {"error": {"type": "api_error", "message": "All upstreams failed."}}


def reply(raw: bytes, *, wire: str = "chat", status: int = 200, stream: bool = True, complete: bool = True) -> Reply:
    """A reply with this body."""
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    path = {"chat": "/chat/completions", "messages": "/v1/messages"}.get(wire, wire)
    headers = CIMultiDictProxy(CIMultiDict({"content-type": kind}))
    method = "GET" if wire in ("/models", "/api-usage") else "POST"
    made = Reply(Sent(method, f"http://h/api/v1{path}", {}, b"", wire), status, headers, 0.0, 0.0)
    made.reader.feed(raw, 1.0)
    made.complete = complete
    return made


def problems(made: Reply) -> list[str]:
    """What the layer finds."""
    findings = Findings()
    findings.look_at(made)
    assert sum(findings.seen.values()) == 1
    return [problem for found in findings.problems.values() for problem in found]


def test_sound_replies() -> None:
    assert problems(reply(chat_stream(*CHUNKS))) == []
    assert problems(reply(b": keepalive\n\n" + chat_stream(*CHUNKS))) == []
    assert problems(reply(named({"type": "ping"}, *SOUND), wire="messages")) == []
    assert problems(reply(chat_stream(*CHUNKS[:2], ERROR))) == []
    assert problems(reply(named(*SOUND[:4], {"type": "error"} | ERROR), wire="messages")) == []
    assert problems(reply(json.dumps(ERROR).encode(), status=502, stream=False)) == []


def without(index: int) -> list[Any]:
    return [chunk for number, chunk in enumerate(CHUNKS) if number != index]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (chat_stream(*without(4)), "[DONE] came 0 times"),
        (chat_stream(*CHUNKS, "[DONE]"), "[DONE] came 2 times"),
        (chat_stream(*without(3)), "usage was told 0 times"),
        (chat_stream(*CHUNKS[:3], CHUNKS[3], CHUNKS[3], CHUNKS[4]), "usage was told 2 times"),
        (chat_stream(*without(2)), "finish_reason for choices []"),
        (chat_stream(*CHUNKS[:2], ERROR, "[DONE]"), "[DONE] although the stream ended in an error"),
        (chat_stream(CHUNKS[0], CHUNKS[1] | {"id": "other"}, *CHUNKS[2:]), "the id changes"),
        (chat_stream(CHUNKS[0], CHUNKS[1] | {"object": "chat.completion"}, *CHUNKS[2:]), "chat_chunk at /"),
        (chat_stream(*CHUNKS[:4], "{broken", "[DONE]"), "data is no JSON object"),
        (b"event: x\n" + chat_stream(*CHUNKS), "this wire has data alone"),
        (b"rubbish\n" + chat_stream(*CHUNKS), "lines that are no field"),
        (b"event: keepalive\n\n" + chat_stream(*CHUNKS), "without data"),
        (chat_stream(*CHUNKS)[:-1], "[DONE] came 0 times"),
    ],
)
def test_wrong_chat_streams(raw: bytes, words: str) -> None:
    assert any(words in problem for problem in problems(reply(raw))), problems(reply(raw))


def moved(place: int, **fields: Any) -> list[dict[str, Any]]:
    return [event | fields if number == place else event for number, event in enumerate(SOUND)]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (named(*SOUND[:-1]), "the stream ended in state 'closing'"),
        (named(*SOUND, SOUND[-1]), "message_stop (index None) in state end"),
        (named(SOUND[0], *SOUND), "message_start (index None) in state body"),
        (named(*SOUND[1:]), "content_block_start (index 0) in state start"),
        (named(*moved(7, index=2)), "content_block_start (index 2)"),
        (named(*moved(3, index=1)), "content_block_delta (index 1)"),
        (named(*SOUND[:6], *SOUND[7:]), "content_block_start (index 1) in state body, block 0 open"),
        (
            named(*SOUND).replace(b"event: message_stop", b"event: stop"),
            "event: 'stop' bears data of type 'message_stop'",
        ),
        (named(*SOUND).replace(b"event: message_stop\n", b""), "event: '' bears data"),
        (b": ping\n\n" + named(*SOUND), "which is no keepalive of this wire"),
        (named(*moved(11, usage={})), "message_event at /"),
    ],
)
def test_wrong_message_streams(raw: bytes, words: str) -> None:
    found = problems(reply(raw, wire="messages"))
    assert any(words in problem for problem in found), found


def test_a_cut_stream_owes_no_end() -> None:
    assert problems(reply(chat_stream(*CHUNKS[:2]), complete=False)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"type": "api_error", "message": "x", "code": 1}},
        {"error": {"type": "strange_error", "message": "x"}},
        {"error": {"type": "api_error", "message": ""}},
        {"error": "x"},
        {"type": "error", "error": {"type": "api_error", "message": "x"}},
        {"detail": "x"},
        [],
        None,
    ],
)
def test_wrong_errors(document: Any) -> None:
    assert problems_of("error", document)


def test_json_under_another_type() -> None:
    made = reply(json.dumps(ERROR).encode(), status=502, stream=False)
    made.headers = CIMultiDictProxy(CIMultiDict({"content-type": "text/html"}))
    assert "due application/json" in problems(made)[0]


@pytest.mark.parametrize(
    ("wire", "status", "stream", "kind"),
    [
        ("chat", 200, False, "chat_completion"),
        ("chat", 200, True, "chat_chunk"),
        ("messages", 200, False, "message"),
        ("messages", 200, True, "message_event"),
        ("chat", 429, False, "error"),
        ("/models", 200, False, "models"),
        ("/api-usage", 200, False, "usage_log"),
        ("/messages/count_tokens", 200, False, "token_count"),
        ("/healthz", 200, False, None),
        ("chat", 204, False, None),
    ],
)
def test_kinds(wire: str, status: int, stream: bool, kind: str | None) -> None:
    assert kind_of(reply(b"", wire=wire, status=status, stream=stream)) == kind


def test_every_schema_has_its_requirement() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == REQUIREMENTS.keys()
    assert set(REQUIREMENTS.values()) == {name for name in load() if name.startswith("SCH-")}
