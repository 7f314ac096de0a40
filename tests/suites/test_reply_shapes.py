"""The schema layer on Responses, Gemini, media, exports and counts: what is sound passes, each flaw is named."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from suites.exchange import Reply, Sent
from suites.reply_kinds import kind_of
from suites.reply_schemas import Findings, problems_of

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 5,
}
PART = {"type": "output_text", "text": "Hi", "annotations": []}
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [PART]}
BEGUN = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "m", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None, "error": None,
}  # fmt: skip
WHOLE = BEGUN | {"status": "completed", "output": [ITEM], "usage": USAGE}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": BEGUN},
    {"type": "response.in_progress", "response": BEGUN},
    {"type": "response.output_item.added", "output_index": 0, "item": ITEM | {"status": "in_progress", "content": []}},
    {"type": "response.content_part.added", **AT, "part": PART | {"text": ""}},
    {"type": "response.output_text.delta", **AT, "delta": "Hi"},
    {"type": "response.output_text.done", **AT, "text": "Hi"},
    {"type": "response.content_part.done", **AT, "part": PART},
    {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
    {"type": "response.completed", "response": WHOLE},
]
FAILED = BEGUN | {"status": "failed", "error": {"code": "server_error", "message": "x"}}
COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
HEAD = {"modelVersion": "m", "responseId": "r"}
CHUNKS: list[dict[str, Any]] = [
    HEAD | {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}}]},
    HEAD | {"candidates": [{"index": 0, "content": {"parts": []}, "finishReason": "STOP"}], "usageMetadata": COUNTS},
]
BROKEN = {"error": {"code": 502, "message": "All upstreams failed.", "status": "UNAVAILABLE"}}
BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": COUNTS}
INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_ERROR", "domain": "gateway"}
REFUSAL = {"error": BROKEN["error"] | {"details": [INFO]}}
LINK = {"url": "https://h/files/a.png"}
MODEL = {"name": "models/m", "displayName": "M", "supportedGenerationMethods": ["generateContent"]}
TEXT = {"text": "Hi", "segments": [{"text": "Hi", "start": 0, "end": 1.5}], "duration": 1.5}
NAMES = (
    "createdAt,id,requestId,endpoint,model,requestedModel,upstream,status,statusCode,latencyMs,ttftMs,stream,inputTokens,"
    "cachedInputTokens,cacheWriteTokens,outputTokens,reasoningTokens,unit,units,costUc,costCredits,estimated,capped,"
    "attempts,keyId,keyName\r\n"
)
LINE = (
    "2026-10-21T00:00:00.000Z,use_1,req_1,/v1/gemini,m,m,,failed,502,7,,false,,,,,,token,0,0,0.000000,false,false,2,"
    "k,'=x\r\n"
)


def reply(
    raw: bytes, wire: str, *, path: str = "", kind: str = "application/json", status: int = 200, complete: bool = True
) -> Reply:
    """A reply with this body."""
    headers = CIMultiDictProxy(CIMultiDict({"content-type": kind}))
    method = "GET" if kind == "text/csv" else "POST"
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


def responses(*told: dict[str, Any], complete: bool = True) -> Reply:
    """A Responses stream, numbered."""
    numbered = [one | {"sequence_number": number} for number, one in enumerate(told)]
    raw = b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in numbered)
    return reply(raw, "responses", kind="text/event-stream", complete=complete)


def gemini(*chunks: dict[str, Any], array: bool = False, complete: bool = True) -> Reply:
    """A stream in Gemini's shape, as events or as one array."""
    if array:
        path = "/gemini/v1beta/models/m:streamGenerateContent"
        return reply(json.dumps(chunks).encode(), "gemini", path=path, complete=complete)
    raw = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
    return reply(raw, "gemini", kind="text/event-stream", complete=complete)


def at(place: int, **fields: Any) -> list[dict[str, Any]]:
    """The sound Responses stream with other members in one event."""
    return [event | fields if number == place else event for number, event in enumerate(STREAM)]


def test_sound_streams() -> None:
    error = {"type": "error", "error": {"type": "api_error", "code": "server_error", "message": "x"}}
    flat = {"type": "error", "code": None, "message": "x", "param": None}
    failed = {"type": "response.failed", "response": FAILED}
    assert problems(responses(*STREAM)) == []
    for told in (error, flat):
        assert problems(responses(*STREAM[:5], told, failed)) == []
    assert problems(responses(*STREAM[:5], complete=False)) == []
    assert problems(responses(*STREAM[:4], {"type": "response.of.tomorrow"}, *STREAM[4:])) == []
    for array in (False, True):
        assert problems(gemini(*CHUNKS, array=array)) == []
        assert problems(gemini(BLOCKED, array=array)) == []
    assert problems(gemini(CHUNKS[0], BROKEN, complete=False)) == []
    assert problems(gemini(CHUNKS[0], complete=False)) == []
    assert problems(reply(b'[{"candidates"', "gemini", path="/models/m:streamGenerateContent", complete=False)) == []


def test_a_hosted_call_and_thinking() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    thought = {"type": "summary_text", "text": "So"}
    thinking = {"type": "reasoning", "id": "rs_1", "summary": [thought]}
    of_search, of_thinking = {"item_id": "ws_1", "output_index": 0}, {"item_id": "rs_1", "output_index": 1}
    summed = of_thinking | {"summary_index": 0}
    told = [
        *STREAM[:2],
        {"type": "response.output_item.added", "output_index": 0, "item": search},
        {"type": "response.web_search_call.searching", **of_search},
        {"type": "response.output_item.added", "output_index": 1, "item": thinking | {"summary": []}},
        {"type": "response.reasoning_summary_part.added", **summed, "part": thought | {"text": ""}},
        {"type": "response.reasoning_summary_text.delta", **summed, "delta": "So"},
        {"type": "response.output_item.done", "output_index": 0, "item": search},
        {"type": "response.reasoning_summary_text.done", **summed, "text": "So"},
        {"type": "response.reasoning_summary_part.done", **summed, "part": thought},
        {"type": "response.output_item.done", "output_index": 1, "item": thinking},
        {"type": "response.completed", "response": WHOLE | {"output": [search, thinking]}},
    ]
    assert problems(responses(*told)) == []
    assert any("no part with summary_index 0 is open" in found for found in problems(responses(*told[:5], *told[6:])))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (STREAM[:8], "terminal events: []"),
        (STREAM[1:], "the first event is"),
        ([*STREAM, STREAM[-1]], "terminal events: ["),
        ([*STREAM[:2], *STREAM[3:]], "response.content_part.added (output_index 0): open are the items []"),
        ([*STREAM[:3], *STREAM[4:]], "no part with content_index 0 is open"),
        ([*STREAM[:4], *STREAM[3:]], "the part with content_index 0 came before"),
        ([*STREAM[:6], *STREAM[7:]], "are still open"),
        (at(6, type="response.content_part.ended"), "are still open"),
        ([*STREAM[:7], STREAM[8]], "the items [0] are still open"),
        ([*STREAM[:8], *STREAM[2:]], "response.output_item.added (output_index 0) came before"),
        (at(4, item_id="msg_2"), "item_id 'msg_2'; this item is 'msg_1'"),
        (at(8, response=WHOLE | {"output": [ITEM, ITEM]}), "tells 2 items; 1 were streamed"),
        (at(4, delta=None), "response_event at /delta"),
        (at(0, response=WHOLE), "response_event at /response/status"),
        (at(8, response=WHOLE | {"usage": None}), "response_event at /response/usage"),
        (at(7, item=ITEM | {"role": "user"}), "response_event at /item/role"),
        (at(8, response=WHOLE | {"tools": None}), "response_event at /response/tools"),
    ],
)
def test_wrong_responses_streams(told: list[dict[str, Any]], words: str) -> None:
    found = problems(responses(*told))
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        (CHUNKS[:1], "finishReason for candidates []; due for [0]"),
        ([CHUNKS[1], CHUNKS[0]], "the last chunk bears no usageMetadata"),
        ([CHUNKS[0], CHUNKS[1] | {"responseId": "other"}], "responseId changes"),
        ([CHUNKS[0], BROKEN, CHUNKS[1]], "chunks after the error"),
        ([CHUNKS[0], {"error": {"code": 502, "message": "x"}}], "gemini_chunk at /"),
        ([{"candidates": [{"content": {"role": "assistant", "parts": []}}]}, CHUNKS[1]], "gemini_chunk at /"),
        ([{"candidates": [{"content": {"parts": [{"text": "a", "functionCall": {"name": "f"}}]}}]}], "gemini_chunk at"),
        ([{"choices": []}, CHUNKS[1]], "gemini_chunk at /"),
        ([], "finishReason for candidates []"),
    ],
)
def test_wrong_gemini_streams(chunks: list[dict[str, Any]], words: str, array: bool) -> None:
    found = problems(gemini(*chunks, array=array))
    assert any(words in problem for problem in found), found


def test_framing_of_gemini() -> None:
    sound = gemini(*CHUNKS).raw
    for raw, words in (
        (b": keepalive\r\n\r\n" + sound, "no keepalive of this wire"),
        (b"event: chunk\r\n" + sound, "this wire has data alone"),
        (sound[:-2], "no blank line after it"),
    ):
        found = problems(reply(raw, "gemini", kind="text/event-stream"))
        assert any(words in problem for problem in found), found
    open_array = reply(b"[{}", "gemini", path="/models/m:streamGenerateContent")
    assert "no JSON array" in problems(open_array)[0]


def test_exports() -> None:
    path = "/api-usage/export"
    assert problems(reply((NAMES + LINE).encode(), "", path=path, kind="text/csv")) == []
    for flaw, words in (
        (NAMES.replace("createdAt,id", "id,createdAt") + LINE, "/columns"),
        (NAMES + LINE.replace(",0,0.000000", ",0.5,0.000000"), "/rows/0/costUc"),
        (NAMES + LINE.replace(",'=x", ",'=x,more"), "/rows/0"),
        (NAMES + LINE.replace("2026-10-21T", "21.10.2026 "), "/rows/0/createdAt"),
        ("", "/columns"),
    ):
        found = problems(reply(flaw.encode(), "", path=path, kind="text/csv"))
        assert any(words in problem for problem in found), found
    made = reply((NAMES + LINE).encode(), "", path=path, kind="text/csv")
    made.headers = CIMultiDictProxy(CIMultiDict({"content-type": "text/plain"}))
    assert "due text/csv" in problems(made)[0]


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("response", WHOLE),
        ("response", WHOLE | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
        ("response", {name: value for name, value in WHOLE.items() if name != "error"}),
        ("gemini_reply", CHUNKS[1]),
        ("gemini_reply", BLOCKED),
        ("google_error", REFUSAL),
        ("pictures", {"created": 1, "data": [LINK, {"b64_json": "aGk="}]}),
        ("pictures", {"created": 1, "data": [LINK | {"b64_json": None}]}),
        ("clip", {"created": 1, "data": [LINK | {"duration": 5}]}),
        ("clip", {"created": 1, "data": [LINK]}),
        ("sound", {"created": 1, "data": [LINK]}),
        ("sound", TEXT),
        ("sound", {"text": ""}),
        ("response_token_count", {"object": "response.input_tokens", "input_tokens": 3}),
        ("gemini_token_count", {"totalTokens": 3, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]}),
        ("gemini_models", {"models": [MODEL]}),
        ("gemini_model", MODEL),
    ],
)
def test_what_is_sound(kind: str, document: Any) -> None:
    assert problems_of(kind, deepcopy(document)) == []


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("response", WHOLE | {"object": "chat.completion"}),
        ("response", WHOLE | {"usage": None}),
        ("response", WHOLE | {"usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}),
        ("response", WHOLE | {"status": "failed"}),
        ("response", WHOLE | {"status": "incomplete"}),
        ("response", WHOLE | {"error": {"code": "x", "message": "x"}}),
        ("response", WHOLE | {"output": [{"type": "function_call", "name": "f", "arguments": "{}"}]}),
        ("gemini_reply", CHUNKS[0]),
        ("gemini_reply", {"usageMetadata": COUNTS}),
        ("gemini_reply", CHUNKS[1] | {"usageMetadata": {"promptTokenCount": "3", "totalTokenCount": 5}}),
        ("gemini_reply", CHUNKS[1] | {"error": {"message": "x"}}),
        ("google_error", BROKEN),
        ("google_error", {"error": {"type": "api_error", "message": "x"}}),
        ("google_error", {"error": REFUSAL["error"] | {"status": "BAD_GATEWAY"}}),
        ("pictures", {"data": [LINK]}),
        ("pictures", {"created": 1, "data": [{}]}),
        ("pictures", {"created": 1, "data": [LINK | {"b64_json": "aGk="}]}),
        ("pictures", {"created": 1, "data": [{"b64_json": "no base64"}]}),
        ("clip", {"created": 1, "data": [LINK, LINK]}),
        ("clip", {"created": 1, "data": [LINK | {"duration": "5"}]}),
        ("sound", {"created": 1, "data": [{"url": "/files/a.mp3"}]}),
        ("sound", {"created": 1, "data": [{"text": "Hi"}]}),
        ("sound", TEXT | {"created": 1, "data": [LINK]}),
        ("sound", TEXT | {"segments": [{"text": "Hi", "start": "0", "end": 1}]}),
        ("response_token_count", {"input_tokens": 3}),
        ("gemini_token_count", {"input_tokens": 3}),
        ("gemini_models", {"object": "list", "data": [MODEL]}),
        ("gemini_models", {"models": [MODEL | {"name": "m"}]}),
        ("gemini_model", MODEL | {"supportedGenerationMethods": []}),
    ],
)
def test_what_is_not(kind: str, document: Any) -> None:
    assert problems_of(kind, deepcopy(document))


@pytest.mark.parametrize(
    ("method", "path", "status", "wire", "body", "kind"),
    [
        ("POST", "/api/v1/responses", 200, "responses", b"", "response"),
        ("POST", "/api/v1/responses/input_tokens", 200, "", b"", "response_token_count"),
        ("POST", "/api/v1/gemini", 200, "gemini", b'{"contents": []}', "gemini_reply"),
        ("POST", "/api/v1/gemini", 200, "gemini", b'{"messages": []}', "chat_completion"),
        ("POST", "/api/v1/gemini", 200, "gemini", b"no json", "gemini_reply"),
        ("POST", "/api/v1/gemini", 400, "gemini", b"", "error"),
        ("POST", "/api/v1/gemini/v1beta/models/m:generateContent", 200, "gemini", b"{}", "gemini_reply"),
        ("POST", "/api/v1/gemini/v1beta/models/m:streamGenerateContent", 200, "gemini", b"{}", "gemini_chunk"),
        ("POST", "/api/v1/gemini/v1beta/models/m:countTokens", 200, "", b"{}", "gemini_token_count"),
        ("POST", "/v1/models/m:generateContent", 402, "", b"", "google_error"),
        ("POST", "/v1beta/models/m:paint", 404, "", b"", "google_error"),
        ("GET", "/v1/models/m", 404, "", b"", "error"),
        ("GET", "/api/v1/gemini/v1beta/models?pageSize=5", 200, "", b"", "gemini_models"),
        ("GET", "/v1beta/models/m", 200, "", b"", "gemini_model"),
        ("GET", "/api/v1/models", 200, "", b"", "models"),
        ("GET", "/api/v1/models/m", 200, "", b"", None),
        ("POST", "/api/v1/images/generations", 200, "images", b"", "pictures"),
        ("POST", "/api/v1/video/generations", 200, "videos", b"", "clip"),
        ("POST", "/api/v1/audio/generations", 200, "audio", b"", "sound"),
        ("POST", "/api/v1/audio/generations", 502, "audio", b"", "error"),
        ("GET", "/api/api-usage/export?days=7", 200, "", b"", "usage_export"),
        ("GET", "/api/orgs/org_1/usage/export", 200, "", b"", "usage_export"),
    ],
)
def test_which_schema_holds(method: str, path: str, status: int, wire: str, body: bytes, kind: str | None) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"content-type": "application/json"}))
    assert kind_of(Reply(Sent(method, f"http://h{path}", {}, body, wire), status, headers, 0.0, 0.0)) == kind
